"""What is told of the steps of adversarial erasing."""

from typing import Sequence

from mmwsl.evaluation.functional import format_table


def steps_csv(losses: Sequence[float], merged: int) -> str:
    """Return a line for each step.

    Args:
        losses: The converged loss of each step.
        merged: How many of the steps are merged.
    """
    lines = ['step,converged_loss,merged']
    for step, loss in enumerate(losses, 1):
        lines.append(f'{step},{loss:.6f},{int(step <= merged)}')
    return '\n'.join(lines) + '\n'


def steps_table(losses: Sequence[float], merged: int) -> str:
    """Return the same as a table for people; arguments as above."""
    rows = [
        [
            str(step),
            f'{loss:.4f}',
            f'{loss / losses[0]:.2f}' if losses[0] else '-',
            'yes' if step <= merged else 'no',
        ]
        for step, loss in enumerate(losses, 1)
    ]
    header = ['step', 'converged loss', 'of the first one', 'merged']
    return format_table(header, rows)
