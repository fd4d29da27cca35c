"""Tests of proposals and of masks as bits."""

import copy
import pickle

import numpy as np
import pytest

from mmwsl.structures import Proposals, WSLDataSample
from mmwsl.utils.masks import pack_masks, unpack_masks


@pytest.fixture
def masks() -> np.ndarray:
    # 3 x 5 = 15 pixels: the last byte is not full.
    return np.random.default_rng(0).random((4, 3, 5)) > 0.4


def test_bits_of_a_known_mask() -> None:
    mask = np.array([[[1, 0, 0], [0, 0, 1], [0, 1, 1]]], dtype=bool)
    bits = pack_masks(mask)
    assert bits.tolist() == [[0b10000101, 0b10000000]]
    # What follows the last pixel does not matter.
    assert np.array_equal(unpack_masks(bits | 1, (3, 3)), mask)


@pytest.mark.parametrize('shape', [(4, 3, 5), (0, 3, 5), (2, 0, 5)])
def test_bits_there_and_back(shape) -> None:
    masks = np.random.default_rng(0).random(shape) > 0.4
    again = unpack_masks(pack_masks(masks), shape[1:])
    assert again.dtype == bool
    assert again.shape == shape
    assert np.array_equal(again, masks)


def test_bits_of_another_size() -> None:
    with pytest.raises(ValueError, match=r'5 x 3 .* \(K, 2\), got \(4, 3\)'):
        unpack_masks(np.zeros((4, 3), np.uint8), (3, 5))
    with pytest.raises(TypeError, match='uint8, got int64'):
        unpack_masks(np.zeros((4, 2), np.int64), (3, 5))


def test_any_value_but_zero_is_inside() -> None:
    found = Proposals(np.array([[[0, 2], [255, 0]]]))
    assert found.masks.tolist() == [[[False, True], [True, False]]]
    assert found.size == (2, 2)
    assert repr(found) == 'Proposals(1 masks of 2 x 2 pixels)'


def test_choosing_keeps_scores(masks: np.ndarray) -> None:
    proposals = Proposals(masks, [4, 3, 2, 1])
    for index in (slice(2), [3, 1], masks[:, 0, 0], np.array([], int)):
        part = proposals[index]
        assert np.array_equal(part.masks, masks[index])
        assert np.array_equal(part.scores, np.arange(4, 0, -1)[index])
        assert part.scores.dtype == np.float32
    assert Proposals(masks)[:2].scores is None


def test_in_a_sample_and_to_other_processes(masks: np.ndarray) -> None:
    sample = WSLDataSample()
    sample.proposals = Proposals(masks, range(4))
    for other in (
        pickle.loads(pickle.dumps(sample)),
        copy.deepcopy(sample),
        sample.cpu(),
    ):
        assert np.array_equal(other.proposals.masks, masks)
        assert other.proposals.scores.tolist() == [0, 1, 2, 3]


def test_bad_input(masks: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r'shape \(K, H, W\), got \(3, 5\)'):
        Proposals(masks[0])
    with pytest.raises(ValueError, match=r'scores of shape \(4,\)'):
        Proposals(masks, [1, 2])
