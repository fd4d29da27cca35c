"""Tests of refusing ground truth."""

import os

import numpy as np
import pytest
from PIL import Image

from mmwsl.pseudo_labels.guard import (
    check_label_maps,
    check_source,
    nearly_equal,
)
from mmwsl.pseudo_labels.labels import write_label_map

NAMES = ('a/1.png', 'a/2.png', 'b/1.png', 'b/2.png')


def write(folder, change=0):
    """Write masks of which ``change`` images differ in a pixel."""
    for number, name in enumerate(NAMES):
        label = np.zeros((4, 4), np.uint8)
        label[1, number] = 3
        label[0, 0] = number < change
        write_label_map(str(folder / name), label)
    return str(folder), [str(folder / name) for name in NAMES]


@pytest.fixture
def truth(tmp_path):
    return write(tmp_path / 'masks')[0]


def test_accepts_pseudo_labels(tmp_path, truth):
    check_source(*write(tmp_path / 'labels', change=2), [truth])
    check_source(*write(tmp_path / 'labels', change=0), [])
    check_source(*write(tmp_path / 'labels'), [str(tmp_path / 'elsewhere')])


def test_refuses_the_folder_of_masks(tmp_path, truth):
    paths = [os.path.join(truth, name) for name in NAMES]
    with pytest.raises(ValueError, match='ground truth'):
        check_source(truth, paths, [truth])
    inside = os.path.join(truth, 'a')
    with pytest.raises(ValueError, match='ground truth'):
        check_source(inside, paths[:2], [truth])
    (tmp_path / 'link').symlink_to(truth)
    linked = [str(tmp_path / 'link' / name) for name in NAMES]
    with pytest.raises(ValueError, match='ground truth'):
        check_source(str(tmp_path / 'link'), linked, [truth])
    with pytest.raises(ValueError, match='SegmentationClass: '):
        check_source(*write(tmp_path / 'SegmentationClass', 4), [])


def test_refuses_links_and_copies_of_masks(tmp_path, truth):
    with pytest.raises(ValueError, match='3 of 4 label maps equal'):
        check_source(*write(tmp_path / 'copies', change=1), [truth])
    folder, paths = write(tmp_path / 'links', change=4)
    os.remove(paths[0])
    os.symlink(os.path.join(truth, NAMES[0]), paths[0])
    with pytest.raises(ValueError, match='ground truth'):
        check_source(folder, paths, [truth])


def test_refuses_links_to_folders_with_the_name_of_truth(tmp_path):
    _, paths = write(tmp_path / 'SegmentationClass')
    links = [str(tmp_path / 'links' / name) for name in NAMES]
    for path, link in zip(paths, links):
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(path, link)
    with pytest.raises(ValueError, match='SegmentationClass.*ground truth'):
        check_source(str(tmp_path / 'links'), links, [])


def test_nearly_equal():
    mask = np.zeros((100, 100), np.uint8)
    mask[20:60, 20:60], mask[20, 20:60] = 3, 255
    rims = np.where(mask == 255, 0, mask)
    assert nearly_equal(mask, mask)
    assert nearly_equal(rims, mask)
    rims[0, :9] = 7
    assert nearly_equal(rims, mask)
    rims[0, :11] = 7
    assert not nearly_equal(rims, mask)
    # What is right but for a small object is no copy.
    mask[:] = 0
    mask[5, 5:7] = 1
    label = mask.copy()
    label[5, 5] = 0
    assert not nearly_equal(label, mask)
    assert not nearly_equal(mask[:50], mask)


def test_masks_with_pixels_taken_out_are_masks():
    mask = np.zeros((100, 100), np.uint8)
    mask[20:60, 20:60] = 3
    label = mask.copy()
    label[20:40, 20:60] = label[70:] = 255
    assert nearly_equal(label, mask)
    # A seed: right, but less than half of the object.
    label[40, 20] = 255
    assert not nearly_equal(label, mask)
    # What is left of the background is wrong.
    label = mask.copy()
    label[:20] = 255
    label[90:, :5] = 3
    assert not nearly_equal(label, mask)
    assert not nearly_equal(np.full_like(mask, 255), mask)


def test_copies_without_rims(tmp_path):
    for folder, rim in (('masks', 255), ('labels', 0)):
        label = np.zeros((9, 9), np.uint8)
        label[2:7, 2:7], label[2, 2:7] = 5, rim
        write_label_map(str(tmp_path / folder / '1.png'), label)
    paths = [str(tmp_path / 'labels/1.png')]
    with pytest.raises(ValueError, match='1 of 1 label maps equal'):
        check_source(
            str(tmp_path / 'labels'), paths, [str(tmp_path / 'masks')]
        )


def test_sizes(tmp_path):
    image, path = str(tmp_path / '1.jpg'), str(tmp_path / '1.png')
    write_label_map(path, np.zeros((4, 6), np.uint8))
    picture = Image.new('RGB', (6, 4))
    picture.save(image)
    check_label_maps([image], [path])
    # Turned by its camera.
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(image, exif=exif)
    with pytest.raises(ValueError, match='6 x 4 pixels, but .* is 4 x 6'):
        check_label_maps([image], [path])
    with open(path, 'wb') as file:
        file.write(b'broken')
    with pytest.raises(ValueError, match=r'1\.png: pseudo label cannot'):
        check_label_maps([image], [path])
    os.remove(image)
    with pytest.raises(FileNotFoundError, match=r'1\.jpg: picture does not'):
        check_label_maps([image], [path])


def test_every_label_map_is_decoded(tmp_path):
    label = np.random.default_rng(0).integers(0, 21, (60, 90), np.uint8)
    images, paths = [], []
    for number in range(120):
        images.append(str(tmp_path / f'{number}.jpg'))
        paths.append(str(tmp_path / f'{number}.png'))
        Image.new('L', (90, 60)).save(images[-1])
        write_label_map(paths[-1], label)
    check_label_maps(images, paths, 21)
    # Cut in the data of the picture; its head is whole.
    for number in (71, 97):
        with open(paths[number], 'r+b') as file:
            file.truncate(os.path.getsize(paths[number]) * 2 // 3)
    with pytest.raises(ValueError, match=r'71\.png: '):
        check_label_maps(images, paths, 21)


def test_unknown_classes(tmp_path):
    image, path = str(tmp_path / '1.jpg'), str(tmp_path / '1.png')
    Image.new('L', (3, 2)).save(image)
    write_label_map(path, np.array([[0, 20, 255], [1, 0, 0]], np.uint8))
    check_label_maps([image], [path], 21)
    check_label_maps([image], [path])
    with pytest.raises(
        ValueError, match=r'1\.png: the pseudo label holds 20, .* 0\.\.19'
    ):
        check_label_maps([image], [path], 20)
    # mmseg would take it for background.
    Image.fromarray(np.full((2, 3), 256, np.uint16)).save(path)
    with pytest.raises(ValueError, match='holds 256'):
        check_label_maps([image], [path], 21)


def test_equal_empty_label_maps_prove_nothing(tmp_path):
    for folder in ('truth', 'labels'):
        empty = np.zeros((4, 4), np.uint8)
        write_label_map(str(tmp_path / folder / '1.png'), empty)
    path = str(tmp_path / 'labels/1.png')
    truth = [str(tmp_path / 'truth')]
    check_source(str(tmp_path / 'labels'), [path], truth)


def test_incomplete_folders(tmp_path, truth):
    folder, paths = write(tmp_path / 'labels', change=4)
    os.remove(paths[2])
    with pytest.raises(FileNotFoundError, match=r'1 of 4 .*b/1\.png'):
        check_source(folder, paths, [truth])
