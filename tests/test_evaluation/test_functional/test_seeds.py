import json

import numpy as np
import pytest

from mmwsl.evaluation.functional.seeds import (
    label_map_histograms,
    power_to_threshold,
    region_counts,
    region_scores,
    seed_histograms,
    seed_scores,
    seed_table,
    write_sweep,
)

IGNORE = 255


def slow_counts(predictions, gts, num_classes):
    """Hits, predicted and present pixels by one plain loop."""
    hit, shown, present = np.zeros((3, num_classes + 1), int)
    for pred, gt in zip(predictions, gts):
        for p, g in zip(pred.ravel(), gt.ravel()):
            if g == IGNORE:
                continue
            hit[g] += p == g
            shown[p] += 1
            present[g] += 1
    return hit, shown, present


def slow_scores(backgrounds, images, num_classes):
    """The definition: argmax of [background, maps] at each setting."""
    rows = {'iou': [], 'precision': [], 'recall': []}
    for background in backgrounds:
        predictions = []
        for maps, labels, _ in images:
            score = np.full((1, *maps.shape[1:]), background(maps))
            stack = np.concatenate([score.astype(maps.dtype), maps])
            lookup = np.array([0, *(c + 1 for c in labels)])
            predictions.append(lookup[stack.argmax(0)])
        hit, shown, present = slow_counts(
            predictions, [x[2] for x in images], num_classes
        )
        with np.errstate(invalid='ignore', divide='ignore'):
            rows['iou'].append(hit / (shown + present - hit))
            rows['precision'].append(hit / shown)
            rows['recall'].append(hit / present)
    return {name: np.stack(values) for name, values in rows.items()}


def random_images(rng, dtype=np.float32, num_classes=5, count=6):
    images = []
    for _ in range(count):
        labels = rng.permutation(num_classes)[: rng.integers(0, 4)]
        shape = tuple(rng.integers(1, 9, 2))
        maps = rng.random((len(labels), *shape), dtype=np.float32)
        # Many values exactly on thresholds and many ties between maps.
        maps = np.where(rng.random(maps.shape) < 0.5, np.round(maps, 1), maps)
        gt = rng.integers(0, num_classes, shape)
        gt[rng.random(shape) < 0.1] = IGNORE
        images.append((maps.astype(dtype), labels, gt))
    return images


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('seed', range(3))
def test_equals_slow_loop_over_thresholds(seed, dtype):
    images = random_images(np.random.default_rng(seed), dtype)
    thresholds = np.unique([*np.arange(21) / 20, *np.float32([0.1, 0.7])])
    scores = seed_scores(
        seed_histograms(maps, labels, gt, 5, thresholds)
        for maps, labels, gt in images
    )
    expected = slow_scores(
        [lambda maps, t=t: t for t in thresholds], images, 5
    )
    for name, values in expected.items():
        np.testing.assert_array_equal(scores[name], values)


@pytest.mark.parametrize('seed', range(3))
def test_power_equals_slow_loop_over_exponents(seed):
    images = random_images(np.random.default_rng(seed), np.float64)
    # 1 with maps at 0.5 is the case of exact equality.
    alphas = np.array([8, 4, 2.5, 1, 0.5])

    def power(alpha):
        def background(maps):
            best = maps.max(0, initial=0)
            return (1 - best) ** alpha

        return background

    scores = seed_scores(
        seed_histograms(maps, labels, gt, 5, power_to_threshold(alphas))
        for maps, labels, gt in images
    )
    expected = slow_scores([power(alpha) for alpha in alphas], images, 5)
    for name, values in expected.items():
        np.testing.assert_array_equal(scores[name], values)


def test_power_to_threshold_known_answers():
    # (1 - m)^2 = m at (3 - sqrt(5)) / 2.
    np.testing.assert_allclose(
        power_to_threshold([1, 2]), [0.5, (3 - 5**0.5) / 2], rtol=1e-15
    )
    with pytest.raises(ValueError, match='alphas'):
        power_to_threshold([0.0])


