from typing import Callable

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def write_picture(tmp_path) -> Callable[[np.ndarray], str]:
    """Write a picture of any type of values."""

    def write(array: np.ndarray) -> str:
        path = str(tmp_path / 'picture.tif')
        Image.fromarray(array).save(path)
        return path

    return write
