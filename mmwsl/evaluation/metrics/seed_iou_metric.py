"""Quality of class maps as segmentation seeds."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

import cv2
import numpy as np

from mmwsl.evaluation.functional.seeds import (
    check_shown,
    check_sweep_path,
    power_to_threshold,
    seed_histograms,
    seed_means,
    seed_scores,
    seed_table,
    write_sweep,
)
from mmwsl.evaluation.metrics.base import (
    WSLMetric,
    field,
    image_name,
    label_indices,
    pixels,
    say,
)
from mmwsl.registry import METRICS
from mmwsl.utils.arrays import array, mean_without_nan
from mmwsl.utils.tables import percent

LABELS = ('kept', 'given', 'predicted')
# What each kind of background sweeps by default.
SWEEPS = dict(
    constant=np.arange(101) / 100,
    power=2 ** (np.arange(21) / 4),
    saliency=None,
)


@METRICS.register_module()
class SeedIoUMetric(WSLMetric):
    """mIoU, precision and recall of ``argmax[background, maps]``.

    The background score is swept and the best result reported, as is usual
    for class activation maps. Reads ``pred_maps`` (K, H, W) in [0, 1],
    ``pred_map_labels`` (K,) and the mask ``gt_sem_seg``. Reports ``mIoU``,
    ``mPrecision``, ``mRecall`` over background and foreground classes in
    percent; ``best_threshold`` ('constant', and 'power' as the constant that
    acts alike) and ``best_alpha`` ('power'); ``mIoU@fixed``; and
    ``body_recall``, the foreground recall at the best threshold on the masks
    ``gt_body_seg``, if samples have them.

    Args:
        thresholds (Sequence[float], optional): Background scores; None for
            0 to 1 in steps of 0.01. With 'power' the exponents; None for 1
            to 32 in steps of a quarter octave.
        background (str): 'constant', 'power' for ``(1 - max)^alpha``, or
            'saliency' for ``1 - saliency``, which is not swept.
        labels (str): 'kept' takes all maps that the model kept, which its
            ``head.keep`` decides; 'given' those of them whose class is in
            ``gt_label``, and 'predicted' those in ``pred_label``.
        fixed_threshold (float, optional): Also report ``mIoU@fixed`` at this
            threshold (or exponent), which joins the sweep.
        out_file (str, optional): Write the sweep to this .json or .csv file.
        options: Arguments of ``WSLMetric``.
    """

    def __init__(
        self,
        thresholds: Optional[Sequence[float]] = None,
        background: str = 'constant',
        labels: str = 'kept',
        fixed_threshold: Optional[float] = None,
        out_file: Optional[str] = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if labels not in LABELS:
            raise ValueError(f'labels must be one of {LABELS}, got {labels!r}')
        if out_file is not None:
            check_sweep_path(out_file)
        self.labels = labels
        self.out_file = out_file
        self.background = background
        self._set_sweep(thresholds, fixed_threshold)

    def _set_sweep(
        self, values: Optional[Sequence[float]], fixed: Optional[float]
    ) -> None:
        """Set what is swept, and the constant thresholds that act alike."""
        if self.background not in SWEEPS:
            raise ValueError(
                "background must be 'constant', 'power' or 'saliency', got "
                f'{self.background!r}'
            )
        self.swept: Dict[str, np.ndarray] = {}
        self.fixed_index: Optional[int] = None
        if self.background == 'saliency':
            if values is not None or fixed is not None:
                raise ValueError(
                    "background='saliency' has no threshold to set"
                )
            return
        swept = SWEEPS[self.background] if values is None else values
        added = [] if fixed is None else [fixed]
        sweep = np.unique(np.append(np.asarray(swept, np.float64), added))
        if not len(sweep):
            raise ValueError('thresholds must not be empty')
        if self.background == 'power':
            # A higher exponent is a lower threshold.
            sweep = self.swept['alpha'] = sweep[::-1]
            self.swept['threshold'] = power_to_threshold(sweep)
        else:
            self.swept['threshold'] = sweep
        if fixed is not None:
            self.fixed_index = int(np.flatnonzero(sweep == fixed)[0])

    def image_result(self, sample: Mapping[str, Any]) -> Dict[str, Any]:
        """Return the histograms of an image."""
        maps = pixels(sample, 'pred_maps')
        labels = label_indices(sample, 'pred_map_labels')
        num_classes = len(self.classes) or len(
            array(field(sample, 'pred_score'))
        )
        if self.labels != 'kept':
            source = 'gt_label' if self.labels == 'given' else 'pred_label'
            keep = np.isin(labels, label_indices(sample, source))
            maps, labels = maps[keep], labels[keep]
        saliency = None
        if self.background == 'saliency':
            # It went through the pipeline with the image, maps did not.
            size = maps.shape[:0:-1]
            saliency = cv2.resize(pixels(sample, 'saliency'), size)
        result: Dict[str, Any] = {'name': image_name(sample)}
        for name, key in (('full', 'gt_sem_seg'), ('body', 'gt_body_seg')):
            if name == 'body' and key not in sample:
                continue
            result[name] = seed_histograms(
                maps,
                labels,
                pixels(sample, key),
                num_classes,
                self.swept.get('threshold'),
                saliency,
            )
        return result

    def score_all(self, results: List[dict]) -> Dict[str, float]:
        """Sum the histograms, find the best threshold, print the table."""
        scores = seed_scores(x['full'] for x in results)
        check_shown(
            scores['gt_pixels'][1:],
            f'{results[0]["name"]} and {len(results) - 1} more',
        )
        # The lowest of equally good thresholds.
        best = int(np.nan_to_num(scores['mIoU'], nan=-1.0).argmax())
        values = {key: float(x[best]) for key, x in self.swept.items()}
        metrics = seed_means(scores, best)
        metrics.update({f'best_{k}': round(x, 6) for k, x in values.items()})
        bodies = [x['body'] for x in results if 'body' in x]
        recalls = seed_scores(bodies)['recall'][best, 1:] if bodies else None
        if recalls is not None:
            metrics['body_recall'] = percent(mean_without_nan(recalls))
        if self.fixed_index is not None:
            metrics['mIoU@fixed'] = percent(scores['mIoU'][self.fixed_index])
        if self.per_class:
            names = self.class_names(scores['iou'].shape[1] - 1)
            setting = '1 - saliency'
            if self.background == 'power':
                setting = f'(1 - max)^{values["alpha"]:g}'
            elif values:
                setting = f'{values["threshold"]:g}'
            table = seed_table(scores, best, names, recalls)
            say(f'seeds, background {setting} (percent):', table)
        if self.out_file is not None:
            write_sweep(self.out_file, scores, self.swept)
        return metrics
