"""Pack the results of a pipeline for the model."""

import os
from typing import Any, Dict, Optional, Sequence

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData

from mmwsl.datasets.base import WSLDataset
from mmwsl.datasets.transforms.base import Results, Transform
from mmwsl.registry import DATASETS, TRANSFORMS
from mmwsl.structures import WSLDataSample

_EVAL_KEYS = ('gt_sem_seg', 'gt_body_seg', 'gt_instances', 'gt_loc_mask')


@TRANSFORMS.register_module()
class PackWSLInputs(Transform):
    """Pack an image and its labels, and ground truth only where named.

    Masks and boxes are packed at the size of the original image, to which
    predictions are brought, and only those in ``eval_keys``: a pipeline that
    does not name them cannot leak them.

    Required keys: ``img``, ``gt_label``, ``num_classes``. Optional keys:
    ``gt_count``, ``gt_label_difficult``, ``saliency``, ``proposals``,
    ``eval_gt``.

    Args:
        meta_keys: Keys that become meta information, those that are there.
        eval_keys: Of ``gt_sem_seg``, ``gt_body_seg``, ``gt_instances``,
            ``gt_loc_mask``; ``LoadEvalAnnotations`` provides them.

    Raises:
        ValueError: If an evaluation key is unknown or not there.
    """

    def __init__(
        self,
        meta_keys: Sequence[str] = (
            'img_id',
            'img_path',
            'ori_shape',
            'img_shape',
            'scale_factor',
            'flip',
            'flip_direction',
        ),
        eval_keys: Sequence[str] = (),
    ) -> None:
        unknown = sorted(set(eval_keys) - set(_EVAL_KEYS))
        if unknown:
            raise ValueError(
                f'PackWSLInputs: eval_keys holds {unknown[0]!r}, known are '
                f'{", ".join(_EVAL_KEYS)}'
            )
        self.meta_keys = tuple(meta_keys)
        self.eval_keys = tuple(eval_keys)

    def transform(self, results: Results) -> Results:
        """Pack ``results``.

        Returns:
            dict: ``inputs`` uint8 (3, h, w), in OpenCV's BGR order, and
            ``data_samples``, a :class:`WSLDataSample`.
        """
        sample = WSLDataSample(
            metainfo={k: results[k] for k in self.meta_keys if k in results}
        )
        sample.set_gt_label(results['gt_label'], results['num_classes'])
        if 'gt_label_difficult' in results:
            sample.set_gt_label_difficult(results['gt_label_difficult'])
        if 'gt_count' in results:
            sample.set_gt_count(results['gt_count'])
        if 'saliency' in results:
            sample.saliency = _pixel_data(results['saliency'])
        if 'proposals' in results:
            sample.proposals = results['proposals']
        for key in self.eval_keys:
            setattr(sample, key, _eval_data(results, key))
        return dict(inputs=_to_tensor(results['img']), data_samples=sample)


@TRANSFORMS.register_module()
class PackLabelledSegInputs(Transform):
    """Pack for a segmentor, and add what image labels say.

    mmseg's samples know label maps alone, and a class that an image shows
    need not be in its pseudo label. The labels come from a data set with
    image-level labels that lists the same images. Samples get ``gt_label``
    (k,) class indices, ``gt_score`` (C,), multi-hot, without background, and
    ``img_id``.

    Required key: ``img_path``, and what ``packer`` needs.

    Args:
        labels: Config of the data set with image labels.
        packer: Config of the transform that packs, by default mmseg's
            PackSegInputs.

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
            self._known[os.path.abspath(info['img_path'])] = (
                info['img_id'],
                score,
            )

    def transform(self, results: Results) -> Results:
        """Pack ``results``."""
        path = results['img_path']
        if os.path.abspath(path) not in self._known:
            raise ValueError(
                f'{path}: {self.source} has no labels of this image'
            )
        img_id, score = self._known[os.path.abspath(path)]
        packed: Results = self.packer(results)
        sample = packed['data_samples']
        sample.set_metainfo(dict(img_id=img_id))
        sample.gt_label = score.nonzero().flatten()
        sample.gt_score = score.clone()
        return packed


def _to_tensor(img: np.ndarray) -> torch.Tensor:
    """Turn (h, w, 3) or (h, w) into a contiguous (channels, h, w)."""
    if img.ndim == 2:
        img = img[..., None]
    # Flipped images have negative strides, which torch does not take; torch
    # transposes several times faster than numpy.
    tensor = torch.from_numpy(np.ascontiguousarray(img))
    return tensor.permute(2, 0, 1).contiguous()


def _pixel_data(array: np.ndarray) -> PixelData:
    return PixelData(data=torch.from_numpy(np.ascontiguousarray(array))[None])


def _eval_data(results: Results, key: str) -> Any:
    value = results.get('eval_gt', {}).get(key)
    if value is None:
        raise ValueError(
            f'PackWSLInputs: {key} is named in eval_keys, but no '
            'LoadEvalAnnotations of the pipeline has loaded it'
        )
    if key == 'gt_instances':
        return InstanceData(
            **{name: torch.from_numpy(v) for name, v in value.items()}
        )
    return _pixel_data(value)
