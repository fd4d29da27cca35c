"""The head of adversarial complementary learning."""

from typing import Any, Dict, Optional, Sequence, Tuple

import torch
from mmengine.runner.amp import autocast
from torch import Tensor, nn

from mmwsl.models.heads.cam_head import CAMHead
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample


@MODELS.register_module()
class ACoLHead(CAMHead):
    """Adversarial complementary learning (https://arxiv.org/abs/1804.06962).

    Two classifiers look at the same features. The second one sees zeros
    where the first one's map of the image's class, min-max scaled, is above
    a threshold, so it has to find other parts. Both have a classification
    loss, and a class's map is the larger one of both min-max scaled maps.

    The fused map is brought to the range of the first branch's map and
    shifted to its mean: neither changes a min-max scaled map, and the scores
    stay the first branch's. In prediction the first branch's best class is
    erased, and in multi-label sets all that it predicts.

    Shape shorthand: N images, C classes, (h, w) the feature map.

    Args:
        num_classes: C, background not counted.
        in_channels: Channels of the features.
        erase_threshold: Above it a scaled map erases, in (0, 1).
        num_convs: 3x3 convolutions with ReLU in each branch.
        mid_channels: Their channels.
        **kwargs: Arguments of :class:`CAMHead`; the pooling is 'avg'.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        erase_threshold: float = 0.6,
        num_convs: int = 2,
        mid_channels: int = 1024,
        **kwargs: Any,
    ) -> None:
        if not 0 < erase_threshold < 1:
            raise ValueError(
                'erase_threshold must be between 0 and 1, got '
                f'{erase_threshold}.'
            )
        if kwargs.get('pooling', 'avg') != 'avg':
            raise ValueError("ACoLHead pools by 'avg' only.")
        last = mid_channels if num_convs else in_channels
        super().__init__(num_classes, last, **kwargs)
        self.erase_threshold = erase_threshold
        self.features = _convs(in_channels, mid_channels, num_convs)
        self.second = nn.Sequential(
            *_convs(in_channels, mid_channels, num_convs),
            nn.Conv2d(last, num_classes, 1),
        )

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Return the fused class maps (N, C, h, w) of a tuple of features."""
        return _fuse(*self._branches(feats))

    def loss(
        self, feats: Sequence[Tensor], data_samples: Sequence[WSLDataSample]
    ) -> Dict[str, Tensor]:
        """Return ``loss_cls`` and ``loss_cls_erased``, of both branches."""
        targets = self._targets(data_samples)
        first, second = self._branches(feats, targets > 0)
        self.record(_fuse(first.detach(), second.detach()))
        return dict(
            loss_cls=self.loss_module(self.scores(first), targets),
            loss_cls_erased=self.loss_module(self.scores(second), targets),
        )

    def _branches(
        self, feats: Sequence[Tensor], chosen: Optional[Tensor] = None
    ) -> Tuple[Tensor, Tensor]:
        """Return the maps (N, C, h, w) of both branches.

        Regions of ``chosen`` classes, boolean (N, C), are erased; by default
        those of the classes that the first branch predicts.
        """
        # Sums over channels and cells leave the range of half precision.
        feature = feats[self.in_index].to(self.classifier.weight.dtype)
        with autocast(feature.device.type, enabled=False):
            feature = self.dropout(feature)
            first = self.classifier(self.features(feature)).float()
            if chosen is None:
                scores = self.scores(first)
                chosen = scores == scores.amax(dim=1, keepdim=True)
                if self.multi_label:
                    least = scores.new_tensor(self.score_threshold)
                    chosen |= scores.sigmoid() >= least
            second = self.second(self._erase(feature, first, chosen))
        return first, second.float()

    def _erase(self, feature: Tensor, maps: Tensor, chosen: Tensor) -> Tensor:
        """Set features to 0 where a map of a chosen class (N, C) is high."""
        with torch.no_grad():
            found = _scaled(maps.detach()) * chosen[..., None, None]
            kept = found.amax(dim=1, keepdim=True) <= self.erase_threshold
        return feature * kept


def _convs(in_channels: int, channels: int, count: int) -> nn.Sequential:
    layers = []
    for index in range(count):
        before = channels if index else in_channels
        layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


def _fuse(first: Tensor, second: Tensor) -> Tensor:
    """Return the larger of both scaled maps, on the first one's scale."""
    low, high = _range(first)
    fused = torch.maximum(_scaled(first), _scaled(second))
    fused = low + fused * (high - low)
    return fused + (first - fused).mean(dim=(2, 3), keepdim=True)


def _range(maps: Tensor) -> Sequence[Tensor]:
    return (
        maps.amin(dim=(2, 3), keepdim=True),
        maps.amax(dim=(2, 3), keepdim=True),
    )


def _scaled(maps: Tensor) -> Tensor:
    """Scale every map (h, w) to [0, 1]; a constant one becomes 0."""
    low, high = _range(maps)
    spread = high - low
    return (maps - low) / torch.where(spread > 0, spread, 1.0)
