"""Tests of the arithmetic of planes."""

import numpy as np
import pytest

from mmwsl.utils.arrays import bounded_size, resize


@pytest.mark.parametrize(
    ('shape', 'pixels', 'size'),
    [
        ((30, 40), 1200, (30, 40)),
        ((30, 40), 300, (15, 20)),
        ((1, 10**7), 1000, (1, 1000)),
        ((10**7, 1), 1000, (1000, 1)),
        ((5, 5), 1, (1, 1)),
    ],
)
def test_bounded_size(shape, pixels, size):
    assert bounded_size(shape, pixels) == size


def test_resize_averages_and_interpolates():
    plane = np.array([[0, 2], [4, 6]], np.float32)
    assert resize(plane, (2, 2)) is plane
    assert resize(plane, (1, 1)).tolist() == [[3]]
    assert resize(plane, (2, 4))[0].tolist() == [0, 0.5, 1.5, 2]
