"""Tests of the peaks and of the scores from them."""

import itertools
import statistics

import pytest
import torch

from mmwsl.models.layers import find_peaks, peak_stimulation, top_peaks

INF = float('inf')
THRESHOLDS = ('median', 'mean', 'max', 0.25, -1, None)


def slow_threshold(cells, threshold):
    if threshold == 'median':
        return statistics.median_low(cells)
    if threshold == 'mean':
        return statistics.fmean(cells)
    if threshold == 'max':
        return max(cells)
    return -INF if threshold is None else threshold


def slow_peaks(maps, window, threshold):
    """Find peaks cell by cell, as the definition says."""
    peaks = torch.zeros(maps.shape, dtype=torch.bool)
    half, (height, width) = window // 2, maps.shape[2:]
    for n, c in itertools.product(range(len(maps)), range(maps.shape[1])):
        grid = maps[n, c].tolist()
        lowest = slow_threshold(maps[n, c].flatten().tolist(), threshold)
        for y, x in itertools.product(range(height), range(width)):
            around = [
                (grid[v][u], (v, u))
                for v in range(max(y - half, 0), min(y + half + 1, height))
                for u in range(max(x - half, 0), min(x + half + 1, width))
            ]
            highest = max(value for value, _ in around)
            first = next(cell for value, cell in around if value == highest)
            peaks[n, c, y, x] = first == (y, x) and highest >= lowest
    return peaks


def random_maps(kind, shape=(2, 3, 7, 9), seed=0):
    """Draw maps in multiples of 1 / 8, so that sums are exact."""
    torch.manual_seed(seed)
    span = dict(plateaus=3, few_ties=40)[kind]
    return torch.randint(-span, span + 1, shape).double() / 8


@pytest.mark.parametrize('threshold', THRESHOLDS)
@pytest.mark.parametrize('window', [1, 3, 5])
@pytest.mark.parametrize('kind', ['plateaus', 'few_ties'])
def test_peaks_equal_the_definition(kind, window, threshold):
    maps = random_maps(kind)
    expected = slow_peaks(maps, window, threshold)
    assert expected.any()
    assert torch.equal(find_peaks(maps, window, threshold), expected)


@pytest.mark.parametrize('size', [(1, 1), (1, 6), (6, 1), (2, 2)])
@pytest.mark.parametrize('threshold', THRESHOLDS)
def test_peaks_of_small_maps(size, threshold):
    maps = random_maps('plateaus', (4, 2, *size))
    expected = slow_peaks(maps, 5, threshold)
    assert torch.equal(find_peaks(maps, 5, threshold), expected)


def test_peaks_of_channels_last_and_of_infinite_values():
    maps = random_maps('plateaus', (2, 3, 6, 6))
    maps[maps < 0] = -INF
    maps[1, 2] = -INF
    expected = slow_peaks(maps, 3, None)
    assert expected[1, 2].sum() == 1
    last = maps.contiguous(memory_format=torch.channels_last)
    assert torch.equal(find_peaks(last, 3, None), expected)
    assert torch.equal(find_peaks(last.float(), 3, None), expected)


@pytest.mark.parametrize('threshold', ['median', 'mean', 'max', None])
@pytest.mark.parametrize('value', [0.0, 0.1, -7.3])
def test_constant_map_has_one_peak_per_window_reach(value, threshold):
    # The mean of many times 0.1 rounds to more than 0.1.
    maps = torch.full((1, 1, 37, 41), value)
    scores, peaks = peak_stimulation(maps, 3, threshold)
    assert peaks.nonzero().tolist() == [[0, 0, 0, 0]]
    assert scores.item() == maps[0, 0, 0, 0].item()


def test_median_of_even_number_is_the_lower_one():
    maps = torch.tensor([[[[1.0, 0.0, 0.0, 2.0]]]])
    assert find_peaks(maps).sum() == 2
    maps = torch.tensor([[[[1.0, 0.0, 0.5, 0.0, 0.0, 2.0]]]])
    assert find_peaks(maps).sum() == 3


@pytest.mark.parametrize('average', [True, False])
def test_scores_and_gradients_equal_a_loop(average):
    maps = random_maps('few_ties').requires_grad_()
    scores, peaks = peak_stimulation(maps, 3, 0.5, average)
    weights = torch.rand_like(scores)
    (grad,) = torch.autograd.grad((scores * weights).sum(), maps)
    assert torch.equal(peaks, slow_peaks(maps.detach(), 3, 0.5))
    for n, c in itertools.product(range(2), range(3)):
        values = maps[n, c][peaks[n, c]].tolist()
        mean = sum(values) / len(values)
        assert scores[n, c].item() == pytest.approx(mean, rel=1e-12)
        share = 1 / len(values) if average else 1.0
        expected = peaks[n, c] * weights[n, c] * share
        assert torch.allclose(grad[n, c], expected, rtol=1e-12, atol=0)


