"""From swept seed scores to the reported numbers, tables and files."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from mmwsl.evaluation.functional.seeds import mean_without_nan
from mmwsl.utils.files import write_whole
from mmwsl.utils.tables import format_table, percent

SWEPT_MEANS = ('mIoU', 'mPrecision', 'mRecall')


def best_index(scores: Dict[str, np.ndarray], best_by: str = 'mIoU') -> int:
    """Position of the best threshold; the lowest of equal ones.

    Args:
        scores (dict): Result of :func:`seed_scores`.
        best_by (str): 'mIoU', 'mPrecision' or 'mRecall'.

    Returns:
        int: Index into the sweep, 0 if there is nothing but NaN.
    """
    if best_by not in SWEPT_MEANS:
        raise ValueError(f'best_by must be one of {SWEPT_MEANS}: {best_by!r}')
    return int(np.argmax(np.nan_to_num(scores[best_by], nan=-1.0)))


def body_recall(body_scores: Dict[str, np.ndarray], index: int) -> float:
    """Mean recall of the foreground classes at one threshold, a fraction."""
    return float(mean_without_nan(body_scores['recall'][index, 1:]))


def seed_summary(
    scores: Dict[str, np.ndarray],
    index: int,
    threshold: Optional[float] = None,
    alpha: Optional[float] = None,
    body_scores: Optional[Dict[str, np.ndarray]] = None,
) -> Dict[str, float]:
    """The reported numbers, in percent, at one position of the sweep.

    Args:
        scores (dict): Result of :func:`seed_scores`.
        index (int): Position in the sweep.
        threshold (float, optional): Background score there, if swept.
        alpha (float, optional): Exponent there, if exponents were swept.
        body_scores (dict, optional): Scores against the masks of bodies.

    Returns:
        dict: ``mIoU``, ``mPrecision``, ``mRecall`` and, where known,
        ``best_threshold``, ``best_alpha``, ``body_recall``.
    """
    summary = {key: percent(scores[key][index]) for key in SWEPT_MEANS}
    if threshold is not None:
        summary['best_threshold'] = round(float(threshold), 6)
    if alpha is not None:
        summary['best_alpha'] = round(float(alpha), 6)
    if body_scores is not None:
        summary['body_recall'] = percent(body_recall(body_scores, index))
    return summary


def seed_table(
    scores: Dict[str, np.ndarray],
    index: int,
    class_names: Sequence[str],
    body_scores: Optional[Dict[str, np.ndarray]] = None,
) -> str:
    """One line of IoU, precision and recall for background and each class.

    Args:
        scores (dict): Result of :func:`seed_scores`.
        index (int): Position in the sweep.
        class_names (Sequence[str]): The C foreground classes.
        body_scores (dict, optional): Adds a column of the recall on bodies.

    Returns:
        str: The table; '-' where a value is undefined.
    """
    header = ['class', 'IoU', 'precision', 'recall']
    columns: List[Sequence[Any]] = [['background', *class_names, 'mean']]
    for name in ('IoU', 'Precision', 'Recall'):
        values = scores[name.lower()][index]
        columns.append([*values, scores['m' + name][index]])
    if body_scores is not None:
        header.append('body recall')
        bodies = body_scores['recall'][index, 1:]
        columns.append([np.nan, *bodies, body_recall(body_scores, index)])
    return format_table(header, list(zip(*columns)))


def sweep_rows(
    scores: Dict[str, np.ndarray],
    thresholds: Optional[np.ndarray] = None,
    alphas: Optional[np.ndarray] = None,
) -> List[Dict[str, Optional[float]]]:
    """One dict of percentages for each position of the sweep."""
    rows = []
    for i in range(len(scores['mIoU'])):
        row: Dict[str, Optional[float]] = {}
        if alphas is not None:
            row['alpha'] = float(alphas[i])
        if thresholds is not None:
            row['threshold'] = float(thresholds[i])
        for key in SWEPT_MEANS:
            value = percent(scores[key][i])
            # JSON knows no NaN.
            row[key] = None if np.isnan(value) else value
        rows.append(row)
    return rows


def write_sweep(path: str, rows: List[Dict[str, Optional[float]]]) -> None:
    """Write the sweep as ``.json`` (list of objects) or ``.csv``.

    The file appears whole or not at all.

    Args:
        path (str): File to write; its folder is created.
        rows (list[dict]): Result of :func:`sweep_rows`.

    Raises:
        ValueError: If the suffix is neither of the two.
    """
    check_sweep_path(path)
    if path.endswith('.json'):
        write_whole(path, json.dumps(rows, indent=1).encode())
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())


def check_sweep_path(path: str) -> None:
    """Raise ValueError unless the file's suffix is .json or .csv."""
    if not path.endswith(('.json', '.csv')):
        raise ValueError(f'{path}: the sweep is written as .json or .csv')