def test_known_answer_by_hand():
    maps = np.array([[[0.9, 0.4, 0.1, 0.6]], [[0.2, 0.5, 0.0, 0.6]]])
    gt = np.array([[1, 3, 0, IGNORE]])
    hist = seed_histograms(maps, [0, 2], gt, 3, [0.0, 0.5, 1.0])
    scores = seed_scores([hist])
    nan = np.nan
    # At 0 every pixel is foreground; at 0.5 the tie goes to background.
    np.testing.assert_allclose(
        scores['iou'],
        [[0, 0.5, nan, 1], [0.5, 1, nan, 0], [1 / 3, 0, nan, 0]],
    )
    np.testing.assert_allclose(
        scores['recall'], [[0, 1, nan, 1], [1, 1, nan, 0], [1, 0, nan, 0]]
    )
    np.testing.assert_allclose(
        scores['precision'],
        [[nan, 0.5, nan, 1], [0.5, 1, nan, nan], [1 / 3, nan, nan, nan]],
    )
    np.testing.assert_allclose(scores['mIoU'], [0.5, 0.5, 1 / 9])
    assert scores['gt_pixels'].tolist() == [1, 1, 0, 1]


def test_saliency_is_a_background_score_for_each_pixel():
    maps = np.array([[[0.5, 0.5, 0.5]]])
    saliency = np.array([[0.4, 0.5, 0.6]])
    hist = seed_histograms(
        maps, [0], np.array([[1, 1, 1]]), 1, saliency=saliency
    )
    # Background 0.6, 0.5 (a tie, background wins), 0.4.
    np.testing.assert_allclose(
        seed_scores([hist])['recall'], [[np.nan, 1 / 3]]
    )


def test_no_map_predicts_background_everywhere():
    hist = seed_histograms(
        np.zeros((0, 1, 2)), [], np.array([[0, 2]]), 2, [-1.0, 0.5]
    )
    scores = seed_scores([hist])
    np.testing.assert_allclose(scores['iou'], [[0.5, np.nan, 0]] * 2)


def test_histograms_are_small_integers():
    rng = np.random.default_rng(0)
    maps = rng.random((2, 50, 40), dtype=np.float32)
    gt = rng.integers(0, 3, (50, 40))
    hist = seed_histograms(maps, [7, 900], gt, 1000, np.arange(101) / 100)
    assert sum(np.size(x) for x in hist.values()) < 600
    arrays = [x for x in hist.values() if isinstance(x, np.ndarray)]
    assert {x.dtype.kind for x in arrays} == {'i'}
    assert hist['pred'].sum() == 2000


def test_only_ignored_pixels_give_nan():
    hist = seed_histograms(
        np.ones((1, 1, 1)), [0], np.full((1, 1), IGNORE), 1, [0.5]
    )
    assert np.isnan(seed_scores([hist])['mIoU']).all()


def test_label_map_known_answer():
    pred = np.array([[0, 1, 2, 2, IGNORE]])
    gt = np.array([[0, 1, 1, IGNORE, 2]])
    scores = seed_scores([label_map_histograms(pred, gt, 2)])
    np.testing.assert_allclose(scores['iou'], [[1, 0.5, 0]])
    np.testing.assert_allclose(scores['recall'], [[1, 0.5, np.nan]])


