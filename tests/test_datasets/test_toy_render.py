import numpy as np
import pytest

from mmwsl.datasets.toy_render import _bgr, _cut, _table, render
from mmwsl.datasets.toy_scene import ToyScene
from mmwsl.datasets.toy_style import ToyStyle


def test_table_interpolates():
    table = _table(np.array([[0.0, 100, 255], [255.0, 100, 0]]))
    assert table.dtype == np.uint8
    assert table[[0, 51, 255]].tolist() == [
        [0, 100, 255],
        [51, 100, 204],
        [255, 100, 0],
    ]
    table = _table(np.array([[0.0] * 3, [200.0] * 3, [100.0] * 3]))
    assert table.shape == (256, 3)
    assert table[0, 0] == 0
    assert table[128, 0] == 200
    assert table[255, 0] == pytest.approx(100, abs=1)


def test_bgr():
    assert _bgr(0.0, 1.0, 1.0) == (0, 0, 255)
    assert _bgr(1 / 3 + 1, 1.0, 0.5) == pytest.approx((0, 127.5, 0))


def test_cut_is_a_window_of_the_tile():
    tile = np.arange(100).reshape(10, 10)
    windows = {
        tuple(_cut(np.random.Generator(np.random.PCG64(i)), tile, 9, 9)[0])
        for i in range(40)
    }
    # Two places a direction, mirrored or not.
    assert len(windows) > 8
    assert all(len(window) == 9 for window in windows)


def test_ground_without_objects_is_textured():
    rng = np.random.Generator(np.random.PCG64(0))
    img = render(rng, ToyScene(48), ToyStyle(), 6)
    assert img.shape == (48, 48, 3)
    assert img.std() > 5
