"""Quality of instance masks, and the true instances of samples."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from mmwsl.evaluation.functional.instances import (
    ImageMatch,
    instance_scores,
    map_parts,
    match_instances,
)
from mmwsl.evaluation.metrics.base import (
    WSLMetric,
    field,
    image_name,
    label_indices,
    pixels,
    say,
)
from mmwsl.pseudo_labels.labels import IGNORE
from mmwsl.registry import METRICS
from mmwsl.utils.arrays import array, mask_iou
from mmwsl.utils.tables import percent

MASK_SOURCES = ('instances', 'single')


class InstanceTruth(NamedTuple):
    """The instances of one image."""

    labels: np.ndarray  # (n',) classes of the instances with masks
    masks: np.ndarray  # bool (n', H, W)
    ignored: np.ndarray  # bool (n',) those that do not count: difficult ones
    unknown: np.ndarray  # classes whose instances have no masks
    valid: Optional[np.ndarray]  # bool (H, W) pixels that count, None for all
    num_objects: int  # n


def instance_truth(sample: Mapping[str, Any], source: str) -> InstanceTruth:
    """Read the true instances of a sample with ``gt_instances``.

    Args:
        sample (Mapping): A data sample as a dict.
        source (str): 'instances' takes ``gt_instances.masks``. 'single' is
            for data with class masks alone: where an object is the only one
            of its class, the mask of the class in ``gt_sem_seg`` is its
            mask; classes with several objects are unknown in that image, and
            ignored pixels of the class masks do not count.

    Raises:
        ValueError: If something is missing; names the image and what
            provides it.
    """
    instances = field(sample, 'gt_instances')
    labels = array(instances['labels']).astype(np.int64).reshape(-1)
    ignored = np.zeros(len(labels), dtype=bool)
    if 'difficult' in instances:
        ignored = array(instances['difficult']).astype(bool).reshape(-1)
    if source == 'instances':
        if 'masks' not in instances:
            raise ValueError(
                f'{image_name(sample)}: gt_instances has no masks: the '
                "evaluation pipeline needs dict(type='LoadEvalAnnotations', "
                'with_masks=True); for data with class masks only set '
                "masks='single'"
            )
        masks = array(instances['masks']).astype(bool)
        return InstanceTruth(
            labels, masks, ignored, labels[:0], None, len(labels)
        )
    seg_map = pixels(sample, 'gt_sem_seg')
    classes, counts = np.unique(labels, return_counts=True)
    single = np.flatnonzero(np.isin(labels, classes[counts == 1]))
    masks = seg_map == labels[single][:, None, None] + 1
    # An object that the class mask does not show has no mask.
    seen = masks.any(axis=(1, 2))
    known = single[seen]
    return InstanceTruth(
        labels[known],
        masks[seen],
        ignored[known],
        np.setdiff1d(classes, labels[known]),
        seg_map != IGNORE,
        len(labels),
    )


def check_mask_source(source: str) -> None:
    """Raise ValueError unless ``source`` is one of those above."""
    if source not in MASK_SOURCES:
        raise ValueError(f'masks must be one of {MASK_SOURCES}: {source!r}')


@METRICS.register_module()
class InstanceAPMetric(WSLMetric):
    """Average precision of instance masks (mAP_r) and best overlap (ABO).

    Reads ``pred_instances`` with ``labels`` (M,), ``scores`` (M,) and
    ``masks`` (M, H, W) and the ground truth that ``masks`` names. Reports in
    percent ``mAP_r@0.25``, ``mAP_r@0.50``, ``mAP_r@0.75`` and ``ABO``, means
    over the classes that have instances; see
    :mod:`mmwsl.evaluation.functional.instances`. Difficult instances neither
    count nor harm.

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
            :func:`mmwsl.evaluation.functional.instances.map_parts`.
        options: Arguments of ``WSLMetric``.
    """

    def __init__(
        self,
        thresholds: Sequence[float] = (0.25, 0.5, 0.75),
        masks: str = 'instances',
        parts: Optional[float] = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_mask_source(masks)
        if not thresholds or not all(0 < t <= 1 for t in thresholds):
            raise ValueError(f'thresholds must be in (0, 1]: {thresholds}')
        if parts is not None and not 0 <= parts < 1:
            raise ValueError(f'parts must be in [0, 1): {parts}')
        self.thresholds = tuple(thresholds)
        self.masks = masks
        self.parts = parts

    def image_result(self, sample: Mapping[str, Any]) -> tuple:
        """Return the match of an image and the number of its objects."""
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
        return ImageMatch(*(x.copy() for x in match)), truth.num_objects

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

    def score_all(self, results: List[tuple]) -> Dict[str, float]:
        """Score all images together and print the table."""
        matches, objects = zip(*results)
        seen = [x.max(initial=-1) for m in matches for x in (m[0], m[3])]
        number = int(max(seen)) + 1
        names = self.class_names(max(number, len(self.classes)))
        scores = instance_scores(matches, len(names))
        counts = {k: scores[k].tolist() for k in ('num_gt', 'num_pred')}
        true, predicted = ([*x, sum(x)] for x in counts.values())
        used = f'{true[-1]} of {sum(objects)} objects used'
        if self.per_class:
            table: Dict[str, List[Any]] = {
                'class': [*names, 'mean'],
                'instances': true,
                'predicted': predicted,
            }
            for row, threshold in enumerate(self.thresholds):
                own = scores['ap'][row]
                table[f'AP@{threshold:.2f}'] = [*own, scores['mAP'][row]]
            table['ABO'] = [*scores['abo'], scores['mABO']]
            say(f'instances, {used} (percent):', table)
        else:
            say(f'instances: {used}')
        metrics = {
            f'mAP_r@{threshold:.2f}': percent(value)
            for threshold, value in zip(self.thresholds, scores['mAP'])
        }
        metrics['ABO'] = percent(scores['mABO'])
        return metrics
