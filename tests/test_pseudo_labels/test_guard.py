"""Tests of refusing ground truth."""

import os

import numpy as np
import pytest

from mmwsl.pseudo_labels.guard import check_source
from mmwsl.pseudo_labels.label_files import write_label_map

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
