"""Proposals that several tests write and read."""

import numpy as np
import pytest

from mmwsl.structures import Proposals


@pytest.fixture
def masks() -> np.ndarray:
    masks = np.random.default_rng(0).random((5, 6, 7)) > 0.5
    masks[3] = masks[1]
    return masks


@pytest.fixture
def proposals(masks) -> Proposals:
    return Proposals(masks, [0.9, 0.7, 0.5, 0.5, -1])
