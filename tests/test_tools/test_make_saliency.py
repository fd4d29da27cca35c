import cv2
import numpy as np
import pytest

from mmwsl.datasets.transforms import LoadSaliency
from mmwsl.saliency import read_settings
from mmwsl.saliency.network import FAMILIES
from tool_calls import call, error, fails
from toy_run import CONFIG

FEW = ['--num-superpixels', '30']


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


def test_images_of_twelve_bits(tool, images, capsys):
    deep = cv2.imread(str(images / '3.jpg'), 0).astype(np.uint16) << 4
    (images / '3.jpg').unlink()
    cv2.imwrite(str(images / '3.png'), deep)
    out = images.parent / 'maps'
    assert '--max-value' in fails(tool, capsys, images, out, *FEW)
    assert call(tool, images, out, *FEW, '--max-value', '4095') == 0


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
    line = fails(tool, capsys, images, out, '--num-superpixels', '20')
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
    line = fails(tool, capsys, images, out, *FEW)
    assert '3.png' in line
    assert '--overwrite' in line


@pytest.mark.parametrize('workers', ['0', '1'])
def test_a_broken_image_is_named_and_leaves_nothing(
    tool, images, capsys, workers
):
    (images / 'a' / '1.jpg').write_bytes(b'\xff\xd8broken')
    out = images.parent / 'maps'
    args = [images, out, '--num-workers', workers, *FEW]
    assert 'images/a/1.jpg: ' in fails(tool, capsys, *args)
    assert not [p for p in (out / 'a').rglob('*') if '1' in p.name]


def test_errors(tool, images, tmp_path, capsys):
    assert 'is the folder of the images' in fails(tool, capsys, images, images)
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


def write_network(path, side, constant=False):
    """Write a network whose first output is the red channel."""
    import torch

    class Red(torch.nn.Module):
        def forward(self, images):
            red = images[:, :1]
            return (red * 0 if constant else red), images[:, 1:2]

    options = dict(dynamo=False)
    image = torch.zeros(1, 3, side, side)
    names = dict(input_names=['x'], output_names=['d0', 'd1'])
    torch.onnx.export(Red(), (image,), str(path), **names, **options)


@pytest.mark.parametrize('family', ['u2net', 'isnet'])
def test_networks(tool, images, tmp_path, capsys, family):
    """The size of the input tells the family, and red is salient."""
    network = tmp_path / 'net.onnx'
    write_network(network, FAMILIES[family]['size'])
    out = tmp_path / 'maps'
    assert call(tool, images, out, '--onnx', network) == 0
    assert '3 maps written' in capsys.readouterr().out
    img = cv2.imread(str(images / '3.jpg'))
    entry = dict(img_id='3', ori_shape=img.shape[:2])
    saliency = LoadSaliency(str(out))(entry)['saliency']
    red = img[..., 2].astype(np.float32)
    expected = (red - red.min()) / (red.max() - red.min())
    assert np.abs(saliency - expected).mean() < 0.03
    settings = read_settings(str(out / '3.png'))
    assert settings['size'] == FAMILIES[family]['size']
    assert settings['mean'] == list(FAMILIES[family]['mean'])
    # Maps of the generator do not go on.
    assert '3.png: was made with' in fails(tool, capsys, images, out)
    assert call(tool, images, out, '--onnx', network) == 0


def test_networks_by_options(tool, images, tmp_path, capsys):
    network = tmp_path / 'net.onnx'
    write_network(network, 64, constant=True)
    line = [images, tmp_path / 'maps', '--onnx', network]
    assert '--family' in fails(tool, capsys, *line)
    more = ['--family', 'isnet', '--mean', 0, 0, 0, '--std', 1, 1, 1]
    assert call(tool, *line, *more) == 0
    settings = read_settings(str(tmp_path / 'maps/3.png'))
    assert (settings['size'], settings['mean']) == (64, [0, 0, 0])
    # Nothing stands out in a constant map.
    assert not cv2.imread(str(tmp_path / 'maps/3.png')).any()


def test_networks_that_are_none(tool, images, tmp_path, capsys):
    line = [images, tmp_path / 'maps', '--onnx']
    assert 'no.onnx' in fails(tool, capsys, *line, tmp_path / 'no.onnx')
    (tmp_path / 'text.onnx').write_text('no network')
    assert 'text.onnx' in fails(tool, capsys, *line, tmp_path / 'text.onnx')
    write_network(tmp_path / 'net.onnx', 320)
    wrong = ['--size', '64']
    assert call(tool, *line, tmp_path / 'net.onnx', *wrong) == 1
    assert 'net.onnx' in capsys.readouterr().err
    assert call(tool, images, tmp_path / 'maps', '--family', 'isnet') == 2
