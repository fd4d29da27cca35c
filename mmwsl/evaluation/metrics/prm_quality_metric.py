"""Quality of peak response maps, compared with class maps."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from mmwsl.evaluation.functional.instances import (
    MATCHES,
    assign_maps,
    map_quality,
)
from mmwsl.evaluation.metrics.base import (
    WSLMetric,
    field,
    label_indices,
    pixels,
    say,
)
from mmwsl.evaluation.metrics.instance_ap_metric import (
    InstanceTruth,
    check_mask_source,
    instance_truth,
)
from mmwsl.registry import METRICS
from mmwsl.utils.arrays import array, mean
from mmwsl.utils.tables import percent

# Bounds of sizes, as parts of the image, and of numbers of objects.
SIZE_EDGES, NUMBER_EDGES = (0.01, 0.05, 0.2), (2, 3, 5)


@METRICS.register_module()
class PRMQualityMetric(WSLMetric):
    """Share of a peak response map that lies on its object.

    For a response map R and the mask G of its object ``sum(R * G) / sum(R)``.
    Reads ``pred_instances`` with ``labels`` (M,), ``peaks`` (M, 2) and
    ``peak_response_maps`` (M, H, W), and the ground truth that ``masks``
    names. Reports in percent

    - ``PRM_quality``, the mean over all maps that have an object;
    - ``PRM_hit``, the share of maps that have one, of those whose class has
      objects with masks in the image;
    - ``PRM_quality_single`` and ``CAM_quality_single``, the same for peak
      response maps and class maps over the same objects: those that are the
      only one of their class in the image and have both kinds of maps.

    It prints ``PRM_quality`` by the size of the object and by the number of
    objects in the image. Difficult objects do not count.

    Of networks without peaks, such as those of CAMHead, it measures the class
    maps alone, ``with_responses=False``: all objects that are the only one of
    their class and whose class has a map, by size and number as well.

    Args:
        match (str): 'peak': the object of a map is that of its class in
            which its peak lies. 'best': that of its class with most of R.
        masks (str): See InstanceAPMetric.
        with_responses (bool): Whether there are peak response maps; without,
            ``pred_instances`` is not read.
        options: Arguments of ``WSLMetric``.
    """

    def __init__(
        self,
        match: str = 'peak',
        masks: str = 'instances',
        with_responses: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_mask_source(masks)
        if match not in MATCHES:
            raise ValueError(f'match must be one of {MATCHES}: {match!r}')
        self.match = match
        self.masks = masks
        self.with_responses = with_responses

    def image_result(self, sample: Mapping[str, Any]) -> Dict[str, Any]:
        """Return the qualities of the maps of an image."""
        truth = _countable(instance_truth(sample, self.masks))
        others = _class_map_qualities(sample, truth)
        if self.with_responses:
            index, quality, candidates = self._of_responses(sample, truth)
        else:
            index = np.array([*others], dtype=np.int64)
            quality = np.array([*others.values()], dtype=np.float64)
            candidates = len(others)
        # Maps that do not respond inside the valid pixels say nothing.
        known = ~np.isnan(quality)
        index, quality = index[known], quality[known]
        single = [
            (quality[index == i].mean(), value)
            for i, value in others.items()
            if not np.isnan(value) and i in index
        ]
        areas = [mask.mean() for mask in truth.masks[index]]
        return dict(
            quality=quality,
            size=np.array(areas, dtype=np.float64),
            objects=np.full(len(index), truth.num_objects),
            single=np.array(single, dtype=np.float64).reshape(-1, 2),
            candidates=candidates,
        )

    def _of_responses(
        self, sample: Mapping[str, Any], truth: InstanceTruth
    ) -> Tuple[np.ndarray, np.ndarray, int]:
        """Objects and qualities (k,), and the number of maps that may hit."""
        found = field(sample, 'pred_instances')
        labels = array(found['labels']).astype(np.int64)
        quality = map_quality(
            array(found['peak_response_maps']), truth.masks, truth.valid
        )
        target = assign_maps(
            quality,
            labels,
            array(found['peaks']),
            truth.masks,
            truth.labels,
            self.match,
        )
        hit = np.flatnonzero(target >= 0)
        candidates = int(np.isin(labels, truth.labels).sum())
        return target[hit], quality[hit, target[hit]], candidates

    def score_all(self, results: List[dict]) -> Dict[str, float]:
        """Average over all maps and print the tables."""
        quality, size, objects, single = (
            np.concatenate([x[key] for x in results])
            for key in ('quality', 'size', 'objects', 'single')
        )
        candidates = sum(x['candidates'] for x in results)
        metrics = {}
        if self.with_responses:
            metrics['PRM_quality'] = percent(mean(quality))
            metrics['PRM_hit'] = percent(len(quality) / (candidates or np.nan))
            metrics['PRM_quality_single'] = percent(mean(single[:, 0]))
        metrics['CAM_quality_single'] = percent(mean(single[:, 1]))
        title = (
            f'peak response maps, {len(quality)} of {candidates} on an '
            f'object; {len(single)} objects compared with class maps'
            if self.with_responses
            else f'class maps, of {len(quality)} of {candidates} objects '
            'that are the only one of their class'
        )
        name = 'PRM quality' if self.with_responses else 'CAM quality'
        say(
            f'{title} (percent):',
            _bins('size', name, quality, size, SIZE_EDGES),
            _bins('objects', name, quality, objects, NUMBER_EDGES),
        )
        return metrics


def _class_map_qualities(
    sample: Mapping[str, Any], truth: InstanceTruth
) -> Dict[int, float]:
    """Quality of its class's map for each object that is the only one.

    NaN stands for a class without a map, or with one that is 0 everywhere.
    """
    kinds = label_indices(sample, 'pred_map_labels').tolist()
    maps = map_quality(pixels(sample, 'pred_maps'), truth.masks, truth.valid)
    everything = array(field(sample, 'gt_instances')['labels'])
    return {
        index: float(maps[kinds.index(label), index])
        if label in kinds
        else float('nan')
        for index, label in enumerate(truth.labels.tolist())
        if (everything == label).sum() == 1
    }


def _countable(truth: InstanceTruth) -> InstanceTruth:
    """Leave out the instances that do not count."""
    keep = ~truth.ignored
    return truth._replace(
        labels=truth.labels[keep],
        masks=truth.masks[keep],
        ignored=truth.ignored[keep],
    )


def _bins(
    title: str,
    name: str,
    values: np.ndarray,
    keys: np.ndarray,
    edges: Sequence[float],
) -> Dict[str, List[Any]]:
    """Columns of the number and mean of values (k,) by their keys (k,).

    The first and the last of the bins between the edges are open; a key on
    an edge is above it.
    """
    places = np.searchsorted(np.asarray(edges), keys, side='right')
    groups = [values[places == i] for i in range(len(edges) + 1)]
    ends = [f'{edge:g}' for edge in edges]
    between = [f'{a} to < {b}' for a, b in zip(ends, ends[1:])]
    return {
        title: [f'< {ends[0]}', *between, f'>= {ends[-1]}'],
        'maps': [len(x) for x in groups],
        name: [float(mean(x)) for x in groups],
    }
