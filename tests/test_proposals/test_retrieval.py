import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmwsl.evaluation.functional import retrieve_instances
from mmwsl.proposals.retrieval import (
    background_masks,
    contours,
    proposal_scores,
    to_unit_sum,
)

SIZE = (40, 70)


def random_case(peaks=4, proposals=20, seed=0):
    """PRMs, classes, class maps, proposals and densities."""
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[:40, :70]
    spots = rng.random((peaks, 2)) * SIZE
    prms = rng.random((peaks, *SIZE)) ** 6
    for prm, (y, x) in zip(prms, spots):
        prm *= np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 100)
    prms /= prms.sum((1, 2), keepdims=True)
    masks = np.zeros((proposals, *SIZE), np.uint8)
    for mask in masks:
        center = (int(rng.integers(70)), int(rng.integers(40)))
        axes = (int(rng.integers(2, 30)), int(rng.integers(2, 20)))
        angle = float(rng.integers(180))
        cv2.ellipse(mask, center, axes, angle, 0, 360, 1, -1)
    return (
        prms.astype(np.float32),
        rng.integers(0, 3, peaks),
        rng.normal(size=(3, 5, 7)).astype(np.float32),
        masks.astype(bool),
        rng.random((3, 5, 7)).astype(np.float32) / 10,
    )


def score_by_formula(
    prm, mask, grid, density, alpha, beta, gamma, factor, delta=0.0
):
    """One pair, as METHODS writes it; double precision."""
    height, width = mask.shape
    response = cv2.resize(
        grid.astype(np.float64),
        (width, height),
        interpolation=cv2.INTER_LINEAR,
    )
    background = response < factor * response.mean()
    padded = np.pad(mask.astype(float), 2, constant_values=np.nan)
    squares = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
    contour = np.nanmax(squares, (2, 3)) - np.nanmin(squares, (2, 3))
    small = np.array(
        [
            [
                mask[
                    int((i + 0.5) * height / density.shape[0]),
                    int((j + 0.5) * width / density.shape[1]),
                ]
                for j in range(density.shape[1])
            ]
            for i in range(density.shape[0])
        ]
    )
    prm = prm.astype(float)
    positive = np.where(response > 0, response, 0)
    lengths = np.linalg.norm(positive) * np.linalg.norm(mask)
    return (
        alpha * (prm * mask).sum()
        + (prm * contour).sum()
        - beta * (background * mask).sum()
        - gamma * abs(1 - (density * small).sum())
        + delta * (positive * mask).sum() / lengths
    )


def instances_by_loop(prms, classes, maps, masks, density, threshold, **kw):
    """Every pair in turn, then suppression of the sorted list."""
    found = []
    for index, (prm, label) in enumerate(zip(prms, classes)):
        scores = [
            score_by_formula(prm, mask, maps[label], density[label], **kw)
            if 0.00002 <= mask.mean() <= 0.85
            else -np.inf
            for mask in masks
        ]
        best = int(np.argmax(scores))
        found.append((scores[best], index, best, prm.copy()))
    found.sort(key=lambda x: -x[0])
    kept = []
    for score, index, best, prm in found:
        for other in kept:
            a, b = masks[best], masks[other[2]]
            if (a & b).sum() / (a | b).sum() > threshold:
                other[3][:] += prm
                break
        else:
            kept.append((score, index, best, prm))
    return kept


@pytest.mark.parametrize(
    ('gamma', 'delta'), [(0.0, 0.0), (0.2, 0.0), (0.0, 1.0)]
)
@pytest.mark.parametrize('seed', [0, 1])
def test_equals_a_loop_over_pairs(gamma, delta, seed):
    prms, classes, maps, masks, density = random_case(seed=seed)
    weights = dict(alpha=0.8, beta=1e-4, gamma=gamma, delta=delta)
    kept = instances_by_loop(
        prms, classes, maps, masks, density, 0.3, factor=0.95, **weights
    )
    result = retrieve_instances(
        prms,
        classes,
        maps,
        masks,
        density=density,
        **weights,
    )
    assert len(kept) > 1
    assert result['peak_index'].tolist() == [x[1] for x in kept]
    assert result['proposal_index'].tolist() == [x[2] for x in kept]
    np.testing.assert_allclose(
        result['scores'], [x[0] for x in kept], rtol=1e-5
    )
    np.testing.assert_array_equal(
        result['labels'], classes[result['peak_index']]
    )
    np.testing.assert_array_equal(
        result['masks'], masks[result['proposal_index']]
    )
    np.testing.assert_allclose(
        result['prms'], np.stack([x[3] for x in kept]), rtol=1e-5
    )
    # All peaks' maps are there, each once.
    assert result['prms'].sum() == pytest.approx(len(prms), rel=1e-5)


