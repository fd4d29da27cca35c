"""Label maps from class maps and saliency, step by step.

The steps of NSROM (https://arxiv.org/abs/2103.14581): initial labels,
potential object mining and non-salient region masking.

Shape shorthand: (H, W) the image. A label map is uint8: 0 is background,
c + 1 class c, 255 ignored. Every function takes numpy arrays or torch
tensors in main memory, leaves them as they are and returns a new numpy
array.
"""

from typing import Mapping, Tuple

import cv2
import numpy as np

from mmwsl.pseudo_labels.checks import (
    IGNORE,
    LARGEST_CLASS,
    Array,
    check_label,
    check_map,
    check_plane,
    check_range,
)


def initial_label(
    saliency: Array,
    maps: Mapping[int, Array],
    fg_threshold: float = 0.3,
    conflict_threshold: float = 0.9,
    map_threshold: float = 0.8,
    saliency_threshold: float = 32 / 255,
) -> np.ndarray:
    """Extract the background and label the rest with its best class.

    The scores of a pixel are ``1 - saliency`` for background and the maps,
    each scaled to [0, 1] by its minimum and maximum. Scores below
    ``fg_threshold`` count as 0 and the highest wins, background first and
    then the lower class where they are equal. Ignored are pixels with two or
    more scores (background among them) above ``conflict_threshold``, and
    background that may be object: salient, or seen by some map.

    Args:
        saliency: Float (H, W) in [0, 1].
        maps: Float (H, W) of each present class, by class index.
        fg_threshold: Scores below it become 0.
        conflict_threshold: Two scores above it contradict each other.
        map_threshold: A map above it makes a pixel salient.
        saliency_threshold: Saliency from which background is ignored.

    Returns:
        uint8 (H, W).

    Raises:
        TypeError: If the saliency or a map is not of floats.
        ValueError: If sizes differ, values are not finite, the saliency is
            outside [0, 1] or a class does not fit into a label map.
    """
    saliency = check_map(saliency, 'saliency', None, 0, 1)
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

    Each map is scaled to [0, 1] by its minimum and maximum. The threshold
    of a class that the label map holds is the median of its map over the
    pixels labelled so; of another class it is the upper quartile of the
    values above ``bg_threshold``. Background above a threshold is ignored.

    Args:
        label: uint8 (H, W), from :func:`initial_label`.
        cams: Float (H, W) of each present class, by class index.
        bg_threshold: Values at most this high are surely background.

    Returns:
        uint8 (H, W).

    Raises:
        TypeError: If the label map is not of integers or a map not of
            floats.
        ValueError: If sizes differ, values are not finite, or a class or a
            value of the label map is outside 0..255.
    """
    label = check_label(label, 'label')
    claimed = np.zeros(label.shape, bool)
    for index in sorted(cams):
        scores = _scaled(cams[index], index, label.shape)
        values = scores[label == _label_value(index)]
        if values.size:
            threshold: float = np.median(values)
        else:
            threshold = _upper_quartile(scores, bg_threshold)
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

    With at most one class the prediction is the label map. Otherwise the
    objects of the pseudo label fill its background, and what is neither near
    an object nor near a salient pixel is ignored.

    Args:
        prediction: uint8 (H, W), by the first segmentor.
        label: uint8 (H, W), the pseudo label it was trained on.
        saliency: (H, W), in [0, 1] or of another scale from 0.
        num_classes_in_image: Number of classes that the image shows.
        dilation: Side of the square, in pixels, that objects and salient
            pixels are dilated by. With an even side it reaches one pixel
            farther to the right and down, as OpenCV's does.
        saliency_threshold: Saliency above it is salient. The paper's 0 is
            for maps that are 0 where nothing is; with soft maps, which are
            hardly anywhere, it leaves nothing to ignore.

    Returns:
        uint8 (H, W).

    Raises:
        TypeError: If a label map is not of integers.
        ValueError: If the sizes differ, a label map is outside 0..255, the
            saliency is negative or not finite or ``dilation`` is below 1.
    """
    if dilation < 1:
        raise ValueError(f'dilation must be at least 1, got {dilation}')
    result = check_label(prediction, 'prediction')
    shape = result.shape
    pseudo = check_label(label, 'label', shape)
    plane = check_plane(saliency, 'saliency', shape)
    check_range(plane, 'saliency', 0)
    salient = plane > saliency_threshold
    if num_classes_in_image <= 1 or not result.size:
        return result
    fill = (result == 0) & (pseudo != 0) & (pseudo != IGNORE)
    np.copyto(result, pseudo, where=fill)
    near = (salient | (result != 0)).view(np.uint8)
    near = cv2.dilate(near, np.ones((dilation, dilation), np.uint8))
    np.copyto(result, IGNORE, where=near == 0)
    return result


def keep_ignored(label: Array, earlier: Array) -> np.ndarray:
    """Leave background ignored that an earlier label map ignores.

    The methods' second round labels all pixels by what a segmentor predicts.
    Where it sees background and the label map that it was trained on was
    undecided, it has learned nothing that speaks against an object.

    Args:
        label: uint8 (H, W), of the second round.
        earlier: uint8 (H, W), of the first.

    Returns:
        uint8 (H, W).

    Raises:
        TypeError: If a label map is not of integers.
        ValueError: If the sizes differ or a label map is outside 0..255.
    """
    result = check_label(label, 'label')
    ignored = check_label(earlier, 'earlier', result.shape) == IGNORE
    np.copyto(result, IGNORE, where=ignored & (result == 0))
    return result


def ignore_if_small(label: Array, min_ratio: float = 0.01) -> np.ndarray:
    """Ignore the whole image if hardly any pixel shows an object.

    Args:
        label: uint8 (H, W).
        min_ratio: Share of the pixels that must carry a class.

    Returns:
        uint8 (H, W): the label map, or 255 everywhere.

    Raises:
        TypeError: If the label map is not of integers.
        ValueError: If it is not (H, W) or outside 0..255.
    """
    label = check_label(label, 'label')
    objects = np.count_nonzero(label) - np.count_nonzero(label == IGNORE)
    if label.size and objects / label.size < min_ratio:
        label.fill(IGNORE)
    return label


def _upper_quartile(scores: np.ndarray, bg_threshold: float) -> float:
    """Median of the upper half of the values above a threshold."""
    values = scores[scores > bg_threshold]
    if not values.size:
        return 1.0
    middle = np.median(values)
    upper = values[values > middle]
    # Values that are all equal have no upper half, and none exceeds them.
    return float(np.median(upper)) if upper.size else float(middle)


def _scaled(values: Array, index: int, shape: Tuple[int, ...]) -> np.ndarray:
    """Scale a map to [0, 1]; a constant one becomes 0."""
    plane = check_map(values, f'map of class {index}', shape)
    if not plane.size:
        return plane.copy()
    low, high = plane.min(), plane.max()
    scaled: np.ndarray = plane - low
    if high > low:
        scaled /= high - low
    return scaled


def _label_value(index: int) -> int:
    """The value that a class has in a label map."""
    if not 0 <= index <= LARGEST_CLASS:
        raise ValueError(f'class index {index} is not in 0..{LARGEST_CLASS}')
    return int(index) + 1
