"""Instances from peak response maps and segment proposals.

Section 3.3 of PRM (https://arxiv.org/abs/1804.00880), and the count term of
LC (https://arxiv.org/abs/1903.02494).

P: peaks. C: classes. K: proposals. M: instances. (h, w): grid of a map.
(H, W): size of the image in pixels.
"""

from typing import Any, Dict, Optional, Tuple, Union

import numpy as np

from mmwsl.evaluation.functional.background_masks import background_masks
from mmwsl.evaluation.functional.map_sums import (
    MapSums,
    mask_areas,
    mask_edges,
)
from mmwsl.evaluation.functional.mask_contours import contour_rows
from mmwsl.evaluation.functional.mask_iou import mask_iou
from mmwsl.evaluation.functional.mask_nms import merge_maps, suppress
from mmwsl.evaluation.functional.mask_windows import mask_windows
from mmwsl.structures import PackedMasks

Masks = Union[np.ndarray, PackedMasks]


def retrieve_instances(
    prms: np.ndarray,
    classes: np.ndarray,
    class_maps: np.ndarray,
    proposals: Masks,
    alpha: float = 0.8,
    beta: float = 1e-5,
    gamma: float = 0.0,
    bg_factor: float = 0.95,
    density: Optional[np.ndarray] = None,
    nms_threshold: float = 0.3,
    area_range: Tuple[float, float] = (0.00002, 0.85),
    map_resize: str = 'bilinear',
) -> Dict[str, np.ndarray]:
    """Give every peak its best proposal, and every object one peak.

    Each peak takes the proposal with the highest score of
    :func:`proposal_scores`, of equal ones the first. Then masks that overlap
    are suppressed whatever their class, the best score first, and the peak
    response maps of the suppressed are added to the survivor's.

    Args:
        prms (np.ndarray): (P, H, W), each with the sum 1. This and all other
            arrays may also be tensors on the CPU.
        classes (np.ndarray): (P,) class index of every peak.
        class_maps (np.ndarray): (C, h, w) before any activation, of the
            whole image.
        proposals (np.ndarray | PackedMasks): (K, H, W) masks.
        alpha (float): Weight of the response inside the proposal.
        beta (float): Cost of a background pixel inside the proposal.
        gamma (float): Weight of the count term; the published one is 0.2.
        bg_factor (float): Background is below this part of the map's mean.
        density (np.ndarray, optional): (C, h', w') whose sum over a class is
            its count; needed with ``gamma``.
        nms_threshold (float): IoU above which masks are suppressed.
        area_range (tuple[float]): Smallest and largest part of the image
            that a proposal may cover; others are skipped.
        map_resize (str): How class maps are brought to the size of the
            image, see :func:`background_masks`.

    Returns:
        dict: Best first: ``scores`` float64 (M,), ``labels`` int64 (M,),
        ``masks`` bool (M, H, W), ``prms`` (M, H, W), sums over the merged
        peaks, ``peak_index`` and ``proposal_index`` int64 (M,). M is 0
        without peaks or without proposals of a fitting size.

    Raises:
        ValueError: If sizes or classes do not fit, if there is no density
            for ``gamma``, or if maps hold NaN or infinity.
    """
    prms, classes, class_maps = checked_peaks(prms, classes, class_maps)
    proposals = _packed(proposals, prms.shape[1:])
    pairs = proposal_scores(
        prms,
        classes,
        class_maps,
        proposals,
        alpha,
        beta,
        gamma,
        bg_factor,
        density,
        area_range,
        map_resize,
    )
    # Without any fitting proposal no peak finds one.
    peaks = len(pairs) if np.isfinite(pairs).any() else 0
    prms, classes, pairs = prms[:peaks], classes[:peaks], pairs[:peaks]
    chosen = pairs.argmax(axis=1) if peaks else np.zeros(0, dtype=np.int64)
    scores = pairs[np.arange(peaks), chosen]
    # Several peaks may have chosen the same one.
    different, copies = np.unique(chosen, return_inverse=True)
    masks = proposals[different].unpack()
    ious = mask_iou(masks, masks)[copies][:, copies]
    kept, owner = suppress(scores, ious, nms_threshold)
    return dict(
        scores=scores[kept],
        labels=classes[kept],
        masks=masks[copies[kept]],
        prms=merge_maps(prms, owner, len(kept)),
        peak_index=kept,
        proposal_index=chosen[kept],
    )


