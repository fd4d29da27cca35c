"""Predictions for single images, from Python."""

import operator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader
from PIL import Image as Pillow

from mmwsl.registry import DATASETS, MODELS, TRANSFORMS
from mmwsl.structures import WSLDataSample
from mmwsl.utils.checkpoints import check_form, load_state
from mmwsl.utils.config import check_config, load_config

Image = Union[str, Path, np.ndarray, Pillow.Image]
Label = Union[str, int]
_SINGLE = (str, bytes, Path, np.ndarray, Pillow.Image, torch.Tensor)


def init_model(
    config: Union[str, Path, Config],
    checkpoint: Optional[Union[str, Path]] = None,
    device: str = 'cpu',
    cfg_options: Optional[Dict[str, Any]] = None,
) -> BaseModel:
    """Build a model that is ready to predict.

    Args:
        config: Config file, or a config already read.
        checkpoint: File or URL of the weights. Without one the model is as
            its ``init_cfg`` says: not trained.
        device: Where it runs, such as 'cuda:0'.
        cfg_options: Dotted keys and values that override the config.

    Returns:
        The model in evaluation mode, with ``cfg``, the config, and
        ``dataset_meta``, ``classes`` and ``palette`` as far as the checkpoint
        or the config's test set name them.

    Raises:
        FileNotFoundError: If the config or the checkpoint does not exist.
        ValueError: If the checkpoint does not fit the model.
    """
    if isinstance(config, Config):
        cfg = config.copy()
        cfg.merge_from_dict(cfg_options or {})
    else:
        cfg = load_config(config, cfg_options)
    check_config(cfg, 'model')
    with _scope(cfg):
        model = MODELS.build(cfg.model)
    model.cfg = cfg
    model.dataset_meta = None
    if checkpoint is None:
        # It logs a line for each of hundreds of tensors.
        logger = MMLogger.get_current_instance()
        level = logger.level
        logger.setLevel('WARNING')
        try:
            model.init_weights()
        finally:
            logger.setLevel(level)
    else:
        meta = load_weights(model, str(checkpoint))
        model.dataset_meta = meta.get('dataset_meta')
    if not (model.dataset_meta or {}).get('classes'):
        model.dataset_meta = _config_meta(cfg)
    try:
        return model.to(device).eval()
    except (AssertionError, RuntimeError) as error:
        why = str(error).split('\n')[0]
        raise ValueError(f"device '{device}' cannot be used: {why}") from error


def inference_model(
    model: BaseModel,
    images: Union[Image, Sequence[Image]],
    labels: Optional[Sequence[Label]] = None,
) -> Union[WSLDataSample, List[WSLDataSample]]:
    """Predict class scores and maps of images.

    The images go through the config's test pipeline, without what loads
    ground truth, and one by one through ``model.test_step``, with the scales
    and flips of the config. Where the pipeline loads proposals, they are made
    of the images instead. The model predicts in evaluation mode and is left
    in the mode that it had.

    Args:
        model: From :func:`init_model`; also a segmentor of mmseg.
        images: One image or several: paths, pictures of Pillow, or arrays
            (H, W, 3) of uint8 in OpenCV's BGR order.
        labels: Names or indices of the classes that all the images are known
            to show; maps are made for these. Without any, for the classes
            that the model predicts. Segmentors take none.

    Returns:
        The sample of the image, or a list of samples, on the CPU. Those of
        unlabelled images have no ``gt_*`` fields. A segmentor's have
        ``pred_sem_seg`` and ``seg_logits``.

    Raises:
        FileNotFoundError: If an image does not exist.
        TypeError: If an image is neither a path, a picture nor an array of
            uint8, or a label is neither a name nor an index.
        ValueError: If an image is broken, or a label unknown.

    Example:
        >>> model = init_model('configs/cam/cam_r18_toy.py', 'epoch_4.pth')
        >>> sample = inference_model(model, 'photo.jpg')
        >>> sample.pred_score, sample.pred_maps.data
    """
    single = isinstance(images, _SINGLE)
    batch: Any = [images] if single else images
    known = None if labels is None else label_indices(model, labels)
    pipeline, number_of_classes = _test_pipeline(model.cfg), num_classes(model)
    samples = []
    with torch.no_grad(), _predicting(model, known is not None):
        for number, image in enumerate(batch):
            info = _data_info(image, number, known, number_of_classes)
            packed = pipeline(info)
            data = {key: [value] for key, value in packed.items()}
            sample = model.test_step(data)[0].cpu()
            if known is None:
                # They say "no class at all", which nobody has claimed.
                for key in ('gt_label', 'gt_score'):
                    sample.pop(key, None)
            samples.append(sample)
    return samples[0] if single else samples


def is_segmentor(model: BaseModel) -> bool:
    """Return whether a model is a segmentor of mmseg."""
    return hasattr(model, 'decode_head')


def num_classes(model: BaseModel) -> int:
    """Return the number of classes; a segmentor's count background."""
    part: Any = model if is_segmentor(model) else getattr(model, 'head', None)
    if not hasattr(part, 'num_classes'):
        raise TypeError(
            f'model: {type(model).__name__} is neither a WSLClassifier nor a '
            'segmentor of mmseg.'
        )
    return int(part.num_classes)


