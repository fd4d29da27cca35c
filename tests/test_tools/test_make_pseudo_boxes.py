"""Boxes made without boxes, and validation by them."""

import json

import pytest
import torch

from mmwsl.apis import dataset_config, init_model, load_config
from mmwsl.proposals import ProposalGenerator, write_proposals
from mmwsl.registry import DATASETS
from tool_calls import call, error

CONFIG = 'configs/da_wsol/wsol_cam_r18_toy.py'
SMALL = [
    'val_dataloader.dataset.num_images=1',
    'val_dataloader.dataset.image_size=48',
]


@pytest.fixture
def checkpoint(tmp_path):
    model = init_model(CONFIG)
    path = tmp_path / 'model.pth'
    torch.save({'state_dict': model.state_dict()}, path)
    return path


@pytest.mark.slow
def test_files_and_the_generator_agree(tool, checkpoint, tmp_path, capsys):
    out = [tmp_path / 'a.json', tmp_path / 'b.json']
    options = ['--cfg-options', *SMALL]
    assert call(tool, CONFIG, checkpoint, out[0], *options) == 0
    assert capsys.readouterr().out.endswith('a.json: 1 boxes\n')
    found = json.loads(out[0].read_text())
    for left, top, right, bottom in found.values():
        assert 0 <= left < right <= 48
        assert 0 <= top < bottom <= 48
    cfg = load_config(CONFIG, dict(x.split('=') for x in SMALL))
    for key in ('num_images', 'image_size'):
        dataset = cfg.val_dataloader.dataset
        dataset[key] = int(dataset[key])
    dataset = DATASETS.build({**dataset_config(cfg, 'val'), 'pipeline': []})
    folder = tmp_path / 'proposals'
    for entry in dataset:
        path = folder / f'{entry["img_id"]}.npz'
        write_proposals(str(path), ProposalGenerator()(entry['img']))
    files = ['--proposals', folder]
    assert call(tool, CONFIG, checkpoint, out[1], *files, *options) == 0
    assert json.loads(out[1].read_text()) == found


def test_classifiers_without_score_map(tool, checkpoint, tmp_path, capsys):
    options = ['--cfg-options', *SMALL, 'model.head.score_map_size=None']
    out = tmp_path / 'a.json'
    assert call(tool, CONFIG, checkpoint, out, *options) == 1
    assert 'head.score_map_size' in error(capsys.readouterr())
