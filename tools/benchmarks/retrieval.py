"""Compare instance retrieval with resizing and scoring pair by pair.

``python tools/benchmarks/retrieval.py`` scores random proposals (ellipses of
all sizes) for random peaks in two ways, turn by turn in one process, and
reports the ratio of the times: all pairs at once, as ProposalRetrieval does,
and one pair after the other, as a plain program does: the response map of the
peak's class is resized to the image and compared with its mean, the contour
of the proposal is taken, and three sums over the image follow. Both ways have
to agree.

Both keep freed memory, as ``tools/test.py`` does.

``--noise`` takes proposals of random pixels, the worst case. ``--threads 1``
keeps OpenCV and torch to one thread each, and ``--process-time`` takes the
time of the process, which other programs disturb less.
"""

import argparse
import statistics
import time
from typing import Dict, NamedTuple, Optional, Sequence

from mmwsl.apis import keep_freed_memory
from mmwsl.evaluation.functional import proposal_scores

import cv2
import numpy as np
import torch
from PIL import Image

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
        if args.noise:
            mask[:] = rng.random(mask.shape) < 0.5
            continue
        center = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.integers(5, 200)), int(rng.integers(5, 150)))
        angle = float(rng.integers(180))
        cv2.ellipse(mask, center, axes, angle, 0, 360, 1, -1)
    classes = rng.integers(0, 20, args.peaks)
    class_maps = rng.random((20, 14, 14), dtype=np.float32)
    return Case(prms, classes, class_maps, masks.astype(bool))


def resized(grid: np.ndarray, size: tuple, map_resize: str) -> np.ndarray:
    """Bring a class map to the size (width, height) of the image."""
    if map_resize == 'bilinear':
        return cv2.resize(grid, size)
    scaled = (grid - grid.min()) * (255 / (grid.max() - grid.min()))
    picture = Image.fromarray((scaled + 0.5).astype(np.uint8))
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC))


def score_pair(case: Case, peak: int, index: int, map_resize: str) -> float:
    """Score one proposal for one peak with the formula."""
    prm, mask = case.prms[peak], case.proposals[index]
    grid = case.class_maps[case.classes[peak]]
    response = resized(grid, mask.shape[::-1], map_resize)
    background = response < BG_FACTOR * response.mean()
    contour = cv2.morphologyEx(
        mask.astype(np.uint8), cv2.MORPH_GRADIENT, KERNEL
    )
    return float(
        ALPHA * (prm * mask).sum()
        + (prm * contour).sum()
        - BETA * (background * mask).sum()
    )


def pair_by_pair(case: Case, map_resize: str) -> np.ndarray:
    """Score all pairs in turn."""
    return np.array(
        [
            [
                score_pair(case, peak, index, map_resize)
                for index in range(len(case.proposals))
            ]
            for peak in range(len(case.prms))
        ]
    )


def at_once(case: Case, map_resize: str) -> np.ndarray:
    """Score all pairs together."""
    return proposal_scores(
        case.prms,
        case.classes,
        case.class_maps,
        case.proposals,
        ALPHA,
        BETA,
        bg_factor=BG_FACTOR,
        area_range=(0, 1),
        map_resize=map_resize,
    )


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the comparison and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--peaks', type=int, default=16)
    parser.add_argument('--proposals', type=int, default=200)
    parser.add_argument('--height', type=int, default=375)
    parser.add_argument('--width', type=int, default=500)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--threads', type=int)
    parser.add_argument('--process-time', action='store_true')
    parser.add_argument('--noise', action='store_true')
    parser.add_argument(
        '--map-resize', default='bilinear', choices=['bilinear', 'released']
    )
    args = parser.parse_args(argv)
    keep_freed_memory()
    if args.threads is not None:
        cv2.setNumThreads(args.threads)
        torch.set_num_threads(args.threads)
    case = make_case(args)
    ways = {
        'pair by pair': lambda: pair_by_pair(case, args.map_resize),
        'at once': lambda: at_once(case, args.map_resize),
    }
    timer = time.process_time if args.process_time else time.perf_counter
    times: Dict[str, list] = {name: [] for name in ways}
    found = {}
    for _ in range(args.rounds):
        for name, way in ways.items():
            start = timer()
            found[name] = way()
            times[name].append(timer() - start)
    slow = found['pair by pair']
    for name, seconds in times.items():
        difference = np.abs(found[name] - slow).max()
        ratio = statistics.median(times['pair by pair']) / statistics.median(
            seconds
        )
        print(
            f'{name}: {1000 * statistics.median(seconds):.1f} ms, '
            f'{ratio:.1f} times as fast, largest difference {difference:.1e}'
        )
        # Rounding decides whether a pixel near the threshold is background.
        if difference > 3 * BETA:
            print('the answers differ')
            return 1
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
