import cv2
import numpy as np
import pytest
from PIL import Image

from mmwsl.datasets.transforms.eval_annotations import (
    class_mask,
    object_mask,
    only_class,
)


def test_masks_of_any_size_are_joined_one_by_one(tmp_path, write_mask):
    rng = np.random.default_rng(0)
    planes = {
        'object': rng.random((9, 7)) > 0.7,
        'other': rng.random((31, 40)) > 0.8,
        'ignore': rng.random((20, 13)) > 0.4,
    }
    paths = {
        name: str(write_mask(tmp_path / f'{name}.png', plane * 255))
        for name, plane in planes.items()
    }
    annotation = dict(
        object_masks=[paths['object'], paths['other']],
        ignore_masks=[paths['ignore']],
    )
    found = object_mask(annotation, (16, 24))
    near = {
        name: cv2.resize(plane.astype(np.float32), (24, 16), interpolation=0)
        for name, plane in planes.items()
    }
    inside = (near['object'] > 0.5) | (near['other'] > 0.5)
    expected = np.where(inside, 1, np.where(near['ignore'] > 0.5, 255, 0))
    assert np.array_equal(found, expected)
    assert set(np.unique(found)) == {0, 1, 255}


def test_missing_mask(tmp_path):
    annotation = dict(object_masks=[str(tmp_path / 'm.png')], ignore_masks=[])
    with pytest.raises(FileNotFoundError, match='m.png: mask does not exist'):
        object_mask(annotation, (2, 2))


def test_mask_of_a_class():
    found = class_mask(np.array([[0, 1, 2, 255]]), 1)
    assert found.tolist() == [[0, 0, 1, 255]]


def test_other_classes_are_left_out():
    truth = dict(
        gt_sem_seg=np.array([[0, 1, 2, 255]]),
        gt_body_seg=np.array([[2, 2, 1, 255]]),
        gt_instances=dict(
            labels=np.array([1, 0, 1]), bboxes=np.arange(12).reshape(3, 4)
        ),
    )
    narrow = only_class(truth, 1)
    assert narrow['gt_sem_seg'].tolist() == [[0, 0, 2, 255]]
    assert narrow['gt_body_seg'].tolist() == [[2, 2, 0, 255]]
    assert narrow['gt_instances']['bboxes'][:, 0].tolist() == [0, 8]
    assert only_class(truth, None) is truth
    assert only_class({}, 1) == {}


@pytest.mark.parametrize('mode', ['1', 'L', 'P', 'RGB', 'RGBA'])
def test_masks_in_colour_channels(tmp_path, mode):
    """The published ignore regions of OpenImages are such pictures."""
    ignored = np.zeros((6, 8), np.uint8)
    ignored[1:3, 2:5] = 255
    inside = np.zeros((6, 8), np.uint8)
    inside[4] = 255
    paths = [str(tmp_path / f'{name}.png') for name in 'ab']
    for path, plane in zip(paths, (inside, ignored)):
        Image.fromarray(plane).convert(mode).save(path)
    annotation = dict(object_masks=paths[:1], ignore_masks=paths[1:])
    found = object_mask(annotation, (6, 8))
    assert np.array_equal(found, np.where(inside > 0, 1, ignored))
