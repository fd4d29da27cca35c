"""Splitting an image into regions, and what is known of them.

S: number of regions, E: number of pairs of them that touch, (H, W): size of
the image, (h, w): half of it, Q: number of histogram bins.
"""

from typing import Dict, List, NamedTuple, Tuple

import cv2
import numpy as np
from scipy import ndimage

from mmwsl.utils.arrays import resize

# The values of L, a and b that most pixels of photographs have.
_RANGES = ((0, 100), (-30, 42), (-30, 42))
_NUM_ORIENTATIONS = 8
_NUM_GRADIENT_DIRECTIONS = 8
_NUM_TEXTURES = 1 + 2 * _NUM_GRADIENT_DIRECTIONS
# Lightness steps a pixel; below the first one a pixel is flat.
_WEAK_GRADIENT, _STRONG_GRADIENT = 2, 6
# Distance of the first regions' seeds in pixels; finer ones only cost time.
_GRID = 10
_COLOR_BINS = 12
_JOINT_BINS = 8
# Edges of this strength separate; shares of the largest edge.
_EDGE_SCALE = 0.12


def resize_within(img: np.ndarray, pixels: Tuple[int, int]) -> np.ndarray:
    """Bring an image (H, W, 3) to a number of pixels between two bounds."""
    height, width = img.shape[:2]
    wanted = np.clip(height * width, *pixels)
    factor = float(np.sqrt(wanted / (height * width)))
    if factor == 1:
        return img
    # Two regions need some pixels in each direction.
    size = [max(8, round(edge * factor)) for edge in (width, height)]
    kind = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(img, size, interpolation=kind)


class EdgeMaps(NamedTuple):
    """Two float32 (H, W) maps of about 0 to 1."""

    # The step between neighbouring pixels: sharp outlines.
    step: np.ndarray
    # How much the colours and textures of two half discs around a pixel
    # differ: outlines between textures, blurred ones too.
    region: np.ndarray


def to_lab(img: np.ndarray) -> np.ndarray:
    """Turn BGR uint8 (H, W, 3) into CIELAB float32 (H, W, 3)."""
    return cv2.cvtColor(img.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)


def scaled_lab(lab: np.ndarray) -> np.ndarray:
    """Stretch each channel (H, W, 3) to what photographs use, 0 to 1."""
    low, high = np.array(_RANGES, dtype=np.float32).T
    return np.clip((lab - low) / (high - low), 0, 1)


def texture_codes(lightness: np.ndarray) -> np.ndarray:
    """Sort pixels of lightness (H, W), 0 to 100, by their finest gradient.

    Returns:
        int64 (H, W), 0 flat, then strong and weak gradients of eight
        directions each.
    """
    across, down = _gradient(lightness, 1.0)
    size = np.hypot(across, down)
    turn = np.arctan2(down, across) / (2 * np.pi)
    direction = np.floor(turn * _NUM_GRADIENT_DIRECTIONS).astype(np.int64)
    direction %= _NUM_GRADIENT_DIRECTIONS
    weak = np.where(size > _WEAK_GRADIENT, 9 + direction, 0)
    return np.where(size > _STRONG_GRADIENT, 1 + direction, weak)


def edge_maps(lab: np.ndarray) -> EdgeMaps:
    """Measure both kinds of edges of CIELAB float32 (H, W, 3)."""
    step = np.zeros(lab.shape[:2], dtype=np.float32)
    for sigma, strong in ((1.0, 20), (2.0, 15)):
        across, down = _gradient(lab, sigma)
        size = np.sqrt((across**2 + down**2).sum(axis=2))
        step += np.minimum(size / strong, 1)
    return EdgeMaps(step / 2, _region_contrast(lab))


def network_edges(edges: np.ndarray, size: Tuple[int, int]) -> EdgeMaps:
    """Bring edges (H, W) in [0, 1] that a network found to our scale and size.

    Networks such as HED are trained to miss no edge: the square separates
    strong ones from the many weak ones.
    """
    strong = resize(edges.astype(np.float32), size) ** 2
    return EdgeMaps(step=strong, region=2 * strong)


def _gradient(
    planes: np.ndarray, sigma: float
) -> Tuple[np.ndarray, np.ndarray]:
    smooth = cv2.GaussianBlur(planes, (0, 0), sigma)
    across = cv2.Scharr(smooth, cv2.CV_32F, 1, 0) / 32
    return across, cv2.Scharr(smooth, cv2.CV_32F, 0, 1) / 32


