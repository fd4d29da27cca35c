"""Tests of COCO's run lengths."""

import numpy as np
import pytest

from mmwsl.structures.run_lengths import (
    compress_counts,
    decode_mask,
    encode_mask,
    expand_counts,
    whole_numbers,
)


def test_by_hand() -> None:
    # Column by column: 0 1 | 1 1 | 0 0.
    mask = np.array([[0, 1, 0], [1, 1, 0]], dtype=bool)
    encoded = encode_mask(mask)
    assert encoded == {'size': [2, 3], 'counts': '132'}
    assert expand_counts('132') == [1, 3, 2]
    np.testing.assert_array_equal(decode_mask(encoded, 'x'), mask)
    plain = {'size': [2, 3], 'counts': [1, 3, 2]}
    np.testing.assert_array_equal(decode_mask(plain, 'x'), mask)


@pytest.mark.parametrize('seed', range(5))
def test_like_pycocotools(seed) -> None:
    coco = pytest.importorskip('pycocotools.mask')
    rng = np.random.default_rng(seed)
    mask = rng.random((37, 53)) > rng.random()
    if seed % 2:
        # Few long runs, whose differences are negative and large.
        mask[5:30] = seed % 3
        mask[:, 20:50] = 0
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    ours = encode_mask(mask)
    assert ours['counts'] == theirs['counts'].decode()
    assert ours['size'] == theirs['size']
    np.testing.assert_array_equal(decode_mask(theirs, 'x'), mask)


def test_long_runs_come_back() -> None:
    counts = [0, 5, 2**30, 1, 2**33, 3, 2**20, 2**31, 0, 7]
    assert expand_counts(compress_counts(counts)) == counts


@pytest.mark.parametrize('value', [False, True])
def test_plain_masks(value) -> None:
    mask = np.full((3, 4), value)
    np.testing.assert_array_equal(decode_mask(encode_mask(mask), 'x'), mask)


@pytest.mark.parametrize(
    ('segmentation', 'message'),
    [
        ({'size': [2, 3], 'counts': [1, 3, 3]}, 'a.json: .* fill .* 3 x 2'),
        ({'size': [2, 3], 'counts': [9, -3]}, 'fill'),
        ({'size': [2, 3], 'counts': ''}, 'fill'),
        ({'size': [2, 3], 'counts': '13R'}, 'fill'),
        ({'size': [2, 3], 'counts': '13\u00e4'}, 'fill'),
        ({'counts': '132'}, 'a.json: .* size and counts'),
        ([[0, 0, 1, 1, 1, 0]], 'a.json: .* size and counts'),
        ({'size': [2, 3], 'counts': None}, 'a.json: counts must be'),
        ({'size': [2, 3], 'counts': {'a': 6}}, 'a.json: counts must be'),
        ({'size': [2, 3], 'counts': [[1, 3], [2]]}, 'a.json: counts must be'),
        ({'size': [2, 3], 'counts': [5.5, 0.5]}, 'a.json: counts must be'),
        ({'size': [2, 3], 'counts': [10**30]}, 'a.json: counts must be'),
        # These sum up to 6 in 64 bits.
        ({'size': [2, 3], 'counts': [2**62] * 4 + [6]}, 'a.json: .* fill'),
        ({'size': None, 'counts': '132'}, 'a.json: size is not height'),
        ({'size': [6], 'counts': '132'}, 'a.json: size is not height'),
        ({'size': '23', 'counts': '132'}, 'a.json: size is not height'),
        ({'size': [-2, -3], 'counts': '132'}, 'a.json: size is not height'),
        ({'size': [2.5, 3], 'counts': '132'}, 'a.json: size is not height'),
        ({'size': [2**31] * 2, 'counts': [2**62]}, 'a.json: .* too large'),
    ],
)
def test_bad_input(segmentation, message) -> None:
    with pytest.raises(ValueError, match=message):
        decode_mask(segmentation, 'a.json')


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ([], []),
        ([1, 2.0], [1, 2]),
        (np.array([3], np.uint8), [3]),
        ([0.5], None),
        ([float('nan')], None),
        ([float('inf')], None),
        ([2**63], None),
        ([True], None),
        (['1'], None),
        (5, None),
    ],
)
def test_whole_numbers(values, expected) -> None:
    found = whole_numbers(values)
    assert (found if found is None else found.tolist()) == expected
