"""Label maps: the steps of NSROM, files and checks.

Shape shorthand: (H, W) the image, K classes. A label map is uint8 (H, W): 0
is background, c + 1 class c, 255 ignored. Functions of planes take numpy
arrays or tensors, leave them as they are and return a new numpy array. They
raise TypeError for numbers of a wrong kind, and ValueError for sizes that
differ, values that are not finite or out of range, and classes that do not
fit into a label map.
"""

import io
from typing import List, Mapping, Optional, Sequence, Tuple, Union

import cv2
import numpy as np
from PIL import Image
from torch import Tensor

from mmwsl.utils.arrays import array, check_same_size
from mmwsl.utils.files import write_whole
from mmwsl.utils.images import read_plane, voc_color_map

IGNORE = 255
LARGEST_CLASS = IGNORE - 2
Array = Union[np.ndarray, Tensor]
Shape = Optional[Tuple[int, ...]]
_KINDS = dict(floats='f', integers='ui', numbers='fuib')


def initial_label(
    saliency: Array,
    maps: Mapping[int, Array],
    fg_threshold: float = 0.3,
    conflict_threshold: float = 0.9,
    map_threshold: float = 0.8,
    saliency_threshold: float = 32 / 255,
) -> np.ndarray:
    """Extract the background and label the rest with its best class.

    NSROM's first step (https://arxiv.org/abs/2103.14581). The scores of a
    pixel are ``1 - saliency`` for background and the maps, each scaled to
    [0, 1] by its minimum and maximum. Scores below ``fg_threshold`` count as
    0 and the highest wins, background first and then the lower class where
    they are equal. Ignored are pixels with two or more scores (background
    among them) above ``conflict_threshold``, and background that may be
    object: salient, or seen by some map.

    Args:
        saliency: Float (H, W) in [0, 1].
        maps: Float (H, W) of each present class, by class index.
        fg_threshold: Scores below it become 0.
        conflict_threshold: Two scores above it contradict each other.
        map_threshold: A map above it makes a pixel salient.
        saliency_threshold: Saliency from which background is ignored.
    """
    saliency = check_plane(saliency, 'saliency', None, 'floats', 0, 1)
    best = 1 - saliency
    above = (best > conflict_threshold).view(np.uint8)
    best[best < fg_threshold] = 0
    uncertain = saliency >= saliency_threshold
    label = np.zeros(saliency.shape, np.uint8)
    for index in sorted(maps):
        value = _label_value(index)
        scores = _scaled(maps[index], index, saliency.shape)
        above += scores > conflict_threshold
        uncertain |= scores > map_threshold
        wins = scores > best
        wins &= scores >= fg_threshold
        np.copyto(best, scores, where=wins)
        np.copyto(label, value, where=wins)
    np.copyto(label, IGNORE, where=above >= 2)
    uncertain &= label == 0
    np.copyto(label, IGNORE, where=uncertain)
    return label


def potential_object_mining(
    label: Array, cams: Mapping[int, Array], bg_threshold: float = 0.3
) -> np.ndarray:
    """Ignore background that the plain class activation maps claim.

    NSROM's second step. Each map is scaled to [0, 1] by its minimum and
    maximum. The threshold of a class that the label map holds is the median
    of its map over the pixels labelled so; of another class it is the upper
    quartile of the values above ``bg_threshold``. Background above a
    threshold is ignored.

    Args:
        label: From :func:`initial_label`.
        cams: Float (H, W) of each present class, by class index.
        bg_threshold: Values at most this high are surely background.
    """
    label = check_label(label, 'label')
    claimed = np.zeros(label.shape, bool)
    for index in sorted(cams):
        scores = _scaled(cams[index], index, label.shape)
        values = scores[label == _label_value(index)]
        if values.size:
            threshold: float = np.median(values)
        else:
            threshold = _upper_quartile(scores[scores > bg_threshold])
        claimed |= scores > threshold
    claimed &= label == 0
    np.copyto(label, IGNORE, where=claimed)
    return label


