"""Time the dense conditional random field, and compare it with brute force.

``python tools/benchmarks/crf.py --image photo.jpg`` refines random smooth
probabilities of 21 classes and reports the time. Then it does the same on a
small part of the image by the lattice and by the sum over all pairs, and on
an image of 0.9 megapixels by the grid that larger images take and by all
pixels: how the results differ, and the ratio of the times. Without a
photograph it draws an image.
"""

import argparse
from typing import Tuple

from mmwsl.pseudo_labels import crf, dense_crf
from mmwsl.utils.images import read_image

import cv2
import numpy as np

from timing import compare, make_parser

parser = make_parser(__doc__, rounds=1)
parser.option('--image', None, 'a photograph instead of a drawing')
parser.option('--size', (375, 500))
parser.option('--labels', 21)
parser.option('--small', 60)

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


def check(found: np.ndarray, expected: np.ndarray) -> None:
    """Print how two results (L, H, W) differ."""
    error = abs(found - expected).max(axis=0)
    agree = (found.argmax(axis=0) == expected.argmax(axis=0)).mean()
    print(
        f'mean difference {error.mean():.5f}, labels agree at '
        f'{100 * agree:.2f} % of the pixels'
    )


@parser.command
def main(args: argparse.Namespace) -> None:
    """Run the comparison and print the ratios."""
    image = drawn_image(*args.size)
    if args.image is not None:
        image = cv2.resize(read_image(args.image), tuple(args.size[::-1]))
    probs = smooth_probs(args.labels, *args.size)

    def refine(part: Tuple[slice, slice], method: str) -> np.ndarray:
        planes = probs[(slice(None), *part)]
        return dense_crf(image[part], planes, method=method)

    whole = (slice(None), slice(None))
    print(f'{args.size[1]} x {args.size[0]}, {args.labels} labels:')
    compare(args, {'lattice': lambda: refine(whole, 'lattice')})
    centre = tuple(
        slice((side - args.small) // 2, (side + args.small) // 2)
        for side in args.size
    )
    print(f'{args.small} x {args.small}, {args.labels} labels:')
    ways = {
        'lattice': lambda: refine(centre, 'lattice'),
        'brute force': lambda: refine(centre, 'exact'),
    }
    compare(args, ways, check)
    large = cv2.resize(image, LARGE[::-1], interpolation=cv2.INTER_CUBIC)
    planes = smooth_probs(3, *LARGE)

    def on_all_pixels() -> np.ndarray:
        limit, crf._WHOLE_PIXELS = crf._WHOLE_PIXELS, large.size
        refined = dense_crf(large, planes)
        crf._WHOLE_PIXELS = limit
        return refined

    print(f'{LARGE[1]} x {LARGE[0]}, 3 labels:')
    ways = {
        'grid': lambda: dense_crf(large, planes),
        'all pixels': on_all_pixels,
    }
    compare(args, ways, check)


if __name__ == '__main__':
    raise SystemExit(main())
