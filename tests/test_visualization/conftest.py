"""Objects that several tests draw."""

import numpy as np
import pytest


@pytest.fixture(scope='session')
def masks():
    """Squares of 8 pixels at half the size of a picture."""
    result = np.zeros((6, 20, 30), bool)
    for index, mask in enumerate(result):
        mask[4:12, 4 + 2 * index : 12 + 2 * index] = True
    return result


@pytest.fixture(scope='session')
def blobs():
    """Square responses, one beside the other, that sum to 1."""
    result = np.zeros((2, 40, 60), np.float32)
    for index, blob in enumerate(result):
        blob[10:25, 5 + 28 * index : 22 + 28 * index] = 1
    return result / result.sum((1, 2), keepdims=True)
