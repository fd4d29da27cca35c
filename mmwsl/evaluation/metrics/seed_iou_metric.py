"""Quality of class maps as segmentation seeds."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

import cv2
import numpy as np
from mmengine.logging import print_log

from mmwsl.evaluation.functional import (
    best_index,
    power_to_threshold,
    seed_histograms,
    seed_scores,
    seed_summary,
    seed_table,
    sweep_rows,
    write_sweep,
)
from mmwsl.evaluation.functional.seed_report import (
    SWEPT_MEANS,
    check_sweep_path,
)
from mmwsl.evaluation.functional.seeds import check_shown
from mmwsl.evaluation.metrics.base import (
    WSLMetric,
    class_names,
    field,
    image_name,
    label_indices,
    pixels,
)
from mmwsl.registry import METRICS
from mmwsl.utils.arrays import array

LABELS = ('kept', 'given', 'predicted')


@METRICS.register_module()
class SeedIoUMetric(WSLMetric):
    """mIoU, precision and recall of ``argmax[background, maps]``.

    The background score is swept and the best result reported, as is usual
    for class activation maps. Reads ``pred_maps`` (K, H, W) in [0, 1],
    ``pred_map_labels`` (K,) and the mask ``gt_key``. Reports ``mIoU``,
    ``mPrecision``, ``mRecall`` over background and foreground classes in
    percent; ``best_threshold`` ('constant', and 'power' as the constant that
    acts alike) and ``best_alpha`` ('power'); ``mIoU@fixed``; and
    ``body_recall``, the foreground recall at the best threshold on the masks
    ``body_key``, if samples have them.

    Args:
        thresholds (Sequence[float], optional): Background scores; None for
            0 to 1 in steps of 0.01. With 'power' the exponents; None for 1
            to 32 in steps of a quarter octave.
        background (str): 'constant', 'power' for ``(1 - max)^alpha``, or
            'saliency' for ``1 - saliency``, which is not swept.
        labels (str): 'kept' takes all maps that the model kept, which its
            ``head.keep`` decides; 'given' those of them whose class is in
            ``gt_label``, and 'predicted' those in ``pred_label``.
        gt_key (str): Field of the masks.
        body_key (str): Field of the masks of bodies, which may be absent.
        fixed_threshold (float, optional): Also report ``mIoU@fixed`` at this
            threshold (or exponent), which joins the sweep.
        best_by (str): 'mIoU', 'mPrecision' or 'mRecall'.
        ignore_index (int): Mask value of pixels left out.
        per_class (bool): Print a table with one line for each class.
        out_file (str, optional): Write the sweep to this .json or .csv file.
        options: Arguments of ``WSLMetric``.
    """

    def __init__(
        self,
        thresholds: Optional[Sequence[float]] = None,
        background: str = 'constant',
        labels: str = 'kept',
        gt_key: str = 'gt_sem_seg',
        body_key: str = 'gt_body_seg',
        fixed_threshold: Optional[float] = None,
        best_by: str = 'mIoU',
        ignore_index: int = 255,
        per_class: bool = True,
        out_file: Optional[str] = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if labels not in LABELS:
            raise ValueError(f'labels must be one of {LABELS}, got {labels!r}')
        if best_by not in SWEPT_MEANS:
            raise ValueError(
                f'best_by must be one of {SWEPT_MEANS}, got {best_by!r}'
            )
        if out_file is not None:
            check_sweep_path(out_file)
        self._set_sweep(background, thresholds, fixed_threshold)
        self.labels = labels
        self.gt_key = gt_key
        self.body_key = body_key
        self.best_by = best_by
        self.ignore_index = ignore_index
        self.per_class = per_class
        self.out_file = out_file

    def _set_sweep(
        self,
        background: str,
        values: Optional[Sequence[float]],
        fixed: Optional[float],
    ) -> None:
        """Turn the settings into ascending constant thresholds."""
        self.background = background
        self.thresholds: Optional[np.ndarray] = None
        self.alphas: Optional[np.ndarray] = None
        self.fixed_index: Optional[int] = None
        if background == 'saliency':
            if values is not None or fixed is not None:
                raise ValueError(
                    "background='saliency' has no threshold to set"
                )
            return
        if background not in ('constant', 'power'):
            raise ValueError(
                "background must be 'constant', 'power' or 'saliency', got "
                f'{background!r}'
            )
        power = background == 'power'
        if values is not None:
            sweep = np.asarray(values, dtype=np.float64)
        elif power:
            sweep = 2 ** (np.arange(21) / 4)
        else:
            sweep = np.arange(101) / 100
        sweep = np.unique(sweep if fixed is None else np.append(sweep, fixed))
        if not len(sweep):
            raise ValueError('thresholds must not be empty')
        if power:
            # A higher exponent is a lower threshold.
            sweep = self.alphas = sweep[::-1]
        self.thresholds = power_to_threshold(sweep) if power else sweep
        if fixed is not None:
            self.fixed_index = int(np.flatnonzero(sweep == fixed)[0])

    def image_result(self, sample: Mapping[str, Any]) -> Dict[str, Any]:
        """Return the histograms of an image."""
        maps = pixels(sample, 'pred_maps')
        labels = label_indices(sample, 'pred_map_labels')
        num_classes = self._num_classes(sample)
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
        for name, key in (('full', self.gt_key), ('body', self.body_key)):
            if name == 'body' and key not in sample:
                continue
            result[name] = seed_histograms(
                maps,
                labels,
                pixels(sample, key),
                num_classes,
                self.thresholds,
                self.ignore_index,
                saliency,
            )
        return result

    def _num_classes(self, sample: Mapping[str, Any]) -> int:
        names = (self.dataset_meta or {}).get('classes')
        if names:
            return len(names)
        return len(array(field(sample, 'pred_score')))

    def score_all(self, results: List[dict]) -> Dict[str, float]:
        """Sum the histograms, find the best threshold, print the table."""
        scores = seed_scores(x['full'] for x in results)
        check_shown(
            scores['gt_pixels'][1:],
            f'{results[0]["name"]} and {len(results) - 1} more',
        )
        bodies = [x['body'] for x in results if 'body' in x]
        body_scores = seed_scores(bodies) if bodies else None
        index = best_index(scores, self.best_by)
        threshold = None if self.thresholds is None else self.thresholds[index]
        alpha = None if self.alphas is None else self.alphas[index]
        metrics = seed_summary(scores, index, threshold, alpha, body_scores)
        if self.fixed_index is not None:
            fixed = seed_summary(scores, self.fixed_index)
            metrics['mIoU@fixed'] = fixed['mIoU']
        if self.per_class:
            names = class_names(self.dataset_meta, scores['iou'].shape[1] - 1)
            table = seed_table(scores, index, names, body_scores)
            setting = self._setting(threshold, alpha)
            print_log(
                f'seeds, {setting} (percent):\n{table}', logger='current'
            )
        if self.out_file is not None:
            rows = sweep_rows(scores, self.thresholds, self.alphas)
            write_sweep(self.out_file, rows)
        return metrics

    def _setting(
        self, threshold: Optional[float], alpha: Optional[float]
    ) -> str:
        """The background score in words."""
        if alpha is not None:
            return f'background (1 - max)^{alpha:g}'
        if threshold is not None:
            return f'background {threshold:g}'
        return 'background 1 - saliency'
