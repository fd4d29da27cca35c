import cv2
import numpy as np
import pytest

from mmwsl.visualization import write_image


def test_image_is_read_back_in_rgb(tmp_path):
    image = np.zeros((2, 3, 3), np.uint8)
    image[..., 0] = 200
    path = tmp_path / 'new' / 'ä.png'
    write_image(str(path), image)
    data = np.frombuffer(path.read_bytes(), np.uint8)
    read = cv2.imdecode(data, cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(read[..., ::-1], image)


def test_unknown_suffix(tmp_path):
    with pytest.raises(ValueError, match=r"a.nothing: '.nothing' is no image"):
        write_image(str(tmp_path / 'a.nothing'), np.zeros((1, 1, 3), np.uint8))
