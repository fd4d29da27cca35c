"""Tests of run lengths, polygons and boxes."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco

from export_readers import decode_brush
from mmwsl.utils.masks import (
    boxes_of_masks,
    check_boxes,
    decode_mask,
    decode_segmentation,
    encode_brush,
    encode_mask,
    expand_counts,
    find_polygons,
    join_polygons,
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
        ({'size': [2, 3], 'counts': [[1, 3], [2]]}, 'a.json: counts must be'),
        ({'size': [2, 3], 'counts': [5.5, 0.5]}, 'a.json: counts must be'),
        ({'size': [2, 3], 'counts': [10**30]}, 'a.json: counts must be'),
        # These sum up to 6 in 64 bits.
        ({'size': [2, 3], 'counts': [2**62] * 4 + [6]}, 'a.json: .* fill'),
        ({'size': [6], 'counts': '132'}, 'a.json: size is not height'),
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


def square(x, y, side):
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def test_polygons_are_those_of_coco() -> None:
    rng = np.random.default_rng(0)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 12))
    radius = rng.uniform(20, 45, 12)
    points = 50 + radius[:, None] * np.stack(
        [np.cos(angles), np.sin(angles)], axis=1
    )
    polygons = [points.ravel().tolist(), square(2, 3, 5), square(1, 2, 3)]
    mask = decode_segmentation(polygons, (100, 110), 'a')
    runs = coco.merge(coco.frPyObjects(polygons, 100, 110))
    assert np.array_equal(mask, coco.decode(runs))
    assert mask[3:8, 2:7].all()
    # Polygons are joined, they do not cut holes.
    assert mask[4, 3]


def test_polygons_across_the_border() -> None:
    mask = decode_segmentation([square(-3, -3, 6)], (9, 9), 'a')
    assert mask[:3, :3].all()
    assert mask.sum() == 9


@pytest.mark.parametrize('shift', [0.1, 3.3, 8.2])
def test_polygons_below_a_pixel_mark_one(shift) -> None:
    polygon = square(shift, 4.1, 0.2)
    mask = decode_segmentation([polygon], (9, 9), 'a')
    assert np.argwhere(mask).tolist() == [[4, int(shift)]]


@pytest.mark.parametrize(
    'segmentation',
    [
        None,
        [],
        [[]],
        'text',
        [1, 1, 9, 1, 9, 9],
        [[1, 1, 9, 9]],
        [[1, 1, 9, 1, 9, 9, 1]],
        [['1', '1', '9', '1', '9', '9']],
        [[1, 1, 9, 1, True, 9]],
        [[1, 1, 9, 1, float('nan'), 9]],
        [[1, 1, 10**400, 1, 9, 9]],
        [[0, 0, 10**8, 0, 10**8, 10**8]],
        # Shares of the image, a point, outside.
        [[0.1, 0.1, 0.9, 0.1, 0.9, 0.9]],
        [[5, 5, 5, 5, 5, 5]],
        [[50, 50, 60, 50, 60, 60]],
        [square(2, 2, 5), {'size': [20, 20], 'counts': [0, 400]}],
        {'size': [20, 20], 'counts': [400]},
        {'size': [20, 21], 'counts': [0, 420]},
        {'size': [10**5, 10**5], 'counts': [0, 10**10]},
        {'size': [20, 20], 'counts': [0, 10**10]},
    ],
)
def test_segmentations_that_mark_nothing(segmentation) -> None:
    with pytest.raises(ValueError, match='t.json'):
        decode_segmentation(segmentation, (20, 20), 't.json: annotation 1')


def test_empty_run_lengths_of_predictions() -> None:
    runs = {'size': [4, 5], 'counts': [20]}
    assert not decode_segmentation(runs, (4, 5), 'a', allow_empty=True).any()


def test_boxes_of_masks():
    masks = np.zeros((2, 6, 7), dtype=bool)
    masks[0, 2:4, 1], masks[0, 3, 5] = True, True
    assert boxes_of_masks(masks).tolist() == [[1, 2, 6, 4], [0] * 4]
    assert boxes_of_masks([]).shape == (0, 4)


SIZE = (10, 20)


def test_boxes_that_are_fine():
    check_boxes(np.array([[0, 0, 20, 10], [3, 4, 3, 4]]), SIZE)
    check_boxes(np.zeros((0, 4)), SIZE)
    check_boxes(np.array([[-1, 0, 21, 4]]), SIZE, margin=1)
    check_boxes(np.array([[-1, 0, 30, 4]]), SIZE, outside=False)


@pytest.mark.parametrize(
    ('box', 'message'),
    [
        ([5, 1, 4, 3], r'box \(5, 1, 4, 3\) is inverted'),
        ([1, 5, 3, 4], 'is inverted'),
        ([-1, 0, 3, 4], 'outside the image, which is 20 x 10'),
        ([0, 0, 20.5, 4], r'box \(0, 0, 20.5, 4\) is outside'),
        ([0, 0, 3, 11], 'is outside'),
        ([0, np.nan, 3, 4], 'is not finite'),
    ],
)
def test_bad_boxes(box, message):
    with pytest.raises(ValueError, match=message):
        check_boxes(np.array([[0, 0, 1, 1], box]), SIZE)
    if 'outside' not in message:
        with pytest.raises(ValueError, match=message):
            check_boxes(np.array([box]), SIZE, outside=False)


def fill(polygons, shape):
    runs = [polygon.ravel().tolist() for polygon in polygons]
    merged = coco.merge(coco.frPyObjects(runs, *shape))
    return coco.decode(merged).astype(bool)


@pytest.mark.parametrize('seed', range(20))
def test_polygons_have_the_pixels_of_the_mask(seed):
    """Parts of one pixel, parts that touch, holes, and what is in holes."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 40, 2).tolist())
    mask = rng.random(shape) > rng.uniform(0.2, 0.8)
    mask[rng.integers(shape[0]), rng.integers(shape[1])] = True
    polygons = find_polygons(mask, 0)
    np.testing.assert_array_equal(fill(polygons, shape), mask)
    number = cv2.connectedComponents(mask.astype(np.uint8))[0]
    assert len(polygons) == number - 1
    assert all(len(polygon) > 2 for polygon in find_polygons(mask))


