"""A density head on maps that are set by hand, for its tests."""

from typing import Any, Dict, List, Sequence

import torch
from torch import Tensor

from mmwsl.models.heads import DensityHead
from mmwsl.structures import WSLDataSample
from peak_stubs import stub_cfg


class FixedHead(DensityHead):
    """A head whose maps are its features: C of classes, C of density."""

    def view_maps(self, feats: Sequence[Tensor]) -> Tensor:
        return feats[-1]


def make_head(cls: Any = FixedHead, num_classes: int = 2, **kw: Any) -> Any:
    return cls(num_classes, in_channels=5, **{**stub_cfg(), **kw})


def make_sample(
    counts: Sequence[int], difficult: Sequence[int] = (), **metainfo: Any
) -> WSLDataSample:
    metainfo = dict(dict(ori_shape=(8, 8), img_shape=(8, 8)), **metainfo)
    sample = WSLDataSample(metainfo=dict(img_id='a', **metainfo))
    labels = [c for c, t in enumerate(counts) if t or c in difficult]
    return sample.set_gt_label(labels, len(counts)).set_gt_count(counts)


def as_view(maps: List, density: List) -> Tensor:
    """One image's view (1, 2 C, h, w) of class and density maps."""
    return torch.tensor([maps + density], dtype=torch.float32)


def losses_of(head: Any, view: Tensor, samples: List) -> Dict[str, float]:
    losses = head.loss((view,), samples)
    return {key: value.item() for key, value in losses.items()}
