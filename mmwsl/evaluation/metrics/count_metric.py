"""Counting metric."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmwsl.evaluation.functional import (
    class_count_errors,
    count_breakdown,
    count_errors,
    format_table,
    is_count,
    simple_predictors,
)
from mmwsl.evaluation.functional.counting import CLASS_KEYS
from mmwsl.evaluation.metrics.fields import (
    array,
    class_names,
    field,
    image_name,
)
from mmwsl.registry import METRICS

# Of single counts and, as training tells them apart, of all above 4.
_ROWS = ((0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, None))


@METRICS.register_module()
class CountMetric(BaseMetric):
    """Errors of object counts, beside those of predictors without an image.

    Reads ``pred_count`` (C,) and ``gt_count`` (C,), which leaves out objects
    marked difficult. Reports

    - ``mRMSE``, ``mRMSE-nz``, ``m-relRMSE``, ``m-relRMSE-nz``, see
      :func:`mmwsl.evaluation.functional.count_errors`;
    - ``bias``, the mean of prediction minus truth over all pairs of image
      and class;
    - ``RMSE@0``, ``RMSE@1-4``, ``RMSE@5+`` over the pairs with such a true
      count;
    - the four and ``RMSE@5+`` with ``always-0/``, ``always-1/`` and
      ``capped/`` before the key: a predictor of 0 and one of 1 for every
      class of every image, and one that knows counts up to ``cap`` and says
      ``cap`` for larger ones.

    NaN stands for a value over no pairs.

    Args:
        cap (int): See above.
        per_class (bool): Print tables by class and by true count.
        collect_device (str): 'cpu' or 'gpu', see mmengine.
        prefix (str, optional): Put before the keys, as ``prefix/mRMSE``.
        collect_dir (str, optional): See mmengine.
    """

    # Without one mmengine warns; the empty prefix leaves the keys alone.
    default_prefix = ''

    def __init__(
        self,
        cap: int = 5,
        per_class: bool = True,
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
        collect_dir: Optional[str] = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        self.cap = cap
        self.per_class = per_class

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the counts of each image."""
        for sample in data_samples:
            pred = _counts(sample, 'pred_count')
            gt = _counts(sample, 'gt_count')
            name = image_name(sample)
            if pred.shape != gt.shape:
                raise ValueError(
                    f'{name}: {len(pred)} predicted counts, but gt_count has '
                    f'{len(gt)}: set num_classes of the head to {len(gt)}'
                )
            if not is_count(gt).all():
                raise ValueError(
                    f'{name}: gt_count {gt.tolist()} must hold whole numbers '
                    '>= 0'
                )
            self.results.append(dict(pred=pred, gt=gt))

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Score all images together and print the tables."""
        if not results:
            raise ValueError('no image to score: the dataset is empty')
        pred, gt = (np.stack([x[k] for x in results]) for k in ('pred', 'gt'))
        names = class_names(self.dataset_meta, gt.shape[1])
        others = simple_predictors(gt, self.cap)
        metrics = dict(count_errors(pred, gt))
        metrics['bias'] = float((pred - gt).mean())
        for group in count_breakdown(pred, gt):
            metrics[f'RMSE@{group.name}'] = group.rmse
        for name, counts in others.items():
            for key, value in count_errors(counts, gt).items():
                metrics[f'{name}/{key}'] = value
            last = count_breakdown(counts, gt)[-1]
            metrics[f'{name}/RMSE@{last.name}'] = last.rmse
        if self.per_class:
            print_log(
                'object counts:\n'
                f'{_class_table(pred, gt, names, others)}\n'
                f'{_group_table(pred, gt, others["capped"])}',
                logger='current',
            )
        return {key: round(value, 4) for key, value in metrics.items()}


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
    rows: List[Sequence[Any]] = []
    for c, name in enumerate(names):
        values = [_number(errors[key][c]) for key in CLASS_KEYS.values()]
        rows.append((name, int((gt[:, c] > 0).sum()), *values))
    total = int((gt > 0).sum())
    for name, counts in {'mean': pred, **others}.items():
        means = [_number(x) for x in count_errors(counts, gt).values()]
        rows.append((name, total, *means))
    return format_table(('class', 'images', *CLASS_KEYS.values()), rows)


def _group_table(pred: np.ndarray, gt: np.ndarray, capped: np.ndarray) -> str:
    """One line for each true count."""
    rows = [
        (
            own.name,
            own.pairs,
            _number(own.truth),
            _number(own.bias),
            _number(own.rmse),
            _number(other.rmse),
        )
        for own, other in zip(
            count_breakdown(pred, gt, _ROWS),
            count_breakdown(capped, gt, _ROWS),
        )
    ]
    header = ('true count', 'pairs', 'mean', 'bias', 'RMSE', 'RMSE capped')
    return format_table(header, rows)
