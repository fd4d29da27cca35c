"""Compare MaxBoxAccV2 with thresholding every map a thousand times.

``python tools/benchmarks/max_box_acc.py`` makes score maps of 224 x 224 as a
network gives them, blobs and noise on 7 x 7 to 28 x 28 cells, resized, and
finds at which thresholds they are right in two ways, turn by turn in one
process: with the functions behind ``MaxBoxAccMetric``, and by the loop of the
definition. It stops if they disagree.
"""

import argparse
from typing import Tuple

from mmwsl.evaluation.functional.boxes import (
    THRESHOLDS,
    best_ious,
    box_ious,
    sweep_boxes,
)

import cv2
import numpy as np

from timing import compare, equal, make_parser

parser = make_parser(__doc__, rounds=5)
parser.option('--images', 20)
parser.option('--noise', 0.1, 'against blobs of about 1')

SIZE = 224
DELTAS = (0.3, 0.5, 0.7)
Image = Tuple[np.ndarray, np.ndarray]


def make_image(rng: np.random.Generator, cells: int, noise: float) -> Image:
    """A score map in [0, 1] and the boxes of its objects."""
    y, x = np.mgrid[:cells, :cells] / cells
    plane, boxes = np.zeros((cells, cells)), []
    for _ in range(rng.integers(1, 4)):
        centre, extent = rng.uniform(0.2, 0.8, 2), rng.uniform(0.06, 0.2, 2)
        blob = ((x - centre[0]) / extent[0]) ** 2
        blob += ((y - centre[1]) / extent[1]) ** 2
        plane += rng.uniform(0.4, 1) * np.exp(-blob)
        edges = np.concatenate([centre - 1.5 * extent, centre + 1.5 * extent])
        boxes.append(np.clip(edges * SIZE, 0, SIZE).astype(np.int64))
    grain = cv2.GaussianBlur(rng.normal(size=plane.shape), (0, 0), 0.8)
    plane = (plane + noise * grain).astype(np.float32)
    plane = cv2.resize(plane, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return (plane - plane.min()) / np.ptp(plane), np.stack(boxes)


def naive(image: Image) -> np.ndarray:
    """Whether each threshold is right, (deltas, thresholds), by the loop."""
    score_map, truth = image
    plane = (score_map * 255).astype(np.uint8)
    boxes, starts = [], []
    for threshold in THRESHOLDS:
        cut = int(threshold * np.max(plane))
        mask = cv2.threshold(plane, cut, 255, cv2.THRESH_BINARY)[1]
        contours = cv2.findContours(
            mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE
        )[-2]
        starts.append(len(boxes))
        for contour in contours:
            x, y, w, h = cv2.boundingRect(contour)
            boxes.append((x, y, min(x + w, SIZE - 1), min(y + h, SIZE - 1)))
        if not len(contours):
            boxes.append((0, 0, 0, 0))
    # All boxes at once: the loop is to lose by its thresholds alone.
    best = box_ious(np.array(boxes), truth).max(axis=1)
    every = np.maximum.reduceat(best, starts)
    return np.stack([every >= delta for delta in DELTAS])


def ours(image: Image) -> np.ndarray:
    """The same by the functions of the metric."""
    score_map, truth = image
    every = best_ious(sweep_boxes(score_map, THRESHOLDS), truth)[1]
    return np.stack([every >= delta for delta in DELTAS])


@parser.command
def main(args: argparse.Namespace) -> None:
    """Run the comparison and print the ratios."""
    rng = np.random.default_rng(0)
    for cells in (7, 14, 28):
        images = [
            make_image(rng, cells, args.noise) for _ in range(args.images)
        ]
        print(f'{cells} x {cells} cells, {args.images} images:')
        ways = {
            'mmwsl': lambda images=images: [ours(x) for x in images],
            'thousand times': lambda images=images: [naive(x) for x in images],
        }
        compare(args, ways, equal)


if __name__ == '__main__':
    raise SystemExit(main())
