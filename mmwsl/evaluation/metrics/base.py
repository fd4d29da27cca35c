"""The base of all metrics: read fields of samples, name images in errors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmwsl.utils.arrays import array
from mmwsl.utils.tables import format_columns

_PROVIDERS = {
    'pred_score': 'the model must predict class scores (a classifier head)',
    'pred_label': 'the model must predict classes (a classifier head)',
    'pred_maps': (
        'the model must predict class maps (for example head=dict('
        "type='CAMHead', ...))"
    ),
    'pred_map_labels': 'the model must list the classes of its pred_maps',
    'pred_count': (
        'the model must predict counts (for example head=dict('
        "type='DensityHead', ...))"
    ),
    'pred_instances': (
        'the model must predict instances (for example head=dict('
        "type='PRMHead', ...))"
    ),
    'gt_label': (
        "the evaluation pipeline must end with dict(type='PackWSLInputs') "
        'and the dataset must have image labels'
    ),
    'gt_count': (
        'the dataset must know object counts: VOCImageLevelDataset needs '
        "labels_from='xml', FolderDataset an ann_file of lines "
        'path,class,count'
    ),
    'ori_shape': 'the evaluation pipeline must load images',
    'saliency': (
        'the evaluation pipeline must load saliency maps before '
        "dict(type='PackWSLInputs')"
    ),
}
# What LoadEvalAnnotations calls what it loads, other than masks of classes.
_LOADED = {'gt_instances': 'with_instances', 'gt_loc_mask': 'with_loc_mask'}


class WSLMetric(BaseMetric):
    """Keep a small result of each image and score them together.

    Args:
        per_class (bool): Whether metrics of classes print their tables.
        **options: Those of mmengine's metrics, such as ``prefix``, which is
            put before the keys: ``prefix/mAP``.
    """

    # Without one mmengine warns; the empty prefix leaves the keys alone.
    default_prefix = ''

    def __init__(self, per_class: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.per_class = per_class

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the result of each image; maps and masks are not kept."""
        for sample in data_samples:
            with naming_image(sample):
                self.results.append(self.image_result(sample))

    def image_result(self, sample: Mapping[str, Any]) -> Any:
        """Return what is kept of an image, a data sample as a dict.

        Raises:
            ValueError: If fields are missing or broken; the image is named
                by the caller.
        """
        raise NotImplementedError

    def compute_metrics(self, results: List[Any]) -> Dict[str, float]:
        """Score the results of all images, of which there must be one."""
        if not results:
            raise ValueError('no image to score: the dataset is empty')
        return self.score_all(results)

    def score_all(self, results: List[Any]) -> Dict[str, float]:
        """Return the metrics of all images' results and print the tables."""
        raise NotImplementedError

    @property
    def classes(self) -> Sequence[str]:
        """The dataset's class names, empty where it has none."""
        return (self.dataset_meta or {}).get('classes') or ()

    def class_names(self, num_classes: int) -> Sequence[str]:
        """The dataset's class names; numbers where it has none.

        Raises:
            ValueError: If the dataset has another number of classes.
        """
        if not self.classes:
            return [str(c) for c in range(num_classes)]
        number = len(self.classes)
        if number != num_classes:
            raise ValueError(
                f'the model predicts {num_classes} classes, the dataset has '
                f'{number}: set num_classes of the head to {number}'
            )
        return list(self.classes)


def say(title: str, *tables: Mapping[str, Sequence[Any]]) -> None:
    """Print tables, each a dict of columns, under a title."""
    texts = [title, *(format_columns(table) for table in tables)]
    print_log('\n'.join(texts), logger='current')


def field(sample: Mapping[str, Any], key: str) -> Any:
    """Return a sample's field.

    Raises:
        ValueError: If it is missing; the message names the config line that
            provides it.
    """
    value = sample.get(key)
    if value is not None:
        return value
    provider = _PROVIDERS.get(key)
    if provider is None and key.startswith('gt_'):
        provider = (
            "the evaluation pipeline needs dict(type='LoadEvalAnnotations', "
            f'{_LOADED.get(key, "with_seg_map")}=True) and '
            f"dict(type='PackWSLInputs', eval_keys=('{key}',))"
        )
    raise ValueError(f'{image_name(sample)}: no {key}: {provider}')


@contextmanager
def naming_image(sample: Mapping[str, Any]) -> Iterator[None]:
    """Put the image's name before the message of a ValueError."""
    try:
        yield
    except ValueError as error:
        name, text = image_name(sample), str(error)
        if text.startswith(f'{name}: '):
            raise
        raise ValueError(f'{name}: {text}') from None


def pixels(sample: Mapping[str, Any], key: str) -> np.ndarray:
    """The data of a PixelData field; (1, H, W) becomes (H, W)."""
    data = array(field(sample, key)['data'])
    return data[0] if data.ndim == 3 and key != 'pred_maps' else data


def label_indices(
    sample: Mapping[str, Any], key: str, num_classes: Optional[int] = None
) -> np.ndarray:
    """Class indices of a label field as (K,) int64, each below a number."""
    labels = array(field(sample, key)).reshape(-1).astype(np.int64)
    if num_classes is not None and not (
        np.isin(labels, np.arange(num_classes)).all()
    ):
        raise ValueError(
            f'{image_name(sample)}: {key} {labels.tolist()} is not in '
            f'0..{num_classes - 1}'
        )
    return labels


def image_name(sample: Mapping[str, Any]) -> str:
    """The sample's image id, for messages."""
    return str(sample.get('img_id') or sample.get('img_path') or 'sample')
