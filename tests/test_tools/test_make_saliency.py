import cv2
import numpy as np
import pytest

from mmwsl.datasets.transforms import LoadSaliency
from mmwsl.saliency import read_settings
from tool_calls import call, error, load_tool
from toy_run import CONFIG

FEW = ['--num-superpixels', '30']


@pytest.fixture(scope='module')
def tool(repo_root):
    return load_tool('dataset_converters/make_saliency.py')


@pytest.fixture
def images(tmp_path):
    for number, name in enumerate(['a/1.jpg', 'a/2.PNG', '3.jpg']):
        img = np.full((40, 50, 3), 90, np.uint8)
        cv2.circle(img, (25, 20), 8 + number, (40, 200, 240), -1)
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), img)
    (tmp_path / 'images' / 'notes.txt').write_text('no image')
    return tmp_path / 'images'


def test_a_folder_is_made_once_and_goes_on(tool, images, capsys):
    out = images.parent / 'maps'
    assert call(tool, images, out, *FEW) == 0
    assert '3 maps written, 0 were there' in capsys.readouterr().out
    found = sorted(p.relative_to(out).as_posix() for p in out.rglob('*.*'))
    assert found == ['3.png', 'a/1.png', 'a/2.png']
    entry = dict(img_id='a/2', ori_shape=(40, 50))
    saliency = LoadSaliency(str(out))(entry)['saliency']
    assert saliency[20, 25] > 0.8
    assert saliency[2, 2] < 0.2

    (out / 'a/1.png').unlink()
    before = (out / '3.png').stat().st_mtime_ns
    assert call(tool, images, out, *FEW) == 0
    assert '1 maps written, 2 were there' in capsys.readouterr().out
    assert (out / '3.png').stat().st_mtime_ns == before


def test_a_config_and_workers(tool, tmp_path, capsys):
    options = [
        f'{split}_dataloader.dataset.{setting}'
        for split in ('train', 'test')
        for setting in ('num_images=2', 'image_size=48')
    ]
    args = ['--splits', 'train', 'test', '--num-workers', '1', *FEW]
    assert call(tool, CONFIG, tmp_path, *args, '--cfg-options', *options) == 0
    assert 'test: 2 maps written, 0 were there' in capsys.readouterr().out
    names = [p.relative_to(tmp_path) for p in tmp_path.rglob('*.png')]
    assert len(names) == 4
    assert {name.parts[1] for name in names} == {'0', '1000'}


def test_other_maps_are_refused(tool, images, capsys):
    out = images.parent / 'maps'
    assert call(tool, images, out, *FEW) == 0
    assert call(tool, images, out, '--num-superpixels', '20') == 1
    line = error(capsys.readouterr())
    assert '3.png: was made with num_superpixels=30, not 20' in line
    other = ['--num-superpixels', '20', '--overwrite']
    assert call(tool, images, out, *other) == 0
    assert read_settings(str(out / '3.png'))['num_superpixels'] == 20
    cv2.imwrite(str(out / '3.png'), np.zeros((40, 50), np.uint8))
    assert call(tool, images, out, '--num-superpixels', '20') == 1
    assert 'not made by this command' in error(capsys.readouterr())


@pytest.mark.parametrize('share', [0, 0.5, 0.98])
def test_truncated_maps_are_not_taken_as_made(tool, images, capsys, share):
    out = images.parent / 'maps'
    assert call(tool, images, out, *FEW) == 0
    content = (out / '3.png').read_bytes()
    (out / '3.png').write_bytes(content[: int(share * len(content))])
    assert call(tool, images, out, *FEW) == 1
    line = error(capsys.readouterr())
    assert '3.png' in line
    assert '--overwrite' in line


@pytest.mark.parametrize('workers', ['0', '1'])
def test_a_broken_image_is_named_and_leaves_nothing(
    tool, images, capsys, workers
):
    (images / 'a' / '1.jpg').write_bytes(b'\xff\xd8broken')
    out = images.parent / 'maps'
    args = [images, out, '--num-workers', workers, *FEW]
    assert call(tool, *args) == 1
    assert 'images/a/1.jpg: ' in error(capsys.readouterr())
    assert not [p for p in (out / 'a').rglob('*') if '1' in p.name]


def test_errors(tool, images, tmp_path, capsys):
    assert call(tool, images, images) == 1
    assert 'is the folder of the images' in error(capsys.readouterr())
    assert call(tool, images, tmp_path, '--num-superpixels', '1') == 1
    assert 'num_superpixels must be at least' in error(capsys.readouterr())
    (tmp_path / 'empty').mkdir()
    assert call(tool, tmp_path / 'empty', tmp_path / 'maps') == 1
    assert 'empty: holds no image' in error(capsys.readouterr())
    assert call(tool, tmp_path / 'no.py', tmp_path / 'maps') == 1
    assert 'no.py' in error(capsys.readouterr())
    cv2.imwrite(str(images / '3.png'), np.zeros((9, 9, 3), np.uint8))
    assert call(tool, images, tmp_path / 'maps') == 1
    assert 'has the same image id as' in error(capsys.readouterr())
    options = ['--cfg-options', 'val_dataloader=None']
    assert call(tool, CONFIG, tmp_path, '--splits', 'val', *options) == 1
    assert 'has no val_dataloader' in error(capsys.readouterr())
