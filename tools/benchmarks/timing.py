"""What the benchmarks share: ways of one work, turn by turn in one process."""

import argparse
import statistics
import time
from typing import Any, Callable, Dict, List

from mmwsl.apis import ToolParser

import cv2
import numpy as np
import torch


def make_parser(doc: str, rounds: int = 3) -> ToolParser:
    """Return a parser with the options of :func:`compare`.

    Args:
        doc: The text of the benchmark, of which the first line is shown.
        rounds: How often each way is timed by default.
    """
    parser = ToolParser(doc)
    parser.option('--rounds', rounds)
    parser.option('--threads', None, 'of torch and of OpenCV each', type=int)
    parser.option(
        '--clock',
        False,
        'time on the clock, as always with a GPU; by default that of the '
        'process, summed over its threads, which others disturb less',
    )
    return parser


def equal(found: Any, expected: Any) -> None:
    """Stop unless two answers are the same."""
    if not np.array_equal(found, expected):
        raise SystemExit('the answers differ')


def compare(
    args: argparse.Namespace,
    ways: Dict[str, Callable[[], Any]],
    check: Callable[[Any, Any], None] = lambda found, expected: None,
    warm_up: int = 0,
) -> Dict[str, float]:
    """Time the ways turn by turn, and print the medians and their ratios.

    Args:
        args: Of :func:`make_parser`.
        ways: Our own way, which the others are compared with, comes first.
        check: Stops if what our way and another one return disagrees.
        warm_up: Rounds before those that count.

    Returns:
        The median seconds of each way.
    """
    if args.threads is not None:
        torch.set_num_threads(args.threads)
        cv2.setNumThreads(args.threads)
    cuda = torch.cuda.is_available()
    clock = time.perf_counter if args.clock or cuda else time.process_time
    times: Dict[str, List[float]] = {name: [] for name in ways}
    for number in range(warm_up + args.rounds):
        found: Dict[str, Any] = {}
        for name, way in ways.items():
            start = clock()
            found[name] = way()
            if cuda:
                torch.cuda.synchronize()
            if number >= warm_up:
                times[name].append(clock() - start)
        own, *others = found.values()
        for other in others:
            check(own, other)
    seconds = {name: statistics.median(t) for name, t in times.items()}
    first = next(iter(seconds))
    for name, value in seconds.items():
        words = f'{name}: {1000 * value:.1f} ms'
        if name != first:
            words += f', {value / seconds[first]:.2f} times that of {first}'
        print(words)
    return seconds
