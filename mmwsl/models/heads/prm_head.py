"""The head of class peak responses, and its way from peaks to instances.

Shape shorthand: N images, C classes, K classes kept, (h, w) the class maps,
f the factor by which their grid is made finer, P peaks, M instances, (H, W)
the original image. ``img_shape`` and ``input_shape`` are as in
:mod:`mmwsl.models.heads.cam_head`.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData, PixelData
from torch import Tensor, nn
from torchvision.ops import masks_to_boxes

from mmwsl.models.heads.cam_head import (
    KEEPS,
    CAMHead,
    Size,
    average_views,
    check_choice,
    input_shapes,
    valid_cells,
)
from mmwsl.models.layers import (
    find_peaks,
    peak_response_maps,
    peak_stimulation,
)
from mmwsl.models.layers.peak_stimulation import Threshold
from mmwsl.proposals.retrieval import ProposalRetrieval, to_unit_sum
from mmwsl.registry import MODELS, TASK_UTILS
from mmwsl.structures import WSLDataSample
from mmwsl.utils.arrays import bounded_size, resize, unflip

# Without proposals masks grow on a grid of at most so many points.
GRID = 1 << 18


@MODELS.register_module()
class PRMHead(CAMHead):
    """Class peak responses (PRM, https://arxiv.org/abs/1804.00880).

    A :class:`CAMHead` whose class scores are the means of the peaks of the
    class maps. In prediction peaks are chosen, each is followed back to the
    image, which gives a peak response map, and this becomes an instance: by
    the best of the image's proposals, or grown without them.

    Args:
        num_classes: C, background not counted.
        in_channels: Channels of the features.
        window: Side of the square in which a peak is the maximum, in cells.
        threshold: Least value of a peak in training and for the scores:
            'median', 'mean' or 'max' of its map, a number, or None.
        average_gradient: Whether a map's k peaks share the gradient of its
            score, as the paper has it, or each gets all of it, as in the
            authors' code.
        upsample: Factor by which class maps grow before their peaks are
            averaged, in training as well; 8 in the authors' code.
        peaks: Which peaks become instances, arguments of
            :class:`PeakChoice`. Its window, threshold and factor are by
            default those above.
        retrieval: Config of the instances of samples with ``proposals``, by
            default ProposalRetrieval.
        growth: Config of the instances of other samples, by default
            PeakGrowth.
        focus: Whether the response maps of instances are multiplied by the
            positive part of their class map, which the paper does not do.
            Less of them lies beside the object then.
        instances: Whether to predict instances, which takes a backward pass
            and most of the time.
        **kwargs: Arguments of :class:`CAMHead`; it does not pool, so these
            do not include ``pooling`` and ``sharpness``.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        window: int = 3,
        threshold: Threshold = 'median',
        average_gradient: bool = True,
        upsample: int = 1,
        peaks: Optional[Dict] = None,
        retrieval: Optional[Dict] = None,
        growth: Optional[Dict] = None,
        focus: bool = False,
        instances: bool = True,
        **kwargs: Any,
    ) -> None:
        for name in sorted({'pooling', 'sharpness'} & set(kwargs)):
            raise ValueError(
                f'{type(self).__name__} scores by peaks and has no {name}.'
            )
        super().__init__(num_classes, in_channels, **kwargs)
        self.window = window
        self.threshold = threshold
        self.average_gradient = average_gradient
        self.upsample = upsample
        shared = dict(window=window, threshold=threshold, upsample=upsample)
        self.peaks = PeakChoice(**{**shared, **(peaks or {})})
        self.retrieval = TASK_UTILS.build(
            retrieval or dict(type='mmwsl.ProposalRetrieval')
        )
        self.growth = TASK_UTILS.build(growth or dict(type='mmwsl.PeakGrowth'))
        self.focus = focus
        self.instances = instances

    def scores(self, class_maps: Tensor) -> Tensor:
        """Average the peaks of class maps (N, C, h, w) to logits (N, C)."""
        return self.stimulate(upsample_maps(class_maps, self.upsample))[0]

    def stimulate(self, class_maps: Tensor) -> Tuple[Tensor, Tensor]:
        """Return the scores (N, C) and peaks (N, C, h, w) of class maps."""
        return peak_stimulation(
            class_maps, self.window, self.threshold, self.average_gradient
        )

    def predict_views(
        self, views: Sequence[Tensor], data_samples: Sequence[WSLDataSample]
    ) -> List[WSLDataSample]:
        """Predict scores, maps and peaks.

        Args:
            views: Class maps (N, C, h, w) of each view, already flipped
                back; sizes may differ. Peaks are those of their average on
                the grid of the first view.
            data_samples: N samples.

        Returns:
            The samples with what :class:`CAMHead` predicts,
            ``pred_class_maps`` (C, h, w), logits on the grid of the first
            view, and ``pred_peaks``: ``labels``, ``scores`` (P,), ``points``
            (P, 2), x and y in the original image, and ``cells`` (P, 2),
            column and row on the grid of the peaks.
        """
        super().predict_views(views, data_samples)
        for index, sample in enumerate(data_samples):
            self._choose_peaks(sample, [view[index] for view in views])
        return list(data_samples)

    def predict_instances(
        self,
        model: nn.Module,
        inputs: Tensor,
        data_samples: Sequence[WSLDataSample],
    ) -> None:
        """Add ``pred_instances`` to samples that have ``pred_peaks``."""
        responses = self.peak_responses(model, inputs, data_samples)
        for sample, part in zip(data_samples, responses):
            self.set_instances(sample, part)

    def peak_responses(
        self,
        model: nn.Module,
        inputs: Tensor,
        data_samples: Sequence[WSLDataSample],
    ) -> Sequence[Tensor]:
        """Follow the ``pred_peaks`` of samples back to the images.

        Args:
            model: The whole model, images to class maps.
            inputs: Images (N, 3, h', w') of the first view.
            data_samples: N samples.

        Returns:
            Peak response maps (P, h', w') of each sample.
        """
        rows = []
        for number, sample in enumerate(data_samples):
            peaks = sample.pred_peaks
            image = torch.full_like(peaks.labels, number)
            x, y = peaks.cells.unbind(dim=1)
            rows.append(torch.stack([image, peaks.labels, y, x], dim=1))
        if not rows:
            return []
        if self.peaks.upsample > 1:
            finer = nn.Upsample(
                scale_factor=self.peaks.upsample,
                mode='bilinear',
                align_corners=True,
            )
            model = nn.Sequential(model, finer)
        responses = peak_response_maps(model, inputs, torch.cat(rows))
        return responses.split([len(row) for row in rows])

    def set_instances(self, sample: WSLDataSample, responses: Tensor) -> None:
        """Set ``pred_instances`` of a sample.

        Args:
            sample: With ``pred_peaks``.
            responses: Of these peaks (P, h', w').
        """
        peaks = sample.pred_peaks
        proposals = sample.get('proposals')
        make = self.growth if proposals is None else self.retrieval
        class_maps = sample.pred_class_maps.data
        if isinstance(make, ProposalRetrieval) and make.released:
            # The authors' code resizes the maps that it finds peaks on.
            class_maps = upsample_maps(class_maps, self.peaks.upsample)
        density = sample.get('pred_density')
        size = (int(sample.ori_shape[0]), int(sample.ori_shape[1]))
        # Proposals have the size of the image; growing needs no such stack.
        grid = size if proposals is not None else bounded_size(size, GRID)
        found = make(
            restore_responses(responses, sample, grid),
            peaks.labels,
            class_maps,
            proposals,
            density=None if density is None else density.data,
        )
        if self.focus and len(found['prms']):
            own = sample.pred_class_maps.data[found['labels']]
            found['prms'] = focus_responses(found['prms'], own.cpu())
        sample.pred_instances = _to_instance_data(found, peaks.points, size)

    def _choose_peaks(
        self,
        sample: WSLDataSample,
        views: Sequence[Tensor],
        limits: Optional[Tensor] = None,
    ) -> None:
        """Set ``pred_class_maps`` and ``pred_peaks`` of one sample.

        From class maps (C, h, w) of each view; ``limits`` as for
        :class:`PeakChoice`.
        """
        views = [view.detach() for view in views]
        labels = self._kept(sample, self.peaks.classes)
        shapes = input_shapes(sample)
        direction = sample.get('flip_direction')
        class_maps = valid_cells(average_views(views), *shapes)
        sample.pred_class_maps = PixelData(data=unflip(class_maps, direction))
        peaks = self.peaks(views, labels, *shapes, limits)
        points = peak_points(
            peaks.cells,
            (views[0].shape[-2], views[0].shape[-1]),
            self.peaks.upsample,
            *shapes,
            tuple(sample.ori_shape[:2]),
            direction,
        )
        sample.pred_peaks = InstanceData(points=points, **peaks._asdict())


