"""Classification: accuracy of single labels, precision of several."""

from __future__ import annotations

import logging
from typing import Any, Dict, List, Mapping, Sequence

import numpy as np
from mmengine.logging import print_log

from mmwsl.evaluation.functional.classification import (
    multilabel_scores,
    topk_hits,
)
from mmwsl.evaluation.metrics.base import (
    WSLMetric,
    field,
    label_indices,
    say,
)
from mmwsl.registry import METRICS
from mmwsl.utils.arrays import array
from mmwsl.utils.tables import percent


@METRICS.register_module()
class AccuracyMetric(WSLMetric):
    """Top-k accuracy of sets with one label for each image.

    Reads ``pred_score`` (C,) and ``gt_label`` (1,). Reports ``top1``,
    ``top5``, ... in percent. A k above the number of classes is left out.

    Args:
        topk (Sequence[int]): The values of k.
        options: Arguments of ``WSLMetric``.
    """

    def __init__(
        self,
        topk: Sequence[int] = (1, 5),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not topk or min(topk) < 1:
            raise ValueError(f'topk must list positive numbers, got {topk}')
        self.topk = tuple(topk)

    def image_result(self, sample: Mapping[str, Any]) -> tuple:
        """Return the number of classes and which top k hold the label."""
        scores = array(field(sample, 'pred_score'))
        label = label_indices(sample, 'gt_label', len(scores))
        if len(label) != 1:
            raise ValueError(
                f'accuracy needs one label, got {label.tolist()}: use '
                'MultiLabelMetric'
            )
        return len(scores), topk_hits(scores, int(label[0]), self.topk)

    def score_all(self, results: List[tuple]) -> Dict[str, float]:
        """Mean over the images."""
        num_classes = results[0][0]
        accuracy = np.mean([hits for _, hits in results], axis=0)
        return {
            f'top{k}': percent(value)
            for k, value in zip(self.topk, accuracy)
            if k == 1 or k <= num_classes
        }


@METRICS.register_module()
class MultiLabelMetric(WSLMetric):
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
        options: Arguments of ``WSLMetric``.
    """

    def __init__(
        self,
        threshold: float = 0.5,
        ignore_difficult: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.threshold = threshold
        self.ignore_difficult = ignore_difficult

    def image_result(self, sample: Mapping[str, Any]) -> Dict[str, Any]:
        """Return scores and labels."""
        score = array(field(sample, 'pred_score')).astype(np.float32)
        if score.ndim != 1 or not np.isfinite(score).all():
            raise ValueError(
                f'pred_score must be (C,) finite numbers, got shape '
                f'{score.shape}: {score.tolist()}'
            )
        label = label_indices(sample, 'gt_label', len(score))
        result = {'score': score, 'label': label}
        if self.ignore_difficult and 'gt_label_difficult' in sample:
            result['difficult'] = label_indices(
                sample, 'gt_label_difficult', len(score)
            )
        return result

    def score_all(self, results: List[dict]) -> Dict[str, float]:
        """Score all images together and print the table."""
        scores = np.stack([x['score'] for x in results])
        names = self.class_names(scores.shape[1])
        targets, ignore = np.zeros((2, *scores.shape), bool)
        for row, result in enumerate(results):
            targets[row, result['label']] = True
            ignore[row, result.get('difficult', [])] = True
        values = multilabel_scores(scores, targets, ignore, self.threshold)
        counts = values['num_images'].tolist()
        absent = [n for n, count in zip(names, counts) if count == 0]
        if absent:
            print_log(
                f'{len(absent)} of {len(names)} classes are in no evaluated '
                f'image and left out of the means: {", ".join(absent[:20])}'
                + (', ...' if len(absent) > 20 else ''),
                logger='current',
                level=logging.WARNING,
            )
        if self.per_class:
            say(
                f'image labels, score >= {self.threshold:g} (percent):',
                {
                    'class': [*names, 'mean'],
                    'images': [*counts, sum(counts)],
                    'AP': [*values['ap'], values['mAP']],
                    'precision': [*values['precision'], values['mPrecision']],
                    'recall': [*values['recall'], values['mRecall']],
                    'F1': [*values['f1'], values['mF1']],
                },
            )
        metrics = {key: percent(values[key]) for key in ('mAP', 'mF1')}
        for key in ('precision', 'recall', 'F1'):
            metrics[key] = percent(values['micro_' + key.lower()])
        return metrics