def load_image(model: BaseModel, path: Union[str, Path]) -> np.ndarray:
    """Load an image as the model's test pipeline does.

    Returns:
        (H, W, 3) uint8, BGR, turned as the pipeline's options say.

    Raises:
        FileNotFoundError: If it does not exist.
        ValueError: If it is broken.
    """
    loader = _test_pipeline(model.cfg).transforms[0]
    return loader(_data_info(path, 0, None, 1))['img']


def label_indices(model: BaseModel, labels: Sequence[Label]) -> List[int]:
    """Turn names or indices of classes into sorted indices.

    Raises:
        ValueError: If the model has no such class.
    """
    if is_segmentor(model):
        raise ValueError('labels: a segmentor takes none.')
    if isinstance(labels, str) or not np.iterable(labels):
        labels = [labels]
    classes = list((model.dataset_meta or {}).get('classes') or ())
    number = num_classes(model)
    indices = set()
    for label in labels:
        if not isinstance(label, (str, int, np.integer, torch.Tensor)):
            raise TypeError(
                'labels: expected names or indices of classes, got '
                f'{type(label).__name__}.'
            )
        if isinstance(label, str):
            if label not in classes:
                names = ', '.join(classes) or 'no names at all'
                raise ValueError(
                    f"'{label}' is not among the model's classes: {names}."
                )
            indices.add(classes.index(label))
        elif 0 <= operator.index(label) < number:
            indices.add(operator.index(label))
        else:
            raise ValueError(
                f'there is no class {label}: the model has {number}.'
            )
    return sorted(indices)


def _scope(cfg: Config) -> Any:
    """Find types without prefix as a run of the config would."""
    scope = cfg.get('default_scope') or 'mmwsl'
    return DefaultScope.overwrite_default_scope(scope)


def load_weights(model: BaseModel, path: str) -> Dict[str, Any]:
    """Load a checkpoint, all of it.

    Args:
        model: The model.
        path: File or URL.

    Returns:
        The meta information of the checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, or does not hold every tensor of
            the model; mmengine would go on with random weights.
    """
    loaded = CheckpointLoader.load_checkpoint(path, 'cpu')
    check_form(loaded, path)
    load_state(model, loaded, path)
    return loaded.get('meta') or {}


def _dataset_cfg(cfg: Config) -> Dict[str, Any]:
    """Return the config of the test set, from within wrappers."""
    dataset = (cfg.get('test_dataloader') or {}).get('dataset')
    while dataset is not None and 'pipeline' not in dataset:
        inner = dataset.get('datasets') or [dataset.get('dataset')]
        dataset = inner[0]
    if dataset is None:
        raise ValueError(
            f'{cfg.filename}: the config has no '
            '"test_dataloader.dataset.pipeline" to prepare images with.'
        )
    return dataset


def _config_meta(cfg: Config) -> Dict[str, Any]:
    """Return the names of classes that the test set has without files."""
    with _scope(cfg):
        dataset = DATASETS.build({**_dataset_cfg(cfg), 'lazy_init': True})
    return dict(dataset.metainfo)


_DROPPED = ('LoadEvalAnnotations', 'LoadImageFromFile', 'LoadAnnotations')


def _test_pipeline(cfg: Config) -> Compose:
    """Build the test pipeline; it loads images, and no ground truth."""
    loader: Dict[str, Any] = dict(type='mmwsl.LoadWSLImage')
    first, others = [], []
    for transform in _dataset_cfg(cfg)['pipeline']:
        name = transform['type'].split('.')[-1]
        if name == 'LoadWSLImage':
            loader = transform
        elif name == 'LoadProposals':
            # The files are those of the data set, not of new images.
            first.append({**transform, 'folder': None})
        elif name == 'PackWSLInputs':
            others.append({**transform, 'eval_keys': ()})
        elif name not in _DROPPED:
            others.append(transform)
    with _scope(cfg):
        return Compose(
            [TRANSFORMS.build(t) for t in [loader, *first, *others]]
        )


def _data_info(
    image: Image, number: int, known: Optional[List[int]], num_classes: int
) -> Dict[str, Any]:
    """Return what a dataset would hand to the pipeline for an image."""
    info: Dict[str, Any] = dict(
        gt_label=np.array(known or [], dtype=np.int64),
        num_classes=num_classes,
    )
    if isinstance(image, Pillow.Image):
        info.update(img=image, img_path='', img_id=f'image_{number}')
        return info
    if not isinstance(image, np.ndarray):
        if not isinstance(image, (str, Path)):
            raise TypeError(
                f'image {number}: expected a path, a picture of Pillow or an '
                f'array (H, W, 3) of uint8, got {type(image).__name__}.'
            )
        path = Path(image)
        info.update(img_path=str(path), img_id=path.with_suffix('').as_posix())
        return info
    if image.dtype != np.uint8:
        raise TypeError(
            f'image {number}: expected an array of uint8, got {image.dtype}.'
        )
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(
            f'image {number}: expected an array of shape (H, W, 3), got '
            f'{image.shape}.'
        )
    info.update(img=image, img_path='', img_id=f'image_{number}')
    return info


@contextmanager
def _predicting(model: BaseModel, given: bool) -> Iterator[None]:
    """Put a model in evaluation mode and choose its maps, for a while."""
    training = [module for module in model.modules() if module.training]
    head: Any = None if is_segmentor(model) else model.head
    keep = head and head.keep
    model.eval()
    try:
        if head:
            head.keep = 'given' if given else 'predicted'
        yield
    finally:
        if head:
            head.keep = keep
        for module in training:
            module.training = True