def test_outlines_by_hand():
    mask = np.zeros((6, 8), bool)
    assert find_polygons(mask) == []
    mask[2, 3] = True
    (pixel,) = find_polygons(mask)
    corners = {(3, 2), (4, 2), (4, 3), (3, 3)}
    assert set(map(tuple, pixel.tolist())) == corners
    # Stairs become a line.
    (stairs,) = find_polygons(np.tril(np.ones((30, 30), bool)))
    assert len(stairs) < 6


def test_joined_polygons_are_both():
    first = np.array([[0, 0], [4, 0], [4, 4], [0, 4]])
    second = first + np.array([6, 3])
    joined = join_polygons([first, second])
    assert len(joined) == 4 + 4 + 2
    separate = fill([first, second], (10, 12))
    np.testing.assert_array_equal(fill([joined], (10, 12)), separate)


def test_brush_by_hand():
    # Eight values, a byte each, in a run of 0 and a run of 255.
    bits = f'{8:032b}' + '00111' + '0010001101111111'
    bits += '1' + '00' + '011' + '0' * 8 + '1' + '00' + '011' + '1' * 8
    values = [int(bits[i : i + 8].ljust(8, '0'), 2) for i in range(0, 81, 8)]
    assert encode_brush(np.array([[False, True]])) == values


@pytest.mark.parametrize('length', [1, 2, 4, 5, 64, 65, 16384, 16385, 40000])
def test_brush_of_long_runs(length):
    mask = np.zeros((2, 20001), bool)
    mask.ravel()[1 : 1 + length] = True
    decoded = decode_brush(encode_brush(mask), mask.shape)
    np.testing.assert_array_equal(decoded, mask)
