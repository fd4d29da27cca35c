"""From the peaks of class maps to instances, shared by PRM and LC.

Shape shorthand: C classes, K classes kept, (h, w) the grid of the class
maps, f the factor by which it is made finer, (f h, f w) the grid of the
peaks, P peaks, (h_in, w_in) the padded input, M instances, (H, W) the
original image.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData, PixelData
from torch import Tensor, nn

from mmwsl.models.heads.cam_head import KEEPS, check_choice
from mmwsl.models.heads.maps import (
    Size,
    average_views,
    input_shapes,
    valid_cells,
)
from mmwsl.models.layers import find_peaks, peak_response_maps
from mmwsl.models.layers.peak_stimulation import Threshold
from mmwsl.models.task_modules import ProposalRetrieval
from mmwsl.models.task_modules.peak_growth import GRID
from mmwsl.registry import TASK_UTILS
from mmwsl.structures import WSLDataSample
from mmwsl.utils.arrays import bounded_size, resize, unflip
from mmwsl.utils.masks import boxes_of_masks


class ChosenPeaks(NamedTuple):
    """Peaks of one image, the highest first.

    Attributes:
        labels: Classes (P,) long.
        scores: Values of the class maps (P,).
        cells: Columns and rows (P, 2) long on the peaks' grid.
    """

    labels: Tensor
    scores: Tensor
    cells: Tensor


class UpsampledMaps(nn.Module):
    """A model of class maps with its grid made finer.

    Args:
        model: Images to class maps (N, C, h, w).
        factor: f.
    """

    def __init__(self, model: nn.Module, factor: int) -> None:
        super().__init__()
        self.model = model
        self.factor = factor

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the class maps (N, C, f h, f w) of images."""
        return upsample_maps(self.model(inputs), self.factor)


def upsample_maps(maps: Tensor, factor: int) -> Tensor:
    """Make the grid of maps (N, C, h, w) finer; corners stay corners."""
    if factor == 1:
        return maps
    return F.interpolate(
        maps, scale_factor=factor, mode='bilinear', align_corners=True
    )


