"""The head of class activation maps, and what all heads share.

Shape shorthand: N images, C classes, K classes kept, (h, w) the class maps,
(H, W) the original image, S the side of the score map. ``img_shape`` is the
size of an image in the input and ``input_shape`` that of the padded input;
padding lies at the bottom and right.
"""

import logging
import math
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.structures import PixelData
from torch import Tensor, nn

from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample
from mmwsl.utils.arrays import (
    BACKGROUNDS,
    background_score,
    maps_to_label,
    unflip,
)

Size = Tuple[int, int]
# One number for all classes, or one for each.
PerClass = Union[float, Sequence[float]]

POOLINGS = ('avg', 'max', 'lse')
# Which classes of an image: those of its labels, the predicted ones, all.
KEEPS = ('given', 'predicted', 'all')


@MODELS.register_module()
class CAMHead(BaseModule):
    """Class activation maps (https://arxiv.org/abs/1512.04150).

    A 1x1 convolution turns features into C class maps, and pooling turns
    these into class scores. In prediction the maps of the kept classes are
    rectified, averaged over the views, brought to the size of the image and
    divided by their maximum.

    It is the base of all heads, which share this protocol:

    - ``forward(feats)`` returns the class maps, ``scores`` pools them, and
      ``view_maps`` returns all the maps that ``predict_views`` needs;
      ``split_view`` says which of them are scored and which are shown.
    - ``loss(feats, data_samples)`` trains, and hands the class maps of the
      step to ``record``, for hooks that read ``last_class_maps``.
    - ``predict(feats, data_samples)`` and ``predict_views`` fill samples.
    - ``predict_instances(model, inputs, data_samples)`` follows gradients
      back to the images. A model calls it only if ``instances`` is set.
    - ``set_epoch(epoch)`` tells the epoch of training, from 0.

    Attributes:
        instances: Whether ``predict_instances`` has something to do.
        peaks: Which peaks it follows, None where it follows none.
        last_class_maps: Class maps (N, C, h, w) of the latest ``loss``,
            without gradients; None before.

    Args:
        num_classes: C, background not counted.
        in_channels: Channels of the features.
        in_index: Which of the backbone's outputs is used.
        multi_label: Whether an image may show several classes; decides
            between sigmoid and softmax scores.
        pooling: 'avg', 'max' or 'lse' (log-sum-exp).
        sharpness: r of 'lse'.
        dropout: Probability that a feature channel is dropped in training.
        loss: Config of the loss; by default the multi-label soft-margin
            loss, or the cross entropy without ``multi_label``.
        keep: Which classes get a map in prediction: 'given' by the image's
            labels, 'predicted' ones, as also images without labels have, or
            'all'.
        score_threshold: Probability above which a class counts as predicted
            in a multi-label set, one for all classes or C of them.
        background: 'constant', 'power' or 'saliency', the background score
            that turns maps into ``pred_sem_seg``.
        background_value: The constant, or the exponent of 'power', one for
            all classes or C of them: a class is then measured by its own.
        score_map_size: S of the map that localisation is measured by; by
            default there is none.
        init_cfg: Initialisation, by default a normal one of 0.01.
    """

    instances = False
    peaks: Any = None

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        in_index: int = -1,
        multi_label: bool = True,
        pooling: str = 'avg',
        sharpness: float = 5.0,
        dropout: float = 0.0,
        loss: Optional[Dict] = None,
        keep: str = 'given',
        score_threshold: PerClass = 0.5,
        background: str = 'constant',
        background_value: PerClass = 0.3,
        score_map_size: Optional[int] = None,
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(
            init_cfg or dict(type='Normal', layer='Conv2d', std=0.01)
        )
        if num_classes == 1 and not multi_label:
            raise ValueError(
                f'{type(self).__name__}: num_classes=1 with '
                'multi_label=False: the softmax of one class is always 1, so '
                'that nothing is learned; set multi_label=True.'
            )
        check_choice('pooling', pooling, POOLINGS)
        check_choice('keep', keep, KEEPS)
        check_choice('background', background, BACKGROUNDS)
        check_per_class('score_threshold', score_threshold, num_classes)
        check_per_class('background_value', background_value, num_classes)
        self.num_classes = num_classes
        self.in_index = in_index
        self.multi_label = multi_label
        self.pooling = pooling
        self.sharpness = sharpness
        self.keep = keep
        self.score_threshold = score_threshold
        self.background = background
        self.background_value = background_value
        self.score_map_size = score_map_size
        self.dropout = nn.Dropout2d(dropout) if dropout else nn.Identity()
        self.classifier = nn.Conv2d(in_channels, num_classes, 1)
        kind = (
            'MultiLabelSoftMarginLoss' if multi_label else 'CrossEntropyLoss'
        )
        self.loss_module = MODELS.build(loss or dict(type=f'mmwsl.{kind}'))
        self.last_class_maps: Optional[Tensor] = None

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Return the class maps (N, C, h, w) of a tuple of features."""
        return self.classifier(self.dropout(feats[self.in_index]))

    def view_maps(self, feats: Sequence[Tensor]) -> Tensor:
        """Return what :meth:`predict_views` takes of one view."""
        return self(feats)

    def split_view(self, maps: Tensor) -> Tuple[Tensor, Tensor]:
        """Return a view's class maps that are scored, and those shown."""
        return maps, maps

    def scores(self, class_maps: Tensor) -> Tensor:
        """Pool class maps (N, C, h, w) to logits (N, C)."""
        return global_pool(class_maps, self.pooling, self.sharpness)

    def activate(self, logits: Tensor) -> Tensor:
        """Turn logits (N, C) into probabilities."""
        if self.multi_label:
            return logits.sigmoid()
        return logits.softmax(dim=-1)

    def probabilities(
        self, class_maps: Tensor, img_shape: Size, input_shape: Size
    ) -> Tensor:
        """Return the probabilities (N, C) of class maps (N, C, h, w).

        Args:
            class_maps: Those of images of one size.
            img_shape: Their size without padding.
            input_shape: Their size with it.
        """
        valid = valid_cells(class_maps, img_shape, input_shape)
        return self.activate(self.scores(valid.float()))

    def loss(
        self, feats: Sequence[Tensor], data_samples: Sequence[WSLDataSample]
    ) -> Dict[str, Tensor]:
        """Return the classification loss.

        Args:
            feats: Features of the backbone or neck.
            data_samples: N samples with ``gt_score``.

        Returns:
            ``loss_cls``, scalar.

        Raises:
            ValueError: If the samples' labels do not fit the head.
        """
        targets = self._targets(data_samples)
        # In half precision the sum over a map loses digits.
        class_maps = self(feats).float()
        self.record(class_maps)
        scores = self.scores(class_maps)
        return dict(loss_cls=self.loss_module(scores, targets))

    def record(self, class_maps: Tensor) -> None:
        """Keep the class maps (N, C, h, w) of a training step for hooks."""
        self.last_class_maps = class_maps.detach()

    def set_epoch(self, epoch: int) -> None:
        """Take note of the epoch of training, from 0."""

    def predict_instances(
        self,
        model: nn.Module,
        inputs: Tensor,
        data_samples: Sequence[WSLDataSample],
    ) -> None:
        """Add ``pred_instances`` to predicted samples, with gradients.

        Args:
            model: The whole model, images to class maps.
            inputs: Images (N, 3, h', w') of the first view, a scale of the
                padded input.
            data_samples: N samples.
        """

    def predict(
        self, feats: Sequence[Tensor], data_samples: Sequence[WSLDataSample]
    ) -> List[WSLDataSample]:
        """Predict from a single view; see :meth:`predict_views`."""
        return self.predict_views([self.view_maps(feats)], data_samples)

    def predict_views(
        self, views: Sequence[Tensor], data_samples: Sequence[WSLDataSample]
    ) -> List[WSLDataSample]:
        """Predict scores and maps from the class maps of several views.

        Args:
            views: Class maps (N, C, h, w) of each view, already flipped
                back; sizes may differ.
            data_samples: N samples.

        Returns:
            The samples with ``pred_score`` (C,), ``pred_label``,
            ``pred_map_labels`` (K,), ``pred_maps`` (K, H, W) in [0, 1] and
            ``pred_sem_seg`` (1, H, W). With ``score_map_size`` also
            ``pred_score_map`` (1, S, S) in [0, 1], that of the given class
            if the image has just one, or else of the best one.
        """
        parts = [self.split_view(view) for view in views]
        for index, sample in enumerate(data_samples):
            own = [scored[index] for scored, _ in parts]
            shapes = input_shapes(sample)
            flip = sample.get('flip_direction')
            sample.pred_score = self._probabilities(own, *shapes)
            sample.pred_label = self._predicted(sample.pred_score)
            labels = self._kept(sample, self.keep)
            own = [shown[index] for _, shown in parts]
            size = tuple(sample.ori_shape[:2])
            maps = merge_views([view[labels] for view in own], size, *shapes)
            self.set_maps(sample, normalize_maps(unflip(maps, flip)), labels)
            if self.score_map_size is not None:
                label = self._scored_label(sample)
                best = [view[label] for view in own]
                found = score_map(best, self.score_map_size, *shapes)
                sample.pred_score_map = PixelData(
                    data=unflip(found[None], flip)
                )
        return list(data_samples)

    def set_maps(
        self, sample: WSLDataSample, maps: Tensor, labels: Tensor
    ) -> None:
        """Set the maps (K, H, W) of classes (K,), and the label map."""
        saliency = sample.get('saliency')
        value: Any = self.background_value
        if isinstance(value, (list, tuple)):
            value = maps.new_tensor(value)[labels, None, None]
        background = background_score(
            maps,
            self.background,
            value,
            None if saliency is None else saliency.data[0],
        )
        label_map = maps_to_label(maps, labels, background)
        sample.pred_map_labels = labels
        sample.pred_maps = PixelData(data=maps)
        sample.pred_sem_seg = PixelData(data=label_map[None])

    def _scored_label(self, sample: WSLDataSample) -> Tensor:
        """Return the class () whose map localisation is measured by."""
        label = sample.get('gt_label')
        if label is None or len(label) != 1:
            return sample.pred_score.argmax()
        return label[0]

    def _targets(self, data_samples: Sequence[WSLDataSample]) -> Tensor:
        """Return multi-hot labels (N, C), of one class if need be."""
        targets = stack_gt_scores(data_samples, self.num_classes)
        if self.multi_label:
            return targets
        for sample, count in zip(data_samples, targets.sum(dim=1).tolist()):
            # Labels of mixed images are fractions that add up to 1.
            if abs(count - 1) > 1e-4:
                raise ValueError(
                    f'{name_of(sample)}: the image has {int(count)} classes, '
                    'but the head has multi_label=False and needs exactly '
                    'one.'
                )
        return targets

    def _probabilities(
        self, views: Sequence[Tensor], img_shape: Size, input_shape: Size
    ) -> Tensor:
        """Average one image's class probabilities (C,) over its views."""
        found = [
            self.probabilities(view[None], img_shape, input_shape)
            for view in views
        ]
        return torch.cat(found).mean(dim=0)

    def _predicted(self, scores: Tensor) -> Tensor:
        """Return the predicted classes (k,) of one image."""
        if self.multi_label:
            least = scores.new_tensor(self.score_threshold)
            return (scores > least).nonzero().flatten()
        return scores.argmax().reshape(1)

    def _kept(self, sample: WSLDataSample, keep: str) -> Tensor:
        """Return the classes (K,) of one image that ``keep`` names."""
        if keep == 'all':
            return torch.arange(
                self.num_classes, device=sample.pred_score.device
            )
        if keep == 'predicted':
            return sample.pred_label
        given = stack_gt_scores([sample], self.num_classes)[0]
        labels = given.to(sample.pred_score.device).nonzero().flatten()
        return labels if len(labels) else sample.pred_label

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any
    ) -> None:
        """Refuse a checkpoint that was trained for other classes.

        mmengine only warns of a mismatch and would go on with random
        weights.
        """
        weight = state_dict.get(f'{prefix}classifier.weight')
        if weight is not None and len(weight) != self.num_classes:
            raise ValueError(
                f'The checkpoint was trained for {len(weight)} classes, but '
                f'the head has num_classes={self.num_classes} '
                f'({prefix}classifier.weight).'
            )
        super()._load_from_state_dict(state_dict, prefix, *args)


