import json

import numpy as np
import pytest
from PIL import Image

from mmwsl.datasets import ToyDataset
from mmwsl.proposals import read_parameters, read_proposals, write_proposals
from mmwsl.structures import Proposals
from tool_calls import call, error, fails, load_tool
from toy_run import CONFIG

SMALL = [
    '--num-superpixels',
    '20',
    '--max-proposals',
    '5',
    '--cfg-options',
    'test_dataloader.dataset.num_images=2',
    'test_dataloader.dataset.image_size=48',
    'train_dataloader.dataset.num_images=1',
    'train_dataloader.dataset.image_size=48',
]


@pytest.fixture(scope='module')
def evaluation(repo_root):
    return load_tool('analysis_tools/eval_proposals.py')


def test_made_once_and_goes_on(tool, tmp_path, capsys):
    folder = tmp_path / 'new'
    assert call(tool, CONFIG, folder, *SMALL) == 0
    assert '2 files written, 0 were there' in capsys.readouterr().out
    first, second = sorted(folder.rglob('*.npz'))
    assert first.relative_to(folder).as_posix() == 'toy/1000/000000.npz'
    proposals = read_proposals(str(first))
    assert proposals.size == (48, 48)
    assert 1 <= len(proposals) <= 5
    assert read_parameters(str(first))['num_superpixels'] == 20

    before = first.stat().st_mtime_ns
    second.unlink()
    assert call(tool, CONFIG, folder, *SMALL) == 0
    assert '1 files written, 1 were there' in capsys.readouterr().out
    assert first.stat().st_mtime_ns == before
    assert second.exists()


def test_splits_and_workers(tool, tmp_path, capsys):
    args = ['--splits', 'train', 'test', '--num-workers', '1', *SMALL]
    assert call(tool, CONFIG, tmp_path, *args) == 0
    assert 'train: 1 files written' in capsys.readouterr().out
    names = [p.relative_to(tmp_path) for p in tmp_path.rglob('*.npz')]
    assert len(names) == 3
    assert {name.parts[1] for name in names} == {'0', '1000'}


@pytest.mark.slow
def test_other_settings_are_refused(tool, tmp_path, capsys):
    assert call(tool, CONFIG, tmp_path, *SMALL) == 0
    other = ['--max-proposals', '4', *SMALL[:2], *SMALL[4:]]
    line = fails(tool, capsys, CONFIG, tmp_path, *other)
    assert '000000.npz: was made with max_proposals=5, not 4' in line
    assert call(tool, CONFIG, tmp_path, '--overwrite', *other) == 0
    path = str(tmp_path / 'toy/1000/000000.npz')
    assert len(read_proposals(path)) <= 4
    write_proposals(path, read_proposals(path))
    assert call(tool, CONFIG, tmp_path, *other) == 1
    assert 'not made by this command' in error(capsys.readouterr())


def test_a_folder_of_images(tool, tmp_path, capsys):
    (tmp_path / 'images/a').mkdir(parents=True)
    img = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(img).save(tmp_path / 'images/a/1.png')
    out = tmp_path / 'out'
    assert call(tool, tmp_path / 'images', out, *SMALL[:4]) == 0
    assert '1 files written' in capsys.readouterr().out
    assert read_proposals(str(out / 'a/1.npz')).size == (40, 50)
    assert call(tool, tmp_path / 'images', tmp_path / 'images') == 1
    assert 'images' in error(capsys.readouterr())


def test_edges_of_a_network(tool, tmp_path, capsys):
    images, edges, out = (tmp_path / x for x in ('images', 'edges', 'out'))
    for folder in (images / 'a', edges / 'a'):
        folder.mkdir(parents=True)
    Image.new('RGB', (50, 40), 'grey').save(images / 'a/1.jpg')
    # White lines: in the grey image nothing else separates its two halves.
    lines = Image.new('L', (50, 40))
    lines.paste(255, (24, 0, 26, 40))
    args = [images, out, '--edges', edges, *SMALL[:4]]
    assert 'edges/a/1.png' in fails(tool, capsys, *args)
    lines.save(edges / 'a/1.png')
    assert call(tool, *args) == 0
    half = np.arange(50) < 25
    masks = read_proposals(str(out / 'a/1.npz')).masks
    agree = (masks == half).mean(axis=(1, 2))
    assert agree.max() > 0.95
    line = fails(tool, capsys, images, out, *SMALL[:4])
    assert 'edges of a network' in line