class PeakChoice:
    """Chooses the peaks of the class maps of one image.

    The highest peak of a class passes ``min_ratio`` whatever its value, so
    without ``min_value`` every class that is kept has at least one peak.

    Args:
        window: See :func:`mmwsl.models.layers.find_peaks`.
        threshold: See :func:`mmwsl.models.layers.find_peaks`.
        classes: Peaks of which classes: 'predicted' ones (a score above 0
            in logits), those 'given' by the labels, or 'all'.
        min_value: Least value of a peak, in logits. The papers' demos use 3,
            20 and 30, for a value depends on the network and its training.
        min_ratio: Least value of a peak as share of its map's maximum.
        per_class: Largest number of peaks of a class.
        per_image: Largest number of peaks of an image.
        upsample: f. With 8, as in the authors' code, peaks lie between the
            cells of coarse maps.

    Raises:
        ValueError: If a setting is out of range.
    """

    def __init__(
        self,
        window: int = 3,
        threshold: Threshold = 'median',
        classes: str = 'predicted',
        min_value: Optional[float] = None,
        min_ratio: float = 0.0,
        per_class: Optional[int] = None,
        per_image: Optional[int] = 40,
        upsample: int = 1,
    ) -> None:
        check_choice('peaks.classes', classes, KEEPS)
        if not 0 <= min_ratio <= 1:
            raise ValueError(
                f'peaks.min_ratio must be from 0 to 1, got {min_ratio}.'
            )
        for name, number in (
            ('per_class', per_class),
            ('per_image', per_image),
            ('upsample', upsample),
        ):
            if number is not None and number < 1:
                raise ValueError(f'peaks.{name} must be > 0, got {number}.')
        self.window = window
        self.threshold = threshold
        self.classes = classes
        self.min_value = min_value
        self.min_ratio = min_ratio
        self.per_class = per_class
        self.per_image = per_image
        self.upsample = upsample

    def __call__(
        self,
        views: Sequence[Tensor],
        labels: Tensor,
        img_shape: Size,
        input_shape: Size,
        limits: Optional[Tensor] = None,
    ) -> ChosenPeaks:
        """Choose the peaks of one image.

        Args:
            views: Class maps (C, h, w) of each view. They are averaged on
                the grid of the first one, which decides about the peaks.
            labels: The classes (K,) that may have peaks.
            img_shape: Height and width of the image in the input.
            input_shape: Height and width of the padded input. Cells that see
                nothing but padding take no part.
            limits: Largest number of peaks of each class (C,), beside
                ``per_class``.

        Returns:
            The peaks.
        """
        coarse = average_views(views)
        maps = upsample_maps(coarse[None], self.upsample)[0]
        height, width = (
            _visible(cells, image, padded, self.upsample)
            for cells, image, padded in zip(
                coarse.shape[-2:], img_shape, input_shape
            )
        )
        maps = maps[:, :height, :width]
        peaks = find_peaks(maps[None], self.window, self.threshold)[0]
        peaks[~_contains(labels, len(maps))] = False
        peaks &= maps >= self._lowest(maps)[:, None, None]
        classes, rows, columns = peaks.nonzero().unbind(dim=1)
        values = maps[classes, rows, columns]
        order = values.argsort(descending=True, stable=True)
        order = order[self._within(classes[order], len(maps), limits)]
        order = order[: self.per_image]
        cells = torch.stack([columns, rows], dim=1)
        return ChosenPeaks(classes[order], values[order], cells[order])

    def _lowest(self, maps: Tensor) -> Tensor:
        """Return the least values (C,) of peaks of maps (C, h, w)."""
        top = maps.amax(dim=(1, 2))
        lowest = torch.where(top > 0, self.min_ratio * top, top)
        if self.min_value is None:
            return lowest
        return lowest.clamp(min=self.min_value)

    def _within(
        self, classes: Tensor, num_classes: int, limits: Optional[Tensor]
    ) -> Tensor:
        """Mark (P,) which of the best peaks are not too many of a class."""
        kept = torch.ones_like(classes, dtype=torch.bool)
        if self.per_class is None and limits is None:
            return kept
        # The how-manieth of its class each peak is, from 1.
        onehot = F.one_hot(classes, num_classes)
        rank = onehot.cumsum(dim=0).gather(1, classes[:, None])[:, 0]
        if self.per_class is not None:
            kept &= rank <= self.per_class
        if limits is not None:
            kept &= rank <= limits[classes]
        return kept


def peak_points(
    cells: Tensor,
    grid: Size,
    factor: int,
    img_shape: Size,
    input_shape: Size,
    ori_shape: Size,
    flip_direction: Optional[str] = None,
) -> Tensor:
    """Turn cells into points of the original image.

    Args:
        cells: Columns and rows (P, 2) on the peaks' grid.
        grid: (h, w).
        factor: f.
        img_shape: Height and width of the image in the input.
        input_shape: Height and width of the padded input.
        ori_shape: (H, W).
        flip_direction: How the input was mirrored, or None.

    Returns:
        x, y (P, 2) in pixels, within the image; (0.5, 0.5) is the centre of
        the first pixel.
    """
    axes: List[Tensor] = []
    for axis, mirrored in ((1, 'horizontal'), (0, 'vertical')):
        cell = cells[:, 1 - axis].float()
        if factor > 1:
            # Corners are corners on both grids.
            cell = cell * (grid[axis] - 1) / (factor * grid[axis] - 1)
        pixel = (cell + 0.5) * input_shape[axis] / grid[axis]
        size = ori_shape[axis]
        point = (pixel * size / img_shape[axis]).clamp(0.5, size - 0.5)
        if flip_direction in (mirrored, 'diagonal'):
            point = size - point
        axes.append(point)
    return torch.stack(axes, dim=1)


