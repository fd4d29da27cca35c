"""From the peaks of class maps to instances, shared by PRM and LC.

Shape shorthand: C classes, K classes kept, (h, w) the grid of the class
maps, P peaks, (h_in, w_in) the padded input, M instances, (H, W) the
original image.
"""

from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData, PixelData
from torch import Tensor, nn

from mmwsl.models.heads.map_prediction import (
    average_views,
    input_shapes,
    unflip,
    valid_cells,
)
from mmwsl.models.heads.peak_choice import (
    PeakChoice,
    UpsampledMaps,
    peak_points,
    peak_rows,
    upsample_maps,
)
from mmwsl.models.layers import peak_response_maps
from mmwsl.models.task_modules import ProposalRetrieval
from mmwsl.registry import TASK_UTILS
from mmwsl.structures import WSLDataSample
from mmwsl.utils.masks import boxes_of_masks


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
        density = sample.get('pred_density')
        class_maps = sample.pred_class_maps.data
        if isinstance(make, ProposalRetrieval) and make.released:
            # The authors' code resizes the maps that it finds peaks on.
            class_maps = upsample_maps(class_maps[None], self.choice.upsample)
            class_maps = class_maps[0]
        found = make(
            restore_responses(responses, sample).cpu().numpy(),
            peaks.labels.cpu().numpy(),
            class_maps.cpu().numpy(),
            sample.get('proposals'),
            density=None if density is None else density.data.cpu().numpy(),
        )
        return _to_instance_data(found, peaks.points)


def restore_responses(responses: Tensor, sample: WSLDataSample) -> Tensor:
    """Bring peak response maps to the original image.

    Args:
        responses: (P, h', w') >= 0, of a scaled input.
        sample: The sample, for the sizes and the mirroring.

    Returns:
        (P, H, W). Each sums to 1, or to 0 if nothing of it is in the image.
    """
    img_shape, _ = input_shapes(sample)
    input_shape = sample.get('batch_input_shape', responses.shape[-2:])
    size = tuple(sample.ori_shape[:2])
    if len(responses) == 0:
        return responses.new_zeros((0, *size))
    maps = _resized(responses, input_shape)
    maps = _resized(maps[:, : img_shape[0], : img_shape[1]], size)
    total = maps.sum(dim=(1, 2), keepdim=True)
    maps = maps / total.clamp(min=torch.finfo(maps.dtype).tiny)
    return unflip(maps, sample.get('flip_direction'))


def _resized(maps: Tensor, size: Tuple[int, ...]) -> Tensor:
    """Bring maps (P, h, w) to another size, if it is another."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(
        maps[None], size=size, mode='bilinear', align_corners=False
    )[0]


def _to_instance_data(found: Dict[str, Any], points: Tensor) -> InstanceData:
    """Turn what a task module found into tensors on the points' device."""
    masks = np.asarray(found['masks'], dtype=bool)
    # Without a pixel there is no box.
    kept = np.flatnonzero(masks.any(axis=(1, 2)))
    masks, device = masks[kept], points.device
    index = torch.from_numpy(np.asarray(found['peak_index'])[kept]).long()
    arrays = dict(
        labels=np.asarray(found['labels'], dtype=np.int64)[kept],
        scores=np.asarray(found['scores'], dtype=np.float32)[kept],
        masks=masks,
        bboxes=boxes_of_masks(masks),
        peak_response_maps=np.asarray(found['prms'], dtype=np.float32)[kept],
    )
    tensors = {k: torch.from_numpy(v).to(device) for k, v in arrays.items()}
    return InstanceData(peaks=points[index.to(device)], **tensors)
