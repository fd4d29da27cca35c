"""Instances from peak response maps and segment proposals.

Section 3.3 of PRM (https://arxiv.org/abs/1804.00880), and the count term of
LC (https://arxiv.org/abs/1903.02494).

P: peaks. C: classes. K: proposals. M: instances. (h, w): grid of a map.
(H, W): size of the image in pixels.
"""

from typing import Any, Dict, Optional, Tuple, Union

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from mmwsl.registry import TASK_UTILS
from mmwsl.structures import Proposals
from mmwsl.utils.arrays import check_same_size, mask_iou, suppress

Array = Union[np.ndarray, Tensor]
MAP_RESIZES = ('bilinear', 'released')

# Pixels of masks that are worked on at once.
_PIXELS = 1 << 21


def retrieve_instances(
    prms: Array,
    classes: Array,
    class_maps: Array,
    proposals: Array,
    alpha: float = 0.8,
    beta: float = 1e-5,
    gamma: float = 0.0,
    bg_factor: float = 0.95,
    density: Optional[Array] = None,
    nms_threshold: float = 0.3,
    area_range: Tuple[float, float] = (0.00002, 0.85),
    map_resize: str = 'bilinear',
    delta: float = 0.0,
) -> Dict[str, np.ndarray]:
    """Give every peak its best proposal, and every object one peak.

    Each peak takes the proposal with the highest score of
    :func:`proposal_scores`, of equal ones (in single precision) the first.
    Then masks that overlap are suppressed whatever their class, the best
    score first, and the peak response maps of the suppressed are added to
    the survivor's.

    Args:
        prms (np.ndarray): (P, H, W), each with the sum 1. This and all other
            arrays may also be tensors; the work is done where it lies.
        classes (np.ndarray): (P,) class index of every peak.
        class_maps (np.ndarray): (C, h, w) before any activation, of the
            whole image.
        proposals (np.ndarray): Masks (K, H, W), what is not 0 is inside.
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
        delta (float): Weight of the likeness of proposal and class map,
            which the papers do not have.

    Returns:
        dict: Best first: ``scores`` float64 (M,), ``labels`` int64 (M,),
        ``masks`` bool (M, H, W), ``prms`` (M, H, W), sums over the merged
        peaks, ``peak_index`` and ``proposal_index`` int64 (M,). M is 0
        without peaks or without proposals of a fitting size.

    Raises:
        ValueError: If sizes or classes do not fit, if there is no density
            for ``gamma``, or if maps hold NaN or infinity.
    """
    prms, classes, class_maps = _checked_peaks(prms, classes, class_maps)
    masks = _checked_masks(proposals, prms)
    pairs = proposal_scores(
        prms,
        classes,
        class_maps,
        masks,
        alpha,
        beta,
        gamma,
        bg_factor,
        density,
        area_range,
        map_resize,
        delta,
    )
    # Without any fitting proposal no peak finds one.
    peaks = len(pairs) if np.isfinite(pairs).any() else 0
    pairs = pairs[:peaks]
    chosen = np.zeros(0, dtype=np.int64)
    if peaks:
        best = pairs.max(axis=1, keepdims=True)
        chosen = (pairs >= best - 1e-6 * np.abs(best)).argmax(axis=1)
    scores = pairs[np.arange(peaks), chosen]
    # Several peaks may have chosen the same one.
    different, copies = np.unique(chosen, return_inverse=True)
    found = masks[torch.from_numpy(different).to(masks.device)].cpu().numpy()
    ious = mask_iou(found, found)[copies][:, copies]
    kept, owner = suppress(scores, ious, nms_threshold)
    responses = prms[:peaks].cpu().numpy()
    # The maps of the suppressed go to their survivors.
    groups = np.arange(len(kept))[:, None] == owner
    return dict(
        scores=scores[kept],
        labels=classes.cpu().numpy()[kept],
        masks=found[copies[kept]],
        prms=np.tensordot(groups.astype(responses.dtype), responses, axes=1),
        peak_index=kept,
        proposal_index=chosen[kept],
    )