def test_noise():
    prms, classes, maps, _, density = random_case()
    masks = np.random.default_rng(2).random((11, *SIZE)) < 0.5
    scores = proposal_scores(
        prms, classes, maps, masks, gamma=0.2, density=density
    )
    for (p, k), score in np.ndenumerate(scores):
        c = classes[p]
        expected = score_by_formula(
            prms[p], masks[k], maps[c], density[c], 0.8, 1e-5, 0.2, 0.95
        )
        assert score == pytest.approx(expected, rel=1e-5)


def test_known_answer():
    prms = np.zeros((1, 12, 12), np.float32)
    prms[0, 5, 5] = 0.75
    prms[0, 0, 11] = 0.25
    masks = np.zeros((2, 12, 12), bool)
    masks[0, 2:9, 2:9] = True  # (5, 5) is farther than 2 from its outline
    masks[1, 4:, 4:] = True  # (5, 5) is one away from it
    maps = np.zeros((1, 12, 12))
    maps[0, 6:, 6:] = 1  # background elsewhere: mean 0.25
    scores = proposal_scores(prms, [0], maps, masks, 0.8, 0.001)
    assert scores[0, 0] == pytest.approx(0.8 * 0.75 - 0.001 * (49 - 9))
    assert scores[0, 1] == pytest.approx(1.8 * 0.75 - 0.001 * (64 - 36))


def test_density_sees_the_centre_of_each_cell():
    prms = np.full((1, 6, 10), 1 / 60, np.float32)
    # Cells of 3 x 2 and, in the other, 3 x 3.3 pixels.
    for columns, centres in ((5, [1, 3, 5, 7, 9]), (3, [1, 5, 8])):
        density = np.zeros((1, 2, columns), np.float32)
        density[0, 1] = np.arange(columns) + 2
        for column in range(10):
            mask = np.zeros((1, 6, 10), bool)
            mask[0, 4, column] = True
            case = (prms, [0], np.zeros((1, 2, columns)), mask)
            plain = proposal_scores(*case)
            scores = proposal_scores(*case, gamma=1.0, density=density)
            inside = 0
            if column in centres:
                inside = centres.index(column) + 2
            expected = plain[0, 0] - abs(1 - inside)
            assert scores[0, 0] == pytest.approx(expected)


def test_area_range_skips_proposals():
    prms, classes, maps, masks, _ = random_case()
    masks[0], masks[1] = True, False
    masks[2] = False
    masks[2, :34] = True  # exactly 0.85 of the image
    scores = proposal_scores(prms, classes, maps, masks)
    assert (scores[:, :2] == -np.inf).all()
    assert np.isfinite(scores[:, 2:]).all()
    result = retrieve_instances(prms, classes, maps, masks[:2])
    assert result['masks'].shape == (0, *SIZE)
    everything = retrieve_instances(
        prms, classes, maps, masks[:1], area_range=(0, 1)
    )
    assert everything['peak_index'].shape == (1,)
    assert everything['prms'].sum() == pytest.approx(4, rel=1e-5)


def test_suppression_ignores_classes():
    prms, _, maps, masks, _ = random_case(peaks=2)
    one = np.repeat(masks[:1], 3, axis=0)
    result = retrieve_instances(prms, [0, 2], maps, one)
    assert len(result['scores']) == 1
    assert result['proposal_index'].tolist() == [0]
    kept = retrieve_instances(prms, [0, 2], maps, one, nms_threshold=1.0)
    assert sorted(kept['labels'].tolist()) == [0, 2]
    assert (np.diff(kept['scores']) <= 0).all()


def test_tensors_and_arrays_agree():
    arrays = random_case()
    expected = retrieve_instances(*arrays[:4], gamma=0.2, density=arrays[4])
    tensors = [torch.from_numpy(x) for x in arrays]
    tensors[0].requires_grad_()
    result = retrieve_instances(*tensors[:4], gamma=0.2, density=tensors[4])
    for key, value in expected.items():
        np.testing.assert_array_equal(result[key], value)
    half = tensors[2].bfloat16()
    assert len(retrieve_instances(tensors[0], *tensors[1:2], half, arrays[3]))