def _region_contrast(lab: np.ndarray) -> np.ndarray:
    """Compare half discs at half the size, which suffices for their size."""
    height, width = lab.shape[:2]
    half = (max(width // 2, 1), max(height // 2, 1))
    # OpenCV shrinks at most four channels at once.
    smooth = cv2.GaussianBlur(lab, (0, 0), 0.8)
    small = scaled_lab(cv2.resize(smooth, half, interpolation=cv2.INTER_AREA))
    colors = []
    for channel in np.moveaxis(small, 2, 0):
        # Soft bins: a slow change of colour is no edge anywhere.
        places = (
            channel[None] * 7 - np.arange(8, dtype=np.float32)[:, None, None]
        )
        colors.extend(np.maximum(0, 1 - np.abs(places)))
    codes = texture_codes(lab[..., 0])
    textures = [
        cv2.resize(
            (codes == code).astype(np.float32),
            half,
            interpolation=cv2.INTER_AREA,
        )
        for code in range(_NUM_TEXTURES)
    ]
    contrast = _half_disc_contrast(colors, 5) / 3
    contrast += 0.5 * _half_disc_contrast(textures, 8)
    # Twice: two halves that share no colour are rare.
    largest = 2 * contrast.max(axis=0)
    return cv2.resize(largest, (width, height))


def _half_disc_contrast(planes: List[np.ndarray], radius: int) -> np.ndarray:
    """Half the L1 distance of the histograms of two half discs.

    Of Q planes float32 (h, w), the share of each bin in each pixel, float32
    (orientations, h, w).
    """
    reach = np.arange(-radius, radius + 1)
    disc = reach[:, None] ** 2 + reach**2 <= radius * (radius + 0.5)
    contrasts = np.zeros(
        (_NUM_ORIENTATIONS, *planes[0].shape), dtype=np.float32
    )
    for number, contrast in enumerate(contrasts):
        angle = np.pi * number / _NUM_ORIENTATIONS
        side = reach * np.cos(angle) + reach[:, None] * np.sin(angle)
        # Rounded, so that the middle line is on neither side.
        kernel = disc * np.sign(side.round(6))
        kernel = (kernel / (kernel > 0).sum()).astype(np.float32)
        for plane in planes:
            contrast += np.abs(
                cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_REFLECT)
            )
    return contrasts / 2


class Borders(NamedTuple):
    """The borders between touching regions, each an array (E,)."""

    first: np.ndarray
    second: np.ndarray  # > first
    length: np.ndarray  # number of pairs of 4-neighbours across
    sums: np.ndarray  # over those pairs of each map (E, maps)


def superpixels(
    img: np.ndarray, lab: np.ndarray, edges: EdgeMaps, number: int
) -> np.ndarray:
    """Split an image into regions along its edges.

    A watershed from a grid of seeds, moved to where the edges are weakest,
    gives regions of about 100 pixels. They are then merged, in rounds in
    which all pairs merge that are each other's most similar neighbour.

    Returns:
        int64 (H, W), region of each pixel of the image BGR uint8, 0 to S - 1;
        S is ``number`` unless the image is too small.
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
    """Measure the borders between touching regions (H, W).

    Of maps (maps, H, W) the larger value of the two pixels at a border counts.
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
    sums = _sums(inverse, np.concatenate(values, axis=1), len(pairs))
    length = np.bincount(inverse, minlength=len(pairs)).astype(np.float64)
    return Borders(pairs // number, pairs % number, length, sums)


def _sums(index: np.ndarray, rows: np.ndarray, number: int) -> np.ndarray:
    """Sum rows (k, n) over equal indices (n,), float64 (number, k)."""
    sums = [np.bincount(index, row, number) for row in rows]
    return np.stack(sums, axis=1)


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

    Regions (H, W) are numbered without gaps then.
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
        color=_sums(flat, lab.reshape(-1, 3).T, count),
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
    merged['color'] = _sums(renumbered, state['color'].T, count)
    return merged


def rim_lengths(labels: np.ndarray) -> np.ndarray:
    """Count the pixels of each region at the border of the image, (S,)."""
    sides = [labels[0], labels[-1], labels[:, 0], labels[:, -1]]
    return np.bincount(np.concatenate(sides), minlength=int(labels.max()) + 1)


class RegionGraph(NamedTuple):
    """Regions and their borders, float32; all sums, so that they add up."""

    labels: np.ndarray  # region of each pixel, int64 (H, W)
    area: np.ndarray  # pixels (S,)
    rim: np.ndarray  # pixels at the border of the image (S,)
    # Histograms of L, a, b and of a and b together, and of gradient
    # directions (S, bins), each row sums to the area.
    color: np.ndarray
    texture: np.ndarray
    box: np.ndarray  # left, top, right, bottom edge (S, 4)
    # Of the border between two regions (S, S): its length, 0 where they do
    # not touch, and both kinds of edges summed along it.
    length: np.ndarray
    step: np.ndarray
    region: np.ndarray
    # Coordinates (S, d) in which regions are close that no edge separates,
    # times the area.
    embedding: np.ndarray


def region_graph(
    labels: np.ndarray, lab: np.ndarray, edges: EdgeMaps
) -> RegionGraph:
    """Gather what is known of the regions int64 (H, W) of an image."""
    number = int(labels.max()) + 1
    area = np.bincount(labels.reshape(-1), minlength=number)
    found = borders(labels, np.stack(edges))
    matrices = np.zeros((3, number, number), dtype=np.float32)
    values = np.stack([found.length, *found.sums.T])
    matrices[:, found.first, found.second] = values
    matrices[:, found.second, found.first] = values
    graph = RegionGraph(
        labels=labels,
        area=area.astype(np.float32),
        rim=rim_lengths(labels).astype(np.float32),
        color=_color_histograms(labels, lab, number),
        texture=_histograms(
            labels, texture_codes(lab[..., 0]), number, _NUM_TEXTURES
        ),
        box=np.array(
            [
                (columns.start, rows.start, columns.stop, rows.stop)
                for rows, columns in ndimage.find_objects(labels + 1)
            ],
            dtype=np.float32,
        ),
        length=matrices[0],
        step=matrices[1],
        region=matrices[2],
        embedding=np.zeros((number, 0), dtype=np.float32),
    )
    return graph._replace(embedding=_embedding(graph) * graph.area[:, None])


def _histograms(
    labels: np.ndarray, bins: np.ndarray, number: int, size: int
) -> np.ndarray:
    """Count the bins in each region, float32 (number, size)."""
    keys = (labels * size + bins).reshape(-1)
    counts = np.bincount(keys, minlength=number * size)
    return counts.reshape(number, size).astype(np.float32)


def _color_histograms(
    labels: np.ndarray, lab: np.ndarray, number: int
) -> np.ndarray:
    scaled = cv2.GaussianBlur(scaled_lab(lab), (0, 0), 0.8)
    parts = []
    for channel in np.moveaxis(scaled, 2, 0):
        # Shared between the two nearest bins.
        places = channel * (_COLOR_BINS - 1)
        lower = np.minimum(places.astype(np.int64), _COLOR_BINS - 2)
        share = (places - lower).reshape(-1)
        keys = (labels * _COLOR_BINS + lower).reshape(-1)
        size = number * _COLOR_BINS
        counts = np.bincount(keys, 1 - share, size)
        counts += np.bincount(keys + 1, share, size)
        parts.append(counts.reshape(number, _COLOR_BINS))
    a, b = np.minimum(
        (np.moveaxis(scaled[..., 1:], 2, 0) * _JOINT_BINS).astype(np.int64),
        _JOINT_BINS - 1,
    )
    joint = _histograms(labels, a * _JOINT_BINS + b, number, _JOINT_BINS**2)
    parts.append(joint)
    return (np.concatenate(parts, axis=1) / len(parts)).astype(np.float32)


def affinities(graph: RegionGraph) -> np.ndarray:
    """Say how much holds two regions together, float32 (S, S).

    The length of the border times a factor that falls from 1 with the mean
    edge along it.
    """
    edge = (graph.step + graph.region) / np.maximum(graph.length, 1) / 2
    weight: np.ndarray = np.exp(-edge / _EDGE_SCALE) * graph.length
    return weight


def _embedding(graph: RegionGraph, size: int = 12) -> np.ndarray:
    """Embed regions by the eigenvectors of their normalised graph.

    The vectors are those of normalised cuts, each divided by the root of its
    eigenvalue, as in Arbelaez et al., "Contour Detection and Hierarchical
    Image Segmentation": slow modes, which cut the image at few edges, weigh
    most. Float32 (S, up to ``size``), of variance 1 in the first column.
    """
    touch = graph.length > 0
    length = np.maximum(graph.length, 1)
    edge = (graph.step + graph.region) / length / 2
    color = graph.color / graph.area[:, None]
    edge += _EDGE_SCALE / 4 * np.abs(color[:, None] - color).sum(axis=2)
    weight = np.exp(-edge.astype(np.float64) / _EDGE_SCALE) * np.sqrt(length)
    weight = np.where(touch, weight + 1e-6, 0)
    scale = 1 / np.sqrt(np.maximum(weight.sum(axis=1), 1e-12))
    values, vectors = np.linalg.eigh(scale[:, None] * weight * scale)
    # The largest one is constant; its Laplacian eigenvalue is 0.
    values = 1 - values[::-1][1 : size + 1]
    vectors = vectors[:, ::-1][:, 1 : size + 1] * scale[:, None]
    # The sign of an eigenvector is arbitrary, but only distances count.
    share = graph.area[:, None] / graph.area.sum()
    vectors /= np.sqrt((vectors**2 * share).sum(axis=0))
    values = np.maximum(values, 1e-4)
    return (vectors / np.sqrt(values / values[:1])).astype(np.float32)