class Peaks(NamedTuple):
    """Peaks of one image, the highest first.

    Attributes:
        labels: Classes (P,) long.
        scores: Values of the class maps (P,).
        cells: Columns and rows (P, 2) long on the peaks' grid.
    """

    labels: Tensor
    scores: Tensor
    cells: Tensor


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
        numbers = dict(
            per_class=per_class, per_image=per_image, upsample=upsample
        )
        for name, number in numbers.items():
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
    ) -> Peaks:
        """Choose the peaks of one image.

        Args:
            views: Class maps (C, h, w) of each view. They are averaged on
                the grid of the first one, which decides about the peaks.
            labels: The classes (K,) that may have peaks.
            img_shape: Size of the image in the input.
            input_shape: Size of the padded input. Cells that see nothing
                but padding take no part.
            limits: Largest number of peaks of each class (C,), beside
                ``per_class``.
        """
        coarse = average_views(views)
        maps = upsample_maps(coarse, self.upsample)
        height, width = (
            _visible(cells, image, padded, self.upsample)
            for cells, image, padded in zip(
                coarse.shape[-2:], img_shape, input_shape
            )
        )
        maps = maps[:, :height, :width]
        peaks = find_peaks(maps[None], self.window, self.threshold)[0]
        allowed = torch.zeros_like(peaks[:, 0, 0])
        allowed[labels] = True
        top = maps.amax(dim=(1, 2))
        lowest = torch.where(top > 0, self.min_ratio * top, top)
        if self.min_value is not None:
            lowest = lowest.clamp(min=self.min_value)
        peaks &= allowed[:, None, None] & (maps >= lowest[:, None, None])
        classes, rows, columns = peaks.nonzero().unbind(dim=1)
        values = maps[classes, rows, columns]
        order = values.argsort(descending=True, stable=True)
        # The rank of each peak within its class, from 1.
        onehot = F.one_hot(classes[order], len(maps))
        rank = onehot.cumsum(dim=0).gather(1, classes[order, None])[:, 0]
        kept = torch.ones_like(rank, dtype=torch.bool)
        if self.per_class is not None:
            kept &= rank <= self.per_class
        if limits is not None:
            kept &= rank <= limits[classes[order]]
        order = order[kept][: self.per_image]
        cells = torch.stack([columns, rows], dim=1)
        return Peaks(classes[order], values[order], cells[order])


