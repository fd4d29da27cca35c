"""Configs whose test predicts the training images and writes that down."""

import copy
import os
from typing import Any, Dict

from mmengine.config import Config

_LOADERS = ('LoadWSLImage', 'LoadImageFromFile')
_TRUTH = ('LoadEvalAnnotations', 'LoadAnnotations')
_HOOK = 'mmwsl.DenseCRFHook'


def predict_training_images(cfg: Config) -> Config:
    """Let the test of a config predict and write, as its ``predict`` says.

    The test then reads the training images as it would read its own, without
    ground truth, and :class:`PseudoLabelWriter` is its only metric. Keys of
    ``predict``:

    - ``out_dir``: Folder to write to. Without it nothing changes, so models
      say with the other keys how they predict, and stages switch it on.
    - ``crf``: What changes in the settings of DenseCRFHook. With
      ``given_only=True`` samples carry their image labels, which are those
      of the training or else of the variable ``image_labels``.
    - ``model``: What changes in the model.
    - ``pipeline``: Other transforms than those of the test.
    - Others are arguments of PseudoLabelWriter.

    The config, of a classifier or of a segmentor of mmseg, is changed.

    Raises:
        ValueError: If it has no labels for ``given_only``.
    """
    settings = dict(cfg.get('predict') or {})
    if not settings.get('out_dir'):
        return cfg
    crf = dict(settings.pop('crf', {}))
    cfg.merge_from_dict(dict(model=settings.pop('model', {})))
    dataset = copy.deepcopy(cfg.train_dataloader.dataset)
    while 'dataset' in dataset:
        dataset = dataset.dataset
    training = dataset.pipeline
    tested = settings.pop('pipeline', cfg.test_dataloader.dataset.pipeline)
    pipeline = [x for x in training[:1] if type_name(x) in _LOADERS]
    others = (*_LOADERS, *_TRUTH)
    pipeline += [
        x for x in copy.deepcopy(tested) if type_name(x) not in others
    ]
    for step in pipeline:
        step.pop('eval_keys', None)
    prefix = dataset.get('data_prefix') or {}
    prefix.pop('seg_map_path', None)
    if crf.get('given_only'):
        pack = [x for x in training if type_name(x) == 'PackLabelledSegInputs']
        labels = pack[0]['labels'] if pack else cfg.get('image_labels')
        if not labels:
            raise ValueError(
                f'{cfg.filename}: predict.crf.given_only needs the image '
                'labels of the training images, as the variable image_labels'
            )
        pipeline[-1] = dict(type='mmwsl.PackLabelledSegInputs', labels=labels)
    elif type_name(pipeline[-1]) == 'PackSegInputs':
        root = dataset.get('data_root') or ''
        settings['img_dir'] = os.path.join(root, prefix.get('img_path') or '')
    dataset.pipeline = pipeline
    cfg.test_dataloader.dataset = dataset
    cfg.test_evaluator = dict(type='mmwsl.PseudoLabelWriter', **settings)
    for hook in cfg.get('custom_hooks') or []:
        if hook['type'] == _HOOK:
            # ConfigDict.update would merge.
            for key, value in crf.items():
                hook[key] = value
    return cfg


def type_name(item: Dict[str, Any]) -> str:
    """The name of a type without its scope."""
    return str(item.get('type')).split('.')[-1]
