import math

import numpy as np
import pytest
import torch

from mmwsl.evaluation.functional.counting import (
    count_breakdown,
    count_errors,
    simple_predictors,
)

GT = [[1, 0, 0], [2, 3, 0]]
PRED = [[0, 0, 1], [4, 3, 0]]


def errors_by_loop(pred, gt):
    """The four metrics with the formulas written out."""
    sums = {'mRMSE': [], 'mRMSE-nz': [], 'm-relRMSE': [], 'm-relRMSE-nz': []}
    for c in range(len(gt[0])):
        rows = [(p[c], t[c]) for p, t in zip(pred, gt)]
        for suffix in ('', '-nz'):
            used = [(p, t) for p, t in rows if t > 0 or not suffix]
            if not used:
                continue
            plain = sum((p - t) ** 2 for p, t in used) / len(used)
            rel = sum((p - t) ** 2 / (t + 1) for p, t in used) / len(used)
            sums['mRMSE' + suffix].append(math.sqrt(plain))
            sums['m-relRMSE' + suffix].append(math.sqrt(rel))
    return {key: sum(x) / len(x) for key, x in sums.items()}


def test_known_answer():
    errors = count_errors(np.array(PRED), np.array(GT))
    # Class 0: errors 1 and 2; class 2, never seen: errors 1 and 0.
    assert errors == pytest.approx(
        {
            'mRMSE': (math.sqrt(2.5) + math.sqrt(0.5)) / 3,
            'mRMSE-nz': math.sqrt(2.5) / 2,
            'm-relRMSE': (math.sqrt(11 / 12) + math.sqrt(0.5)) / 3,
            'm-relRMSE-nz': math.sqrt(11 / 12) / 2,
        }
    )


@pytest.mark.parametrize('seed', range(3))
def test_equals_loops(seed):
    rng = np.random.default_rng(seed)
    gt = rng.integers(0, 4, (9, 5)) * (rng.random((9, 5)) < 0.4)
    gt[:, 3] = 0
    pred = rng.random((9, 5)) * 4 - 1
    expected = errors_by_loop(pred.tolist(), gt.tolist())
    assert count_errors(pred, gt) == pytest.approx(expected)
    tensors = torch.from_numpy(pred), torch.from_numpy(gt)
    assert count_errors(*tensors) == pytest.approx(expected)


def test_nothing_to_average():
    empty = count_errors(np.zeros((0, 3)), np.zeros((0, 3)))
    assert np.isnan(list(empty.values())).all()
    none = count_errors(np.ones((2, 1)), np.zeros((2, 1)))
    assert none['mRMSE'] == none['m-relRMSE'] == 1
    assert np.isnan([none['mRMSE-nz'], none['m-relRMSE-nz']]).all()


def test_breakdown_known_answer():
    gt = np.array([[0, 1, 7], [0, 4, 5]])
    pred = np.array([[0.5, 2, 4], [0, 4, 5]])
    groups = ((0, 0), (1, 4), (5, None))
    zero, few, many = count_breakdown(pred, gt, groups)
    assert [x.name for x in (zero, few, many)] == ['0', '1-4', '5+']
    assert [x.pairs for x in (zero, few, many)] == [2, 2, 2]
    assert [x.truth for x in (zero, few, many)] == [0, 2.5, 6]
    assert [x.bias for x in (zero, few, many)] == [0.25, 0.5, -1.5]
    assert many.rmse == pytest.approx(math.sqrt(4.5))
    (empty,) = count_breakdown(pred, gt, ((2, 3),))
    assert empty.pairs == 0
    assert math.isnan(empty.rmse)


def test_simple_predictors():
    others = simple_predictors(np.array([[0, 5, 9]]))
    assert others['always-0'].tolist() == [[0, 0, 0]]
    assert others['always-1'].tolist() == [[1, 1, 1]]
    assert others['capped'].tolist() == [[0, 5, 5]]


@pytest.mark.parametrize(
    ('pred', 'gt', 'message'),
    [
        ([[1, 1]], [[1]], r'\(1, 2\) and true counts \(1, 1\)'),
        ([1], [1], 'shape'),
        ([[1], [math.nan]], [[1], [1]], 'image 1: predicted counts'),
        ([[1], [1]], [[1], [-1]], r'image 1: true counts \[-1.0\]'),
        ([[1]], [[0.5]], 'image 0: true counts .* whole'),
        ([[1]], [[math.inf]], 'image 0: true counts'),
    ],
)
def test_bad_counts(pred, gt, message):
    with pytest.raises(ValueError, match=message):
        count_errors(pred, gt)
