import numpy as np

from mmwsl.evaluation.functional import map_parts


def test_known_answer():
    maps = np.zeros((2, 3, 5), np.float32)
    # Connected at a corner, and apart from the last column.
    maps[0, 0, 0] = maps[0, 1, 1] = 0.5
    maps[0, :, 4] = 1
    maps[1, 2, :2] = 0.3, 0.9
    scores = np.array([0.1, 0.8, 0.2, 0.6])
    found = map_parts(maps, np.array([3, 1]), scores, 0.3)
    assert found['labels'].tolist() == [3, 3, 1]
    np.testing.assert_allclose(found['scores'], [0.3, 0.6, 0.72], rtol=1e-6)
    expected = np.zeros((3, 3, 5), bool)
    expected[0, [0, 1], [0, 1]] = True
    expected[1, :, 4] = True
    # A value at the threshold is not above it.
    expected[2, 2, 1] = True
    np.testing.assert_array_equal(found['masks'], expected)


def test_nothing_above_the_threshold_and_no_maps():
    scores = np.array([0.5, 0.5])
    for maps in (np.zeros((2, 3, 5)), np.zeros((0, 3, 5))):
        found = map_parts(maps, np.arange(len(maps)), scores, 0.0)
        assert found['masks'].shape == (0, 3, 5)
        assert found['masks'].dtype == bool
        assert found['labels'].shape == found['scores'].shape == (0,)
