import numpy as np

from mmwsl.evaluation.functional.mask_nms import merge_maps, suppress

IOUS = np.array(
    [
        [1.0, 0.5, 0.0, 0.3],
        [0.5, 1.0, 0.6, 0.0],
        [0.0, 0.6, 1.0, 0.0],
        [0.3, 0.0, 0.0, 1.0],
    ]
)


def test_suppression_known_answer():
    # 1 goes with 0, so 2, which only overlaps 1, stays; 0.3 is not above.
    kept, owner = suppress(np.array([0.9, 0.8, 0.7, 1.0]), IOUS, 0.3)
    assert kept.tolist() == [3, 0, 2]
    assert owner.tolist() == [1, 1, 2, 0]
    kept, owner = suppress(np.array([0.7, 0.8, 0.7, 0.7]), IOUS, 0.29)
    assert kept.tolist() == [1, 3]
    assert owner.tolist() == [0, 0, 0, 1]


def test_equal_scores_keep_their_order():
    kept, _ = suppress(np.zeros(4), np.eye(4), 0.5)
    assert kept.tolist() == [0, 1, 2, 3]


def test_empty_mask_and_no_mask():
    kept, owner = suppress(np.ones(2), np.zeros((2, 2)), 0.0)
    assert kept.tolist() == owner.tolist() == [0, 1]
    kept, owner = suppress(np.zeros(0), np.zeros((0, 0)), 0.3)
    assert kept.shape == owner.shape == (0,)


def test_maps_are_added_to_the_owner():
    maps = np.arange(8, dtype=np.float32).reshape(4, 1, 2)
    merged = merge_maps(maps, np.array([1, 1, 2, 0]), 3)
    assert merged.dtype == np.float32
    assert merged.tolist() == [[[6, 7]], [[2, 4]], [[4, 5]]]
    none = merge_maps(maps[:0], np.zeros(0, int), 0)
    assert none.shape == (0, 1, 2)