def non_salient_region_masking(
    prediction: Array,
    label: Array,
    saliency: Array,
    num_classes_in_image: int,
    dilation: int = 30,
    saliency_threshold: float = 0.0,
) -> np.ndarray:
    """Turn a segmentor's prediction of a training image into its label map.

    NSROM's third step. With at most one class the prediction is the label
    map. Otherwise the objects of the pseudo label fill its background, and
    what is neither near an object nor near a salient pixel is ignored.

    Args:
        prediction: Label map by the first segmentor.
        label: The pseudo label it was trained on.
        saliency: (H, W), in [0, 1] or of another scale from 0.
        num_classes_in_image: Number of classes that the image shows.
        dilation: Side of the square, in pixels, that objects and salient
            pixels are dilated by. With an even side it reaches one pixel
            farther to the right and down, as OpenCV's does.
        saliency_threshold: Saliency above it is salient. The paper's 0 is
            for maps that are 0 where nothing is; with soft maps, which are
            hardly anywhere, it leaves nothing to ignore.
    """
    if dilation < 1:
        raise ValueError(f'dilation must be at least 1, got {dilation}')
    result = check_label(prediction, 'prediction')
    pseudo = check_label(label, 'label', result.shape)
    plane = check_plane(saliency, 'saliency', result.shape, 'numbers', 0)
    if num_classes_in_image <= 1 or not result.size:
        return result
    fill = (result == 0) & (pseudo != 0) & (pseudo != IGNORE)
    np.copyto(result, pseudo, where=fill)
    near = ((plane > saliency_threshold) | (result != 0)).view(np.uint8)
    near = cv2.dilate(near, np.ones((dilation, dilation), np.uint8))
    np.copyto(result, IGNORE, where=near == 0)
    return result


def keep_ignored(label: Array, earlier: Array) -> np.ndarray:
    """Leave background ignored that an earlier label map ignores.

    The methods' second round labels all pixels by what a segmentor predicts.
    Where it sees background and the label map that it was trained on was
    undecided, it has learned nothing that speaks against an object.
    """
    result = check_label(label, 'label')
    ignored = check_label(earlier, 'earlier', result.shape) == IGNORE
    np.copyto(result, IGNORE, where=ignored & (result == 0))
    return result


def ignore_if_small(label: Array, min_ratio: float = 0.01) -> np.ndarray:
    """Ignore the whole image if hardly any pixel shows an object.

    Args:
        label: A label map.
        min_ratio: Share of the pixels that must carry a class.

    Returns:
        uint8 (H, W): the label map, or 255 everywhere.
    """
    label = check_label(label, 'label')
    objects = np.count_nonzero(label) - np.count_nonzero(label == IGNORE)
    if label.size and objects / label.size < min_ratio:
        label.fill(IGNORE)
    return label


def _scaled(values: Array, index: int, shape: Shape) -> np.ndarray:
    """Scale a map to [0, 1]; a constant one becomes 0."""
    plane = check_plane(values, f'map of class {index}', shape, 'floats')
    if not plane.size:
        return plane.copy()
    low, high = plane.min(), plane.max()
    scaled: np.ndarray = plane - low
    if high > low:
        scaled /= high - low
    return scaled


def _upper_quartile(values: np.ndarray) -> float:
    """Return the median of the upper half of values, 1 if there are none."""
    if not values.size:
        return 1.0
    middle = np.median(values)
    upper = values[values > middle]
    # Values that are all equal have no upper half, and none exceeds them.
    return float(np.median(upper)) if upper.size else float(middle)


def _label_value(index: int) -> int:
    """Return the value of a class in a label map."""
    if not 0 <= index <= LARGEST_CLASS:
        raise ValueError(f'class index {index} is not in 0..{LARGEST_CLASS}')
    return int(index) + 1


