"""Counting metric."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np
from mmengine.logging import print_log

from mmwsl.datasets.base import base_datasets
from mmwsl.evaluation.functional.counting import (
    CLASS_KEYS,
    class_count_errors,
    count_breakdown,
    count_correlation,
    count_errors,
    is_count,
    simple_predictors,
)
from mmwsl.evaluation.metrics.base import (
    WSLMetric,
    field,
    image_name,
    say,
)
from mmwsl.registry import DATASETS, METRICS
from mmwsl.utils.arrays import array, mean


@METRICS.register_module()
class CountMetric(WSLMetric):
    """Errors of object counts, beside those of predictors without an image.

    Reads ``pred_count`` (C,) and ``gt_count`` (C,), which leaves out objects
    marked difficult. Reports

    - ``mRMSE``, ``mRMSE-nz``, ``m-relRMSE``, ``m-relRMSE-nz``, see
      :func:`mmwsl.evaluation.functional.count_errors`;
    - ``bias``, the mean of prediction minus truth over all pairs of image
      and class;
    - ``correlation`` of prediction and truth, the mean over classes;
    - ``RMSE@0``, ``RMSE@1-4``, ``RMSE@5+`` over the pairs with such a true
      count, parted at ``max_count``.

    NaN stands for a value over no pairs. Tables have the same by class and
    by true count, and the errors of other predictors: ``always-0`` and
    ``always-1`` for every class of every image, ``capped``, which knows
    counts up to ``cap`` and says ``cap`` for larger ones, and with
    ``baseline`` ``train-mean``, the mean count of each class in training.

    Args:
        cap (int, optional): See above, by default ``max_count + 1``.
        max_count (int): The largest count that training knows as such, see
            ``DensityHead``.
        baseline (dict | Sequence[float], optional): The training set's
            config, or the mean count of each class in it (C,). The train
            and the test command give the former.
        options: Arguments of ``WSLMetric``.
    """

    def __init__(
        self,
        cap: Optional[int] = None,
        max_count: int = 4,
        baseline: Optional[Any] = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if max_count < 1:
            raise ValueError(f'max_count must be at least 1, got {max_count}')
        self.cap = max_count + 1 if cap is None else cap
        self.max_count = max_count
        self.baseline = baseline

    def image_result(self, sample: Mapping[str, Any]) -> Dict[str, Any]:
        """Return both counts."""
        pred, gt = (_counts(sample, k) for k in ('pred_count', 'gt_count'))
        if pred.shape != gt.shape:
            raise ValueError(
                f'{len(pred)} predicted counts, but gt_count has {len(gt)}: '
                f'set num_classes of the head to {len(gt)}'
            )
        if not is_count(gt).all():
            raise ValueError(
                f'gt_count {gt.tolist()} must hold whole numbers >= 0'
            )
        return dict(pred=pred, gt=gt)

    def score_all(self, results: List[dict]) -> Dict[str, float]:
        """Score all images together and print the tables."""
        pred, gt = (np.stack([x[k] for x in results]) for k in ('pred', 'gt'))
        names = self.class_names(gt.shape[1])
        metrics = dict(count_errors(pred, gt))
        metrics['bias'] = float((pred - gt).mean())
        related = count_correlation(pred, gt)
        correlation = float(mean(related[~np.isnan(related)]))
        metrics['correlation'] = correlation
        last = self.max_count + 1
        parts = ((0, 0), (1, self.max_count), (last, None))
        for group in count_breakdown(pred, gt, parts):
            metrics[f'RMSE@{group.name}'] = group.rmse
        if self.per_class:
            others = simple_predictors(gt, self.cap)
            means = self._training_means(names)
            if means is not None:
                others['train-mean'] = np.broadcast_to(means, gt.shape)
            say(
                'object counts:',
                _class_table(pred, gt, names, others, [*related, correlation]),
                _group_table(pred, gt, others, last),
            )
        return {key: round(float(x), 4) for key, x in metrics.items()}

    def _training_means(self, names: Sequence[str]) -> Optional[np.ndarray]:
        """Return the mean count of each class (C,) in training, if known."""
        if isinstance(self.baseline, Mapping):
            try:
                data = DATASETS.build(self.baseline)
                self.baseline = mean_counts(data, names)
            # A test may run where the training set is not.
            except (OSError, ValueError) as error:
                print_log(f'no train-mean: {error}', logger='current')
                self.baseline = None
        if self.baseline is None:
            return None
        means = np.asarray(self.baseline, dtype=np.float64)
        if means.shape != (len(names),) or not np.isfinite(means).all():
            raise ValueError(
                f'CountMetric.baseline must be {len(names)} finite numbers, '
                f'one a class, got {means.tolist()}'
            )
        return means


def mean_counts(dataset: Any, names: Sequence[str]) -> np.ndarray:
    """Compute the mean count of each class (C,) in a data set.

    Raises:
        ValueError: If the data set lacks a class, or an image its counts.
    """
    rows = []
    for inner in base_datasets(dataset):
        known = list(inner.metainfo['classes'])
        for name in names:
            if name not in known:
                raise ValueError(
                    f'baseline: {inner.ann_file or type(inner).__name__} has '
                    f'no class {name!r}'
                )
        order = [known.index(name) for name in names]
        for index in range(len(inner)):
            info = inner.get_data_info(index)
            rows.append(_counts(info, 'gt_count')[order])
    return np.mean(rows, axis=0)


def _counts(sample: Mapping[str, Any], key: str) -> np.ndarray:
    counts = array(field(sample, key)).astype(np.float64)
    if counts.ndim != 1 or not np.isfinite(counts).all():
        raise ValueError(
            f'{image_name(sample)}: {key} must be (C,) finite numbers, got '
            f'shape {counts.shape}: {counts.tolist()}'
        )
    return counts


def _texts(values: Sequence[float]) -> List[str]:
    """Numbers, which tables would take for fractions, as text."""
    return ['-' if np.isnan(value) else f'{value:.3f}' for value in values]


def _class_table(
    pred: np.ndarray,
    gt: np.ndarray,
    names: Sequence[str],
    others: Mapping[str, np.ndarray],
    related: List[float],
) -> Dict[str, List[Any]]:
    """Columns of the classes, their means and the other predictors."""
    images = (gt > 0).sum(axis=0).tolist()
    table: Dict[str, List[Any]] = {
        'class': [*names, 'mean', *others],
        'images': images + [sum(images)] * (1 + len(others)),
    }
    errors = class_count_errors(pred, gt)
    means = [count_errors(counts, gt) for counts in (pred, *others.values())]
    for key, name in CLASS_KEYS.items():
        table[name] = _texts([*errors[name], *(x[key] for x in means)])
    table['correlation'] = _texts(related + [np.nan] * len(others))
    return table


def _group_table(
    pred: np.ndarray, gt: np.ndarray, others: Mapping[str, Any], last: int
) -> Dict[str, List[Any]]:
    """Columns of the true counts, also of the other predictors."""
    groups = [*((n, n) for n in range(last)), (last, None)]
    own = count_breakdown(pred, gt, groups)
    table: Dict[str, List[Any]] = {
        'true count': [x.name for x in own],
        'pairs': [x.pairs for x in own],
        'mean': _texts([x.truth for x in own]),
        'bias': _texts([x.bias for x in own]),
        'RMSE': _texts([x.rmse for x in own]),
    }
    for name, counts in others.items():
        parts = count_breakdown(counts, gt, groups)
        table[name] = _texts([x.rmse for x in parts])
    return table
