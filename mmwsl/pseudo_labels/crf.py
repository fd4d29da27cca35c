"""Dense conditional random field, by mean field.

Shape shorthand: (H, W) the image of n pixels, L labels.
"""

from typing import Callable, Tuple, Union

import cv2
import numpy as np
import torch
from torch import Tensor

from mmwsl.pseudo_labels.lattice import GaussianLattice

Array = Union[np.ndarray, Tensor]
METHODS = ('auto', 'exact', 'lattice', 'pydensecrf')
# Up to so many pixels the sum over all pairs is quick.
_EXACT_PIXELS = 4096
_EXACT_BLOCK = 2048


def dense_crf(
    image: Array,
    probs: Array,
    iterations: int = 10,
    gaussian: Tuple[float, float] = (3, 1),
    bilateral: Tuple[float, float, float] = (4, 67, 3),
    method: str = 'auto',
    fineness: float = 1.0,
    clip: float = 1e-5,
) -> np.ndarray:
    """Refine the labels of an image (https://arxiv.org/abs/1210.5644).

    Mean field of a fully connected field with Potts model: in every
    iteration the logits ``log probs`` of a label gain, for each kernel, its
    weight times the kernel's mean of the label over all pixels, and a
    softmax follows. As usual a pixel is among its own neighbours and kernels
    are normalised symmetrically, ``D^-1/2 K D^-1/2`` with D the row sums of
    K. The kernels are ``exp(-|dp|^2 / 2 sigma^2)`` in the position p, and
    the same times ``exp(-|dI|^2 / 2 sigma_rgb^2)`` in the colour I.

    The first kernel is summed exactly. For the second, 'exact' sums over
    all n^2 pairs; 'lattice' uses a permutohedral lattice, whose result
    differs by less than 0.001 from the exact one at most pixels, but at a
    few undecided ones by much more; 'auto' takes the exact way for images of
    up to 4096 pixels. 'pydensecrf' needs the package of this name and is the
    least exact of the three.

    Labels that are nowhere more probable than ``clip`` stay out of the field
    and get 0, so that only the classes of an image cost time.

    Args:
        image: uint8 (H, W, 3); the order of the colours does not matter.
        probs: Float (L, H, W) in [0, 1].
        iterations: Number of mean field steps.
        gaussian: Weight and sigma, in pixels, of the first kernel.
        bilateral: Weight, sigma in pixels and sigma_rgb of the second.
        method: 'auto', 'exact', 'lattice' or 'pydensecrf'.
        fineness: Of the lattice; 1.4 halves its error, at some four times
            the time.
        clip: Smallest probability that counts.

    Returns:
        Float32 (L, H, W), sums to 1 over the labels.

    Raises:
        ValueError: If shapes, types or settings do not fit.
        ImportError: If pydensecrf is asked for but missing.
    """
    image, probs = _check(image, probs, gaussian, bilateral, method)
    refined = np.zeros(probs.shape, np.float32)
    if not probs.size:
        return refined
    present = probs.max(axis=(1, 2)) > clip
    if not present.any():
        raise ValueError(f'probs holds no value above {clip}')
    logits = np.log(np.clip(probs[present], clip, None))
    settings = (iterations, gaussian, bilateral)
    if method == 'pydensecrf':
        refined[present] = _by_package(image, logits, *settings)
        return refined
    if method == 'auto':
        small = image.shape[0] * image.shape[1] <= _EXACT_PIXELS
        method = 'exact' if small else 'lattice'
    points = _points(image, *bilateral[1:])
    if method == 'exact':
        bilateral_sum = _pair_sum(points)
    else:
        bilateral_sum = GaussianLattice(points, fineness)
    sums = (_blur(image.shape[:2], gaussian[1]), bilateral_sum)
    flat = torch.from_numpy(logits.reshape(len(logits), -1).T.copy())
    field = _mean_field(flat, sums, (gaussian[0], bilateral[0]), iterations)
    refined[present] = field.T.reshape(logits.shape).numpy()
    return refined


def _mean_field(
    logits: Tensor,
    sums: Tuple[Callable[[Tensor], Tensor], ...],
    weights: Tuple[float, ...],
    iterations: int,
) -> Tensor:
    """Return the probabilities (n, L) of logits (n, L)."""
    ones = torch.ones(len(logits), 1)
    scales = [kernel_sum(ones).clamp(min=1e-20).rsqrt() for kernel_sum in sums]
    field = logits.softmax(dim=1)
    for _ in range(iterations):
        total = logits.clone()
        for weight, scale, kernel_sum in zip(weights, scales, sums):
            total.addcmul_(kernel_sum(field * scale), scale * weight)
        field = total.softmax(dim=1)
    return field


