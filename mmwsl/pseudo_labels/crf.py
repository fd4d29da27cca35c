"""Dense conditional random field, by mean field.

Shape shorthand: (H, W) the image, (h, w) its grid of n points, L labels,
d dimensions, M lattice nodes.
"""

from typing import Callable, List, Tuple

import cv2
import numpy as np
from scipy import sparse

from mmwsl.pseudo_labels.labels import Array, check_range
from mmwsl.utils.arrays import array, bounded_size, resize

Sum = Callable[[np.ndarray], np.ndarray]
METHODS = ('auto', 'exact', 'lattice', 'pydensecrf')
# Up to so many pixels the sum over all pairs is quick.
_EXACT_PIXELS = 4096
_EXACT_BLOCK = 2048
# Images of more pixels than the first are refined on a grid of at most so
# many points as the second, which takes 1 to 5 seconds.
_WHOLE_PIXELS = 3 << 17
_GRID_PIXELS = 1 << 18
# OpenCV filters no more channels at once.
_MOST_CHANNELS = 64


def dense_crf(
    image: Array,
    probs: Array,
    iterations: int = 10,
    gaussian: Tuple[float, float] = (3, 1),
    bilateral: Tuple[float, float, float] = (4, 67, 3),
    method: str = 'auto',
    clip: float = 1e-5,
) -> np.ndarray:
    """Refine the labels of an image (https://arxiv.org/abs/1210.5644).

    Mean field of a fully connected field with Potts model: in every
    iteration the logits ``log probs`` of a label gain, for each kernel, its
    weight times the kernel's mean of the label over all pixels, and a
    softmax follows. As usual a pixel is among its own neighbours and kernels
    are normalised symmetrically, ``D^-1/2 K D^-1/2`` with D the row sums of
    K. The kernels are ``exp(-|dp|^2 / 2 sigma^2)`` in the position p, and
    the same times ``exp(-|dI|^2 / 2 sigma_rgb^2)`` in the colour I.

    The first kernel is summed exactly. For the second, 'exact' sums over
    all n^2 pairs; 'lattice' blurs on a permutohedral lattice, whose labels
    differ from the exact ones at 0.1 to 1 % of the pixels; 'auto' takes the
    exact way for images of up to 4096 pixels. 'pydensecrf' needs the package
    of this name, or pydensecrf2, which is its drop-in.

    Images of more than 1.5 * 2^18 pixels are averaged over the cells of a grid
    of 2^18 points, refined there with the same kernels (sigmas stay in pixels
    of the image), and the probabilities are interpolated. So time and memory
    are bounded, and edges of objects are as sharp as the grid.

    Labels that are nowhere more probable than ``clip`` stay out of the field
    and get 0, so that only the classes of an image cost time.

    Args:
        image: uint8 (H, W, 3); the order of the colours does not matter.
        probs: Float (L, H, W) in [0, 1].
        iterations: Number of mean field steps.
        gaussian: Weight and sigma, in pixels, of the first kernel.
        bilateral: Weight, sigma in pixels and sigma_rgb of the second.
        method: 'auto', 'exact', 'lattice' or 'pydensecrf'.
        clip: Smallest probability that counts.

    Returns:
        Float32 (L, H, W), sums to 1 over the labels.

    Raises:
        ValueError: If shapes, types or settings do not fit.
        ImportError: If pydensecrf is asked for but missing.
    """
    image, probs = array(image), array(probs).astype(np.float32, copy=False)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            'image must be uint8 of shape (H, W, 3), got '
            f'{image.dtype} {image.shape}'
        )
    if probs.ndim != 3 or probs.shape[1:] != image.shape[:2]:
        raise ValueError(
            f'probs must have shape (L, {image.shape[0]}, {image.shape[1]}) '
            f'as the image, got {probs.shape}'
        )
    if not min(gaussian[1], *bilateral[1:]) > 0:
        raise ValueError(
            'the sigmas of gaussian and bilateral must be positive, got '
            f'{gaussian} and {bilateral}'
        )
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got '{method}'")
    check_range(probs, 'probs')
    refined = np.zeros(probs.shape, np.float32)
    if not probs.size:
        return refined
    present = np.flatnonzero(probs.max(axis=(1, 2)) > clip)
    if not len(present):
        raise ValueError(f'probs holds no value above {clip}')
    size = image.shape[:2]
    grid = size
    if size[0] * size[1] > _WHOLE_PIXELS:
        grid = bounded_size(size, _GRID_PIXELS)
    # Points of the grid a pixel, downwards and to the right.
    scale = grid[0] / size[0], grid[1] / size[1]
    logits = np.stack([resize(probs[label], grid) for label in present])
    np.log(np.clip(logits, clip, None, out=logits), out=logits)
    run = _by_package if method == 'pydensecrf' else _mean_field
    image = resize(image, grid)
    field = run(image, logits, iterations, gaussian, bilateral, scale, method)
    for label, plane in zip(present, field):
        refined[label] = resize(plane, size)
    return refined


