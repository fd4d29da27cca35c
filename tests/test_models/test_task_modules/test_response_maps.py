import numpy as np

from mmwsl.models.task_modules.response_maps import to_unit_sum


def test_maps_are_divided_by_their_sums():
    maps = np.array([[[1, 3]], [[0, 0]], [[2, 0]]], np.float32)
    scaled = to_unit_sum(maps)
    assert scaled.dtype == np.float32
    assert scaled.tolist() == [[[0.25, 0.75]], [[0, 0]], [[1, 0]]]
    assert to_unit_sum(maps[:0]).shape == (0, 1, 2)