def test_gradcheck():
    maps = random_maps('few_ties', (2, 2, 4, 5)).requires_grad_()
    # Distinct values: the peaks do not change under small steps.
    maps = maps + torch.linspace(0, 0.1, maps.numel()).view_as(maps)
    assert torch.autograd.gradcheck(
        lambda maps: peak_stimulation(maps)[0], (maps,)
    )


@pytest.mark.parametrize('average', [True, False])
def test_map_without_peak_scores_zero_with_a_graph(average):
    maps = torch.zeros(2, 3, 4, 4, requires_grad=True)
    scores, peaks = peak_stimulation(
        maps, threshold=1.0, average_gradient=average
    )
    assert not peaks.any()
    assert scores.tolist() == [[0.0] * 3] * 2
    scores.sum().backward()
    assert not maps.grad.any()


@pytest.mark.parametrize('shape', [(0, 3, 4, 4), (2, 0, 4, 4)])
@pytest.mark.parametrize('threshold', THRESHOLDS)
def test_no_images_and_no_classes(shape, threshold):
    maps = torch.zeros(shape, requires_grad=True)
    scores, peaks = peak_stimulation(maps, threshold=threshold)
    assert scores.shape == shape[:2]
    assert peaks.shape == shape
    scores.sum().backward()
    kept = top_peaks(maps, peaks, torch.zeros(shape[:2], dtype=torch.long))
    assert kept.shape == shape


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single(dtype):
    # In halves 2048 + 1 is 2048, in bfloat16 256 + 1 is 256.
    maps = torch.zeros(1, 1, 3, 8, dtype=dtype)
    maps[0, 0, 1, 1::2] = torch.tensor([2048.0, 3.0, 1.0, 1.0], dtype=dtype)
    maps.requires_grad_()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        scores, peaks = peak_stimulation(maps, threshold=0.5)
    assert peaks.sum() == 4
    assert scores.dtype == torch.float32
    assert scores.item() == 2053 / 4
    scores.sum().backward()
    assert torch.equal(maps.grad, (peaks * 0.25).to(dtype))


def test_nan_shows_in_the_score():
    maps = random_maps('few_ties').float()
    maps[1, 2, 3, 4] = float('nan')
    scores, _ = peak_stimulation(maps)
    assert scores.isnan().nonzero().tolist() == [[1, 2]]


def slow_top(values, peaks, count):
    """Mark the cells of one flat map that are among the highest peaks."""
    ranked = sorted(
        (v for v, peak in zip(values, peaks) if peak), reverse=True
    )[: max(count, 0)]
    return [
        bool(ranked) and peak and value >= ranked[-1]
        for value, peak in zip(values, peaks)
    ]


@pytest.mark.parametrize('kind', ['plateaus', 'few_ties'])
@pytest.mark.parametrize('dtype', [torch.long, torch.uint8, torch.float])
def test_top_peaks_equal_a_loop(kind, dtype):
    maps = random_maps(kind, (9, 4, 7, 7))
    peaks = find_peaks(maps)
    counts = torch.randint(0 if dtype == torch.uint8 else -2, 9, (9, 4))
    counts[0, 0] = 100
    kept = top_peaks(maps, peaks, counts.to(dtype))
    for n, c in itertools.product(range(9), range(4)):
        expected = slow_top(
            maps[n, c].flatten().tolist(),
            peaks[n, c].flatten().tolist(),
            counts[n, c].item(),
        )
        assert kept[n, c].flatten().tolist() == expected


def test_top_peaks_ranks_peaks_not_cells():
    # 8 is higher than the second peak but no peak itself.
    maps = torch.tensor([[[[9.0, 8.0, 0.0, 5.0, 0.0, 5.0, 0.0, 1.0]]]])
    peaks = find_peaks(maps, threshold=None)
    for count, columns in [
        (0, []),
        (1, [0]),
        (2, [0, 3, 5]),
        (4, [0, 3, 5, 7]),
    ]:
        kept = top_peaks(maps, peaks, torch.tensor([[count]]))
        assert kept[0, 0, 0].nonzero().flatten().tolist() == columns


def test_bad_arguments():
    maps = torch.zeros(1, 2, 4, 4)
    with pytest.raises(ValueError, match="'mode'"):
        find_peaks(maps, threshold='mode')
    with pytest.raises(TypeError, match='bool'):
        find_peaks(maps, threshold=True)
    for window in (0, 2, -3, 3.0):
        with pytest.raises(ValueError, match=f'got {window}'):
            find_peaks(maps, window)
    with pytest.raises(TypeError, match='int64'):
        find_peaks(maps.long())
    for shape in [(2, 4, 4), (1, 2, 0, 4)]:
        with pytest.raises(ValueError, match='shape'):
            peak_stimulation(torch.zeros(shape))
    with pytest.raises(ValueError, match='counts of shape'):
        top_peaks(maps, maps > 0, torch.zeros(2, 1))
