"""Transforms; importing them registers mmcv's own as well."""

import mmcv.transforms  # noqa: F401  (registers Resize, RandomFlip, ...)

from mmwsl.datasets.transforms.augment import (
    ColorJitter,
    RandomCrop,
    RandomResizedCrop,
)
from mmwsl.datasets.transforms.erasing import EraseRegions
from mmwsl.datasets.transforms.eval_annotations import LoadEvalAnnotations
from mmwsl.datasets.transforms.formatting import (
    PackLabelledSegInputs,
    PackWSLInputs,
)
from mmwsl.datasets.transforms.loading import (
    LoadAttention,
    LoadProposals,
    LoadSaliency,
    LoadWSLImage,
    MakeProposals,
)

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
