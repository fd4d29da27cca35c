"""What the commands that score other programs' results have in common."""

import argparse
import json
from typing import Callable, Dict

from mmwsl.apis import friendly_errors
from mmwsl.evaluation.files import write_metrics


def run_scoring(
    evaluate: Callable[[argparse.Namespace], Dict[str, float]],
    args: argparse.Namespace,
) -> int:
    """Print the metrics and, with ``--out``, write them.

    Args:
        evaluate: Computes the metrics as the command line says.
        args: The command line, with ``out``.

    Returns:
        The exit code.
    """
    with friendly_errors():
        metrics = evaluate(args)
        print(json.dumps(metrics))
        if args.out:
            write_metrics(args.out, metrics)
    return 0
