"""Tests of hide-and-seek."""

import pytest
import torch

from mmwsl.models.data_preprocessors import HideAndSeek


def test_whole_squares_are_hidden():
    inputs = torch.rand(40, 3, 25, 32) + 1
    samples = [object()] * 40
    found, kept = HideAndSeek(grid_size=10, drop_rate=0.3, fill=-2.0)(
        inputs, samples
    )
    assert kept is samples
    hidden = 0
    for image, before in zip(found, inputs):
        for y in range(0, 25, 10):
            for x in range(0, 32, 10):
                cell = image[:, y : y + 10, x : x + 10]
                gone = bool((cell == -2).all())
                hidden += gone
                same = before[:, y : y + 10, x : x + 10]
                assert gone or cell.equal(same)
    # 480 squares.
    assert 0.2 < hidden / 480 < 0.4
    assert inputs.min() >= 1


@pytest.mark.parametrize(('rate', 'value'), [(0.0, 1.0), (1.0, 0.0)])
def test_limits(rate, value):
    found, _ = HideAndSeek(drop_rate=rate)(torch.ones(2, 3, 60, 60))
    assert found.eq(value).all()


def test_bad_settings():
    with pytest.raises(ValueError, match='grid_size must be at least 1'):
        HideAndSeek(grid_size=0)
    with pytest.raises(ValueError, match='drop_rate must be in'):
        HideAndSeek(drop_rate=-0.1)
