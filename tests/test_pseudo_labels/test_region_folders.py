"""Tests of the folders of mined regions."""

import numpy as np
import pytest

from mmwsl.pseudo_labels.region_folders import (
    check_digests,
    digest_regions,
    merge_steps,
    region_file,
    step_folder,
)
from mmwsl.pseudo_labels.regions import write_regions


def write(root, step, img_id, regions, labels):
    path = region_file(step_folder(str(root), step), img_id)
    write_regions(path, np.array(regions, bool), np.array(labels))


def test_union_by_class(tmp_path):
    write(tmp_path, 1, 'x/a', [[[1, 0, 0]], [[0, 0, 1]]], [4, 2])
    write(tmp_path, 2, 'x/a', [[[0, 1, 0]]], [4])
    write(tmp_path, 3, 'x/a', [[[1, 1, 1]]], [2])
    regions, labels = merge_steps(str(tmp_path), 2, 'x/a')
    assert labels.tolist() == [2, 4]
    assert regions.tolist() == [[[False, False, True]], [[True, True, False]]]
    assert merge_steps(str(tmp_path), 3, 'x/a')[0].sum() == 5
    write(tmp_path, 1, 'b', np.zeros((0, 2, 3)), [])
    assert merge_steps(str(tmp_path), 1, 'b')[0].shape == (0, 2, 3)


def test_bad_folders(tmp_path):
    write(tmp_path, 1, 'a', [[[1, 0, 0]]], [1])
    root = str(tmp_path)
    with pytest.raises(FileNotFoundError, match='step_2'):
        merge_steps(root, 2, 'a')
    write(tmp_path, 2, 'a', [[[1, 0]]], [1])
    with pytest.raises(ValueError, match='2 x 1 pixels'):
        merge_steps(root, 2, 'a')
    with pytest.raises(FileNotFoundError, match=r'1 of 2 .*b\.npz'):
        digest_regions(step_folder(root, 1), ['a', 'b'])


def test_digest_follows_content_and_order(tmp_path):
    for name, value in (('a', 1), ('b', 0)):
        write(tmp_path, 1, name, [[[value, 0, 0]]], [1])
    root, folder = str(tmp_path), step_folder(str(tmp_path), 1)
    digest = digest_regions(folder, ['a', 'b'])
    assert digest != digest_regions(folder, ['b', 'a'])
    check_digests(root, [digest], ['a', 'b'])
    write(tmp_path, 1, 'b', [[[0, 1, 0]]], [1])
    with pytest.raises(ValueError, match='step_1: these are not'):
        check_digests(root, [digest], ['a', 'b'])