def proposal_scores(
    prms: Array,
    classes: Array,
    class_maps: Array,
    proposals: Array,
    alpha: float = 0.8,
    beta: float = 1e-5,
    gamma: float = 0.0,
    bg_factor: float = 0.95,
    density: Optional[Array] = None,
    area_range: Tuple[float, float] = (0.00002, 0.85),
    map_resize: str = 'bilinear',
    delta: float = 0.0,
) -> np.ndarray:
    """Score all proposals for all peaks.

    With R the peak response map, Q a proposal, Q^ its contour and B the
    background of the peak's class (:func:`background_masks`), the score is
    ``alpha * R.Q + R.Q^ - beta * B.Q - gamma * |1 - D.Q|``. Dots are sums
    over pixels; for D, the density of the class, Q is taken on D's grid by
    nearest neighbours, the pixel at the centre of each cell. ``delta`` adds
    ``delta * M.Q / sqrt(M.M * Q.Q)``, the cosine of Q and the positive part M
    of the class map, which is 1 where they are alike.

    The arguments are those of :func:`retrieve_instances`.

    Returns:
        np.ndarray: float64 (P, K), minus infinity for skipped proposals.
    """
    prms, classes, class_maps = _checked_peaks(prms, classes, class_maps)
    masks = _checked_masks(proposals, prms)
    cells = _density_of_peaks(density, classes, class_maps) if gamma else None
    if not len(prms):
        return np.zeros((0, len(masks)))
    present, class_of_peak = classes.unique(return_inverse=True)
    height, width = prms.shape[1:]
    background = background_masks(
        class_maps[present], (height, width), bg_factor, map_resize
    )
    scores = prms.new_zeros((len(prms), len(masks)), dtype=torch.float64)
    likeness = scores.new_zeros((len(present), len(masks)))
    if delta:
        positive = F.interpolate(
            class_maps[present][None], (height, width), mode='bilinear'
        )[0].clamp_(min=0)
        positive = F.normalize(positive.flatten(1)).view_as(positive)
    areas = prms.new_zeros(len(masks), dtype=torch.float64)
    # Some rows of all masks at once: a large image is read only once.
    step = max(1, _PIXELS // max(1, len(masks) * width))
    for top in range(0, height, step):
        rows = slice(top, top + step)
        responses = prms[:, rows].flatten(1)
        cost = background[:, rows].flatten(1)[class_of_peak]
        inside = alpha * responses - beta * cost
        part = masks[:, rows].flatten(1).to(inside.dtype)
        scores += inside @ part.T
        # Contours need two more rows on both sides.
        first = max(0, top - 2)
        edges = contours(masks[:, first : top + step + 2])
        edges = edges[:, top - first :][:, : min(step, height - top)]
        scores += responses @ edges.flatten(1).to(inside.dtype).T
        areas += part.sum(dim=1)
        if delta:
            likeness += positive[:, rows].flatten(1) @ part.T
    if delta:
        likeness /= areas.clamp(min=1).sqrt()
        scores += delta * likeness[class_of_peak]
    if cells is not None:
        scores -= gamma * (1 - _on_grid(masks, cells)).abs()
    if not scores.isfinite().all():
        raise ValueError(
            'peak response maps or density maps hold NaN or infinity'
        )
    low, high = (share * height * width for share in area_range)
    scores[:, (areas < low) | (areas > high)] = -torch.inf
    found: np.ndarray = scores.cpu().numpy()
    return found


def _checked_peaks(
    prms: Any, classes: Any, class_maps: Any
) -> Tuple[Tensor, Tensor, Tensor]:
    """Turn what describes peaks into tensors that fit each other.

    As float32, int64 and float32, where ``prms`` lies.
    """
    prms = _tensor(prms, torch.float32)
    class_maps = _tensor(class_maps, torch.float32, prms.device)
    classes = _tensor(classes, torch.long, prms.device)
    if prms.ndim != 3 or class_maps.ndim != 3:
        raise ValueError(
            'peak response maps must be (P, H, W) and class maps (C, h, w), '
            f'got shapes {tuple(prms.shape)} and {tuple(class_maps.shape)}'
        )
    if classes.shape != (len(prms),):
        raise ValueError(
            f'{len(prms)} peak response maps need classes of shape '
            f'({len(prms)},), got {tuple(classes.shape)}'
        )
    if not ((classes >= 0) & (classes < len(class_maps))).all():
        raise ValueError(
            f'classes {classes.tolist()} are not all in '
            f'0..{len(class_maps) - 1}, for which there are class maps'
        )
    return prms, classes, class_maps


def _tensor(value: Any, dtype: torch.dtype, device: Any = None) -> Tensor:
    value = torch.as_tensor(value)
    if value.device.type != 'cpu' and device is None:
        device = value.device
    return value.detach().to(device, dtype)


def _checked_masks(proposals: Any, prms: Tensor) -> Tensor:
    """Return proposals as bool (K, H, W) that fit peak response maps."""
    masks = torch.as_tensor(proposals)
    if masks.ndim != 3:
        raise ValueError(
            f'proposals must be (K, H, W), got shape {tuple(masks.shape)}'
        )
    other = 'the peak response maps are'
    check_same_size('proposals are', masks.shape[1:], other, prms.shape[1:])
    masks = masks.to(prms.device)
    return masks if masks.dtype == torch.bool else masks != 0


def background_masks(
    class_maps: Tensor,
    size: Tuple[int, int],
    bg_factor: float = 0.95,
    resize: str = 'bilinear',
) -> Tensor:
    """Mark where class maps are below a part of their mean.

    Args:
        class_maps: (C, h, w).
        size: (H, W).
        bg_factor: The part; the mean is that of the resized map.
        resize: 'bilinear' resizes the values themselves (pixel centres, no
            aligned corners). 'released' does what the released code of PRM
            does: min-max scaled to 0 to 255, rounded, and resized as a
            bicubic 8-bit picture.

    Returns:
        Boolean (C, H, W).

    Raises:
        ValueError: If ``resize`` is neither, or a map holds NaN or infinity.
    """
    if resize not in MAP_RESIZES:
        raise ValueError(
            f'map_resize must be one of {MAP_RESIZES}, got {resize!r}'
        )
    if not class_maps.isfinite().all():
        raise ValueError('class maps hold NaN or infinity')
    height, width = size
    if not len(class_maps):
        return class_maps.new_zeros((0, height, width), dtype=torch.bool)
    if resize == 'bilinear':
        images = F.interpolate(
            class_maps[None], (height, width), mode='bilinear'
        )[0]
    else:
        pictures = [
            Image.fromarray(_to_bytes(grid)).resize(
                (width, height), Image.Resampling.BICUBIC
            )
            for grid in class_maps.cpu().numpy()
        ]
        stack = np.stack([np.asarray(picture) for picture in pictures])
        images = torch.from_numpy(stack).to(class_maps.device)
    mean = images.mean(dim=(1, 2), keepdim=True, dtype=torch.float64)
    return images < bg_factor * mean


def _to_bytes(grid: np.ndarray) -> np.ndarray:
    """Scale a map to 0 to 255 and round, halves up."""
    low, high = float(grid.min()), float(grid.max())
    scale = 255 / (high - low) if high > low else 1.0
    return ((grid - low) * scale + 0.5).astype(np.uint8)


def contours(masks: Tensor) -> Tensor:
    """Mark the pixels near which masks bool (K, H, W) begin or end.

    Those in whose square of 5 x 5 pixels, as far as it lies in the image,
    some are inside and some are not: OpenCV's morphological gradient.
    """
    counts = _count_near(masks.view(torch.uint8))
    full = _count_near(torch.ones_like(counts[:1]))
    # Without a sign 0 less 1 is above all counts.
    return counts.sub_(1) < full - 1


def _count_near(masks: Tensor) -> Tensor:
    """Sum uint8 masks (K, H, W) over squares around every pixel."""
    # Sums of bytes are much faster than max pooling on CPUs.
    counts = F.pad(masks, (2, 2, 2, 2))
    for axis in (1, 2):
        size = masks.shape[axis]
        pairs = counts.narrow(axis, 0, size + 3)
        pairs = pairs + counts.narrow(axis, 1, size + 3)
        last = counts.narrow(axis, 4, size)
        counts = pairs.narrow(axis, 0, size) + pairs.narrow(axis, 2, size)
        counts += last
    return counts


def _density_of_peaks(
    density: Any, classes: Tensor, class_maps: Tensor
) -> Tensor:
    """Return the density maps (P, h', w') of the classes of peaks."""
    if density is None:
        raise ValueError('gamma needs density maps, but density is None')
    density = _tensor(density, torch.float32, class_maps.device)
    if density.ndim != 3 or len(density) != len(class_maps):
        raise ValueError(
            f'density must be ({len(class_maps)}, h, w) as there are '
            f'{len(class_maps)} class maps, got shape {tuple(density.shape)}'
        )
    return density[classes]


def _on_grid(masks: Tensor, cells: Tensor) -> Tensor:
    """Sum maps (P, h', w') over masks taken on their grid, (P, K)."""
    # The pixel at the centre of each cell.
    y, x = (
        (2 * torch.arange(small, device=masks.device) + 1)
        * large
        // (2 * small)
        for small, large in zip(cells.shape[1:], masks.shape[1:])
    )
    grid = masks[:, y[:, None], x].to(cells.dtype)
    return cells.flatten(1) @ grid.flatten(1).T


def to_unit_sum(maps: np.ndarray) -> np.ndarray:
    """Divide every map (P, H, W) by its sum; maps of zeros stay zero."""
    total = maps.sum(axis=(1, 2), keepdims=True, dtype=np.float64)
    scaled: np.ndarray = maps / np.where(total > 0, total, 1).astype(
        maps.dtype
    )
    return scaled


@TASK_UTILS.register_module()
class ProposalRetrieval:
    """Takes the best proposal for every peak response map.

    PRM (https://arxiv.org/abs/1804.00880), section 3.3, with the count term
    of LC (https://arxiv.org/abs/1903.02494); see
    :func:`retrieve_instances`.

    Args:
        alpha: Weight of the response inside the proposal.
        beta: Cost of a background pixel inside the proposal.
        gamma: Weight of the count term; LC's is 0.2, and needs density maps.
        bg_factor: Background is where the class map is below this part of
            its mean.
        nms_threshold: IoU above which masks are suppressed.
        max_proposals: How many proposals, the first ones, are used.
        map_resize: 'bilinear', or 'released' for 8-bit bicubic pictures of
            the maps that peaks are found on.
        delta: Weight of the likeness of proposal and class map. Where an
            object is the only one of its class, this chooses best; where
            there are several, they share the map.

    Raises:
        ValueError: If a setting is out of range.
    """

    def __init__(
        self,
        alpha: float = 0.8,
        beta: float = 1e-5,
        gamma: float = 0.0,
        bg_factor: float = 0.95,
        nms_threshold: float = 0.3,
        max_proposals: int = 100,
        map_resize: str = 'bilinear',
        delta: float = 0.0,
    ) -> None:
        if max_proposals < 1:
            raise ValueError(f'max_proposals must be > 0, got {max_proposals}')
        if map_resize not in MAP_RESIZES:
            raise ValueError(
                f'map_resize must be one of {MAP_RESIZES}, got {map_resize!r}'
            )
        self.max_proposals = max_proposals
        self.released = map_resize == 'released'
        self.settings = dict(
            alpha=alpha,
            beta=beta,
            gamma=gamma,
            bg_factor=bg_factor,
            nms_threshold=nms_threshold,
            map_resize=map_resize,
            delta=delta,
        )

    def __call__(
        self,
        prms: Array,
        classes: Array,
        class_maps: Array,
        proposals: Proposals,
        density: Optional[Array] = None,
    ) -> Dict[str, np.ndarray]:
        """Make the instances of one image.

        Args:
            prms: (P, H, W), each with the sum 1.
            classes: (P,).
            class_maps: (C, h, w) before any activation.
            proposals: K masks of H x W pixels, best first.
            density: (C, h', w') whose sum over a class is its count.

        Returns:
            Best first ``scores`` (M,), ``labels`` (M,), ``masks`` bool
            (M, H, W), ``prms`` (M, H, W), merged and with the sum 1 again,
            and ``peak_index`` (M,).

        Raises:
            ValueError: If sizes do not fit.
        """
        found = retrieve_instances(
            prms,
            classes,
            class_maps,
            proposals[: self.max_proposals].masks,
            density=density,
            **self.settings,  # type: ignore[arg-type]
        )
        found['prms'] = to_unit_sum(found['prms'])
        return found