def _mean_field(
    image: np.ndarray,
    logits: np.ndarray,
    iterations: int,
    gaussian: Tuple[float, float],
    bilateral: Tuple[float, float, float],
    scale: Tuple[float, float],
    method: str,
) -> np.ndarray:
    """Return the probabilities (L, h, w) of logits (L, h, w)."""
    places = np.mgrid[: image.shape[0], : image.shape[1]].transpose(1, 2, 0)
    points = np.concatenate(
        [places / scale / bilateral[1], image / bilateral[2]], axis=-1
    ).reshape(-1, 5)
    if method == 'auto':
        method = 'exact' if len(points) <= _EXACT_PIXELS else 'lattice'
    pair_sum = _pair_sum if method == 'exact' else _lattice_sum
    sums = _blur(logits.shape[1:], gaussian[1], scale), pair_sum(points)
    weights = gaussian[0], bilateral[0]
    ones = np.ones((len(points), 1), np.float32)
    scales = [1 / np.sqrt(np.maximum(total(ones), 1e-20)) for total in sums]
    # One row a point, as sparse matrices want it.
    unary = np.ascontiguousarray(logits.reshape(len(logits), -1).T)
    field = _softmax(unary.copy())
    for _ in range(iterations):
        total = unary.copy()
        for weight, factor, kernel_sum in zip(weights, scales, sums):
            message = kernel_sum(field * factor)
            message *= np.float32(weight) * factor
            total += message
        field = _softmax(total)
    return field.T.reshape(logits.shape)


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits (n, L) into probabilities, in place."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits


def _blur(
    shape: Tuple[int, ...], sigma: float, scale: Tuple[float, float]
) -> Sum:
    """Return the sum over a Gaussian of positions, exact to 1e-7."""
    taps = []
    for side in scale:
        radius = max(1, int(np.ceil(6 * sigma * side)))
        offsets = np.arange(-radius, radius + 1) / (sigma * side)
        taps.append(np.exp(offsets**2 / -2).astype(np.float32))
    down, right = taps

    def kernel_sum(values: np.ndarray) -> np.ndarray:
        planes = values.reshape(*shape, -1)
        total = np.empty_like(planes)
        for first in range(0, planes.shape[2], _MOST_CHANNELS):
            part = np.s_[..., first : first + _MOST_CHANNELS]
            total[part] = cv2.sepFilter2D(
                np.ascontiguousarray(planes[part]),
                -1,
                right,
                down,
                borderType=cv2.BORDER_CONSTANT,
            ).reshape(planes[part].shape)
        return total.reshape(values.shape)

    return kernel_sum


def _pair_sum(points: np.ndarray) -> Sum:
    """Return the sum over all pairs of points."""
    # In single precision the matrix product below would lose the digits of
    # points that lie close together.
    halves = (points**2).sum(axis=1) / 2

    def kernel(first: int) -> np.ndarray:
        part = slice(first, first + _EXACT_BLOCK)
        exponent = points[part] @ points.T - halves
        exponent -= halves[part, None]
        values = exponent.astype(np.float32)
        return np.exp(values, out=values)

    firsts = range(0, len(points), _EXACT_BLOCK)
    kept: List[np.ndarray] = []
    if len(points) <= _EXACT_PIXELS:
        kept = [kernel(first) for first in firsts]

    def kernel_sum(values: np.ndarray) -> np.ndarray:
        rows = kept or (kernel(first) for first in firsts)
        return np.concatenate([row @ values for row in rows])

    return kernel_sum


def _lattice_sum(points: np.ndarray) -> Sum:
    """Return the sum over a Gaussian of points, up to a common factor.

    Values are spread over the corners of each point's simplex in the
    permutohedral lattice (https://doi.org/10.1111/j.1467-8659.2009.01645.x),
    blurred along one axis after another, and read at the same corners.
    """
    number, dims = points.shape
    corners = dims + 1
    # The variance that spreading, blurring and reading have together.
    deviation = np.sqrt(2 / 3) * corners
    weights, rest, rank = _enclosing_simplex(points, deviation)
    keys, stride = _corner_keys(rest, rank)
    nodes, columns = np.unique(keys, return_inverse=True)
    starts = np.arange(0, number * corners + 1, corners)
    read = sparse.csr_matrix(
        (weights.ravel(), columns.ravel(), starts),
        shape=(number, len(nodes)),
    )
    blurs = []
    for axis in range(corners):
        step = np.ones(dims, np.int64)
        step[axis : axis + 1] -= corners
        blurs.append(_axis_blur(nodes, int(step @ stride)))

    def kernel_sum(values: np.ndarray) -> np.ndarray:
        total = read.T @ values
        for blur in blurs:
            total = blur @ total
        return read @ total

    return kernel_sum


