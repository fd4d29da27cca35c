"""Single-label accuracy."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric

from mmwsl.evaluation.functional import percent, topk_hits
from mmwsl.evaluation.metrics.fields import (
    array,
    field,
    image_name,
    label_indices,
)
from mmwsl.registry import METRICS


@METRICS.register_module()
class AccuracyMetric(BaseMetric):
    """Top-k accuracy of sets with one label for each image.

    Reads ``pred_score`` (C,) and ``gt_label`` (1,). Reports ``top1``,
    ``top5``, ... in percent. A k above the number of classes is left out.

    Args:
        topk (Sequence[int]): The values of k.
        collect_device (str): 'cpu' or 'gpu', see mmengine.
        prefix (str, optional): Put before the keys, as ``prefix/top1``.
        collect_dir (str, optional): See mmengine.
    """

    default_prefix = ''

    def __init__(
        self,
        topk: Sequence[int] = (1, 5),
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
        collect_dir: Optional[str] = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        if not topk or min(topk) < 1:
            raise ValueError(f'topk must list positive numbers, got {topk}')
        self.topk = tuple(topk)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep for each image which of its top k hold the label."""
        for sample in data_samples:
            scores = array(field(sample, 'pred_score'))
            label = label_indices(sample, 'gt_label', len(scores))
            if len(label) != 1:
                raise ValueError(
                    f'{image_name(sample)}: accuracy needs one label, got '
                    f'{label.tolist()}: use MultiLabelMetric'
                )
            hits = topk_hits(scores, int(label[0]), self.topk)
            self.results.append((len(scores), hits))

    def compute_metrics(self, results: List[tuple]) -> Dict[str, float]:
        """Mean over the images."""
        if not results:
            raise ValueError('no image to score: the dataset is empty')
        num_classes = results[0][0]
        accuracy = np.mean([hits for _, hits in results], axis=0)
        return {
            f'top{k}': percent(value)
            for k, value in zip(self.topk, accuracy)
            if k == 1 or k <= num_classes
        }
