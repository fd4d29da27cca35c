"""Writing predictions as labels of the next stage."""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
from contextlib import ExitStack
from typing import Any, Dict, List, Mapping, Optional

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.logging import print_log

from mmwsl.datasets.files import image_id
from mmwsl.evaluation.exporting import (
    MIN_AREA,
    as_dict,
    describe_instances,
    label_exports,
)
from mmwsl.evaluation.metrics.base import (
    WSLMetric,
    field,
    label_indices,
    pixels,
)
from mmwsl.pseudo_labels.labels import (
    IGNORE,
    LARGEST_CLASS,
    check_label,
    check_range,
    ignore_if_small,
    write_label_map,
)
from mmwsl.registry import METRICS
from mmwsl.utils.arrays import array
from mmwsl.utils.files import join_inside, write_whole
from mmwsl.utils.tables import csv_text


@METRICS.register_module()
class PseudoLabelWriter(WSLMetric):
    """Write what a model predicts, in a test run, as pseudo labels.

    Under ``out_dir`` there are, as far as they are asked for::

        labels/<image id>.png   label maps, VOC's convention; the palette is
                                that of the data set, if it has one, or VOC's
        maps/<image id>.npz     maps (K, H, W) and labels (K,)
        instances.json          COCO's results, compressed masks
        counts.csv              an image and one number a class in each line
        scores.csv              the same of class scores

    Every file appears whole or not at all. Reports ``written``, the number
    of images, and in percent of all pixels ``labelled`` (not ignored) and
    ``foreground``.

    Args:
        out_dir (str): Folder to write to.
        label_maps (bool): Write ``pred_sem_seg``.
        soft_maps (bool): Write ``pred_maps`` or, of segmentors, the softmax
            of ``seg_logits`` without its first label, background.
        instances (bool): Write ``pred_instances``.
        counts (bool): Write ``pred_count``.
        scores (bool): Write ``pred_score``, for MaxBoxAccMetric's
            ``scores_file``.
        min_ratio (float): Label maps in which a smaller share of the pixels
            carries a class are ignored as a whole.
        img_dir (str, optional): Folder of the images. Samples of mmseg have
            no id, which then is the path in this folder without suffix.
        options: Arguments of ``WSLMetric``.
    """

    def __init__(
        self,
        out_dir: str,
        label_maps: bool = True,
        soft_maps: bool = False,
        instances: bool = False,
        counts: bool = False,
        scores: bool = False,
        min_ratio: float = 0.0,
        img_dir: Optional[str] = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not (label_maps or soft_maps or instances or counts or scores):
            raise ValueError(
                'PseudoLabelWriter writes nothing: set label_maps, '
                'soft_maps, instances, counts or scores'
            )
        self.out_dir = out_dir
        self.label_maps = label_maps
        self.soft_maps = soft_maps
        self.instances = instances
        # Each is the name of a table and, without its s, of a field.
        wanted = dict(counts=counts, scores=scores)
        self.tables = [name for name, given in wanted.items() if given]
        self.min_ratio = min_ratio
        self.img_dir = img_dir

    def image_result(self, sample: Mapping[str, Any]) -> Dict[str, Any]:
        """Write the files of an image and return what lists need."""
        img_id = self._image_id(sample)
        result: Dict[str, Any] = dict(img_id=img_id)
        if self.label_maps:
            result.update(self._write_label_map(img_id, sample))
        if self.soft_maps:
            self._write_soft_maps(img_id, sample)
        if self.instances:
            found = describe_instances(field(sample, 'pred_instances'), ())
            scores = np.array([item['score'] for item in found])
            check_range(scores, 'scores of instances')
            # As COCO lists results.
            result['instances'] = [
                dict(
                    image_id=img_id,
                    category_id=item['label'],
                    score=item['score'],
                    segmentation=item['segmentation'],
                )
                for item in found
            ]
        for name in self.tables:
            key = f'pred_{name[:-1]}'
            numbers = array(field(sample, key))
            check_range(numbers, key)
            result[name] = numbers.tolist()
        return result

    def _image_id(self, sample: Mapping[str, Any]) -> str:
        if sample.get('img_id'):
            return str(sample['img_id'])
        path = sample.get('img_path')
        if path is None or self.img_dir is None:
            raise ValueError(
                f'{path or "sample"}: has no img_id; set '
                'PseudoLabelWriter.img_dir to the folder of the images'
            )
        return image_id(path, self.img_dir)

    def _write_label_map(
        self, img_id: str, sample: Mapping[str, Any]
    ) -> Dict[str, int]:
        number = len(self.classes)
        if number > LARGEST_CLASS + 1:
            raise ValueError(
                f'PseudoLabelWriter: label maps hold {LARGEST_CLASS + 1} '
                f'classes at most, but the data set has {number}: set '
                'label_maps=False'
            )
        label = check_label(pixels(sample, 'pred_sem_seg'), 'pred_sem_seg')
        label = ignore_if_small(label, self.min_ratio)
        folder = os.path.join(self.out_dir, 'labels')
        palette = _of_foreground(self.dataset_meta, sample, 'palette')
        write_label_map(join_inside(folder, img_id, '.png'), label, palette)
        labelled = label != IGNORE
        return dict(
            pixels=int(label.size),
            labelled=int(labelled.sum()),
            foreground=int((labelled & (label > 0)).sum()),
        )

    def _write_soft_maps(self, img_id: str, sample: Mapping[str, Any]) -> None:
        if 'pred_maps' not in sample and 'seg_logits' in sample:
            maps = _class_probabilities(sample)
            labels = np.arange(len(maps))
        else:
            maps = pixels(sample, 'pred_maps').astype(np.float32)
            labels = label_indices(sample, 'pred_map_labels')
        check_range(maps, 'pred_maps', 0)
        content = io.BytesIO()
        np.savez(content, maps=maps, labels=labels)
        folder = os.path.join(self.out_dir, 'maps')
        write_whole(join_inside(folder, img_id, '.npz'), content.getvalue())

    def score_all(self, results: List[dict]) -> Dict[str, float]:
        """Write the files of all images and sum up."""
        if is_main_process():
            self._write_lists(results)
        # Logs of mmengine leave out what is no float.
        metrics: Dict[str, float] = dict(written=float(len(results)))
        if self.label_maps:
            total = max(sum(x['pixels'] for x in results), 1)
            for name in ('labelled', 'foreground'):
                share = sum(x[name] for x in results) / total
                metrics[name] = round(100 * share, 2)
            if not any(x['foreground'] for x in results):
                print_log(
                    f'{self.out_dir}: no pixel of the {len(results)} label '
                    'maps shows a class: no image has a class, or all scores '
                    'are below the background',
                    logger='current',
                    level=logging.WARNING,
                )
        return metrics

    def _write_lists(self, results: List[dict]) -> None:
        if self.instances:
            found = [item for x in results for item in x['instances']]
            path = os.path.join(self.out_dir, 'instances.json')
            write_whole(path, json.dumps(found).encode())
        for name in self.tables:
            names = self.class_names(len(results[0][name]))
            rows = [[x['img_id'], *x[name]] for x in results]
            text = csv_text([['image', *names], *rows])
            path = os.path.join(self.out_dir, f'{name}.csv')
            write_whole(path, text.encode())


@METRICS.register_module()
class PredictionDump(WSLMetric):
    """Pickle what a model predicts, without its maps: numbers and texts.

    The file holds a list of what :func:`mmwsl.evaluation.exporting.as_dict`
    returns of each image, with its ``img_id``.

    Args:
        out_file (str): The file.
        options: Arguments of ``WSLMetric``.
    """

    def __init__(self, out_file: str, **options: Any) -> None:
        super().__init__(**options)
        self.out_file = out_file

    def image_result(self, sample: Mapping[str, Any]) -> Dict[str, Any]:
        """Return the predictions of an image as numbers and texts."""
        return _described(self.dataset_meta, sample)

    def score_all(self, results: List[dict]) -> Dict[str, float]:
        """Write the file."""
        if is_main_process():
            write_whole(self.out_file, pickle.dumps(results))
        return {}


@METRICS.register_module()
class LabelExportMetric(WSLMetric):
    """Export what a model predicts, in a test run, for other tools.

    Reports ``exported``, the number of images, and ``objects``.

    Args:
        export (dict | list): As :func:`mmwsl.evaluation.exporting
            .label_exports` takes it.
        min_area (float): Of :func:`mmwsl.evaluation.exporting.find_objects`.
        options: Arguments of ``WSLMetric``.
    """

    def __init__(
        self, export: Any, min_area: float = MIN_AREA, **options: Any
    ) -> None:
        super().__init__(**options)
        self.export = export
        self.min_area = min_area
        # Refused before anything is predicted.
        label_exports(export)

    def image_result(self, sample: Mapping[str, Any]) -> Dict[str, Any]:
        """Return the predictions of an image as numbers and texts."""
        palette = _of_foreground(self.dataset_meta, sample, 'palette')
        return dict(_described(self.dataset_meta, sample), palette=palette)

    def score_all(self, results: List[dict]) -> Dict[str, float]:
        """Write the files and count images and objects."""
        folders = {os.path.dirname(x['img_path']) for x in results}
        shared = os.path.commonpath(folders) if all(folders) else ''
        exports = label_exports(
            self.export,
            classes=results[0]['classes'],
            palette=results[0]['palette'],
            min_area=self.min_area,
        )
        with ExitStack() as stack:
            for item in exports:
                stack.enter_context(item)
            for result in results:
                name = result['img_id'] or image_id(result['img_path'], shared)
                for item in exports:
                    item.add(name, result)
        objects = max(item.objects for item in exports)
        return dict(exported=float(len(results)), objects=float(objects))


def _of_foreground(
    meta: Optional[Dict[str, Any]], sample: Mapping[str, Any], key: str
) -> List[Any]:
    """Return names or colours of classes, of segmentors but the first."""
    return list((meta or {}).get(key) or ())[int('pred_score' not in sample) :]


def _described(
    meta: Optional[Dict[str, Any]], sample: Mapping[str, Any]
) -> Dict[str, Any]:
    """Return the predictions of an image as numbers and texts."""
    field(sample, 'pred_sem_seg')
    content = as_dict(sample, _of_foreground(meta, sample, 'classes'))
    return dict(content, img_id=sample.get('img_id'))


def _class_probabilities(sample: Mapping[str, Any]) -> np.ndarray:
    """Return what a segmentor gives each class, float32 (C, H, W)."""
    logits = array(field(sample, 'seg_logits')['data'])
    if len(logits) < 2:
        raise ValueError(
            f'seg_logits has {len(logits)} labels; soft maps are '
            'those of two or more, of which the first is background'
        )
    return torch.from_numpy(logits).float().softmax(dim=0)[1:].numpy()
