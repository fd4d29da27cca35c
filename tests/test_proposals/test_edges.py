"""Tests of edges."""

import numpy as np

from mmwsl.proposals.edges import edge_maps, scaled_lab, texture_codes, to_lab


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
