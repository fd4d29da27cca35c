"""Compare instance retrieval with resizing and scoring pair by pair.

``python tools/benchmarks/retrieval.py`` scores random proposals (ellipses of
all sizes) for random peaks in two ways, turn by turn in one process: all
pairs at once, as ProposalRetrieval does, and one pair after the other, as a
plain program does: the response map of the peak's class is resized to the
image and compared with its mean, the contour of the proposal is taken, and
three sums over the image follow. Both ways have to agree, and keep freed
memory, as ``tools/test.py`` does.
"""

import argparse
from typing import NamedTuple

from mmwsl.apis import keep_freed_memory
from mmwsl.proposals.retrieval import proposal_scores

import cv2
import numpy as np

from timing import compare, make_parser

parser = make_parser(__doc__)
parser.option('--peaks', 16)
parser.option('--proposals', 200)
parser.option('--height', 375)
parser.option('--width', 500)

ALPHA, BETA, BG_FACTOR = 0.8, 1e-5, 0.95
KERNEL = np.ones((5, 5), dtype=np.uint8)


class Case(NamedTuple):
    """Peak response maps, classes, class maps and proposals."""

    prms: np.ndarray
    classes: np.ndarray
    class_maps: np.ndarray
    proposals: np.ndarray


def make_case(args: argparse.Namespace) -> Case:
    """Draw the input."""
    rng = np.random.default_rng(0)
    height, width = args.height, args.width
    prms = rng.random((args.peaks, height, width), dtype=np.float32) ** 8
    prms /= prms.sum(axis=(1, 2), keepdims=True)
    masks = np.zeros((args.proposals, height, width), dtype=np.uint8)
    for mask in masks:
        center = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(5, 200)), int(rng.integers(5, 150)))
        angle = float(rng.integers(180))
        cv2.ellipse(mask, center, axes, angle, 0, 360, 1, -1)
    classes = rng.integers(0, 20, args.peaks)
    class_maps = rng.random((20, 14, 14), dtype=np.float32)
    return Case(prms, classes, class_maps, masks.astype(bool))


def score_pair(case: Case, peak: int, index: int) -> float:
    """Score one proposal for one peak with the formula."""
    prm, mask = case.prms[peak], case.proposals[index]
    grid = case.class_maps[case.classes[peak]]
    response = cv2.resize(grid, mask.shape[::-1])
    background = response < BG_FACTOR * response.mean()
    contour = cv2.morphologyEx(
        mask.astype(np.uint8), cv2.MORPH_GRADIENT, KERNEL
    )
    return float(
        ALPHA * (prm * mask).sum()
        + (prm * contour).sum()
        - BETA * (background * mask).sum()
    )


def pair_by_pair(case: Case) -> np.ndarray:
    """Score all pairs in turn."""
    return np.array(
        [
            [score_pair(case, peak, i) for i in range(len(case.proposals))]
            for peak in range(len(case.prms))
        ]
    )


def at_once(case: Case) -> np.ndarray:
    """Score all pairs together."""
    return proposal_scores(
        *case, ALPHA, BETA, bg_factor=BG_FACTOR, area_range=(0, 1)
    )


def check(found: np.ndarray, expected: np.ndarray) -> None:
    """Stop if the scores differ."""
    difference = np.abs(found - expected).max()
    # Rounding decides whether a pixel near the threshold is background.
    if difference > 3 * BETA:
        raise SystemExit(f'the answers differ by {difference:.1e}')


@parser.command
def main(args: argparse.Namespace) -> None:
    """Run the comparison and print the ratios."""
    keep_freed_memory()
    case = make_case(args)
    ways = {
        'at once': lambda: at_once(case),
        'pair by pair': lambda: pair_by_pair(case),
    }
    compare(args, ways, check)


if __name__ == '__main__':
    raise SystemExit(main())