def _blur(shape: Tuple[int, int], sigma: float) -> Callable[[Tensor], Tensor]:
    """Return the sum over a Gaussian of positions, exact to 1e-7."""
    radius = max(1, int(np.ceil(6 * sigma)))
    offsets = np.arange(-radius, radius + 1)
    taps = np.exp(offsets**2 / (-2 * sigma**2)).astype(np.float32)

    def kernel_sum(values: Tensor) -> Tensor:
        plane = values.numpy().reshape(*shape, -1)
        border = cv2.BORDER_CONSTANT
        out = cv2.sepFilter2D(plane, -1, taps, taps, borderType=border)
        return torch.from_numpy(out.reshape(values.shape))

    return kernel_sum


def _points(image: np.ndarray, sigma: float, sigma_rgb: float) -> np.ndarray:
    """Return position and colour (n, 5) in standard deviations."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    position = np.stack([rows, columns], axis=-1) / sigma
    points = np.concatenate([position, image / sigma_rgb], axis=-1)
    return points.reshape(-1, 5)


def _pair_sum(points: np.ndarray) -> Callable[[Tensor], Tensor]:
    """Return the sum over all pairs of pixels."""
    # In single precision the matrix product below would lose the digits of
    # points that lie close together.
    places = torch.from_numpy(points).double()
    halves = places.square().sum(dim=1) / 2

    def kernel(block: Tensor) -> Tensor:
        exponent = block @ places.T - halves
        exponent -= block.square().sum(dim=1, keepdim=True) / 2
        return exponent.float().exp_()

    blocks = places.split(_EXACT_BLOCK)
    kept = [kernel(b) for b in blocks] if len(places) <= _EXACT_PIXELS else []

    def kernel_sum(values: Tensor) -> Tensor:
        rows = kept or (kernel(block) for block in blocks)
        return torch.cat([row @ values for row in rows])

    return kernel_sum


def _by_package(
    image: np.ndarray,
    logits: np.ndarray,
    iterations: int,
    gaussian: Tuple[float, float],
    bilateral: Tuple[float, float, float],
) -> np.ndarray:
    """Run the compiled package on logits (L, H, W)."""
    try:
        from pydensecrf import densecrf
    except ImportError as error:
        raise ImportError(
            "method='pydensecrf' needs the package pydensecrf: pip install "
            "pydensecrf; method='auto' needs none"
        ) from error
    height, width = image.shape[:2]
    field = densecrf.DenseCRF2D(width, height, len(logits))
    unary = np.ascontiguousarray(-logits.reshape(len(logits), -1))
    field.setUnaryEnergy(unary.astype(np.float32))
    field.addPairwiseGaussian(sxy=gaussian[1], compat=gaussian[0])
    field.addPairwiseBilateral(
        sxy=bilateral[1],
        srgb=bilateral[2],
        rgbim=np.ascontiguousarray(image),
        compat=bilateral[0],
    )
    refined = np.asarray(field.inference(iterations), np.float32)
    return refined.reshape(logits.shape)


def _check(
    image: Array,
    probs: Array,
    gaussian: Tuple[float, float],
    bilateral: Tuple[float, float, float],
    method: str,
) -> Tuple[np.ndarray, np.ndarray]:
    """Return image and probabilities as numpy arrays."""
    image, probs = (
        np.asarray(a.detach().cpu() if isinstance(a, Tensor) else a)
        for a in (image, probs)
    )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            'image must be uint8 of shape (H, W, 3), got '
            f'{image.dtype} {image.shape}'
        )
    if probs.ndim != 3 or probs.shape[1:] != image.shape[:2]:
        raise ValueError(
            f'probs must have shape (L, {image.shape[0]}, {image.shape[1]}) '
            f'as the image, got {probs.shape}'
        )
    if not min(gaussian[1], *bilateral[1:]) > 0:
        raise ValueError(
            'the sigmas of gaussian and bilateral must be positive, got '
            f'{gaussian} and {bilateral}'
        )
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got '{method}'")
    probs = probs.astype(np.float32)
    if not np.isfinite(probs).all():
        raise ValueError('probs holds values that are not finite')
    return image, probs
