"""Tests of ``tools/model_converters/publish_model.py``."""

import hashlib

import numpy as np
import pytest
import torch

from mmwsl.apis import WSLInferencer
from mmwsl.utils.checkpoints import read_checkpoint
from tool_calls import call, fails
from toy_run import CONFIG


def test_what_is_handed_on_predicts_alike(
    tool, toy_checkpoint, tmp_path, capsys
):
    assert call(tool, toy_checkpoint, tmp_path / 'new' / 'toy.v1.pth') == 0
    (path,) = (tmp_path / 'new').iterdir()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.name == f'toy.v1-{digest[:8]}.pth'
    assert str(path) in capsys.readouterr().out
    assert path.stat().st_size < toy_checkpoint.stat().st_size / 2
    content, before = read_checkpoint(path), read_checkpoint(toy_checkpoint)
    assert set(content) == {'meta', 'state_dict'}
    assert set(before) > {'optimizer', 'message_hub', 'param_schedulers'}
    meta = content['meta']
    assert 'hook_msgs' not in meta
    assert meta['cfg'] == before['meta']['cfg']
    assert meta['mmwsl_version']
    image = np.random.randint(0, 256, (48, 64, 3), np.uint8)
    models = [
        WSLInferencer(CONFIG, str(file), 'cpu', show_progress=False)
        for file in (toy_checkpoint, path)
    ]
    for model in models:
        assert model.classes == [*before['meta']['dataset_meta']['classes']]
    found, expected = (
        model(image, return_datasamples=True)['predictions'][0]
        for model in models
    )
    for key in ('pred_score', 'pred_map_labels'):
        assert found.get(key).equal(expected.get(key))
    assert found.pred_maps.data.equal(expected.pred_maps.data)

    text = fails(tool, capsys, path, tmp_path / 'new' / 'toy.v1.pth')
    assert f'{path}: is there already' in text


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (dict(meta={}), 'holds no weights (state_dict)'),
        ([1], 'the content of the checkpoint is [1]'),
        (
            dict(state_dict=dict(a=torch.tensor([1.0, torch.nan]))),
            'a is not finite',
        ),
        (
            dict(state_dict=dict(a=slice(3))),
            'slice, which no checkpoint needs',
        ),
    ],
)
def test_what_cannot_be_handed_on(tool, tmp_path, capsys, content, message):
    path = tmp_path / 'a.pth'
    torch.save(content, path)
    text = fails(tool, capsys, path, tmp_path / 'out.pth')
    assert str(path) in text
    assert message in text
    assert not list(tmp_path.glob('out*'))


def test_names_of_files(tool, tmp_path, capsys):
    assert 'ends in .pth' in fails(tool, capsys, 'a.pth', tmp_path / 'a.bin')
    text = fails(tool, capsys, tmp_path / 'none.pth', tmp_path / 'a.pth')
    assert 'no such checkpoint' in text
