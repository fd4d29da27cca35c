import cv2
import numpy as np
import pytest
import torch

from mmwsl.evaluation.functional.map_sums import (
    MapSums,
    mask_areas,
    mask_edges,
)
from mmwsl.evaluation.functional.mask_contours import contour_rows
from mmwsl.evaluation.functional.mask_windows import MaskWindows, mask_windows
from mmwsl.structures.mask_rows import inside_rows, pack_rows, unpack_rows

# With more and with fewer spare bits than seven in the words of a row.
SIZES = [(1, 1), (1, 64), (64, 1), (2, 2), (5, 57), (12, 58), (9, 128)]
# Below and above what is summed up by its edges.
DENSITIES = [0.0, 0.004, 0.5, 1.0]


def random_masks(size, share, count=5):
    rng = np.random.default_rng(0)
    return rng.random((count, *size)) < share


def packed(masks):
    """Windows of the size of the image."""
    rows, none = pack_rows(masks), np.zeros(len(masks), np.int64)
    inside = inside_rows(masks.shape[2])
    return MaskWindows(
        np.arange(len(masks)), rows, inside, none, rows.shape[2]
    )


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
    assert not unpack_rows(rows, 64 * rows.shape[2])[..., size[1] :].any()
    whole = packed(masks)
    for edges in (mask_edges(whole), None):
        areas = mask_areas(whole, edges)
        np.testing.assert_array_equal(areas, masks.sum((1, 2)))


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('share', DENSITIES)
def test_contours_equal_a_loop_and_opencv(size, share):
    masks = random_masks(size, share, count=2)
    contours = contour_rows(pack_rows(masks), inside_rows(size[1]))
    contours = unpack_rows(contours, size[1])
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
    whole = packed(masks)
    expected = np.einsum('mhw,khw->mk', maps.astype(float), masks)
    for edges in (mask_edges(whole), None):
        sums = MapSums(maps).over(whole, edges)
        np.testing.assert_allclose(sums, expected, rtol=1e-5, atol=1e-6)


def test_edges_and_product_are_both_used():
    def edges(share):
        return mask_edges(packed(random_masks((20, 128), share)))

    assert edges(0.5) is None
    assert len(edges(0.004).place) > 0


def test_edges_known_answer():
    mask = np.zeros((2, 3, 70), bool)
    mask[1, 1:, 69] = True
    edges = mask_edges(packed(mask))
    assert edges.starts.tolist() == [0, 0, 2]
    # Two words of 64 pixels in a row.
    assert edges.place.tolist() == [128 + 69, 3 * 128 + 69]
    assert edges.sign.tolist() == [-1, 1]


def test_counts_of_pixels_are_exact():
    masks = np.ones((1, 300, 400), bool)
    whole = packed(masks)
    for edges in (mask_edges(whole), None):
        assert MapSums(masks).over(whole, edges).tolist() == [[120000.0]]


@pytest.mark.parametrize('share', [0.003, 0.05, 0.5])
@pytest.mark.parametrize('width', [70, 200, 249])
@pytest.mark.parametrize('max_words', [1, 150, 10**6])
def test_windows_hold_masks_and_their_contours(share, width, max_words):
    rng = np.random.default_rng(0)
    masks = random_masks((40, width), share, count=30)
    # All distances from the borders of rows, columns and words.
    rows = np.sort(rng.integers(0, 41, (30, 2)), axis=1)
    columns = np.sort(rng.integers(0, width + 1, (30, 2)), axis=1)
    columns[12:24] = [[x, x + 6] for x in (*range(58, 68), 0, width - 6)]
    for mask, (top, bottom), (left, right) in zip(masks, rows, columns):
        mask[:top] = mask[bottom:] = False
        mask[:, :left] = mask[:, right:] = False
    masks[3], masks[4], masks[5, 0], masks[6, :, 0] = False, True, True, True
    masks[7, :, -1] = masks[8, :, 63] = masks[9, :, 64] = True
    maps = rng.random((2, 40, width)).astype(np.float32)
    sums, seen = MapSums(maps), []
    outlines = contour_rows(pack_rows(masks), inside_rows(width))
    outlines = unpack_rows(outlines, width)
    for window in mask_windows(pack_rows(masks), width, max_words):
        seen += window.chosen.tolist()
        found = window._replace(rows=contour_rows(window.rows, window.inside))
        for whole, part in ((masks, window), (outlines, found)):
            truth = whole[window.chosen]
            expected = np.einsum('mhw,khw->mk', maps.astype(float), truth)
            for edges in (mask_edges(part), None):
                np.testing.assert_allclose(
                    sums.over(part, edges), expected, rtol=1e-5, atol=1e-4
                )
                areas = mask_areas(part, edges)
                np.testing.assert_array_equal(areas, truth.sum((1, 2)))
    assert sorted(seen) == list(range(30))
    assert not list(mask_windows(pack_rows(masks[:0]), width, max_words))


def test_windows_are_small():
    masks = np.zeros((3, 100, 500), bool)
    masks[0, 10:20, 200:230] = masks[1, 40:45, 270] = masks[2] = True
    first, last = mask_windows(pack_rows(masks), 500)
    assert first.chosen.tolist() == [1, 0]
    # Ten rows and three on both sides, one word.
    assert first.rows.shape == (2, 16, 1)
    assert first.place.tolist() == [37 * 8 + 4, 7 * 8 + 3]
    assert last.rows.shape == (1, 100, 8)


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures('threads')
def test_no_masks_and_no_maps():
    none = packed(np.zeros((0, 4, 5), bool))
    assert MapSums(np.ones((2, 4, 5))).over(none, mask_edges(none)).size == 0
    some = packed(np.ones((2, 4, 5), bool))
    no_maps = MapSums(np.zeros((0, 4, 5), np.float32))
    assert no_maps.over(some, mask_edges(some)).shape == (0, 2)
