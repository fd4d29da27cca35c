"""Multi-label classification metric."""

from __future__ import annotations

import logging
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmwsl.evaluation.functional import (
    format_table,
    multilabel_scores,
    percent,
)
from mmwsl.evaluation.metrics.fields import (
    array,
    class_names,
    field,
    image_name,
    label_indices,
)
from mmwsl.registry import METRICS


@METRICS.register_module()
class MultiLabelMetric(BaseMetric):
    """Mean average precision and thresholded scores of image labels.

    Reads ``pred_score`` (C,), ``gt_label`` (K,) and, if there,
    ``gt_label_difficult`` (J,). Reports in percent the means over classes
    ``mAP`` and ``mF1`` and, over all decisions together, ``precision``,
    ``recall`` and ``F1``. A class that is in no image is left out of the
    means, with a warning.

    Args:
        threshold (float): Score from which a class counts as predicted.
        ignore_difficult (bool): Leave an image out of the classes of which
            it shows difficult objects only, as PASCAL VOC's rules say. If
            false such classes count as ``gt_label`` says.
        per_class (bool): Print a table with one line for each class.
        collect_device (str): 'cpu' or 'gpu', see mmengine.
        prefix (str, optional): Put before the keys, as ``prefix/mAP``.
        collect_dir (str, optional): See mmengine.
    """

    # Without one mmengine warns; the empty prefix leaves the keys alone.
    default_prefix = ''

    def __init__(
        self,
        threshold: float = 0.5,
        ignore_difficult: bool = True,
        per_class: bool = True,
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
        collect_dir: Optional[str] = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        self.threshold = threshold
        self.ignore_difficult = ignore_difficult
        self.per_class = per_class

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep scores and labels of each image."""
        for sample in data_samples:
            score = array(field(sample, 'pred_score')).astype(np.float32)
            if score.ndim != 1 or not np.isfinite(score).all():
                raise ValueError(
                    f'{image_name(sample)}: pred_score must be (C,) finite '
                    f'numbers, got shape {score.shape}: {score.tolist()}'
                )
            result = {
                'score': score,
                'label': label_indices(sample, 'gt_label', len(score)),
            }
            if self.ignore_difficult and 'gt_label_difficult' in sample:
                result['difficult'] = label_indices(
                    sample, 'gt_label_difficult', len(score)
                )
            self.results.append(result)

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Score all images together and print the table."""
        if not results:
            raise ValueError('no image to score: the dataset is empty')
        scores = np.stack([x['score'] for x in results])
        names = class_names(self.dataset_meta, scores.shape[1])
        targets = np.zeros(scores.shape, bool)
        ignore = np.zeros(scores.shape, bool)
        for row, result in enumerate(results):
            targets[row, result['label']] = True
            ignore[row, result.get('difficult', [])] = True
        values = multilabel_scores(scores, targets, ignore, self.threshold)
        absent = [n for n, k in zip(names, values['num_images']) if k == 0]
        if absent:
            print_log(
                f'{len(absent)} of {len(names)} classes are in no evaluated '
                f'image and left out of the means: {", ".join(absent[:20])}'
                + (', ...' if len(absent) > 20 else ''),
                logger='current',
                level=logging.WARNING,
            )
        if self.per_class:
            print_log(self._table(names, values), logger='current')
        metrics = {key: percent(values[key]) for key in ('mAP', 'mF1')}
        for key in ('precision', 'recall', 'F1'):
            metrics[key] = percent(values['micro_' + key.lower()])
        return metrics

    def _table(
        self, names: Sequence[str], values: Dict[str, np.ndarray]
    ) -> str:
        keys = ('ap', 'precision', 'recall', 'f1')
        means = ('mAP', 'mPrecision', 'mRecall', 'mF1')
        counts = [int(k) for k in values['num_images']]
        rows = [*zip(names, counts, *(values[key] for key in keys))]
        rows.append(('mean', sum(counts), *(values[key] for key in means)))
        header = ('class', 'images', 'AP', 'precision', 'recall', 'F1')
        return (
            f'image labels, score >= {self.threshold:g} (percent):\n'
            + format_table(header, rows)
        )
