"""The carrier of labels and predictions of one image."""

from typing import Sequence, Union

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

LabelLike = Union[Tensor, np.ndarray, Sequence[int], int]
ScoreLike = Union[Tensor, np.ndarray, Sequence[float]]


def _to_labels(value: LabelLike, name: str) -> Tensor:
    """Turn class indices into a long tensor (K,)."""
    labels = torch.as_tensor(
        [value] if isinstance(value, int) else value
    ).reshape(-1)
    if labels.numel() and labels.is_floating_point():
        raise TypeError(f'{name} must hold integers, got {labels.dtype}.')
    if (labels < 0).any():
        raise ValueError(f'{name} must not be negative, got {labels}.')
    return labels.long()


def _to_vector(value: ScoreLike, name: str, dtype: torch.dtype) -> Tensor:
    """Turn one number a class into a tensor (C,)."""
    vector = torch.as_tensor(value)
    if vector.ndim != 1:
        raise ValueError(
            f'{name} must have one value a class, shape (C,), got shape '
            f'{tuple(vector.shape)}.'
        )
    return vector.to(dtype)


class WSLDataSample(BaseDataElement):
    """Image-level labels, counts and predictions of one image.

    Field names are OpenMMLab's, so metrics and visualizers of mmseg and
    mmdet read a sample unchanged. C is the number of classes, (H, W) the
    size of the original image.

    Supervision and class predictions, plain tensors set by the ``set_*``
    methods, each of which returns the sample:

    - ``gt_label`` (K,) long: indices of the classes present.
    - ``gt_score`` (C,) float: the same as a multi-hot vector.
    - ``gt_count`` (C,) long: number of objects a class, absent if unknown.
    - ``gt_label_difficult`` (J,) long: classes that only objects marked
      difficult show.
    - ``pred_score`` (C,) float in [0, 1], ``pred_label`` (k,) long,
      ``pred_count`` (C,) float.

    Everything else is assigned as an attribute:

    - ``pred_maps``: PixelData, ``data`` (K, H, W) float in [0, 1], the maps
      of the K classes that ``pred_map_labels`` (K,) long lists.
    - ``pred_score_map``: PixelData, ``data`` (1, h, w) float in [0, 1], the
      map of one class for localisation.
    - ``pred_density``: PixelData, ``data`` (C, h, w) float, whose sum over a
      class is its count before rounding.
    - ``pred_peaks``: InstanceData with ``labels``, ``scores`` (values of the
      class maps) and ``points`` (P, 2), x and y in pixels.
    - ``gt_sem_seg``, ``pred_sem_seg``: PixelData, ``data`` (1, H, W) long;
      0 is background, class c is c + 1, 255 is ignored. ``gt_loc_mask``
      is 0, 1 or 255, at the size of score maps.
    - ``gt_instances``, ``pred_instances``: InstanceData with ``labels``,
      ``bboxes``, ``masks``, ``scores`` as far as they are known; predicted
      ones may have ``peaks`` (M, 2) and ``peak_response_maps`` (M, H, W).
    - ``proposals``: :class:`mmwsl.structures.Proposals`, K masks (H, W).
    - ``saliency``: PixelData, ``data`` (1, H, W) float in [0, 1].

    Example:
        >>> sample = WSLDataSample(metainfo=dict(img_id='a/b'))
        >>> sample.set_gt_label([2, 0], num_classes=3).gt_score
        tensor([1., 0., 1.])
    """

    def set_gt_label(
        self, labels: LabelLike, num_classes: int
    ) -> 'WSLDataSample':
        """Set ``gt_label`` (K,) and the multi-hot ``gt_score`` (C,).

        Raises:
            ValueError: If a label is outside [0, num_classes).
        """
        gt_label = _to_labels(labels, 'gt_label')
        if gt_label.numel() and int(gt_label.max()) >= num_classes:
            raise ValueError(
                f'gt_label holds class {int(gt_label.max())}, but there are '
                f'only {num_classes} classes.'
            )
        gt_score = torch.zeros(num_classes)
        gt_score[gt_label] = 1
        self.gt_label = gt_label
        self.gt_score = gt_score
        return self

    def set_gt_label_difficult(self, labels: LabelLike) -> 'WSLDataSample':
        """Set ``gt_label_difficult`` (J,)."""
        self.gt_label_difficult = _to_labels(labels, 'gt_label_difficult')
        return self

    def set_gt_count(self, counts: ScoreLike) -> 'WSLDataSample':
        """Set ``gt_count`` (C,).

        Raises:
            ValueError: If a count is negative or not a whole number.
        """
        vector = _to_vector(counts, 'gt_count', torch.float64)
        whole = vector.isfinite() & (vector >= 0) & (vector == vector.round())
        if not bool(whole.all()):
            raise ValueError(
                f'gt_count must hold whole numbers >= 0, got '
                f'{vector.tolist()}.'
            )
        self.gt_count = vector.long()
        return self

    def set_pred_score(self, scores: ScoreLike) -> 'WSLDataSample':
        """Set ``pred_score`` (C,)."""
        self.pred_score = _to_vector(scores, 'pred_score', torch.float32)
        return self

    def set_pred_label(self, labels: LabelLike) -> 'WSLDataSample':
        """Set ``pred_label`` (k,)."""
        self.pred_label = _to_labels(labels, 'pred_label')
        return self

    def set_pred_count(self, counts: ScoreLike) -> 'WSLDataSample':
        """Set ``pred_count`` (C,)."""
        self.pred_count = _to_vector(counts, 'pred_count', torch.float32)
        return self
