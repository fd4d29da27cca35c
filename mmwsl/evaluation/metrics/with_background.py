"""Metrics that count background among the dataset's classes."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Sequence

from mmengine.evaluator import BaseMetric

from mmwsl.registry import METRICS


@METRICS.register_module()
class WithBackground(BaseMetric):
    """Show a metric the dataset's classes with background put first.

    The datasets here list foreground classes only, while label maps hold 0
    for background. ``mmseg.IoUMetric`` takes its label values from the class
    list and would drop the last class without a word; inside this wrapper it
    runs unchanged:
    ``dict(type='WithBackground', metric=dict(type='mmseg.IoUMetric'))``.

    Args:
        metric (dict): Config of the metric.
        name (str): Name of the background class.
        color (Sequence[int]): RGB of it, where the dataset has a palette.
    """

    default_prefix = ''

    def __init__(
        self,
        metric: dict,
        name: str = 'background',
        color: Sequence[int] = (0, 0, 0),
    ) -> None:
        super().__init__()
        self.metric = METRICS.build(metric)
        self.name = name
        self.color = list(color)

    @property
    def dataset_meta(self) -> Optional[Mapping[str, Any]]:
        """The dataset's meta information as the wrapped metric sees it."""
        return self.metric.dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: Mapping[str, Any]) -> None:
        meta = dict(dataset_meta)
        meta['classes'] = (self.name, *meta['classes'])
        if meta.get('palette'):
            meta['palette'] = [self.color, *meta['palette']]
        self.metric.dataset_meta = meta

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Hand the batch on."""
        self.metric.process(data_batch, data_samples)

    def evaluate(self, size: int) -> Dict[str, float]:
        """Evaluate the wrapped metric."""
        return self.metric.evaluate(size)

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Compute the wrapped metric's values."""
        return self.metric.compute_metrics(results)
