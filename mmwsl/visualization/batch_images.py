"""The photographs that a batch of network inputs was made from."""

from typing import Any, List, Mapping, Sequence, Tuple

import cv2
import numpy as np
import torch

_FLIP_AXES = {'horizontal': (1,), 'vertical': (0,), 'diagonal': (0, 1)}


def batch_images(
    data_batch: Mapping[str, Any], outputs: Sequence[Any]
) -> List[np.ndarray]:
    """The images of a raw batch at their original sizes.

    Args:
        data_batch (Mapping): ``inputs`` as the data loader gives them: (N,
            3, h, w) or N tensors (3, h, w), BGR in 0..255, before the data
            preprocessor; with test-time augmentation by transforms one such
            list for each augmentation, of which an unflipped one is taken.
        outputs (Sequence): N predicted samples with ``ori_shape`` and, if
            images were resized or padded, ``img_shape``.

    Returns:
        list[np.ndarray]: N images (H, W, 3), uint8, RGB.
    """
    inputs, samples = data_batch['inputs'], data_batch.get('data_samples')
    if len(inputs) and not isinstance(inputs[0], torch.Tensor):
        inputs, samples = _plain_view(inputs, samples)
    elif isinstance(inputs, torch.Tensor) and inputs.ndim == 5:
        inputs, samples = _plain_view(list(inputs), samples)
    samples = samples or outputs
    return [
        original_image(image, sample, output)
        for image, sample, output in zip(inputs, samples, outputs)
    ]


def _plain_view(inputs: Sequence[Any], samples: Any) -> Tuple[Any, Any]:
    """Inputs and samples of the first augmentation that flips nothing."""
    if not samples:
        return inputs[0], samples
    views = [i for i, view in enumerate(samples) if not view[0].get('flip')]
    index = views[0] if views else 0
    return inputs[index], samples[index]


def original_image(
    image: torch.Tensor, sample: Any, output: Any
) -> np.ndarray:
    """Undo padding, flip and resizing of one input.

    Args:
        image (torch.Tensor): (3, h, w) or (1, h, w), BGR in 0..255.
        sample: What the input was packed with: ``img_shape``, ``flip``.
        output: The prediction, with ``ori_shape``.

    Returns:
        np.ndarray: (H, W, 3) uint8, RGB.
    """
    array = input_image(image, sample)
    if sample.get('flip'):
        array = np.flip(array, _FLIP_AXES[sample.get('flip_direction')])
    height, width = output.get('ori_shape', array.shape)[:2]
    array = np.ascontiguousarray(array)
    if array.shape[:2] == (height, width):
        return array
    return cv2.resize(array, (width, height), interpolation=cv2.INTER_LINEAR)


def input_image(image: torch.Tensor, sample: Any) -> np.ndarray:
    """One input as the network sees it, without its padding.

    Args:
        image (torch.Tensor): (3, h, w) or (1, h, w), BGR in 0..255.
        sample: What the input was packed with: ``img_shape``.

    Returns:
        np.ndarray: (h, w, 3) uint8, RGB, flipped and scaled as it came.
    """
    pixels = image.detach().cpu().float().clamp(0, 255).round()
    array = pixels.byte().permute(1, 2, 0).numpy()
    if array.shape[2] == 1:
        array = array.repeat(3, axis=2)
    height, width = sample.get('img_shape', array.shape)[:2]
    return np.ascontiguousarray(array[:height, :width, ::-1])
