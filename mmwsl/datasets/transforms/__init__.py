"""Transforms; importing them registers mmcv's own as well."""

import mmcv.transforms  # noqa: F401  (registers Resize, RandomFlip, ...)

from mmwsl.datasets.transforms.attention import LoadAttention
from mmwsl.datasets.transforms.augment import ColorJitter, RandomResizedCrop
from mmwsl.datasets.transforms.crop import RandomCrop
from mmwsl.datasets.transforms.erasing import EraseRegions
from mmwsl.datasets.transforms.eval_annotations import LoadEvalAnnotations
from mmwsl.datasets.transforms.formatting import PackWSLInputs
from mmwsl.datasets.transforms.labelled_seg import PackLabelledSegInputs
from mmwsl.datasets.transforms.loading import LoadWSLImage
from mmwsl.datasets.transforms.make_proposals import MakeProposals
from mmwsl.datasets.transforms.proposals import LoadProposals
from mmwsl.datasets.transforms.saliency import LoadSaliency

__all__ = [
    'ColorJitter',
    'EraseRegions',
    'LoadAttention',
    'LoadEvalAnnotations',
    'LoadProposals',
    'LoadSaliency',
    'LoadWSLImage',
    'MakeProposals',
    'PackLabelledSegInputs',
    'PackWSLInputs',
    'RandomCrop',
    'RandomResizedCrop',
]
