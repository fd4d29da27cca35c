import cv2
import numpy as np
import pytest

from mmwsl.evaluation.functional.map_sums import (
    MapSums,
    mask_areas,
    mask_edges,
    row_windows,
)
from mmwsl.evaluation.functional.mask_rows import (
    contour_rows,
    pack_rows,
    rows_of,
    unpack_rows,
)
from mmwsl.structures import PackedMasks

# With more and with fewer spare bits than seven in the words of a row.
SIZES = [(1, 1), (1, 64), (64, 1), (2, 2), (5, 57), (12, 58), (9, 128)]
# Below and above what is summed up by its edges.
DENSITIES = [0.0, 0.004, 0.5, 1.0]


def random_masks(size, share, count=5):
    rng = np.random.default_rng(0)
    return rng.random((count, *size)) < share


def contour_by_loop(mask):
    """Whether a pixel's 5 x 5 square holds both kinds of pixels."""
    contour = np.zeros(mask.shape, bool)
    for y, x in np.ndindex(*mask.shape):
        square = mask[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
        contour[y, x] = square.any() and not square.all()
    return contour


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('share', DENSITIES)
def test_rows_keep_masks(size, share):
    masks = random_masks(size, share)
    rows = pack_rows(masks)
    assert rows.shape == (5, size[0], -(-(size[1] + 7) // 64))
    np.testing.assert_array_equal(unpack_rows(rows, size[1]), masks)
    np.testing.assert_array_equal(rows_of(PackedMasks.from_masks(masks)), rows)
    np.testing.assert_array_equal(
        mask_areas(rows, mask_edges(rows)), masks.sum((1, 2))
    )
    np.testing.assert_array_equal(mask_areas(rows, None), masks.sum((1, 2)))


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('share', DENSITIES)
def test_contours_equal_a_loop_and_opencv(size, share):
    masks = random_masks(size, share, count=2)
    contours = unpack_rows(contour_rows(pack_rows(masks), size[1]), size[1])
    kernel = np.ones((5, 5), np.uint8)
    for mask, contour in zip(masks, contours):
        np.testing.assert_array_equal(contour, contour_by_loop(mask))
        gradient = cv2.morphologyEx(
            mask.astype(np.uint8), cv2.MORPH_GRADIENT, kernel
        )
        np.testing.assert_array_equal(contour, gradient > 0)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('share', DENSITIES)
def test_sums_equal_products(size, share):
    masks = random_masks(size, share)
    maps = np.random.default_rng(1).random((3, *size)).astype(np.float32)
    rows = pack_rows(masks)
    expected = np.einsum('mhw,khw->mk', maps.astype(float), masks)
    for edges in (mask_edges(rows), None):
        sums = MapSums(maps).over(rows, edges)
        np.testing.assert_allclose(sums, expected, rtol=1e-5, atol=1e-6)


def test_edges_and_product_are_both_used():
    def edges(share):
        return mask_edges(pack_rows(random_masks((20, 128), share)))

    assert edges(0.5) is None
    assert len(edges(0.004).place) > 0


def test_edges_known_answer():
    mask = np.zeros((2, 3, 70), bool)
    mask[1, 1:, 69] = True
    edges = mask_edges(pack_rows(mask))
    assert edges.starts.tolist() == [0, 0, 2]
    # Two words of 64 pixels in a row.
    assert edges.place.tolist() == [128 + 69, 3 * 128 + 69]
    assert edges.sign.tolist() == [-1, 1]


def test_counts_of_pixels_are_exact():
    masks = np.ones((1, 300, 400), bool)
    rows = pack_rows(masks)
    for edges in (mask_edges(rows), None):
        assert MapSums(masks).over(rows, edges).tolist() == [[120000.0]]


@pytest.mark.parametrize('share', [0.05, 0.5])
def test_windows_hold_masks_and_their_contours(share):
    rng = np.random.default_rng(0)
    masks = random_masks((40, 70), share, count=11)
    spans = np.sort(rng.integers(0, 41, (11, 2)), axis=1)
    for mask, (top, bottom) in zip(masks, spans):
        mask[:top] = mask[bottom:] = False
    masks[3], masks[4, 0] = False, True
    maps = rng.random((2, 40, 70)).astype(np.float32)
    rows, sums, seen = pack_rows(masks), MapSums(maps), []
    contours = contour_rows(rows, 70)
    for chosen, first, part in row_windows(rows, 3):
        seen += chosen.tolist()
        cut = slice(first, first + part.shape[1])
        np.testing.assert_array_equal(part, rows[chosen, cut])
        outline = contour_rows(part, 70)
        np.testing.assert_array_equal(outline, contours[chosen, cut])
        for whole, window in ((rows, part), (contours, outline)):
            outside = whole[chosen].copy()
            outside[:, cut] = 0
            assert not outside.any()
            for edges in (mask_edges(window), None):
                np.testing.assert_allclose(
                    sums.over(window, edges, first),
                    sums.over(whole[chosen], None),
                    rtol=1e-5,
                    atol=1e-4,
                )
    assert sorted(seen) == list(range(11))
    assert not list(row_windows(rows[:0], 3))


def test_no_masks_and_no_maps():
    rows = pack_rows(np.zeros((0, 4, 5), bool))
    assert MapSums(np.ones((2, 4, 5))).over(rows, mask_edges(rows)).size == 0
    rows = pack_rows(np.ones((2, 4, 5), bool))
    none = MapSums(np.zeros((0, 4, 5), np.float32))
    assert none.over(rows, mask_edges(rows)).shape == (0, 2)