@pytest.mark.slow
@pytest.mark.parametrize('share', [0, 0.98])
def test_truncated_files_are_not_taken_as_made(tool, tmp_path, capsys, share):
    assert call(tool, CONFIG, tmp_path, *SMALL) == 0
    path = tmp_path / 'toy/1000/000000.npz'
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    line = fails(tool, capsys, CONFIG, tmp_path, *SMALL)
    assert '000000.npz' in line
    assert '--overwrite' in line
    assert call(tool, CONFIG, tmp_path, '--overwrite', *SMALL) == 0
    assert path.read_bytes() == content


def test_errors(tool, tmp_path, capsys):
    assert call(tool, CONFIG, tmp_path, '--max-proposals', '0') == 1
    assert 'max_proposals must be at least 1' in error(capsys.readouterr())
    options = ['--cfg-options', 'val_dataloader=None']
    assert call(tool, CONFIG, tmp_path, '--splits', 'val', *options) == 1
    assert 'has no val_dataloader' in error(capsys.readouterr())


def test_broken_images_are_named(tool, tmp_path, capsys):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images' / 'bad.jpg').write_bytes(b'\xff\xd8broken')
    (tmp_path / 'labels.csv').write_text('bad.jpg,cat\n')
    (tmp_path / 'cfg.py').write_text(
        'test_dataloader = dict(dataset=dict('
        "type='FolderDataset', ann_file='labels.csv', test_mode=True,"
        f"data_root='{tmp_path}', data_prefix=dict(img_path='images'),"
        "metainfo=dict(classes=['cat']), pipeline=[]))\n"
    )
    for workers in ('0', '1'):
        out = tmp_path / 'out'
        args = [tmp_path / 'cfg.py', out, '--num-workers', workers]
        line = fails(tool, capsys, *args)
        assert 'images/bad.jpg: ' in line


def test_scores(tool, evaluation, tmp_path, capsys):
    options = SMALL[4:]
    assert call(tool, CONFIG, tmp_path, *SMALL) == 0
    out = tmp_path / 'new' / 'scores.json'
    numbers = ['--numbers', '5', '1', '--out', out]
    assert call(evaluation, CONFIG, tmp_path, *numbers, *options) == 0
    printed = capsys.readouterr().out
    assert 'all objects' in printed
    assert '"ABO@5"' in printed
    scores = read_json(out)
    assert 0 < scores['ABO@1'] <= scores['ABO@5'] <= 100
    assert scores['num_objects'] == sum(
        values['num_objects'] for values in scores['classes'].values()
    )


def test_single_instances_and_perfect_proposals(evaluation, tmp_path, capsys):
    toy = ToyDataset(2, seed=1000, image_size=48, test_mode=True)
    single = 0
    for index in range(2):
        info = toy.get_data_info(index)
        truth = info['eval_ann']
        _, counts = np.unique(truth['labels'], return_counts=True)
        single += int((counts == 1).sum())
        packed = Proposals(truth['masks'])
        write_proposals(str(tmp_path / f'{info["img_id"]}.npy'), packed)
    options = ['--suffix', '.npy', '--out', tmp_path / 'a.json', *SMALL[4:]]
    assert call(evaluation, CONFIG, tmp_path, *options) == 0
    assert read_json(tmp_path / 'a.json')['MABO@50'] == 100
    options = ['--instances', 'single', *options]
    assert call(evaluation, CONFIG, tmp_path, *options) == 0
    assert read_json(tmp_path / 'a.json')['num_objects'] == single
    assert read_json(tmp_path / 'a.json')['recall@0.7@50'] == 100
    capsys.readouterr()
    assert call(evaluation, CONFIG, tmp_path / 'no', *options) == 1
    assert 'proposal file does not exist' in error(capsys.readouterr())


def read_json(path):
    return json.loads(path.read_text())