def _visible(cells: int, image: int, padded: int, factor: int) -> int:
    """Return how many cells of a finer axis see the image.

    Their values come from no coarse cell that sees nothing but padding.
    """
    seen = -(-cells * image // padded)
    if seen == cells:
        return factor * cells
    return (seen - 1) * (factor * cells - 1) // (cells - 1) + 1


def _contains(labels: Tensor, num_classes: int) -> Tensor:
    """Return a boolean (C,) that is true at the labels (K,)."""
    found = torch.zeros(num_classes, dtype=torch.bool, device=labels.device)
    found[labels] = True
    return found


def peak_rows(cells: Sequence[Tuple[Tensor, Tensor]]) -> Tensor:
    """Number the peaks of a batch as n, c, y, x.

    Args:
        cells: Labels (P,) and cells (P, 2) of each image.

    Returns:
        Long (sum of P, 4).
    """
    rows = [
        torch.cat(
            [torch.full_like(labels, n)[:, None], labels[:, None], xy.flip(1)],
            dim=1,
        )
        for n, (labels, xy) in enumerate(cells)
    ]
    return torch.cat(rows)


class PeakInstances:
    """Chooses peaks, follows them back to the image and makes instances.

    Args:
        choice: Which peaks.
        retrieval: Config of what makes instances of samples that have
            ``proposals``.
        growth: Config of what makes instances of the others.
    """

    def __init__(
        self, choice: PeakChoice, retrieval: Dict, growth: Dict
    ) -> None:
        self.choice = choice
        self.retrieval = TASK_UTILS.build(retrieval)
        self.growth = TASK_UTILS.build(growth)

    def choose(
        self,
        sample: WSLDataSample,
        views: Sequence[Tensor],
        labels: Tensor,
        limits: Optional[Tensor] = None,
    ) -> None:
        """Set ``pred_class_maps`` and ``pred_peaks`` of one sample.

        Args:
            sample: The sample.
            views: Class maps (C, h, w) of each view.
            labels: The classes (K,) that may have peaks.
            limits: See :class:`PeakChoice`.
        """
        views = [view.detach() for view in views]
        shapes = input_shapes(sample)
        direction = sample.get('flip_direction')
        class_maps = valid_cells(average_views(views), *shapes)
        sample.pred_class_maps = PixelData(data=unflip(class_maps, direction))
        peaks = self.choice(views, labels, *shapes, limits)
        points = peak_points(
            peaks.cells,
            (views[0].shape[-2], views[0].shape[-1]),
            self.choice.upsample,
            *shapes,
            tuple(sample.ori_shape[:2]),
            direction,
        )
        sample.pred_peaks = InstanceData(points=points, **peaks._asdict())

    def predict(
        self,
        model: nn.Module,
        inputs: Tensor,
        data_samples: Sequence[WSLDataSample],
    ) -> None:
        """Set ``pred_instances`` of samples that have ``pred_peaks``.

        Args:
            model: Images to class maps, the whole model with its backbone.
            inputs: Images (N, 3, h', w') of the first view, whose grid the
                peaks lie on; a scale of (h_in, w_in).
            data_samples: N samples.
        """
        if not data_samples:
            return
        peaks = [
            (s.pred_peaks.labels, s.pred_peaks.cells) for s in data_samples
        ]
        if self.choice.upsample > 1:
            model = UpsampledMaps(model, self.choice.upsample)
        responses = peak_response_maps(model, inputs, peak_rows(peaks))
        parts = responses.split([len(labels) for labels, _ in peaks])
        for sample, part in zip(data_samples, parts):
            sample.pred_instances = self._instances(sample, part)

    def _instances(
        self, sample: WSLDataSample, responses: Tensor
    ) -> InstanceData:
        """Make the instances of one image.

        Args:
            sample: The sample.
            responses: Peak response maps (P, h', w').
        """
        peaks = sample.pred_peaks
        make = self.retrieval if 'proposals' in sample else self.growth
        class_maps = sample.pred_class_maps.data
        if isinstance(make, ProposalRetrieval) and make.released:
            # The authors' code resizes the maps that it finds peaks on.
            class_maps = upsample_maps(class_maps[None], self.choice.upsample)
            class_maps = class_maps[0]
        density = sample.get('pred_density')
        size = (int(sample.ori_shape[0]), int(sample.ori_shape[1]))
        # Proposals have the size of the image; growing needs no such stack.
        grid = size if 'proposals' in sample else bounded_size(size, GRID)
        found = make(
            restore_responses(responses, sample, grid),
            peaks.labels,
            class_maps,
            sample.get('proposals'),
            density=None if density is None else density.data,
        )
        return _to_instance_data(found, peaks.points, size)


def restore_responses(
    responses: Tensor, sample: WSLDataSample, size: Optional[Size] = None
) -> Tensor:
    """Bring peak response maps to the original image.

    Args:
        responses: (P, h', w') >= 0, of a scaled input.
        sample: The sample, for the sizes and the mirroring.
        size: Height and width of the result, by default (H, W).

    Returns:
        (P, H, W) or of ``size``. Each sums to 1, or to 0 if nothing of it
        is in the image.
    """
    img_shape, _ = input_shapes(sample)
    input_shape = sample.get('batch_input_shape', responses.shape[-2:])
    size = size or tuple(sample.ori_shape[:2])
    if len(responses) == 0:
        return responses.new_zeros((0, *size))
    maps = _resized(responses, input_shape)
    maps = _resized(maps[:, : img_shape[0], : img_shape[1]], size)
    total = maps.sum(dim=(1, 2), keepdim=True)
    total = total.clamp(min=torch.finfo(maps.dtype).tiny)
    own = maps.data_ptr() != responses.data_ptr()
    # A second stack of a large image would fill gigabytes.
    maps = maps.div_(total) if own else maps / total
    return unflip(maps, sample.get('flip_direction'))


def _resized(maps: Tensor, size: Tuple[int, ...]) -> Tensor:
    """Bring maps (P, h, w) to another size, if it is another."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    # Of cells of several pixels the mean, not the one at their centre.
    smaller = maps.shape[-1] > size[1]
    return F.interpolate(
        maps[None],
        size=size,
        mode='bilinear',
        align_corners=False,
        antialias=smaller,
    )[0]


def _to_instance_data(
    found: Dict[str, Any], points: Tensor, size: Size
) -> InstanceData:
    """Turn what a task module found into tensors on the points' device.

    Args:
        found: Its result, on a grid that may be smaller than the image.
        points: (P, 2).
        size: (H, W).
    """
    masks = np.asarray(found['masks'], dtype=bool)
    prms = np.asarray(found['prms'], dtype=np.float32)
    # Without a pixel there is no box.
    kept = np.flatnonzero(masks.any(axis=(1, 2)))
    if len(kept) < len(masks):
        masks, prms = masks[kept], prms[kept]
    device = points.device
    if masks.shape[1:] != size:
        masks, prms = _scaled(masks, prms, size)
    index = torch.from_numpy(np.asarray(found['peak_index'])[kept]).long()
    arrays = dict(
        labels=np.asarray(found['labels'], dtype=np.int64)[kept],
        scores=np.asarray(found['scores'], dtype=np.float32)[kept],
        masks=masks,
        bboxes=boxes_of_masks(masks),
        peak_response_maps=prms,
    )
    tensors = {k: torch.from_numpy(v).to(device) for k, v in arrays.items()}
    return InstanceData(peaks=points[index.to(device)], **tensors)


def _scaled(
    masks: np.ndarray, prms: np.ndarray, size: Size
) -> Tuple[np.ndarray, np.ndarray]:
    """Scale masks, and response maps with their sum 1, to an image."""
    large = np.zeros((len(masks), *size), dtype=bool)
    maps = np.zeros((len(prms), *size), dtype=np.float32)
    for index, (mask, prm) in enumerate(zip(masks, prms)):
        large[index] = resize(mask.astype(np.float32), size) > 0.5
        maps[index] = resize(prm, size)
        total = maps[index].sum(dtype=np.float64)
        maps[index] /= total if total > 0 else 1
    return large, maps