@pytest.mark.parametrize(('peaks', 'proposals'), [(0, 5), (3, 0), (0, 0)])
def test_no_peaks_or_no_proposals(peaks, proposals):
    prms, classes, maps, masks, _ = random_case(peaks, proposals)
    result = retrieve_instances(prms, classes, maps, masks)
    assert result['masks'].shape == result['prms'].shape == (0, *SIZE)
    assert result['masks'].dtype == bool
    assert result['labels'].dtype == np.int64
    assert result['scores'].shape == result['peak_index'].shape == (0,)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'proposals': np.ones((2, 40, 71), bool)}, 'proposals are 71 x 40'),
        ({'proposals': np.ones((40, 70), bool)}, r'must be \(K, H, W\)'),
        ({'classes': [0, 1]}, r'4 peak response maps need .* got \(2,\)'),
        ({'classes': [0, 1, 2, 3]}, r'are not all in 0\.\.2'),
        ({'class_maps': np.zeros((5, 7))}, 'class maps'),
        ({'class_maps': np.full((3, 5, 7), np.nan)}, 'hold NaN'),
        ({'prms': np.full((4, *SIZE), np.nan)}, 'hold NaN'),
        ({'gamma': 0.2}, 'density is None'),
        ({'gamma': 1, 'density': np.ones((2, 5, 7))}, r'must be \(3, h, w\)'),
        ({'map_resize': 'cubic'}, 'map_resize must be one of'),
    ],
)
def test_bad_input(change, message):
    names = ('prms', 'classes', 'class_maps', 'proposals')
    arguments = {**dict(zip(names, random_case())), **change}
    with pytest.raises(ValueError, match=message):
        retrieve_instances(**arguments)


def test_background_known_answer():
    # The mean is 2; columns between the cells are mixed.
    maps = torch.tensor([[[1.0, 3.0]], [[3.0, 1.0]]])
    masks = background_masks(maps, (1, 4), bg_factor=0.75)
    # 1, 1.5, 2.5, 3: below 1.5 is the first alone.
    assert masks.tolist() == [
        [[True, False, False, False]],
        [[False, False, False, True]],
    ]
    assert background_masks(maps[:0], SIZE).shape == (0, *SIZE)


def test_rejects_other_resizes_and_nan():
    with pytest.raises(ValueError, match='map_resize must be one of'):
        background_masks(torch.ones(1, 2, 2), SIZE, resize='cubic')
    with pytest.raises(ValueError, match='hold NaN'):
        background_masks(torch.full((1, 2, 2), torch.nan), SIZE)


def test_released_response_maps_are_pictures():
    grid = np.random.default_rng(0).normal(size=(1, 5, 7)) - 9
    mask = background_masks(torch.from_numpy(grid), SIZE, 0.95, 'released')[0]
    scaled = (grid[0] - grid.min()) / (grid.max() - grid.min()) * 255
    picture = Image.fromarray((scaled + 0.5).astype(np.uint8))
    image = np.asarray(picture.resize((70, 40), Image.BICUBIC)).astype(float)
    np.testing.assert_array_equal(mask, image < 0.95 * image.mean())
    # Only the order of values counts there, not where zero is.
    np.testing.assert_array_equal(
        mask,
        background_masks(torch.from_numpy(grid) + 20, SIZE, 0.95, 'released')[
            0
        ],
    )
    constant = torch.ones(1, 2, 2)
    assert not background_masks(constant, SIZE, 0.95, 'released').any()


def test_contours_are_the_morphological_gradient():
    masks = np.random.default_rng(0).random((6, 17, 9)) < 0.2
    masks[5] = True
    found = contours(torch.from_numpy(masks)).numpy()
    kernel = np.ones((5, 5), np.uint8)
    for mask, contour in zip(masks.astype(np.uint8), found):
        expected = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, kernel)
        np.testing.assert_array_equal(contour, expected)


def test_maps_are_divided_by_their_sums():
    maps = np.array([[[1, 3]], [[0, 0]], [[2, 0]]], np.float32)
    scaled = to_unit_sum(maps)
    assert scaled.dtype == np.float32
    assert scaled.tolist() == [[[0.25, 0.75]], [[0, 0]], [[1, 0]]]
    assert to_unit_sum(maps[:0]).shape == (0, 1, 2)


def test_rows_at_a_time_give_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    args = (
        rng.random((3, 23, 17), dtype=np.float32) / 391,
        np.array([0, 1, 1]),
        rng.random((2, 5, 4), dtype=np.float32),
        rng.random((6, 23, 17)) > 0.6,
    )
    whole = proposal_scores(*args)
    monkeypatch.setattr('mmwsl.proposals.retrieval._PIXELS', 4 * 6 * 17)
    np.testing.assert_allclose(proposal_scores(*args), whole, rtol=1e-5)
