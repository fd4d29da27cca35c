"""Quality of peak response maps, compared with class maps."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

import numpy as np
from mmengine.logging import print_log

from mmwsl.evaluation.functional import (
    assign_maps,
    binned_means,
    format_table,
    map_quality,
    mean_by_object,
    percent,
)
from mmwsl.evaluation.functional.instances import MATCHES
from mmwsl.evaluation.metrics.base import (
    WSLMetric,
    field,
    label_indices,
    pixels,
)
from mmwsl.evaluation.metrics.instance_ap_metric import (
    InstanceTruth,
    check_mask_source,
    instance_truth,
)
from mmwsl.registry import METRICS
from mmwsl.utils.arrays import array

_ARRAYS = ('quality', 'size', 'objects', 'single')


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
        with_maps (bool): Whether ``pred_maps`` (K, H, W) and
            ``pred_map_labels`` (K,) are compared.
        with_responses (bool): Whether there are peak response maps; without,
            ``pred_instances`` is not read.
        size_edges (Sequence[float]): Bounds of the sizes, as parts of the
            image.
        number_edges (Sequence[int]): Bounds of the numbers of objects.
        options: Arguments of ``WSLMetric``.
    """

    def __init__(
        self,
        match: str = 'peak',
        masks: str = 'instances',
        with_maps: bool = True,
        with_responses: bool = True,
        size_edges: Sequence[float] = (0.01, 0.05, 0.2),
        number_edges: Sequence[int] = (2, 3, 5),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_mask_source(masks)
        if match not in MATCHES:
            raise ValueError(f'match must be one of {MATCHES}: {match!r}')
        if not (with_maps or with_responses):
            raise ValueError('neither with_maps nor with_responses is set')
        self.match = match
        self.masks = masks
        self.with_maps = with_maps
        self.with_responses = with_responses
        self.size_edges = tuple(size_edges)
        self.number_edges = tuple(number_edges)

    def image_result(self, sample: Mapping[str, Any]) -> Dict[str, Any]:
        """Return the qualities of the maps of an image."""
        truth = _countable(instance_truth(sample, self.masks))
        if not self.with_responses:
            return self._of_class_maps(sample, truth)
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
        own = quality[hit, target[hit]]
        # Maps that do not respond inside the valid pixels say nothing.
        hit, own = target[hit[~np.isnan(own)]], own[~np.isnan(own)]
        single = self._compare(sample, truth, hit, own)
        candidates = int(np.isin(labels, truth.labels).sum())
        return _result(truth, hit, own, single, candidates)

    def _of_class_maps(
        self, sample: Mapping[str, Any], truth: InstanceTruth
    ) -> Dict[str, Any]:
        """Qualities of class maps, as of response maps."""
        values = _class_map_qualities(sample, truth)
        known = {k: x for k, x in values.items() if not np.isnan(x)}
        own = np.array([*known.values()], dtype=np.float64)
        kept = np.array([*known], dtype=np.int64)
        single = np.stack([own, own], axis=1)
        return _result(truth, kept, own, single, len(values))

    def _compare(
        self,
        sample: Mapping[str, Any],
        truth: InstanceTruth,
        target: np.ndarray,
        own: np.ndarray,
    ) -> np.ndarray:
        """Qualities (k, 2) of both maps of k single objects."""
        pairs: List[Sequence[float]] = []
        if self.with_maps:
            others = _class_map_qualities(sample, truth)
            pairs = [
                (value, others[index])
                for index, value in mean_by_object(target, own).items()
                if not np.isnan(others.get(index, np.nan))
            ]
        return np.array(pairs, dtype=np.float64).reshape(-1, 2)

    def score_all(self, results: List[dict]) -> Dict[str, float]:
        """Average over all maps and print the tables."""
        quality, size, objects, single = (
            np.concatenate([x[key] for x in results]) for key in _ARRAYS
        )
        candidates = sum(x['candidates'] for x in results)
        metrics = {}
        if self.with_responses:
            metrics['PRM_quality'] = _percent_mean(quality)
            metrics['PRM_hit'] = percent(len(quality) / (candidates or np.nan))
        if self.with_responses and self.with_maps:
            metrics['PRM_quality_single'] = _percent_mean(single[:, 0])
        if self.with_maps:
            metrics['CAM_quality_single'] = _percent_mean(single[:, 1])
        title = (
            f'peak response maps, {len(quality)} of {candidates} on an '
            f'object; {len(single)} objects compared with class maps'
            if self.with_responses
            else f'class maps, of {len(quality)} of {candidates} objects '
            'that are the only one of their class'
        )
        name = 'PRM quality' if self.with_responses else 'CAM quality'
        tables = [
            _table('size', name, quality, size, self.size_edges),
            _table('objects', name, quality, objects, self.number_edges),
        ]
        print_log(
            f'{title} (percent):\n' + '\n'.join(tables), logger='current'
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


def _result(
    truth: InstanceTruth,
    index: np.ndarray,
    quality: np.ndarray,
    single: np.ndarray,
    candidates: int,
) -> Dict[str, Any]:
    """What is kept of the maps (k,) of instances ``index`` (k,)."""
    areas = [mask.mean() for mask in truth.masks[index]]
    return dict(
        quality=quality,
        size=np.array(areas, dtype=np.float64),
        objects=np.full(len(index), truth.num_objects),
        single=single,
        candidates=candidates,
    )


def _countable(truth: InstanceTruth) -> InstanceTruth:
    """Leave out the instances that do not count."""
    keep = ~truth.ignored
    return truth._replace(
        labels=truth.labels[keep],
        masks=truth.masks[keep],
        ignored=truth.ignored[keep],
    )


def _percent_mean(values: np.ndarray) -> float:
    return percent(values.mean()) if len(values) else float('nan')


def _table(
    title: str,
    name: str,
    values: np.ndarray,
    keys: np.ndarray,
    edges: Sequence[float],
) -> str:
    """One line for each bin."""
    bins = [f'< {edges[0]:g}']
    bins += [f'{a:g} to < {b:g}' for a, b in zip(edges, edges[1:])]
    bins.append(f'>= {edges[-1]:g}')
    means = binned_means(values, keys, edges)
    rows = [(text, *mean) for text, mean in zip(bins, means)]
    return format_table((title, 'maps', name), rows)
