"""Datasets with image-level labels and their transforms."""

from mmwsl.datasets import transforms
from mmwsl.datasets.base import (
    SeededDataset,
    WSLDataset,
    base_datasets,
    image_ids,
    renumber_classes,
    set_epoch,
)
from mmwsl.datasets.coco import COCOImageLevelDataset
from mmwsl.datasets.folder import FolderDataset
from mmwsl.datasets.own import OwnDataset
from mmwsl.datasets.single_label import SingleLabelEntries
from mmwsl.datasets.toy import ToyDataset
from mmwsl.datasets.voc import VOCImageLevelDataset
from mmwsl.datasets.wsol import WSOLDataset

__all__ = [
    'COCOImageLevelDataset',
    'FolderDataset',
    'OwnDataset',
    'SeededDataset',
    'SingleLabelEntries',
    'ToyDataset',
    'VOCImageLevelDataset',
    'WSLDataset',
    'WSOLDataset',
    'base_datasets',
    'image_ids',
    'renumber_classes',
    'set_epoch',
    'transforms',
]
