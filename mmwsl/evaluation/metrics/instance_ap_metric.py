"""Quality of instance masks."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmwsl.evaluation.functional import (
    ImageMatch,
    instance_scores,
    instance_table,
    map_parts,
    mask_iou,
    match_instances,
    percent,
)
from mmwsl.evaluation.metrics.fields import (
    array,
    class_names,
    field,
    label_indices,
    naming_image,
    pixels,
)
from mmwsl.evaluation.metrics.instance_truth import (
    check_mask_source,
    instance_truth,
)
from mmwsl.registry import METRICS


@METRICS.register_module()
class InstanceAPMetric(BaseMetric):
    """Average precision of instance masks (mAP_r) and best overlap (ABO).

    Reads ``pred_instances`` with ``labels`` (M,), ``scores`` (M,) and
    ``masks`` (M, H, W) and the ground truth that ``masks`` names. Reports in
    percent ``mAP_r@0.25``, ``mAP_r@0.50``, ``mAP_r@0.75`` and ``ABO``, means
    over the classes that have instances; see
    :func:`mmwsl.evaluation.functional.match_instances` and
    :func:`mmwsl.evaluation.functional.instance_scores`. Difficult instances
    neither count nor harm.

    Args:
        thresholds (Sequence[float]): Overlaps from which masks match.
        masks (str): 'instances' needs ``gt_instances.masks``. 'single' is
            for data with class masks and boxes: an object that is the only
            one of its class takes the class's mask, and predictions of
            classes with several objects are left out in that image, as are
            ignored pixels. How many instances were used is printed.
        parts (float, optional): Instead of ``pred_instances``, take the
            connected parts of ``pred_maps`` (K, H, W) above this value, of
            the classes that ``pred_label`` and ``pred_map_labels`` both name:
            the baseline of networks that predict maps alone. See
            :func:`mmwsl.evaluation.functional.map_parts`.
        per_class (bool): Print a table with one line for each class.
        collect_device (str): 'cpu' or 'gpu', see mmengine.
        prefix (str, optional): Put before the keys, as ``prefix/ABO``.
        collect_dir (str, optional): See mmengine.
    """

    # Without one mmengine warns; the empty prefix leaves the keys alone.
    default_prefix = ''

    def __init__(
        self,
        thresholds: Sequence[float] = (0.25, 0.5, 0.75),
        masks: str = 'instances',
        parts: Optional[float] = None,
        per_class: bool = True,
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
        collect_dir: Optional[str] = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        check_mask_source(masks)
        if not thresholds or not all(0 < t <= 1 for t in thresholds):
            raise ValueError(f'thresholds must be in (0, 1]: {thresholds}')
        if parts is not None and not 0 <= parts < 1:
            raise ValueError(f'parts must be in [0, 1): {parts}')
        self.thresholds = tuple(thresholds)
        self.masks = masks
        self.parts = parts
        self.per_class = per_class

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Match each image; masks are not kept."""
        for sample in data_samples:
            with naming_image(sample):
                self.results.append(self._match(sample))

    def _match(self, sample: Mapping[str, Any]) -> Dict[str, Any]:
        found = self._predicted(sample)
        truth = instance_truth(sample, self.masks)
        labels = array(found['labels']).astype(np.int64)
        known = ~np.isin(labels, truth.unknown)
        masks = array(found['masks']).astype(bool)[known]
        if truth.valid is not None:
            masks = masks & truth.valid
        match = match_instances(
            mask_iou(masks, truth.masks),
            labels[known],
            array(found['scores']).astype(np.float64)[known],
            truth.labels,
            truth.ignored,
            self.thresholds,
        )
        result = {k: v.copy() for k, v in match._asdict().items()}
        result['num_objects'] = truth.num_objects
        return result

    def _predicted(self, sample: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return ``labels``, ``scores`` and ``masks``."""
        if self.parts is None:
            instances: Mapping[str, Any] = field(sample, 'pred_instances')
            return instances
        kept = label_indices(sample, 'pred_map_labels')
        rows = np.isin(kept, label_indices(sample, 'pred_label'))
        return map_parts(
            pixels(sample, 'pred_maps')[rows],
            kept[rows],
            array(field(sample, 'pred_score')),
            self.parts,
        )

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Score all images together and print the table."""
        if not results:
            raise ValueError('no image to score: the dataset is empty')
        objects = sum(x['num_objects'] for x in results)
        matches = [
            ImageMatch(*(x[key] for key in ImageMatch._fields))
            for x in results
        ]
        names = self._names(matches)
        scores = instance_scores(matches, len(names))
        used = f'{int(scores["num_gt"].sum())} of {objects} objects used'
        if self.per_class:
            table = instance_table(scores, self.thresholds, names)
            text = f'instances, {used} (percent):\n{table}'
        else:
            text = f'instances: {used}'
        print_log(text, logger='current')
        metrics = {
            f'mAP_r@{threshold:.2f}': percent(value)
            for threshold, value in zip(self.thresholds, scores['mAP'])
        }
        metrics['ABO'] = percent(scores['mABO'])
        return metrics

    def _names(self, matches: Sequence[ImageMatch]) -> Sequence[str]:
        seen = [x.max(initial=-1) for m in matches for x in (m[0], m[3])]
        names = (self.dataset_meta or {}).get('classes')
        if names and max(seen) < len(names):
            return list(names)
        return class_names(self.dataset_meta, int(max(seen)) + 1)
