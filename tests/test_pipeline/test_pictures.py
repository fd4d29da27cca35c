import cv2
import numpy as np
import pytest
from PIL import Image

from mmwsl.pipeline.page import (
    LONGEST,
    PictureFolder,
    draw_file,
    read_fitting,
    read_picture,
)
from mmwsl.pseudo_labels.label_files import write_label_map
from mmwsl.pseudo_labels.regions import write_regions
from mmwsl.visualization import class_colors, draw_label_map, heatmap_overlay

IMAGE = np.full((20, 30, 3), 100, np.uint8)
LABEL = np.zeros((20, 30), np.uint8)
LABEL[:5], LABEL[5:10] = 2, 255


def test_files_are_found_by_id(tmp_path):
    for name in (
        'a/1.png',
        'b/1.npz',
        'b/note.txt',
        'vis/test_2007_32_0.png',
        'vis/val_x_12.jpg',
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('')
    folder = PictureFolder(str(tmp_path))
    assert len(folder.files) == 4
    assert folder.find('a/1') == str(tmp_path / 'a/1.png')
    assert folder.find('b/1') == str(tmp_path / 'b/1.npz')
    # mmseg's hook adds the step, and leaves out folders.
    assert folder.find('c/2007_32') == str(tmp_path / 'vis/test_2007_32_0.png')
    assert folder.find('x') == str(tmp_path / 'vis/val_x_12.jpg')
    assert folder.find('b/note') is None
    assert PictureFolder(str(tmp_path / 'none')).files == {}


def test_large_pictures_are_shrunk(tmp_path):
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, np.zeros((100, 4 * LONGEST, 3), np.uint8))
    assert read_picture(path).shape == (25, LONGEST, 3)


def test_label_map(tmp_path):
    path = str(tmp_path / 'a.png')
    write_label_map(path, LABEL)
    image, labels = draw_file(path, IMAGE)
    assert (image == draw_label_map(IMAGE, LABEL)).all()
    assert labels == {0, 2, 255}


def test_label_map_without_image(tmp_path):
    path = str(tmp_path / 'a.png')
    write_label_map(path, np.ones((2 * LONGEST, LONGEST), np.uint8))
    image, _ = draw_file(path, None)
    assert image.shape == (LONGEST, LONGEST // 2, 3)
    mixed = 0.35 * 235 + 0.65 * class_colors()[0].astype(float)
    assert np.abs(image - mixed).max() < 1


def test_heat_maps(tmp_path):
    path = str(tmp_path / 'a.npz')
    maps = np.linspace(0, 1, 3 * 600).reshape(3, 20, 30)
    np.savez(path, maps=maps[:1], labels=[1])
    image, _ = draw_file(path, IMAGE, ['cat', 'dog'])
    assert (image == heatmap_overlay(IMAGE, maps[0])).all()
    np.savez(path, maps=maps, labels=[1, 0, 7])
    several = draw_file(path, IMAGE, ['cat', 'dog'])[0]
    # Two columns and two rows in about the width of one.
    assert several.shape[1] == 30 // 2 * 2 + 3 * 4
    np.savez(path, maps=maps[:0], labels=np.zeros(0, int))
    assert (draw_file(path, IMAGE)[0] == IMAGE).all()


def test_regions(tmp_path):
    path = str(tmp_path / 'a.npz')
    regions = np.zeros((2, 20, 30), bool)
    regions[0, :10], regions[1, 5:15] = True, True
    write_regions(path, regions, np.array([0, 4]))
    flat = np.zeros((20, 30), np.uint8)
    flat[:5], flat[5:10], flat[10:15] = 1, 255, 5
    image, labels = draw_file(path, IMAGE)
    assert (image == draw_label_map(IMAGE, flat)).all()
    assert labels == {0, 1, 5, 255}


def test_pictures_stay_as_they_are(tmp_path):
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, np.stack([LABEL] * 3, -1))
    image, labels = draw_file(path, IMAGE)
    assert (image == np.stack([LABEL] * 3, -1)).all()
    assert labels == set()


def test_unknown_arrays_name_the_file(tmp_path):
    path = str(tmp_path / 'a.npz')
    np.savez(path, heat=LABEL)
    with pytest.raises(ValueError, match='a.npz: expected the arrays maps'):
        draw_file(path, IMAGE)
    Image.fromarray(LABEL).save(tmp_path / 'b.png')
    text = (tmp_path / 'b.png').read_bytes()[:60]
    (tmp_path / 'b.png').write_bytes(text)
    with pytest.raises((OSError, ValueError)):
        draw_file(str(tmp_path / 'b.png'), IMAGE)


@pytest.mark.parametrize('fits', [False, True])
def test_an_image_is_turned_as_its_label_maps_are(tmp_path, fits):
    exif = Image.Exif()
    exif[0x112] = 6
    path = str(tmp_path / 'a.jpg')
    Image.new('RGB', (30, 20)).save(path, exif=exif)
    label_map = str(tmp_path / 'a.png')
    Image.new('P', (30, 20) if fits else (20, 30)).save(label_map)
    image = read_fitting(path, [None, path, label_map])
    assert image.shape[:2] == ((20, 30) if fits else (30, 20))
