"""Refine predictions before they are measured, written and shown."""

from typing import Any, Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import PixelData
from torch import Tensor

from mmwsl.evaluation.metrics.base import naming_image
from mmwsl.pseudo_labels import background_score, dense_crf
from mmwsl.pseudo_labels.labels import IGNORE
from mmwsl.registry import HOOKS
from mmwsl.utils.arrays import BACKGROUNDS, map_probabilities, unflip
from mmwsl.utils.images import read_stored, turned


@HOOKS.register_module()
class DenseCRFHook(Hook):
    """Refine what a test run predicts by a dense CRF.

    During a test the model's ``test_step`` is followed by
    :func:`mmwsl.pseudo_labels.dense_crf`, so metrics, writers and pictures
    all see the refined ``pred_sem_seg``. Probabilities are the softmax of
    ``seg_logits`` (mmseg's segmentors), or background and ``pred_maps``
    divided by their sum (classifiers). The image is that of ``img_path``,
    turned as the input is, or the input for data without files.

    Args:
        given_only: Only classes in ``gt_label`` may appear, besides
            background. Needs samples with image labels.
        background: For class maps: 'constant', 'power' or 'saliency'.
        background_value: The constant, or the exponent of 'power'.
        crf: Arguments of ``dense_crf``, for example ``dict(iterations=10,
            bilateral=(4, 67, 3))``.
        min_probability: Pixels whose most probable label has less after the
            refinement are ignored (255), in [0, 1].
    """

    def __init__(
        self,
        given_only: bool = False,
        background: str = 'constant',
        background_value: float = 0.3,
        crf: Optional[Dict] = None,
        min_probability: float = 0.0,
    ) -> None:
        if not 0 <= min_probability <= 1:
            raise ValueError(
                f'min_probability must be in [0, 1], got {min_probability}.'
            )
        if background not in BACKGROUNDS:
            raise ValueError(
                f"background must be one of {BACKGROUNDS}, got '{background}'."
            )
        self.given_only = given_only
        self.background = background
        self.background_value = background_value
        self.crf = dict(crf or {})
        self.min_probability = min_probability
        self._test_step: Any = None

    def before_test(self, runner: Runner) -> None:
        """Refine what the model's step returns."""
        self._test_step = runner.model.test_step
        # The attribute of this one object hides its class's method.
        runner.model.test_step = self._refined_step

    def after_test(self, runner: Runner) -> None:
        """Restore the model's step."""
        del runner.model.test_step
        self._test_step = None

    def _refined_step(self, data: Dict[str, Any]) -> List[Any]:
        inputs: Sequence[Tensor] = data['inputs']
        samples = self._test_step(data)
        for sample, image in zip(samples, inputs):
            labels, probs = self._probabilities(sample)
            if self.given_only:
                if 'gt_label' not in sample:
                    raise ValueError(
                        f'{sample.get("img_path")}: the sample has no '
                        'gt_label, which DenseCRFHook needs with '
                        'given_only=True.'
                    )
                given = sample.gt_label.to(labels.device) + 1
                allowed = (labels == 0) | torch.isin(labels, given)
                labels, probs = labels[allowed], probs[allowed]
            seen = _image(sample, image, probs.shape[1:])
            with naming_image(sample):
                refined = dense_crf(seen, probs, **self.crf)
            best, order = torch.from_numpy(refined).to(labels.device).max(0)
            decided = labels[order]
            decided[best < self.min_probability] = IGNORE
            sample.pred_sem_seg = PixelData(data=decided[None])
        return samples

    def _probabilities(self, sample: Any) -> Tuple[Tensor, Tensor]:
        """Return label values (L,) and probabilities (L, H, W)."""
        if 'seg_logits' in sample:
            probs = sample.seg_logits.data.float().softmax(dim=0)
            return torch.arange(len(probs), device=probs.device), probs
        if 'pred_maps' not in sample:
            raise ValueError(
                'DenseCRFHook: the model predicts neither seg_logits nor '
                'pred_maps.'
            )
        maps, labels = sample.pred_maps.data, sample.pred_map_labels
        saliency = sample.saliency.data[0] if 'saliency' in sample else None
        score = background_score(
            maps, self.background, self.background_value, saliency
        )
        values = torch.cat([labels.new_zeros(1), labels + 1])
        return values, map_probabilities(maps, score)


def _image(sample: Any, inputs: Tensor, size: Tuple[int, ...]) -> np.ndarray:
    """Return the image uint8 (H, W, 3) that a prediction lies on.

    A file is turned or not by its EXIF entry, as the input shows it.
    """
    height, width = sample.img_shape[:2]
    shown = unflip(inputs[:, :height, :width], sample.get('flip_direction'))
    seen = np.ascontiguousarray(shown.permute(1, 2, 0).cpu().numpy())
    path = sample.get('img_path')
    if not path:
        return cv2.resize(seen, (size[1], size[0]))
    # The pipeline has accepted it.
    stored, orientation = read_stored(path, max_value=0)
    images = [turned(stored, orientation), stored]
    fitting = [image for image in images if image.shape[:2] == tuple(size)]
    if not fitting:
        raise ValueError(
            f'{path}: the prediction has {size[1]} x {size[0]} pixels, '
            f'but the image {images[0].shape[1]} x {images[0].shape[0]}'
        )

    def difference(image: np.ndarray) -> float:
        small = cv2.resize(image, seen.shape[1::-1])
        return float(np.abs(small - seen.astype(np.float32)).mean())

    return min(fitting, key=difference) if orientation > 1 else stored
