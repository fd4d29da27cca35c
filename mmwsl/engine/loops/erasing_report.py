"""What is told of the steps of adversarial erasing."""

from typing import Dict, Sequence

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


def result_scalars(
    losses: Sequence[float], merged: int, counts: Sequence[int]
) -> Dict[str, float]:
    """Return what is logged at the end of a run.

    Args:
        losses: The converged loss of each step.
        merged: How many of the steps are merged.
        counts: Numbers of pixels that are labelled, that are foreground,
            and of all label maps.
    """
    scalars: Dict[str, float] = {'erasing/merged_steps': merged}
    for step, loss in enumerate(losses, 1):
        scalars[f'erasing/loss_{step}'] = loss
    labelled, foreground, total = counts
    if total:
        scalars['labelled'] = round(100 * labelled / total, 2)
        scalars['foreground'] = round(100 * foreground / total, 2)
    return scalars
