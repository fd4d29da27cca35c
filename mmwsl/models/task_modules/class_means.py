"""Means over the entries of a class, of all processes if there are several."""

from typing import Tuple

import torch
from mmengine.dist import all_gather, get_world_size
from torch import Tensor


def class_means(labels: Tensor, rows: Tensor) -> Tuple[Tensor, Tensor]:
    """Return for every entry the mean over its class and their number.

    Args:
        labels: Classes of the entries (M,).
        rows: (M, d); rows that are not finite do not count.

    Returns:
        Means (M, d), equal to the bit within a class, and numbers (M,).
    """
    finite = rows.isfinite().all(dim=1)
    same = labels[:, None] == labels
    counted = same & finite
    number = counted.sum(dim=1)
    rows = torch.where(finite[:, None], rows, torch.zeros_like(rows))
    mean = counted.to(rows.dtype) @ rows
    mean = mean / number.clamp(min=1)[:, None]
    if len(labels):
        mean = mean[same.int().argmax(dim=1)]
    return mean, number


def gather_rows(rows: Tensor) -> Tensor:
    """Return the rows of all processes, those of rank 0 first."""
    if get_world_size() == 1:
        return rows
    # The last batch may be cut unevenly.
    sizes = [
        int(size)
        for size in all_gather(torch.tensor([len(rows)], device=rows.device))
    ]
    padded = rows.new_zeros((max(sizes), *rows.shape[1:]))
    padded[: len(rows)] = rows
    parts = all_gather(padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes)])