def write_label_map(
    path: str,
    label: np.ndarray,
    palette: Optional[Sequence[Sequence[int]]] = None,
) -> None:
    """Write a label map as VOC does; the file appears whole or not at all.

    Args:
        path: File to write, a ``.png``; its folder is created.
        label: uint8 (H, W), not empty. The picture holds these indices.
        palette: RGB of classes, the first of which is 1 in the label map;
            the others, and all without it, have VOC's colours.
    """
    if label.dtype != np.uint8 or label.ndim != 2 or not label.size:
        raise ValueError(
            f'{path}: a label map is uint8 (H, W), got {label.dtype} '
            f'{label.shape}'
        )
    picture = Image.fromarray(label)
    colors: List[Sequence[int]] = [*voc_color_map()]
    colors[1 : len(palette or ()) + 1] = palette or ()
    picture.putpalette([int(value) for rgb in colors for value in rgb])
    buffer = io.BytesIO()
    picture.save(buffer, format='PNG')
    write_whole(path, buffer.getvalue())


def read_label_map(path: str) -> np.ndarray:
    """Read a label map, a picture of indices from 0 to 255.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is something else.
    """
    plane = read_plane(path, 'label map')
    if plane.dtype.kind == 'f':
        raise ValueError(f'{path}: label map holds floats, not indices')
    return check_label(plane.astype(np.int32), f'{path}: label map')


def check_plane(
    values: Array,
    name: str,
    shape: Shape = None,
    kind: str = 'numbers',
    low: float = -np.inf,
    high: float = np.inf,
) -> np.ndarray:
    """Return a plane (H, W) as an array, with half floats as single ones.

    Args:
        values: The plane.
        name: What to call it in an error.
        shape: Height and width that it must have, if they are known.
        kind: 'floats', 'integers' or 'numbers'.
        low: Least value that it may have.
        high: Largest one.
    """
    plane = array(values)
    if plane.ndim != 2:
        raise ValueError(f'{name} must have shape (H, W), got {plane.shape}')
    if shape is not None:
        check_same_size(f'{name} is', plane.shape, 'the image is', shape)
    if plane.dtype.kind not in _KINDS[kind]:
        raise TypeError(f'{name} must hold {kind}, got {plane.dtype}')
    check_range(plane, name, low, high)
    return plane.astype(np.float32) if plane.dtype == np.float16 else plane


def check_label(values: Array, name: str, shape: Shape = None) -> np.ndarray:
    """Return a copy of a label map, given as integers of any type."""
    plane = check_plane(values, name, shape, 'integers', 0, IGNORE)
    return plane.astype(np.uint8)


def check_range(
    values: np.ndarray, name: str, low: float = -np.inf, high: float = np.inf
) -> None:
    """Raise ValueError unless all values are finite and from low to high."""
    if not values.size:
        return
    least, most = values.min(), values.max()
    # A NaN is the least and the most.
    if not (np.isfinite(least) and np.isfinite(most)):
        raise ValueError(f'{name} holds values that are not finite')
    if least < low or most > high:
        limits = f'in [{low:g}, {high:g}]' if high < np.inf else f'>= {low:g}'
        raise ValueError(
            f'{name} must be {limits}, but its values reach from {least:g} '
            f'to {most:g}'
        )


def check_classes(labels: Array, name: str, number: int) -> np.ndarray:
    """Return the indices of so many different classes as int64 (K,)."""
    given = array(labels)
    if given.shape != (number,):
        raise ValueError(
            f'{name} have shape {given.shape}, but there are {number} maps'
        )
    good = given.dtype.kind in 'fiu'
    if good and number:
        good = 0 <= given.min() <= given.max() <= LARGEST_CLASS
        good = good and bool((given == np.floor(given)).all())
    if not good or len(np.unique(given)) != number:
        raise ValueError(
            f'{name} {given.tolist()} are not different class indices from 0 '
            f'to {LARGEST_CLASS}'
        )
    return given.astype(np.int64)
