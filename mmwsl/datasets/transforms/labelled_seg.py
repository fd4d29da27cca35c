"""Image labels for the samples of segmentors."""

import os
from typing import Any, Dict, Optional

import torch
from mmcv.transforms import BaseTransform

from mmwsl.datasets.base import WSLDataset
from mmwsl.registry import DATASETS, TRANSFORMS


@TRANSFORMS.register_module()
class PackLabelledSegInputs(BaseTransform):
    """Pack for a segmentor, and add what image labels say.

    mmseg's samples know label maps alone, and a class that an image shows
    need not be in its pseudo label. The labels come from a data set of
    ours that lists the same images. Samples get ``gt_label`` (k,) class
    indices, ``gt_score`` (C,), multi-hot, without background, and
    ``img_id``.

    Required key: ``img_path``, and what ``packer`` needs.

    Args:
        labels (dict): Config of the data set with image labels.
        packer (dict, optional): Config of the transform that packs, by
            default mmseg's PackSegInputs.

    Raises:
        ValueError: If ``labels`` is no data set with image labels, or lacks
            an image.
    """

    def __init__(self, labels: Dict, packer: Optional[Dict] = None) -> None:
        dataset = DATASETS.build(dict(labels))
        if not isinstance(dataset, WSLDataset):
            raise ValueError(
                'PackLabelledSegInputs: labels must be a data set with image '
                f'labels, got {type(dataset).__name__}'
            )
        self.packer = TRANSFORMS.build(
            packer or dict(type='mmseg.PackSegInputs')
        )
        self.source = dataset.ann_file or type(dataset).__name__
        self._known: Dict[str, Any] = {}
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            score = torch.zeros(info['num_classes'])
            score[info['gt_label']] = 1
            self._known[_key(info['img_path'])] = (info['img_id'], score)

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Pack ``results``."""
        path = results['img_path']
        if _key(path) not in self._known:
            raise ValueError(
                f'{path}: {self.source} has no labels of this image'
            )
        img_id, score = self._known[_key(path)]
        packed: Dict[str, Any] = self.packer(results)
        sample = packed['data_samples']
        sample.set_metainfo(dict(img_id=img_id))
        sample.gt_label = score.nonzero().flatten()
        sample.gt_score = score.clone()
        return packed

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}({len(self._known)} images, '
            f'packer={self.packer})'
        )


def _key(path: str) -> str:
    return os.path.abspath(path)
