"""Tests of superpixels and of the borders between them."""

import cv2
import numpy as np
import pytest

from mmwsl.proposals.edges import edge_maps, to_lab
from mmwsl.proposals.superpixels import borders, superpixels


def split(img, number):
    lab = to_lab(img)
    return superpixels(img, lab, edge_maps(lab), number)


def checkered(size=60, step=20):
    rows = np.arange(size) // step
    img = np.where((rows[:, None] + rows) % 2, 200, 50).astype(np.uint8)
    return cv2.merge([img, img, img]), rows[:, None] * (size // step) + rows


@pytest.mark.parametrize('number', [30, 9])
def test_regions_are_whole_and_follow_edges(number) -> None:
    img, cells = checkered()
    labels = split(img, number)
    assert labels.shape == (60, 60)
    assert np.unique(labels).tolist() == list(range(number))
    for label in range(number):
        parts, _ = cv2.connectedComponents(
            (labels == label).astype(np.uint8), connectivity=8
        )
        assert parts == 2  # the background of the picture is one
    # Nearly all pixels of a region lie in the same cell.
    joint = np.zeros((number, 9))
    np.add.at(joint, (labels, cells), 1)
    assert joint.max(axis=1).sum() > 0.95 * labels.size


def test_small_images_have_fewer_regions() -> None:
    img, _ = checkered(24, 8)
    assert np.unique(split(img, 50)).tolist() == [0, 1, 2, 3]


def test_borders_by_hand() -> None:
    labels = np.array([[0, 0, 1], [0, 2, 1]])
    edge = np.arange(6.0).reshape(2, 3)
    found = borders(labels, np.stack([edge, -edge]))
    pairs = list(zip(found.first.tolist(), found.second.tolist()))
    assert pairs == [(0, 1), (0, 2), (1, 2)]
    # 0|1: pixels 1, 2. 0|2: pixels 3, 4 and 1, 4. 1|2: pixels 4, 5.
    assert found.length.tolist() == [1, 2, 1]
    assert found.sums.tolist() == [[2, -1], [8, -4], [5, -4]]
