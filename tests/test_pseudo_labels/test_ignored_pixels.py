"""Tests of what leaves pixels out of label maps."""

import numpy as np
import pytest
import torch

from mmwsl.pseudo_labels import ignore_if_small, keep_ignored


def test_what_was_ignored_stays_so():
    label = np.array([[0, 0, 3, 255, 0]], np.uint8)
    earlier = np.array([[0, 255, 255, 4, 4]], np.uint8)
    got = keep_ignored(label, torch.from_numpy(earlier))
    assert got.tolist() == [[0, 255, 3, 255, 0]]
    assert label.tolist() == [[0, 0, 3, 255, 0]]
    with pytest.raises(ValueError, match='earlier is 4 x 1 pixels'):
        keep_ignored(label, earlier[:, :4])


def test_small_objects():
    label = np.zeros((10, 10), np.uint8)
    label[0, :7] = 3
    label[1:] = 255
    np.testing.assert_array_equal(ignore_if_small(label, 0.07), label)
    label[0, 0] = 0
    assert (ignore_if_small(label, 0.07) == 255).all()
    assert (label == 255).sum() == 90
    assert (ignore_if_small(torch.zeros(3, 3).byte()) == 255).all()
    assert ignore_if_small(np.zeros((0, 3), np.uint8)).shape == (0, 3)
