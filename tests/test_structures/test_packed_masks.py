"""Tests of packed masks."""

import copy
import pickle

import numpy as np
import pytest

from mmwsl.structures import PackedMasks, WSLDataSample


@pytest.fixture
def masks() -> np.ndarray:
    # 3 x 5 = 15 pixels: the last byte is not full.
    return np.random.default_rng(0).random((4, 3, 5)) > 0.4


def test_bits_of_a_known_mask() -> None:
    mask = np.array([[[1, 0, 0], [0, 0, 1], [0, 1, 1]]], dtype=np.uint8)
    packed = PackedMasks.from_masks(mask)
    assert packed.bits.tolist() == [[0b10000101, 0b10000000]]
    assert packed.areas().tolist() == [4]
    assert packed.areas().dtype == np.int64
    assert packed.size == (3, 3)
    assert packed.shape == (1, 3, 3)
    assert repr(packed) == 'PackedMasks(1 masks of 3 x 3 pixels)'


def test_there_and_back(masks: np.ndarray) -> None:
    packed = PackedMasks.from_masks(masks)
    assert len(packed) == 4
    assert packed.unpack().dtype == bool
    np.testing.assert_array_equal(packed.unpack(), masks)
    np.testing.assert_array_equal(packed.unpack(1, 3), masks[1:3])
    np.testing.assert_array_equal(packed.unpack(2), masks[2:])
    np.testing.assert_array_equal(packed.unpack(-1), masks[-1:])
    np.testing.assert_array_equal(packed.areas(), masks.sum(axis=(1, 2)))
    np.testing.assert_array_equal(list(packed), masks)


def test_bits_there_and_back(masks: np.ndarray) -> None:
    packed = PackedMasks.from_masks(masks, scores=[4, 3, 2, 1])
    flat = np.packbits(masks.reshape(4, 15), axis=1)
    np.testing.assert_array_equal(packed.bits, flat)
    # The sixteenth bit is behind the last pixel.
    for bits in (flat, flat | [0, 1]):
        again = PackedMasks(bits.astype(np.uint8), (3, 5), packed.scores)
        np.testing.assert_array_equal(again.unpack(), masks)
        np.testing.assert_array_equal(again.rows, packed.rows)
        np.testing.assert_array_equal(again.areas(), masks.sum(axis=(1, 2)))
        assert again.size == (3, 5)


def test_many_masks_of_wide_rows() -> None:
    masks = np.random.default_rng(0).random((70, 4, 130)) > 0.4
    packed = PackedMasks.from_masks(masks)
    np.testing.assert_array_equal(packed.unpack(), masks)
    np.testing.assert_array_equal(packed.areas(), masks.sum(axis=(1, 2)))
    flat = np.packbits(masks.reshape(70, -1), axis=1)
    np.testing.assert_array_equal(packed.bits, flat)
    np.testing.assert_array_equal(
        PackedMasks(flat, (4, 130)).rows, packed.rows
    )


def test_any_value_but_zero_is_inside() -> None:
    mask = np.array([[[0, 2], [255, 0]]])
    assert PackedMasks.from_masks(mask).unpack().tolist() == [
        [[False, True], [True, False]]
    ]


def test_choosing_keeps_scores(masks: np.ndarray) -> None:
    packed = PackedMasks.from_masks(masks, scores=[4, 3, 2, 1])
    for index in (slice(2), [3, 1], masks[:, 0, 0], np.array([], int)):
        part = packed[index]
        np.testing.assert_array_equal(part.unpack(), masks[index])
        np.testing.assert_array_equal(
            part.scores, np.arange(4, 0, -1)[index].astype(np.float32)
        )
    np.testing.assert_array_equal(packed[-1], masks[-1])
    assert PackedMasks.from_masks(masks)[:2].scores is None
    with pytest.raises(IndexError, match='mask 4 of 4'):
        packed[4]


@pytest.mark.parametrize('shape', [(0, 3, 5), (2, 0, 5)])
def test_nothing(shape) -> None:
    packed = PackedMasks.from_masks(np.zeros(shape, bool))
    assert packed.shape == shape
    assert packed.unpack().shape == shape
    assert packed.areas().tolist() == [0] * shape[0]


def test_in_a_sample_and_to_other_processes(masks: np.ndarray) -> None:
    sample = WSLDataSample()
    sample.proposals = PackedMasks.from_masks(masks, scores=range(4))
    for other in (
        pickle.loads(pickle.dumps(sample)),
        copy.deepcopy(sample),
        sample.cpu(),
    ):
        np.testing.assert_array_equal(other.proposals.unpack(), masks)
        assert other.proposals.scores.tolist() == [0, 1, 2, 3]


def test_bad_input(masks: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r'shape \(K, H, W\), got \(3, 5\)'):
        PackedMasks.from_masks(masks[0])
    with pytest.raises(ValueError, match=r'scores of shape \(4,\)'):
        PackedMasks.from_masks(masks, scores=[1, 2])
    with pytest.raises(ValueError, match=r'5 x 3 .* \(K, 2\), got \(4, 3\)'):
        PackedMasks(np.zeros((4, 3), np.uint8), (3, 5))
    with pytest.raises(TypeError, match='uint8, got int64'):
        PackedMasks(np.zeros((4, 2), np.int64), (3, 5))