MAPS, GT = np.zeros((1, 2, 2)), np.zeros((2, 2), int)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'maps': MAPS - 0.5}, r'maps must be in \[0, 1\]'),
        ({'maps': MAPS + 2}, r'maps must be in \[0, 1\]'),
        ({'maps': MAPS * np.nan}, 'NaN'),
        ({'maps': MAPS[0]}, 'shapes'),
        ({'maps': np.zeros((1, 3, 2))}, 'differ in size'),
        ({'labels': [0, 1]}, 'shapes'),
        ({'labels': [3]}, 'in 0..2'),
        ({'labels': [0, 0], 'maps': np.zeros((2, 2, 2))}, 'distinct'),
        ({'gt': GT + 4}, 'mask holds values 4..4'),
        ({'thresholds': [0.5, 0.1]}, 'ascending'),
        ({'thresholds': None}, 'either'),
        ({'saliency': MAPS[0]}, 'either'),
        ({'thresholds': None, 'saliency': np.zeros((1, 1))}, 'saliency'),
        ({'thresholds': None, 'saliency': GT + 7}, 'saliency must be'),
    ],
)
def test_seed_histograms_rejects(change, message):
    call = {'maps': MAPS, 'labels': [0], 'gt': GT, 'thresholds': [0.5]}
    with pytest.raises(ValueError, match=message):
        seed_histograms(num_classes=3, **{**call, **change})


def test_seed_scores_rejects():
    with pytest.raises(ValueError, match='no image'):
        seed_scores([])
    hists = [seed_histograms(MAPS, [0], GT, c, [0.5]) for c in (3, 4)]
    with pytest.raises(ValueError, match='differ in classes'):
        seed_scores(hists)


SWEPT = {
    key: np.array([np.nan, 0.5]) for key in ('mIoU', 'mPrecision', 'mRecall')
}


def test_sweep_files(tmp_path):
    path = tmp_path / 'new/a.json'
    write_sweep(str(path), SWEPT, {'threshold': np.array([0.1, 0.2])})
    # JSON knows no NaN.
    first, second = json.loads(path.read_text())
    assert first['mIoU'] is None
    assert second == dict(
        threshold=0.2, mIoU=50.0, mPrecision=50.0, mRecall=50.0
    )
    path = tmp_path / 'a.csv'
    write_sweep(str(path), SWEPT, {'threshold': np.array([0.1, 0.2])})
    assert path.read_text().splitlines() == [
        'threshold,mIoU,mPrecision,mRecall',
        '0.1,,,',
        '0.2,50.0,50.0,50.0',
    ]
    with pytest.raises(ValueError, match=r'a\.txt: .*\.json or \.csv'):
        write_sweep(str(tmp_path / 'a.txt'), SWEPT, {})


def test_table_with_bodies():
    hist = label_map_histograms(np.array([[0, 1]]), np.array([[0, 1]]), 2)
    bodies = np.array([0.5, np.nan])
    table = seed_table(seed_scores([hist]), 0, ['cat', 'dog'], bodies)
    assert table['class'] == ['background', 'cat', 'dog', 'mean']
    np.testing.assert_array_equal(table['IoU'], [1, 1, np.nan, 1])
    np.testing.assert_array_equal(
        table['body recall'], [np.nan, 0.5, np.nan, 0.5]
    )


def test_regions_known_answer():
    mask = np.array([[0, 1, 1, 3, 255]])
    regions = np.array([[[1, 1, 0, 0, 1]], [[0, 1, 0, 1, 1]]], bool)
    counts = region_counts(regions, np.array([0, 2]), mask, 3)
    assert counts.tolist() == [[1, 0, 1], [2, 0, 2], [2, 0, 1]]
    scores = region_scores(counts)
    assert scores['recall'] == pytest.approx((1 / 2 + 1) / 2)
    assert scores['precision'] == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_no_regions():
    mask = np.zeros((2, 3), np.uint8)
    counts = region_counts(np.zeros((0, 2, 3), bool), np.zeros(0), mask, 2)
    assert counts.sum() == 0
    assert all(np.isnan(x) for x in region_scores(counts).values())


@pytest.mark.parametrize(
    ('size', 'label', 'value', 'message'),
    [
        (2, 0, 0, 'differ in size'),
        (3, 2, 0, 'regions of classes .* there are 2'),
        (3, 0, 3, 'mask holds 3, but there are 2 classes'),
    ],
)
def test_regions_reject(size, label, value, message):
    mask = np.full((2, 3), value, np.uint8)
    with pytest.raises(ValueError, match=message):
        region_counts(np.zeros((1, 2, size), bool), np.array([label]), mask, 2)
