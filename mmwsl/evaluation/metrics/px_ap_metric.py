"""Localisation by masks: PxAP and pIoU."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import cv2
import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmwsl.evaluation.functional import (
    THRESHOLDS,
    percent,
    pixel_histograms,
    pixel_scores,
)
from mmwsl.evaluation.functional.seeds import mean_without_nan
from mmwsl.evaluation.metrics.fields import naming_image
from mmwsl.evaluation.metrics.score_maps import (
    check_label,
    object_mask,
    score_map,
)
from mmwsl.registry import METRICS

AVERAGES = ('image', 'dataset')


@METRICS.register_module()
class PxAPMetric(BaseMetric):
    """Pixels of score maps against masks, at every threshold.

    Reads the score map as ``MaxBoxAccMetric`` does, and the mask from
    ``gt_loc_mask`` (1 object, 0 background, 255 ignored) or, without it, from
    ``gt_sem_seg`` as the pixels of the class ``gt_label``; masks are brought
    to the map's size by nearest neighbour. Reports in percent, with a pixel
    predicted where its score is not below the threshold:

    - ``PxAP``: the area under precision and recall of the pixels of all
      images together (https://arxiv.org/abs/2007.04178).
    - ``pIoU``: the highest mean IoU of object pixels over the thresholds, by
      default the mean of the images' IoUs, else the IoU of the pixels of all
      images together.

    and ``pixel_threshold``, that of ``pIoU``.

    Args:
        thresholds (Sequence[float], optional): Ascending, from 0 to 1; None
            for 0 to 0.999 in steps of 0.001, as published.
        size (int, optional): Height and width of the score maps; None keeps
            theirs.
        gt_key (str, optional): Field of the mask, instead of the above.
        average (str): 'image' or 'dataset', of ``pIoU``.
        ignore_index (int): Mask value of pixels left out.
        collect_device (str): 'cpu' or 'gpu', see mmengine.
        prefix (str, optional): Put before the keys, as ``prefix/PxAP``.
        collect_dir (str, optional): See mmengine.
    """

    # Without one mmengine warns; the empty prefix leaves the keys alone.
    default_prefix = ''

    def __init__(
        self,
        thresholds: Optional[Sequence[float]] = None,
        size: Optional[int] = 224,
        gt_key: Optional[str] = None,
        average: str = 'image',
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
        collect_dir: Optional[str] = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        if average not in AVERAGES:
            raise ValueError(
                f'average must be one of {AVERAGES}, got {average!r}'
            )
        self.thresholds = np.asarray(
            THRESHOLDS if thresholds is None else thresholds, dtype=np.float64
        )
        if not self.thresholds.size:
            raise ValueError('thresholds must not be empty')
        self.size = size
        self.gt_key = gt_key
        self.average = average
        self.ignore_index = ignore_index

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the histograms of each image."""
        for sample in data_samples:
            with naming_image(sample):
                check_label(sample, self.dataset_meta)
                scores = score_map(sample, self.size)
                mask = object_mask(sample, self.gt_key, self.ignore_index)
                if mask.shape != scores.shape:
                    mask = cv2.resize(
                        mask.astype(np.uint8),
                        scores.shape[::-1],
                        interpolation=cv2.INTER_NEAREST,
                    )
                counts = pixel_histograms(
                    scores, mask, self.thresholds, self.ignore_index
                )
            # Two bytes a count where maps have the published size.
            self.results.append(
                counts.astype(np.min_scalar_type(counts.max()))
            )

    def compute_metrics(self, results: List[np.ndarray]) -> Dict[str, float]:
        """Sum the histograms and find the best threshold."""
        if not results:
            raise ValueError('no image to score: the dataset is empty')
        total = np.zeros(results[0].shape, dtype=np.int64)
        for counts in results:
            total += counts
        if not total[1].any():
            raise ValueError('no mask shows an object: PxAP is not defined')
        scores = pixel_scores(total)
        iou = scores['iou']
        if self.average == 'image':
            own = [pixel_scores(counts)['iou'] for counts in results]
            iou = mean_without_nan(np.stack(own, axis=-1))
        best = int(np.nanargmax(iou))
        threshold = float(self.thresholds[best])
        print_log(
            f'pixels, at the threshold {threshold:g} of the best IoU '
            f'{100 * iou[best]:.2f}: precision '
            f'{100 * scores["precision"][best]:.2f}, recall '
            f'{100 * scores["recall"][best]:.2f} (percent)',
            logger='current',
        )
        return {
            'PxAP': percent(scores['PxAP']),
            'pIoU': percent(iou[best]),
            'pixel_threshold': threshold,
        }
