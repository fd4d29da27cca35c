"""Tests of mined regions."""

import numpy as np
import pytest
import torch

from mmwsl.pseudo_labels import mine_regions, regions_to_label
from mmwsl.pseudo_labels.regions import (
    check_digests,
    digest_regions,
    merge_steps,
    read_regions,
    region_file,
    step_folder,
    write_regions,
)


def slow_top(plane, fraction):
    number = int(fraction * plane.size + 0.5)
    flat = plane.ravel().tolist()
    order = sorted(range(len(flat)), key=lambda i: (-flat[i], i))
    region = np.zeros(plane.size, bool)
    region[[i for i in order[:number] if flat[i] > 0]] = True
    return region.reshape(plane.shape)


@pytest.mark.parametrize('seed', range(20))
def test_top_equals_the_slow_one(seed):
    rng = np.random.default_rng(seed)
    plane = rng.normal(0.3, 1, tuple(rng.integers(1, 9, 2)))
    if seed % 2:
        plane = np.round(plane)
    for fraction in (0, 0.2, 0.5, 1):
        region = mine_regions(plane, 'top', fraction)
        np.testing.assert_array_equal(region, slow_top(plane, fraction))


def test_both_readings_by_hand():
    plane = torch.tensor([[0.1, 0.9, 0.8, 1.0, 0.85]])
    assert mine_regions(plane).tolist() == [[False] * 3 + [True, False]]
    above = mine_regions(plane, mode='relative')
    assert above.tolist() == [[False, True, False, True, True]]
    nothing = np.zeros((2, 3))
    for mode in ('top', 'relative'):
        assert not mine_regions(nothing, mode).any()
        assert not mine_regions(nothing - 1, mode).any()
        assert mine_regions(nothing[:0], mode).shape == (0, 3)


def test_bad_arguments():
    with pytest.raises(ValueError, match="'bottom'"):
        mine_regions(np.ones((1, 1)), 'bottom')
    with pytest.raises(ValueError, match=r'\[0, 1\]'):
        mine_regions(np.ones((1, 1)), fraction=20)


@pytest.mark.parametrize('value', [np.nan, np.inf, -0.1])
def test_values_that_make_no_region(value):
    plane = np.array([[0.2, value, 1.0]])
    with pytest.raises(ValueError, match='finite|in \\[0, 1\\]'):
        regions_to_label(plane[None] > 0.4, np.zeros(1), plane)
    if not np.isfinite(value):
        with pytest.raises(ValueError, match='finite'):
            mine_regions(plane)


def test_label_map_by_hand():
    regions = np.array([[[1, 1, 1, 0, 0, 0]], [[0, 1, 0, 1, 0, 0]]], bool)
    saliency = np.array([[0.9, 0.9, 0.0, 0.06, 0.05, 0.7]])
    label = regions_to_label(regions, np.array([4, 0]), saliency)
    # Class 4; two classes; region but not salient; class 0; background;
    # salient but in no region.
    assert label.tolist() == [[5, 255, 255, 1, 0, 255]]
    empty = regions_to_label(regions[:0], np.zeros(0, int), saliency)
    assert empty.tolist() == [[255, 255, 0, 255, 0, 255]]
    with pytest.raises(ValueError, match='do not fit'):
        regions_to_label(regions, np.array([1]), saliency)


def test_files(tmp_path):
    path = str(tmp_path / 'a' / 'b.npz')
    regions = np.random.default_rng(0).random((3, 5, 7)) > 0.5
    write_regions(path, regions, np.array([3, 1, 7]))
    found, labels = read_regions(path, (5, 7))
    np.testing.assert_array_equal(found, regions)
    assert labels.tolist() == [3, 1, 7]
    write_regions(path, regions[:0], np.zeros(0))
    assert read_regions(path)[0].shape == (0, 5, 7)
    assert [p.name for p in (tmp_path / 'a').iterdir()] == ['b.npz']
    with pytest.raises(ValueError, match='7 x 5 pixels.* 5 x 5'):
        read_regions(path, (5, 5))
    with pytest.raises(FileNotFoundError, match='none'):
        read_regions(str(tmp_path / 'none.npz'))
    (tmp_path / 'x.npz').write_bytes(b'no')
    with pytest.raises(ValueError, match=r'x\.npz: '):
        read_regions(str(tmp_path / 'x.npz'))


@pytest.mark.parametrize('labels', [[254], [0, 1], [np.nan]])
def test_files_hold_different_classes(labels, tmp_path):
    path, region = str(tmp_path / 'a.npz'), np.ones((1, 1, 3), bool)
    with pytest.raises(ValueError, match=r'a\.npz'):
        write_regions(path, region, np.array(labels))
    write_regions(path, region, np.array([253]))
    with np.load(path) as file:
        content = dict(file)
    np.savez(path, **{**content, 'labels': np.array(labels)})
    with pytest.raises(ValueError, match=r'a\.npz'):
        read_regions(path)


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
