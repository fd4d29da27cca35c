"""Tests of edges, superpixels and the borders between them."""

import cv2
import numpy as np
import pytest

from mmwsl.proposals.regions import (
    borders,
    edge_maps,
    resize_within,
    scaled_lab,
    superpixels,
    texture_codes,
    to_lab,
)


def halves(left, right, size=48):
    img = np.empty((size, size, 3), dtype=np.uint8)
    img[:, : size // 2], img[:, size // 2 :] = left, right
    return img


def test_nothing_in_flat_images() -> None:
    edges = edge_maps(to_lab(halves(90, 90)))
    assert np.abs(edges.step).max() < 1e-3
    assert np.abs(edges.region).max() < 1e-3


def test_a_step_of_colour() -> None:
    edges = edge_maps(to_lab(halves((200, 40, 40), (40, 40, 200))))
    for edge in edges:
        assert edge.shape == (48, 48)
        rows = edge[10:-10].mean(axis=0)
        # The border runs between columns 23 and 24.
        assert rows.argmax() in (22, 23, 24, 25)
        assert rows.max() > 0.5
        assert rows[:4].max() < 1e-3


def test_only_the_region_map_sees_textures_apart() -> None:
    # Stripes of the same two greys, upright and lying.
    stripes = np.where(np.arange(48) // 2 % 2, 150, 90)
    left = np.broadcast_to(stripes, (48, 48))[..., None].repeat(3, axis=2)
    img = halves(0, 0)
    img[:, :24], img[:, 24:] = left[:, :24], left.swapaxes(0, 1)[:, 24:]
    edges = edge_maps(to_lab(img))
    step, region = (edge[12:-12].mean(axis=0) for edge in edges)
    inside = np.r_[9:14, 34:39]
    assert region[22:26].mean() > 1.5 * region[inside].max()
    assert step[22:26].mean() < 1.5 * step[inside].max()


def test_texture_codes_are_directions() -> None:
    ramp = np.broadcast_to(np.arange(40.0, dtype=np.float32), (40, 40)) * 10
    weak, strong = ramp / 2.5, ramp
    for slope, first in ((strong, 1), (weak, 9)):
        # Rising to the right, down, to the left: a quarter turn each.
        codes = [
            texture_codes(np.ascontiguousarray(turned))[20, 20] - first
            for turned in (slope, slope.T, slope[:, ::-1])
        ]
        assert [(code - codes[0]) % 8 for code in codes[1:]] in (
            [2, 4],
            [2, 3],
        )
    assert (texture_codes(np.zeros((9, 9), np.float32)) == 0).all()


def test_scaled_lab() -> None:
    lab = np.array([[[0, -30, 42], [100, 6, -80]]], dtype=np.float32)
    np.testing.assert_allclose(scaled_lab(lab), [[[0, 0, 1], [1, 0.5, 0]]])


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


def test_resized_within_bounds() -> None:
    img = np.zeros((40, 90, 3), np.uint8)
    assert resize_within(img, (100, 5000)) is img
    assert resize_within(img, (14400, 20000)).shape == (80, 180, 3)
    assert resize_within(img, (100, 900)).shape == (20, 45, 3)
    assert resize_within(img[:1, :1], (4, 9)).shape == (8, 8, 3)
