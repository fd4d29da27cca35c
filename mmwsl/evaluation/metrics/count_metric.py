"""Counting metric."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from mmengine.logging import print_log

from mmwsl.datasets.base import base_datasets
from mmwsl.evaluation.functional import (
    class_count_errors,
    count_breakdown,
    count_correlation,
    count_errors,
    format_table,
    is_count,
    simple_predictors,
)
from mmwsl.evaluation.functional.counting import CLASS_KEYS
from mmwsl.evaluation.metrics.base import (
    WSLMetric,
    class_names,
    field,
    image_name,
)
from mmwsl.registry import DATASETS, METRICS
from mmwsl.utils.arrays import array


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
        per_class (bool): Print the tables.
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
        per_class: bool = True,
        max_count: int = 4,
        baseline: Optional[Any] = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if max_count < 1:
            raise ValueError(f'max_count must be at least 1, got {max_count}')
        self.cap = max_count + 1 if cap is None else cap
        self.per_class = per_class
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
        names = class_names(self.dataset_meta, gt.shape[1])
        metrics = dict(count_errors(pred, gt))
        metrics['bias'] = float((pred - gt).mean())
        known = count_correlation(pred, gt)
        known = known[~np.isnan(known)]
        metrics['correlation'] = known.mean() if known.size else np.nan
        last = self.max_count + 1
        parts = ((0, 0), (1, self.max_count), (last, None))
        for group in count_breakdown(pred, gt, parts):
            metrics[f'RMSE@{group.name}'] = group.rmse
        if self.per_class:
            others = simple_predictors(gt, self.cap)
            means = self._training_means(names)
            if means is not None:
                others['train-mean'] = np.broadcast_to(means, gt.shape)
            rows = [(n, n) for n in range(last)] + [(last, None)]
            print_log(
                'object counts:\n'
                f'{_class_table(pred, gt, names, others)}\n'
                f'{_group_table(pred, gt, others, rows)}',
                logger='current',
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

    Args:
        dataset: A data set of ours, or a wrapper of some.
        names: The classes, in their order.

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


def _number(value: float) -> str:
    return '-' if np.isnan(value) else f'{value:.3f}'


def _class_table(
    pred: np.ndarray,
    gt: np.ndarray,
    names: Sequence[str],
    others: Mapping[str, np.ndarray],
) -> str:
    """One line for each class, the means and the other predictors."""
    errors = class_count_errors(pred, gt)
    related = count_correlation(pred, gt)
    rows: List[Sequence[Any]] = []
    for c, name in enumerate(names):
        values = [errors[key][c] for key in CLASS_KEYS.values()] + [related[c]]
        rows.append((name, int((gt[:, c] > 0).sum()), *map(_number, values)))
    total = int((gt > 0).sum())
    known = related[~np.isnan(related)]
    for name, counts in {'mean': pred, **others}.items():
        means = [_number(x) for x in count_errors(counts, gt).values()]
        own = name == 'mean' and known.size
        rows.append(
            (name, total, *means, _number(known.mean()) if own else '-')
        )
    header = ('class', 'images', *CLASS_KEYS.values(), 'correlation')
    return format_table(header, rows)


def _group_table(
    pred: np.ndarray,
    gt: np.ndarray,
    others: Mapping[str, np.ndarray],
    groups: Sequence[Tuple[int, Any]],
) -> str:
    """One line for each true count, also of the other predictors."""
    counts = {'RMSE': pred, **others}
    parts = [count_breakdown(x, gt, groups) for x in counts.values()]
    rows = [
        (
            own.name,
            own.pairs,
            _number(own.truth),
            _number(own.bias),
            *(_number(part.rmse) for part in (own, *rest)),
        )
        for own, *rest in zip(*parts)
    ]
    header = ('true count', 'pairs', 'mean', 'bias', *counts)
    return format_table(header, rows)
