"""Time the dense conditional random field, and compare it with brute force.

``python tools/benchmarks/crf.py --image photo.jpg`` refines random smooth
probabilities of 21 classes on one core and reports the seconds. Then it does
the same on a small part of the image by the lattice and by the sum over all
pairs, and on an image of 0.9 megapixels by the grid that larger images take
and by all pixels: how the results differ, and the ratio of the times. Without
a photograph it draws an image.
"""

import argparse
import time
from typing import Callable, Optional, Sequence, Tuple

from mmwsl.pseudo_labels import crf, dense_crf
from mmwsl.utils.images import read_image

import cv2
import numpy as np
import torch

# Just small enough to be refined at full size.
LARGE = (840, 1120)


def drawn_image(height: int, width: int) -> np.ndarray:
    """Draw patches of colour with the noise of a camera."""
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (6, 8, 3)).astype(np.float32)
    image = cv2.resize(patches, (width, height), interpolation=cv2.INTER_AREA)
    image += cv2.resize(rng.random((4, 5, 3)) * 40, (width, height))
    noise = cv2.GaussianBlur(rng.normal(0, 4, image.shape), (3, 3), 0.8)
    return (image + noise).clip(0, 255).astype(np.uint8)


def smooth_probs(labels: int, height: int, width: int) -> np.ndarray:
    """Draw probabilities (L, H, W) of which one mostly stands out."""
    rng = np.random.default_rng(1)
    coarse = rng.random((height // 40 + 2, width // 40 + 2, labels))
    logits = cv2.resize(coarse * 12, (width, height)).reshape(
        height, width, labels
    )
    probs = np.exp(logits - logits.max(axis=2, keepdims=True))
    probs /= probs.sum(axis=2, keepdims=True)
    return probs.transpose(2, 0, 1).astype(np.float32)


def timed(call: Callable[[], np.ndarray]) -> Tuple[np.ndarray, float]:
    """Return a result and the better of two times in seconds."""
    seconds = []
    for _ in range(2):
        start = time.process_time()
        result = call()
        seconds.append(time.process_time() - start)
    return result, min(seconds)


def compare(
    name: str,
    size: str,
    slow: Tuple[np.ndarray, float],
    quick: Tuple[np.ndarray, float],
) -> None:
    """Print how two results (L, H, W) and their times differ."""
    error = abs(quick[0] - slow[0]).max(axis=0)
    agree = (quick[0].argmax(axis=0) == slow[0].argmax(axis=0)).mean()
    print(
        f'against {name} at {size}: {slow[1] / quick[1]:.1f} times as fast, '
        f'mean difference {error.mean():.5f}, labels agree at '
        f'{100 * agree:.2f} % of the pixels'
    )


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--image', help='a photograph instead of a drawing')
    parser.add_argument('--size', type=int, nargs=2, default=(375, 500))
    parser.add_argument('--labels', type=int, default=21)
    parser.add_argument('--small', type=int, default=60)
    args = parser.parse_args(argv)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    image = drawn_image(*args.size)
    if args.image is not None:
        image = cv2.resize(read_image(args.image), tuple(args.size[::-1]))
    probs = smooth_probs(args.labels, *args.size)

    def lattice(size: Tuple[slice, slice]) -> np.ndarray:
        return dense_crf(
            image[size],
            probs[(slice(None), *size)],
            method='lattice',
        )

    whole = (slice(None), slice(None))
    _, seconds = timed(lambda: lattice(whole))
    print(
        f'{args.size[1]} x {args.size[0]}, {args.labels} labels, '
        f'10 iterations: {seconds:.2f} s on one core'
    )
    centre = tuple(
        slice((side - args.small) // 2, (side + args.small) // 2)
        for side in args.size
    )
    quick = timed(lambda: lattice(centre))
    exact = timed(
        lambda: dense_crf(
            image[centre], probs[(slice(None), *centre)], method='exact'
        )
    )
    compare('brute force', f'{args.small} x {args.small}', exact, quick)
    large = cv2.resize(image, LARGE[::-1], interpolation=cv2.INTER_CUBIC)
    planes = smooth_probs(3, *LARGE)
    pixelwise = timed(lambda: dense_crf(large, planes))
    crf._WHOLE_PIXELS = 0
    grid = timed(lambda: dense_crf(large, planes))
    compare('all pixels', f'{LARGE[1]} x {LARGE[0]}', pixelwise, grid)
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