def proposal_scores(
    prms: np.ndarray,
    classes: np.ndarray,
    class_maps: np.ndarray,
    proposals: Masks,
    alpha: float = 0.8,
    beta: float = 1e-5,
    gamma: float = 0.0,
    bg_factor: float = 0.95,
    density: Optional[np.ndarray] = None,
    area_range: Tuple[float, float] = (0.00002, 0.85),
    map_resize: str = 'bilinear',
) -> np.ndarray:
    """Score all proposals for all peaks.

    With R the peak response map, Q a proposal, Q^ its contour and B the
    background of the peak's class (:func:`background_masks`), the score is
    ``alpha * R.Q + R.Q^ - beta * B.Q - gamma * |1 - D.Q|``. Dots are sums
    over pixels; for D, the density of the class, Q is taken on D's grid by
    nearest neighbours, the pixel at the centre of each cell. What a mask
    contributes is computed once for all peaks, see :class:`MapSums`.

    The arguments are those of :func:`retrieve_instances`.

    Returns:
        np.ndarray: float64 (P, K), minus infinity for skipped proposals.

    Raises:
        ValueError: As :func:`retrieve_instances`.
    """
    prms, classes, class_maps = checked_peaks(prms, classes, class_maps)
    size = prms.shape[1:]
    proposals = _packed(proposals, size)
    if gamma:
        cells = _density_of_peaks(density, classes, len(class_maps))
    present, class_of_peak = np.unique(classes, return_inverse=True)
    background = background_masks(
        class_maps[present], size, bg_factor, map_resize
    )
    scores = np.empty((len(prms), len(proposals)))
    areas = np.empty(len(proposals))
    responses, backgrounds = MapSums(prms), MapSums(background)
    for masks in mask_windows(proposals.rows, size[1]):
        edges = mask_edges(masks)
        areas[masks.chosen] = mask_areas(masks, edges)
        found = alpha * responses.over(masks, edges)
        found -= beta * backgrounds.over(masks, edges)[class_of_peak]
        contours = masks._replace(rows=contour_rows(masks.rows, masks.inside))
        found += responses.over(contours, mask_edges(contours))
        scores[:, masks.chosen] = found
    if gamma:
        scores -= gamma * np.abs(1 - _on_grid(proposals.rows, size, cells))
    if not np.isfinite(scores).all():
        raise ValueError(
            'peak response maps or density maps hold NaN or infinity'
        )
    low, high = (part * size[0] * size[1] for part in area_range)
    scores[:, (areas < low) | (areas > high)] = -np.inf
    return scores


def checked_peaks(
    prms: Any, classes: Any, class_maps: Any
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn what describes peaks into arrays that fit each other.

    Args:
        prms (np.ndarray | Tensor): (P, H, W).
        classes (np.ndarray | Tensor): (P,).
        class_maps (np.ndarray | Tensor): (C, h, w).

    Returns:
        tuple: The same as float32, int64 and float32 arrays.

    Raises:
        ValueError: If a shape is wrong or a peak's class has no map.
    """
    prms, class_maps = (_array(x, np.float32) for x in (prms, class_maps))
    classes = _array(classes, np.int64)
    if prms.ndim != 3 or class_maps.ndim != 3:
        raise ValueError(
            'peak response maps must be (P, H, W) and class maps (C, h, w), '
            f'got shapes {prms.shape} and {class_maps.shape}'
        )
    if classes.shape != (len(prms),):
        raise ValueError(
            f'{len(prms)} peak response maps need classes of shape '
            f'({len(prms)},), got {classes.shape}'
        )
    if not ((classes >= 0) & (classes < len(class_maps))).all():
        raise ValueError(
            f'classes {classes.tolist()} are not all in '
            f'0..{len(class_maps) - 1}, for which there are class maps'
        )
    return prms, classes, class_maps


def _packed(proposals: Any, size: Tuple[int, int]) -> PackedMasks:
    """Check proposals (K, H, W), and pack them if they are not."""
    if not isinstance(proposals, PackedMasks):
        proposals = _array(proposals)
    shape = tuple(proposals.shape)
    if len(shape) != 3:
        raise ValueError(f'proposals must be (K, H, W), got shape {shape}')
    if shape[1:] != tuple(size):
        raise ValueError(
            f'proposals are {shape[2]} x {shape[1]} pixels, but the peak '
            f'response maps {size[1]} x {size[0]}'
        )
    if isinstance(proposals, PackedMasks):
        return proposals
    return PackedMasks.from_masks(proposals)


def _array(value: Any, dtype: Any = None) -> np.ndarray:
    """An array or a tensor on the CPU as an array."""
    if hasattr(value, 'detach'):
        value = value.detach()
        # numpy has no bfloat16.
        value = value.float() if value.is_floating_point() else value
    return np.asarray(value, dtype=dtype)


def _density_of_peaks(
    density: Any, classes: np.ndarray, num_classes: int
) -> np.ndarray:
    """Return the density maps (P, h', w') of the classes of peaks."""
    if density is None:
        raise ValueError('gamma needs density maps, but density is None')
    density = _array(density, np.float32)
    if density.ndim != 3 or len(density) != num_classes:
        raise ValueError(
            f'density must be ({num_classes}, h, w) as there are '
            f'{num_classes} class maps, got shape {density.shape}'
        )
    return density[classes]


def _on_grid(
    rows: np.ndarray, size: Tuple[int, int], cells: np.ndarray
) -> np.ndarray:
    """Sum maps (P, h', w') over packed masks taken on their grid."""
    y, x = (
        # The pixel at the centre of each cell.
        (2 * np.arange(small) + 1) * large // (2 * small)
        for small, large in zip(cells.shape[1:], size)
    )
    words = rows[:, y[:, None], x // 64]
    grid = (words >> (63 - x % 64).astype(np.uint64) & 1).astype(np.float64)
    sums: np.ndarray = np.tensordot(cells, grid, axes=([1, 2], [1, 2]))
    return sums