def check_choice(
    name: str, value: str, choices: Union[Sequence[str], Mapping]
) -> None:
    """Refuse a setting that is not one of a few words."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got '{value}'.")


def check_per_class(name: str, value: PerClass, num_classes: int) -> None:
    """Refuse what is neither a number nor a list of one for each class."""
    numbers: Sequence[Any] = [value]
    if isinstance(value, (list, tuple)):
        numbers = value
        if len(numbers) != num_classes:
            raise ValueError(
                f'{name} lists {len(numbers)} numbers, but there are '
                f'{num_classes} classes.'
            )
    for number in numbers:
        if not isinstance(number, (int, float)):
            raise TypeError(
                f'{name} must be a number, or one for each class, got '
                f'{number!r}.'
            )


def name_of(sample: WSLDataSample) -> str:
    """Return what to call an image in an error."""
    return str(sample.get('img_path') or sample.get('img_id', 'an image'))


def warn_of_no_epoch(part: str, setting: str) -> None:
    """Warn that a part of a model waits for an epoch that is not told."""
    print_log(
        f'{setting} never comes: {part} is not told the epoch. Add '
        "dict(type='HeadEpochHook') to custom_hooks.",
        logger='current',
        level=logging.WARNING,
    )


def stack_gt_scores(
    data_samples: Sequence[WSLDataSample], num_classes: int
) -> Tensor:
    """Stack the multi-hot labels of a batch to (N, C).

    Raises:
        ValueError: If a sample has no labels or another number of classes
            than ``num_classes``, C.
    """
    rows: List[Tensor] = []
    for sample in data_samples:
        if 'gt_score' not in sample:
            raise ValueError(
                f'{name_of(sample)}: the sample has no image labels '
                "('gt_score'); training needs them, and prediction does "
                "unless model.head.keep is 'predicted' or 'all'."
            )
        if len(sample.gt_score) != num_classes:
            raise ValueError(
                f'{name_of(sample)}: the data set has '
                f'{len(sample.gt_score)} classes, but the head has '
                f'num_classes={num_classes}.'
            )
        rows.append(sample.gt_score)
    return torch.stack(rows) if rows else torch.zeros(0, num_classes)


def global_pool(
    maps: Tensor, mode: str = 'avg', sharpness: float = 5.0
) -> Tensor:
    """Pool class maps (N, C, h, w) to scores (N, C).

    'lse' is the log-sum-exp pooling of Pinheiro and Collobert (CVPR 2015),
    ``1/r log mean exp(r x)`` with r the ``sharpness`` > 0: the mean for
    r -> 0, the maximum for r -> infinity.
    """
    if mode == 'avg':
        return maps.mean(dim=(2, 3))
    if mode == 'max':
        return maps.amax(dim=(2, 3))
    area = maps.shape[2] * maps.shape[3]
    summed = torch.logsumexp(sharpness * maps.flatten(2), dim=2)
    return (summed - math.log(area)) / sharpness


def input_shapes(sample: WSLDataSample) -> Tuple[Size, Size]:
    """Return ``img_shape`` and ``input_shape`` of a sample."""
    img_shape = tuple(sample.img_shape[:2])
    return img_shape, tuple(sample.get('batch_input_shape', img_shape))


def valid_cells(maps: Tensor, img_shape: Size, input_shape: Size) -> Tensor:
    """Cut off the cells of maps (..., h, w) that see nothing but padding."""
    height, width = (
        -(-cells * image // padded)
        for cells, image, padded in zip(
            maps.shape[-2:], img_shape, input_shape
        )
    )
    return maps[..., :height, :width]


def average_views(views: Sequence[Tensor]) -> Tensor:
    """Average the maps (C, h, w) of views on the grid of the first one.

    The values are averaged as they are, in single precision, so a sum over
    the result is one on the first view's grid, however fine the others are.
    """
    first = views[0].float()
    size = (first.shape[-2], first.shape[-1])
    others = [_resize(view, size) for view in views[1:]]
    return torch.stack([first, *others]).mean(dim=0)


def merge_views(
    views: Sequence[Tensor], size: Size, img_shape: Size, input_shape: Size
) -> Tensor:
    """Average the rectified maps of several views of one image.

    Args:
        views: Logit maps (K, h, w) of each view, of any sizes.
        size: (H, W).
        img_shape: Size of the image in the input.
        input_shape: Size of the padded input.

    Returns:
        (K, H, W) >= 0.
    """
    merged = views[0].new_zeros(
        (views[0].shape[0], *size), dtype=torch.float32
    )
    if merged.numel() == 0:
        return merged
    for view in views:
        maps = view.clamp(min=0)
        if img_shape != input_shape:
            # Cells may lie across the border, so pixels are cut off.
            maps = _resize(maps, input_shape)
            maps = maps[:, : img_shape[0], : img_shape[1]]
        merged += _resize(maps, size)
    return merged / len(views)


def normalize_maps(maps: Tensor) -> Tensor:
    """Divide maps (K, H, W) >= 0 by their maxima; zeros stay zero."""
    if maps.numel() == 0:
        return maps
    peak = maps.amax(dim=(1, 2), keepdim=True)
    # A map whose maximum is tiny would be noise blown up to 1 and, in half
    # precision, overflow.
    return torch.where(peak > 1e-6, maps / peak.clamp(min=1e-6), 0 * maps)


def score_map(
    views: Sequence[Tensor], size: int, img_shape: Size, input_shape: Size
) -> Tensor:
    """Scale the map of one class to [0, 1] on a square grid.

    The maps are taken as they are, below zero as well, brought to S x S
    (bicubic), averaged and min-max scaled. The scaling comes last, since a
    bicubic map may leave the range of its cells.

    Args:
        views: Logit maps (h, w) of each view, of any sizes.
        size: S.
        img_shape: Size of the image in the input.
        input_shape: Size of the padded input.

    Returns:
        (S, S) in [0, 1]; a constant map gives zeros.
    """
    resized = [
        F.interpolate(
            valid_cells(view, img_shape, input_shape)[None, None].float(),
            size=(size, size),
            mode='bicubic',
            align_corners=False,
        )[0, 0]
        for view in views
    ]
    merged = torch.stack(resized).mean(dim=0)
    low, high = merged.min(), merged.max()
    spread = high - low
    # Less than that is the rounding of a constant map.
    seen = spread > 1e-6 * torch.maximum(low.abs(), high.abs())
    scaled = (merged - low) / torch.where(seen, spread, 1.0)
    return (scaled * seen).clamp(0, 1)


def _resize(maps: Tensor, size: Size) -> Tensor:
    return F.interpolate(
        maps[None].float(), size=size, mode='bilinear', align_corners=False
    )[0]
