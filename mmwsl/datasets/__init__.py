"""Datasets with image-level labels and their transforms."""

from mmwsl.datasets import transforms
from mmwsl.datasets.base import WSLDataset, base_datasets, set_epoch
from mmwsl.datasets.coco import COCOImageLevelDataset
from mmwsl.datasets.folder import FolderDataset
from mmwsl.datasets.toy import ToyDataset
from mmwsl.datasets.voc import VOCImageLevelDataset

__all__ = [
    'COCOImageLevelDataset',
    'FolderDataset',
    'ToyDataset',
    'VOCImageLevelDataset',
    'WSLDataset',
    'base_datasets',
    'set_epoch',
    'transforms',
]
