import cv2
import numpy as np
import pytest
from PIL import Image

from mmwsl.pseudo_labels import dense_crf
from mmwsl.pseudo_labels.labels import write_label_map
from mmwsl.utils.images import read_index_mask
from tool_calls import call, error

SHAPE = (12, 16)


@pytest.fixture
def folder(tmp_path):
    """An image of two halves, with maps that mark some of the right one."""
    image = np.full((*SHAPE, 3), 40, np.uint8)
    image[:, 8:] = 200
    (tmp_path / 'images' / 'a').mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'images/a/1.png'), image)
    (tmp_path / 'maps' / 'a').mkdir(parents=True)
    return tmp_path


def run(tool, folder, *args):
    parts = [folder / name for name in ('images', 'maps', 'out')]
    return call(tool, *parts, *args)


def test_class_maps_fill_their_half(tool, folder, capsys):
    maps = np.zeros((2, *SHAPE), np.float16)
    maps[0, :, 8:] = 0.45
    maps[0, 2:9, 9:14] = 0.9
    np.savez(folder / 'maps/a/1.npz', maps=maps, labels=np.array([4, 7]))
    assert run(tool, folder) == 0
    label = read_index_mask(str(folder / 'out/a/1.png'))
    assert (label[:, 8:] == 5).all()
    assert (label[:, :8] == 0).all()
    background = 1 - maps.astype(np.float32).sum(0)
    probs = np.concatenate([background[None], maps])
    image = cv2.imread(str(folder / 'images/a/1.png'))
    want = np.array([0, 5, 8])[dense_crf(image, probs).argmax(0)]
    np.testing.assert_array_equal(label, want)
    assert '1 written, 0 kept' in capsys.readouterr().out


def test_label_maps_fill_what_is_unknown(tool, folder):
    label = np.full(SHAPE, 255, np.uint8)
    label[3:9, 1:6] = 0
    label[3:9, 10:15] = 3
    write_label_map(str(folder / 'maps/a/1.png'), label)
    assert run(tool, folder) == 0
    refined = read_index_mask(str(folder / 'out/a/1.png'))
    assert (refined[:, :8] == 0).all()
    assert (refined[:, 8:] == 3).all()


def test_what_is_there_is_kept(tool, folder, capsys):
    label = np.zeros(SHAPE, np.uint8)
    write_label_map(str(folder / 'maps/a/1.png'), label)
    write_label_map(str(folder / 'out/a/1.png'), label + 9)
    assert run(tool, folder) == 0
    assert '0 written, 1 kept' in capsys.readouterr().out
    assert (np.array(Image.open(folder / 'out/a/1.png')) == 9).all()


def test_nothing_known_becomes_background(tool, folder):
    label = np.full(SHAPE, 255, np.uint8)
    write_label_map(str(folder / 'maps/a/1.png'), label)
    assert run(tool, folder) == 0
    assert not read_index_mask(str(folder / 'out/a/1.png')).any()


def test_one_line_for_what_is_wrong(tool, folder, capsys):
    write_label_map(str(folder / 'maps/a/1.png'), np.zeros((3, 4), np.uint8))
    assert run(tool, folder) == 1
    assert 'a/1.png: probs must have shape' in capsys.readouterr().err
    assert not (folder / 'out').exists()
    write_label_map(str(folder / 'maps/a/2.png'), np.zeros(SHAPE, np.uint8))
    (folder / 'maps/a/1.png').unlink()
    assert run(tool, folder) == 1
    assert 'has no image a/2' in capsys.readouterr().err
    assert call(tool, folder / 'images', folder / 'maps', folder / 'maps') == 1
    assert 'is the folder of the maps' in capsys.readouterr().err
    (folder / 'maps').rename(folder / 'SegmentationClass')
    (folder / 'maps').symlink_to(folder / 'SegmentationClass')
    assert run(tool, folder) == 1
    assert 'is a folder of ground truth' in capsys.readouterr().err


def test_what_is_no_label(tool, folder, capsys):
    wide = np.full(SHAPE, 300, np.uint16)
    Image.fromarray(wide).save(folder / 'maps/a/1.png')
    assert run(tool, folder) == 1
    assert 'a/1.png' in error(capsys.readouterr())
    (folder / 'maps/a/1.png').unlink()
    for value in (np.nan, -0.5):
        maps = np.full((1, *SHAPE), value, np.float32)
        np.savez(folder / 'maps/a/1.npz', maps=maps, labels=np.array([4]))
        assert run(tool, folder) == 1
        assert 'a/1.npz' in error(capsys.readouterr())
    assert not (folder / 'out').exists()


def test_copies_of_masks_are_no_source(tool, folder, capsys):
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:9, 2:9] = 3
    write_label_map(str(folder / 'maps/a/1.png'), mask)
    write_label_map(str(folder / 'masks/a/1.png'), mask)
    truth = ('--truth', folder / 'masks')
    assert run(tool, folder, *truth) == 1
    assert '1 of 1 label maps equal the masks' in capsys.readouterr().err
    assert not (folder / 'out').exists()
    mask[2, 2] = 0
    write_label_map(str(folder / 'maps/a/1.png'), mask)
    assert run(tool, folder, *truth) == 0


def test_orientation(tool, folder):
    """The maps are those of a model that saw the stored images."""
    path = folder / 'images/a/1.jpg'
    (folder / 'images/a/1.png').unlink()
    image = np.full((*SHAPE, 3), 40, np.uint8)
    image[:, 8:] = 200
    exif = Image.Exif()
    exif[0x112] = 3
    Image.fromarray(image).save(path, exif=exif)
    label = np.full(SHAPE, 255, np.uint8)
    label[3:9, 1:6] = 0
    label[3:6, 10:15] = 3
    write_label_map(str(folder / 'maps/a/1.png'), label)
    assert run(tool, folder, '--ignore-orientation') == 0
    refined = read_index_mask(str(folder / 'out/a/1.png'))
    assert (refined[:, 8:] == 3).all()
    assert (refined[:, :7] == 0).all()