def upsample_maps(maps: Tensor, factor: int) -> Tensor:
    """Make the grid of maps (..., C, h, w) finer; corners stay corners."""
    if factor == 1:
        return maps
    finer = F.interpolate(
        maps.reshape(-1, *maps.shape[-3:]),
        scale_factor=factor,
        mode='bilinear',
        align_corners=True,
    )
    return finer.reshape(*maps.shape[:-2], *finer.shape[-2:])


def _visible(cells: int, image: int, padded: int, factor: int) -> int:
    """Return how many cells of a finer axis see the image.

    Their values come from no coarse cell that sees nothing but padding.
    """
    seen = -(-cells * image // padded)
    if seen == cells:
        return factor * cells
    return (seen - 1) * (factor * cells - 1) // (cells - 1) + 1


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
        img_shape: Size of the image in the input.
        input_shape: Size of the padded input.
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


def restore_responses(
    responses: Tensor, sample: WSLDataSample, size: Size
) -> Tensor:
    """Bring peak response maps to the original image.

    Args:
        responses: (P, h', w') >= 0, of a scaled input.
        sample: The sample, for the sizes and the mirroring.
        size: Height and width of the result.

    Returns:
        Maps (P, *size). Each sums to 1, or to 0 if nothing of it is in the
        image.
    """
    img_shape, _ = input_shapes(sample)
    input_shape = sample.get('batch_input_shape', responses.shape[-2:])
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


def focus_responses(responses: np.ndarray, class_maps: Tensor) -> np.ndarray:
    """Weigh response maps by the positive part of class maps.

    Args:
        responses: (M, H, W) >= 0.
        class_maps: Those of their classes (M, h, w).

    Returns:
        Maps (M, H, W). Each sums to 1, or to 0 where the two do not meet.
    """
    weights = _resized(class_maps, responses.shape[1:]).clamp(min=0)
    return to_unit_sum(responses * weights.numpy())


def _to_instance_data(
    found: Dict[str, Any], points: Tensor, size: Size
) -> InstanceData:
    """Turn what was found, maybe on a smaller grid, into tensors.

    Args:
        found: What retrieval or growth returns.
        points: Of the peaks (P, 2), on the device of the result.
        size: (H, W).
    """
    masks = np.asarray(found['masks'], dtype=bool)
    prms = np.asarray(found['prms'], dtype=np.float32)
    # Without a pixel there is no box.
    kept = np.flatnonzero(masks.any(axis=(1, 2)))
    if len(kept) < len(masks):
        masks, prms = masks[kept], prms[kept]
    if masks.shape[1:] != size:
        masks, prms = _scaled(masks, prms, size)
    arrays = dict(
        labels=np.asarray(found['labels'], dtype=np.int64)[kept],
        scores=np.asarray(found['scores'], dtype=np.float32)[kept],
        masks=masks,
        peak_response_maps=prms,
    )
    tensors = {
        name: torch.from_numpy(value).to(points.device)
        for name, value in arrays.items()
    }
    boxes = masks_to_boxes(tensors['masks'])
    index = torch.from_numpy(np.asarray(found['peak_index'])[kept]).long()
    return InstanceData(
        # Those of torchvision end in the last pixel, these behind it.
        bboxes=boxes + boxes.new_tensor([0, 0, 1, 1]),
        peaks=points[index.to(points.device)],
        **tensors,
    )


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