def _axis_blur(nodes: np.ndarray, step: int) -> sparse.csr_matrix:
    """Return what adds half of both neighbours of nodes (M,), (M, M)."""
    number = len(nodes)
    places = np.searchsorted(nodes, nodes + step)
    places[places == number] = 0
    rows = np.flatnonzero(nodes[places] == nodes + step)
    halves = np.full(len(rows), 0.5, np.float32)
    ahead = sparse.csr_matrix(
        (halves, (rows, places[rows])), shape=(number, number)
    )
    own = sparse.identity(number, dtype=np.float32, format='csr')
    return (own + ahead + ahead.T).tocsr()


def _enclosing_simplex(
    points: np.ndarray, deviation: float
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the simplex around every point.

    Returns barycentric weights float32 (n, d + 1) of the corners, corner
    with remainder 0 first; that corner's coordinates int64 (n, d + 1); and
    the rank (n, d + 1) of each coordinate's distance from it.
    """
    number, dims = points.shape
    corners = dims + 1
    axes = np.arange(1, corners)
    scaled = points * (deviation / np.sqrt(axes * (axes + 1)))
    # Onto the plane in which the coordinates sum to 0.
    raised = np.zeros((number, corners))
    raised[:, :-1] = scaled[:, ::-1].cumsum(axis=1)[:, ::-1]
    raised[:, 1:] -= axes * scaled
    nearest = np.round(raised / corners)
    rank = (nearest * corners - raised).argsort(axis=1, kind='stable')
    rank = rank.argsort(axis=1, kind='stable')
    rank += nearest.sum(axis=1, keepdims=True).astype(np.int64)
    shift = (rank < 0).astype(np.int64) - (rank > dims)
    nearest += shift
    rank += shift * corners
    inside = raised / corners - nearest
    weights = np.zeros((number, corners + 1))
    ordered = np.empty_like(inside)
    np.put_along_axis(ordered, dims - rank, inside, axis=1)
    weights[:, :-1] = ordered
    weights[:, 1:] -= ordered
    weights[:, 0] += 1 + weights[:, -1]
    rest = (nearest * corners).astype(np.int64)
    return weights[:, :-1].astype(np.float32), rest, rank


def _corner_keys(
    rest: np.ndarray, rank: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """Number the corners of the simplices, keys int64 (n, d + 1).

    A step in each coordinate adds the stride (d,), which is returned as well,
    to a key. Keys of their neighbours are unique, too.
    """
    corners = rest.shape[1]
    # A corner, and a neighbour of it, are that far from ``rest`` at most.
    margin = 2 * corners
    low = rest[:, :-1].min(axis=0) - margin
    spans = rest[:, :-1].max(axis=0) + margin + 1 - low
    if np.prod(spans.astype(np.float64)) > 2**62:
        raise ValueError(
            'a sigma of bilateral is too small for a lattice of the image'
        )
    stride = np.cumprod([1, *spans[:-1].tolist()])
    base = (rest[:, :-1] - low) @ stride
    keys = np.empty(rest.shape, np.int64)
    for corner in range(corners):
        back = rank[:, :-1] >= corners - corner
        keys[:, corner] = (
            base + corner * stride.sum() - corners * (back @ stride)
        )
    return keys, stride


def _by_package(
    image: np.ndarray,
    logits: np.ndarray,
    iterations: int,
    gaussian: Tuple[float, float],
    bilateral: Tuple[float, float, float],
    scale: Tuple[float, float],
    method: str,
) -> np.ndarray:
    """Run the compiled package on logits (L, h, w)."""
    try:
        from pydensecrf import densecrf
    except ImportError as error:
        raise ImportError(
            f"method='{method}' needs the package pydensecrf: pip install "
            "pydensecrf2; method='auto' needs none"
        ) from error
    height, width = image.shape[:2]
    field = densecrf.DenseCRF2D(width, height, len(logits))
    unary = np.ascontiguousarray(-logits.reshape(len(logits), -1))
    field.setUnaryEnergy(unary.astype(np.float32))
    field.addPairwiseGaussian(
        sxy=(gaussian[1] * scale[1], gaussian[1] * scale[0]),
        compat=gaussian[0],
    )
    field.addPairwiseBilateral(
        sxy=(bilateral[1] * scale[1], bilateral[1] * scale[0]),
        srgb=bilateral[2],
        rgbim=np.ascontiguousarray(image),
        compat=bilateral[0],
    )
    refined = np.asarray(field.inference(iterations), np.float32)
    return refined.reshape(logits.shape)
