"""Splitting an image into small regions of one colour.

(H, W): size of the image. S: number of regions, E: number of pairs of them
that touch.
"""

from typing import Dict, NamedTuple

import cv2
import numpy as np

from mmwsl.proposals.edges import EdgeMaps

# Distance of the first regions' seeds in pixels; finer ones only cost time.
_GRID = 10


class Borders(NamedTuple):
    """The borders between touching regions, each an array (E,).

    Attributes:
        first, second: The regions, ``first`` < ``second``.
        length: Number of pairs of 4-neighbours across.
        sums: Sums over those pairs of each map that was asked for, (E, maps).
    """

    first: np.ndarray
    second: np.ndarray
    length: np.ndarray
    sums: np.ndarray


def superpixels(
    img: np.ndarray, lab: np.ndarray, edges: EdgeMaps, number: int
) -> np.ndarray:
    """Split an image into regions along its edges.

    A watershed from a grid of seeds, moved to where the edges are weakest,
    gives regions of about 100 pixels. They are then merged, in rounds in
    which all pairs merge that are each other's most similar neighbour.

    Args:
        img (np.ndarray): BGR uint8 (H, W, 3).
        lab (np.ndarray): CIELAB float32 (H, W, 3).
        edges (EdgeMaps): Of the image.
        number (int): How many regions to leave.

    Returns:
        np.ndarray: int64 (H, W), region of each pixel, 0 to S - 1; S is
        ``number`` unless the image is too small.
    """
    # OpenCV leaves out the outermost pixels, so one more is added all round.
    smooth = cv2.copyMakeBorder(
        cv2.GaussianBlur(img, (0, 0), 1), 1, 1, 1, 1, cv2.BORDER_REPLICATE
    )
    flooded = cv2.watershed(smooth, np.pad(_seeds(edges.step), 1))
    return _merge(
        _fill(flooded[1:-1, 1:-1]),
        edges.step + edges.region / 2,
        cv2.GaussianBlur(lab, (0, 0), 1),
        number,
    )


def borders(labels: np.ndarray, maps: np.ndarray) -> Borders:
    """Measure the borders between touching regions.

    Args:
        labels (np.ndarray): int64 (H, W), region of each pixel.
        maps (np.ndarray): (maps, H, W), values to sum up; of the two pixels
            at a border the larger value counts.
    """
    number = int(labels.max()) + 1
    keys, values = [], []
    for axis in (0, 1):
        one, other = (
            np.delete(labels, edge, axis=axis).reshape(-1) for edge in (-1, 0)
        )
        differ = np.flatnonzero(one != other)
        one, other = one[differ], other[differ]
        keys.append(np.minimum(one, other) * number + np.maximum(one, other))
        before, after = (
            np.delete(maps, edge, axis=axis + 1).reshape(len(maps), -1)
            for edge in (-1, 0)
        )
        values.append(np.maximum(before[:, differ], after[:, differ]))
    pairs, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    sums = [
        np.bincount(inverse, row, len(pairs))
        for row in np.concatenate(values, axis=1)
    ]
    length = np.bincount(inverse, minlength=len(pairs)).astype(np.float64)
    return Borders(
        pairs // number, pairs % number, length, np.stack(sums, axis=1)
    )


def _seeds(edge: np.ndarray) -> np.ndarray:
    """Number the pixel with the weakest edge of each cell of a grid."""
    rows, columns = (max(1, size // _GRID) for size in edge.shape)
    height, width = (min(size, _GRID) for size in edge.shape)
    cells = edge[: rows * height, : columns * width]
    cells = cells.reshape(rows, height, columns, width)
    cells = cells.transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    y, x = np.divmod(cells.argmin(axis=2), width)
    seeds = np.zeros(edge.shape, dtype=np.int32)
    y += height * np.arange(rows)[:, None]
    x += width * np.arange(columns)
    seeds[y, x] = np.arange(1, rows * columns + 1).reshape(rows, columns)
    return seeds


def _fill(labels: np.ndarray) -> np.ndarray:
    """Give the watershed's lines, -1, to a region beside them.

    Returns:
        np.ndarray: int64 (H, W), numbers without gaps.
    """
    # float32 is the one type that OpenCV dilates and that holds the numbers.
    filled = np.maximum(labels, 0).astype(np.float32)
    while not filled.all():
        grown = cv2.dilate(filled, np.ones((3, 3), dtype=np.uint8))
        if not grown.any():
            break
        filled = np.where(filled > 0, filled, grown)
    _, compact = np.unique(filled, return_inverse=True)
    return compact.reshape(labels.shape)


def _merge(
    labels: np.ndarray, edge: np.ndarray, lab: np.ndarray, number: int
) -> np.ndarray:
    """Merge regions until ``number`` are left.

    Two regions differ by their mean colours and the mean edge between them,
    times the root of the harmonic mean of their sizes (as in Ward's method),
    so that small ones go first.
    """
    count = int(labels.max()) + 1
    found = borders(labels, edge[None])
    flat = labels.reshape(-1)
    state = dict(
        first=found.first,
        second=found.second,
        length=found.length,
        edge=found.sums[:, 0],
        area=np.bincount(flat, minlength=count).astype(np.float64),
        color=np.stack(
            [
                np.bincount(flat, c.reshape(-1), count)
                for c in np.moveaxis(lab, 2, 0)
            ],
            axis=1,
        ),
    )
    region_of = np.arange(count)
    while count > number and len(state['first']):
        pairs = _mutual_pairs(state)[: count - number]
        target = np.arange(count)
        target[state['second'][pairs]] = state['first'][pairs]
        _, renumbered = np.unique(target, return_inverse=True)
        region_of = renumbered[region_of]
        state = _renumber(state, renumbered)
        count = len(state['area'])
    return region_of[labels]


def _mutual_pairs(state: Dict[str, np.ndarray]) -> np.ndarray:
    """Find pairs that are each other's most similar neighbour, best first."""
    first, second, area = state['first'], state['second'], state['area']
    mean = state['color'] / area[:, None]
    distance = np.linalg.norm(mean[first] - mean[second], axis=1) / 40
    distance += state['edge'] / state['length']
    distance *= np.sqrt(
        2 * area[first] * area[second] / (area[first] + area[second])
    )
    # Ranks instead of distances: of equal pairs, too, exactly one is best.
    order = np.argsort(distance, kind='stable')
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    best = np.full(len(area), len(order))
    np.minimum.at(best, first, rank)
    np.minimum.at(best, second, rank)
    mutual = (best[first] == rank) & (best[second] == rank)
    return order[mutual[order]]


def _renumber(
    state: Dict[str, np.ndarray], renumbered: np.ndarray
) -> Dict[str, np.ndarray]:
    """Add up what belongs to the same regions and borders now."""
    count = int(renumbered.max()) + 1
    one, other = renumbered[state['first']], renumbered[state['second']]
    kept = one != other
    keys = np.minimum(one, other) * count + np.maximum(one, other)
    pairs, inverse = np.unique(keys[kept], return_inverse=True)
    merged = dict(first=pairs // count, second=pairs % count)
    for name in ('length', 'edge'):
        merged[name] = np.bincount(inverse, state[name][kept], len(pairs))
    merged['area'] = np.bincount(renumbered, state['area'], count)
    merged['color'] = np.stack(
        [np.bincount(renumbered, c, count) for c in state['color'].T], axis=1
    )
    return merged
