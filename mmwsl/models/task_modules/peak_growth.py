"""Instances without segment proposals."""

from typing import Any, Dict, Optional

import cv2
import numpy as np

from mmwsl.registry import TASK_UTILS
from mmwsl.utils.arrays import array, mask_iou, suppress


@TASK_UTILS.register_module()
class PeakGrowth:
    """Grows every peak response map to a mask.

    The rule, for a peak with the response map R and the class map M, resized
    to the image and with negative values set to 0:

    1. The response spreads: F is R under a Gaussian of ``spread`` times the
       image's side, divided by its maximum.
    2. The peak's territory are the pixels where no other peak of its class
       has a larger F.
    3. The mask are the pixels of the territory where ``F ** (1 - trust) *
       min(M / m, 1) ** trust`` is above ``threshold``, m being the mean of M
       under R: ``trust`` decides between the peak's own response (0) and the
       map of its class (1). Where objects of a class lie side by side, and
       where classifiers look at parts, the response alone did better.
    4. Of this, only the connected part that holds most of R is kept.

    The score is the share of R inside the mask times the probability of the
    class at the peak, the sigmoid of the mean of the class map under R.
    Overlapping masks are suppressed as in ProposalRetrieval.

    Args:
        spread: Standard deviation of the Gaussian, as part of the square
            root of the image's area.
        trust: From 0 to 1.
        threshold: From 0 to 1.
        nms_threshold: IoU above which masks are suppressed, whatever their
            class, the best score first.

    Raises:
        ValueError: If a setting is out of range.
    """

    def __init__(
        self,
        spread: float = 0.05,
        trust: float = 0.0,
        threshold: float = 0.2,
        nms_threshold: float = 0.3,
    ) -> None:
        if spread <= 0:
            raise ValueError(f'spread must be > 0, got {spread}')
        for name, value in (('trust', trust), ('threshold', threshold)):
            if not 0 <= value <= 1:
                raise ValueError(f'{name} must be from 0 to 1, got {value}')
        self.spread = spread
        self.trust = trust
        self.threshold = threshold
        self.nms_threshold = nms_threshold

    def __call__(
        self,
        prms: Any,
        classes: Any,
        class_maps: Any,
        proposals: None = None,
        density: Optional[Any] = None,
    ) -> Dict[str, np.ndarray]:
        """Make the instances of one image.

        The arguments are those of ProposalRetrieval, peak response maps
        (P, H, W), classes (P,) and class maps (C, h, w), arrays or tensors,
        without proposals; what it returns is the same as well.
        """
        prms = array(prms).astype(np.float32, copy=False)
        classes, class_maps = array(classes), array(class_maps)
        height, width = prms.shape[1:]
        fields = self._spread(prms)
        masks = np.zeros(prms.shape, dtype=bool)
        levels = np.zeros(len(prms))
        for label in np.unique(classes):
            own = np.flatnonzero(classes == label)
            image = cv2.resize(class_maps[label], (width, height))
            levels[own] = np.tensordot(prms[own], image, axes=2)
            masks[own] = self._grow(prms[own], fields[own], image, levels[own])
        inside = (prms * masks).sum(axis=(1, 2), dtype=np.float64)
        # The logistic function without overflow.
        scores = inside * (1 + np.tanh(levels / 2)) / 2
        ious = mask_iou(masks, masks)
        kept, owner = suppress(scores, ious, self.nms_threshold)
        merged = np.zeros((len(kept), height, width), prms.dtype)
        for index, whole in enumerate(merged):
            for part in np.flatnonzero(owner == index):
                whole += prms[part]
            total = whole.sum(dtype=np.float64)
            whole /= total if total > 0 else 1
        return dict(
            scores=scores[kept],
            labels=classes[kept],
            masks=masks[kept],
            prms=merged,
            peak_index=kept,
        )

    def _spread(self, prms: np.ndarray) -> np.ndarray:
        """Blur maps (P, H, W) and divide each by its maximum."""
        sigma = self.spread * np.sqrt(prms.shape[1] * prms.shape[2])
        fields = np.empty_like(prms)
        for prm, field in zip(prms, fields):
            field[:] = cv2.GaussianBlur(
                prm, (0, 0), sigma, borderType=cv2.BORDER_REFLECT
            )
            field /= max(float(field.max()), np.finfo(np.float32).tiny)
        return fields

    def _grow(
        self,
        prms: np.ndarray,
        fields: np.ndarray,
        image: np.ndarray,
        levels: np.ndarray,
    ) -> np.ndarray:
        """Grow the peaks of one class.

        Args:
            prms: (P, H, W).
            fields: (P, H, W), spread responses with the maximum 1.
            image: (H, W), the class map.
            levels: (P,), its mean under each response.
        """
        territory = fields.argmax(axis=0)
        masks = np.zeros(prms.shape, dtype=bool)
        for index, level in enumerate(levels):
            support = np.zeros_like(image)
            if level > 0:
                support = np.clip(image / level, 0, 1)
            value = fields[index] ** (1 - self.trust) * support**self.trust
            mask = (value > self.threshold) & (territory == index)
            masks[index] = main_part(mask, prms[index])
        return masks


def main_part(mask: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the connected part of a mask (H, W) that has most weight.

    ``weights`` (H, W) are >= 0.
    """
    count, parts = cv2.connectedComponents(mask.astype(np.uint8))
    if count <= 2:
        return mask
    mass = np.bincount(parts.ravel(), weights.ravel(), count)
    mass[0] = -1
    part: np.ndarray = parts == mass.argmax()
    return part
