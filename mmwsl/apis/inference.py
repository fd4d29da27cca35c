"""Predictions for own images, from Python."""

import json
import logging
import operator
import os
import re
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import (
    Any,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.fileio import load
from mmengine.infer import BaseInferencer
from mmengine.logging import MMLogger, print_log
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import CheckpointLoader
from PIL import Image as Pillow

import mmwsl
from mmwsl.apis.classifiers import Classes, convert_classifier
from mmwsl.apis.command_line import with_progress
from mmwsl.datasets.files import find_files
from mmwsl.evaluation.exporting import LabelExport, as_dict, label_exports
from mmwsl.models.backbones.weights import KeyMap
from mmwsl.pseudo_labels.labels import LARGEST_CLASS, write_label_map
from mmwsl.registry import DATASETS, MODELS, TRANSFORMS
from mmwsl.structures import WSLDataSample
from mmwsl.utils.checkpoints import check_form, load_state
from mmwsl.utils.config import check_config, fill_from_data, load_config
from mmwsl.utils.files import join_inside, say_once, write_whole
from mmwsl.utils.images import IMG_SUFFIXES
from mmwsl.utils.prediction import type_name
from mmwsl.visualization import WSLVisualizer
from mmwsl.visualization.drawing import panel

Image = Union[str, Path, np.ndarray, Pillow.Image]
Label = Union[str, int]
_SINGLE = (str, bytes, Path, np.ndarray, Pillow.Image, torch.Tensor)


def init_model(
    config: Union[str, Path, Config],
    checkpoint: Optional[Union[str, Path, Dict[str, Any]]] = None,
    device: str = 'cpu',
    cfg_options: Optional[Dict[str, Any]] = None,
) -> BaseModel:
    """Build a model that is ready to predict.

    Args:
        config: Config file, or a config already read.
        checkpoint: File or URL of the weights, or what such a file holds.
            Without one the model is as its ``init_cfg`` says: not trained.
        device: Where it runs, such as 'cuda:0'.
        cfg_options: Dotted keys and values that override the config.

    Returns:
        The model in evaluation mode, with ``cfg`` and with ``classes`` and
        ``palette`` in ``dataset_meta``, as far as the checkpoint or the test
        set name them.

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
    from mmwsl.models import fill_from_backbone

    meta: Dict[str, Any] = {}
    loaded: Any = checkpoint
    path = 'the checkpoint'
    if checkpoint is not None and not isinstance(checkpoint, dict):
        path = str(checkpoint)
        loaded = CheckpointLoader.load_checkpoint(path, 'cpu')
        check_form(loaded, path)
    if loaded is not None:
        meta = (loaded.get('meta') or {}).get('dataset_meta') or {}
    with _scope(cfg):
        fill_from_data(cfg, meta.get('classes') or None)
        fill_from_backbone(cfg)
        model = MODELS.build(cfg.model)
    model.cfg = cfg
    model.dataset_meta = meta
    if loaded is None:
        # It logs a line for each of hundreds of tensors.
        logger = MMLogger.get_current_instance()
        level = logger.level
        logger.setLevel('WARNING')
        try:
            model.init_weights()
        finally:
            logger.setLevel(level)
    else:
        load_state(model, loaded, path)
    if not meta.get('classes'):
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
    """Predict class scores and maps of images, as :class:`WSLInferencer`.

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
        TypeError: If an image or a label is of another kind.
        ValueError: If an image is broken, or a label unknown.

    Example:
        >>> model = init_model('configs/cam/cam_r18_toy.py', 'epoch_4.pth')
        >>> sample = inference_model(model, 'photo.jpg')
        >>> sample.pred_score, sample.pred_maps.data
    """
    single = isinstance(images, _SINGLE)
    batch: Any = [images] if single else images
    inferencer = WSLInferencer(model, show_progress=False)
    samples = []
    for done in inferencer.predict(batch, labels):
        if done.error is not None:
            raise done.error
        samples.append(done.sample)
    return samples[0] if single else samples


class Prediction(NamedTuple):
    """An image, and its sample or why there is none."""

    image: Image
    sample: Any
    error: Optional[Exception]


class WSLInferencer(BaseInferencer):
    """Predicts images with a model of stage 1 or a segmentor of stage 2.

    The images go through the config's test pipeline, without what loads
    ground truth, and through ``model.test_step``, with the scales and flips
    of the config. Where the pipeline loads proposals, they are made of the
    images instead. The model keeps the mode that it had.

    Args:
        model: A config file, its path after ``mmwsl::``, the name of a model
            in a metafile (see :meth:`list_models`), a config, or a model
            that :func:`init_model` has built.
        weights: File or URL of the checkpoint, or what such a file holds; by
            default that of the metafile, if it names one.
        device: Where it runs, such as 'cuda:0'; by default what is there.
        cfg_options: Dotted keys and values that override the config.
        show_progress: Whether calls show how many images are done.

    Raises:
        FileNotFoundError: If there is no such config, model or checkpoint.
        ValueError: If the checkpoint does not fit the model.

    Example:
        >>> inferencer = WSLInferencer('cam_r18_toy', 'epoch_4.pth')
        >>> inferencer('photos', show_dir='pictures')['predictions']
    """

    preprocess_kwargs = {'labels'}
    visualize_kwargs = {'return_vis', 'show', 'wait_time', 'show_dir'}
    postprocess_kwargs = {'out_dir'}

    def __init__(
        self,
        model: Union[str, Path, Dict[str, Any], BaseModel],
        weights: Optional[Union[str, Path, Dict[str, Any]]] = None,
        device: Optional[str] = None,
        cfg_options: Optional[Dict[str, Any]] = None,
        show_progress: bool = True,
    ) -> None:
        if not isinstance(model, BaseModel):
            config, named = find_config(model)
            if weights is None and named is None:
                print_log(
                    'no weights are given: the model has not learned anything '
                    'beyond its init_cfg.',
                    'current',
                    logging.WARNING,
                )
            model = init_model(
                config, weights or named, device or get_device(), cfg_options
            )
        elif device is not None:
            model.to(device)
        self.model: Any = model
        self.cfg = model.cfg
        self.scope = 'mmwsl'
        self.show_progress = show_progress
        self.pipeline: Any = self._init_pipeline(self.cfg)
        self.collate_fn = pseudo_collate
        self.visualizer = self._init_visualizer(self.cfg)

    @classmethod
    def from_classifier(
        cls,
        arch: str,
        weights: Union[str, Path],
        classes: Classes = None,
        multi_label: bool = False,
        output_stride: Optional[int] = None,
        key_map: KeyMap = None,
        **kwargs: Any,
    ) -> 'WSLInferencer':
        """Predict with the maps of a classifier that exists, as it is.

        The arguments are those of
        :func:`~mmwsl.apis.classifiers.convert_classifier` and of the class.

        Example:
            >>> inferencer = WSLInferencer.from_classifier(
            ...     'resnet50', 'torchvision://resnet50'
            ... )
            >>> inferencer('photos', show_dir='pictures')
        """
        return cls(
            *convert_classifier(
                arch, weights, classes, multi_label, output_stride, key_map
            ),
            **kwargs,
        )

    def __call__(
        self,
        inputs: Union[Image, Sequence[Image]],
        return_datasamples: bool = False,
        batch_size: int = 1,
        export: Optional[Mapping[str, Any]] = None,
        **kwargs: Any,
    ) -> Dict[str, Any]:
        """Predict images.

        Args:
            inputs: A path, a folder of images, a picture of Pillow, an array
                (H, W, 3) of uint8 in BGR order, or a list of these.
            return_datasamples: Whether predictions are samples with all maps
                as tensors, instead of dicts of what fits into JSON.
            batch_size: Images that the network sees at once. Those of other
                sizes are padded, which moves the predictions a little.
            export: Folder of each format of :mod:`mmwsl.evaluation.exporting`
                that the predictions are written in, such as
                ``{'coco': 'labels'}``, or a dict of arguments of
                ``LabelExport``, ``out_dir`` among them.
            **kwargs: ``labels``, names or indices of the classes that all
                images are known to show, or one such list for each image;
                ``return_vis``, whether pictures are returned; ``show`` and
                ``wait_time`` (seconds), a window; ``show_dir``, a folder for
                the pictures; ``out_dir``, a folder for a JSON file and, as
                PNG, the label map of each image, unless it shows a class
                behind the first 254.

        Returns:
            ``predictions``, one sample or dict for each image
            (:func:`as_dict` says which keys), and ``visualization``, one
            RGB picture (H, W, 3) for each, or None without ``return_vis``.

        Raises:
            FileNotFoundError: If an image does not exist.
            TypeError: If an input is of another kind.
            ValueError: If an image is broken, a label unknown, or a folder of
                an export is not empty.
        """
        before, _, drawn, written = self._dispatch_kwargs(**kwargs)
        folders = [drawn.get('show_dir'), written.get('out_dir')]
        images = list_images(inputs, [Path(x) for x in folders if x])
        names = output_names(images)
        results: Iterable[Prediction]
        results = self.predict(images, batch_size=batch_size, **before)
        if self.show_progress:
            results = with_progress(results, len(images))
        predictions, pictures = [], []
        exports = self.exports(export, images)
        with ExitStack() as stack:
            for item in exports:
                stack.enter_context(item)
            for (image, sample, error), name in zip(results, names):
                if error is not None:
                    raise error
                pictures += self.visualize([image], [sample], [name], **drawn)
                predictions += self.postprocess(
                    [sample], [], return_datasamples, [name], **written
                )['predictions']
                for item in exports:
                    item.add(name, as_dict(sample, self.classes))
        shown = pictures if drawn.get('return_vis') else None
        return dict(predictions=predictions, visualization=shown)

    def exports(
        self, export: Any, images: Sequence[Image]
    ) -> List[LabelExport]:
        """Return the exports of a call, of images as :meth:`predict` takes."""
        return label_exports(
            export,
            classes=self.classes,
            image_dir=_shared_folder(images),
            palette=(self.visualizer.dataset_meta or {}).get('palette'),
        )

    def predict(
        self,
        images: Sequence[Image],
        labels: Optional[Sequence[Any]] = None,
        batch_size: int = 1,
    ) -> Iterator[Prediction]:
        """Predict one batch after another, with the arguments of a call.

        Yields:
            One :class:`Prediction` for each image, which is no folder; one
            that is broken does not stop the others.
        """
        if batch_size < 1:
            raise ValueError(f'batch_size must be above 0, got {batch_size}.')
        known = self._labels(labels, len(images))
        classes = num_classes(self.model)
        for start in range(0, len(images), batch_size):
            part = range(start, min(start + batch_size, len(images)))
            found: Dict[int, Any] = {}
            for i in part:
                try:
                    found[i] = self.pipeline(
                        data_info(images[i], i, known[i], classes)
                    )
                # Whatever is wrong with an image, the others are predicted.
                except Exception as error:
                    found[i] = error
            packed = [i for i in part if not isinstance(found[i], Exception)]
            batch = [found[i] for i in packed]
            try:
                found.update(zip(packed, self._predict(batch, known[start])))
            except Exception as error:
                found.update(dict.fromkeys(packed, error))
            for i in part:
                failed = isinstance(found[i], Exception)
                parts = (None, found[i]) if failed else (found[i], None)
                yield Prediction(images[i], *parts)

    def _predict(self, packed: List[Any], known: Optional[List[int]]) -> Any:
        """Predict a batch of images that went through the pipeline."""
        if not packed:
            return []
        with torch.no_grad(), _predicting(self.model, known is not None):
            samples = self.model.test_step(self.collate_fn(packed))
        samples = [sample.cpu() for sample in samples]
        if known is None:
            # They say "no class at all", which nobody has claimed.
            for sample in samples:
                for key in ('gt_label', 'gt_score'):
                    sample.pop(key, None)
        return samples

    def _labels(
        self, labels: Optional[Sequence[Any]], number: int
    ) -> List[Optional[List[int]]]:
        """Return the indices of each image's classes; None if not given."""
        if labels is None:
            return [None] * number
        several = not isinstance(labels, str) and np.iterable(labels)
        if several and any(_is_list(part) for part in labels):
            if len(labels) != number:
                raise ValueError(
                    f'labels: {len(labels)} lists for {number} images.'
                )
            return [label_indices(self.model, part) for part in labels]
        return [label_indices(self.model, labels)] * number

    def visualize(
        self,
        inputs: List[Image],
        preds: List[WSLDataSample],
        names: Optional[List[str]] = None,
        return_vis: bool = False,
        show: bool = False,
        wait_time: float = 0,
        show_dir: Optional[Union[str, Path]] = None,
    ) -> List[np.ndarray]:
        """Draw the samples of images; names are those of files, see a call."""
        if not (return_vis or show or show_dir):
            return []
        pictures = []
        names = names or output_names(inputs)
        for image, sample, name in zip(inputs, preds, names):
            loaded = self.load_image(image)
            file = None
            if show_dir:
                file = join_inside(str(show_dir), name, '.jpg')
            pixels = np.ascontiguousarray(loaded[..., ::-1])
            if show or file:
                options: Dict[str, Any] = dict(show=show, wait_time=wait_time)
                self.visualizer.add_datasample(
                    name, pixels, sample, out_file=file, **options
                )
            if return_vis:
                tiles = self.visualizer.draw_tiles(pixels, sample)
                pictures.append(panel(tiles, self.visualizer.columns))
        return pictures

    def postprocess(
        self,
        preds: List[WSLDataSample],
        visualization: List[np.ndarray],
        return_datasamples: bool = False,
        names: Optional[List[str]] = None,
        out_dir: Optional[Union[str, Path]] = None,
    ) -> Dict[str, Any]:
        """Turn samples into dicts and write them, see a call."""
        predictions: List[Any] = list(preds)
        if out_dir or not return_datasamples:
            predictions = [as_dict(sample, self.classes) for sample in preds]
        if out_dir:
            names = names or [str(sample.img_id) for sample in preds]
            for name, sample, content in zip(names, preds, predictions):
                text = json.dumps(content, indent=1)
                path = join_inside(str(out_dir), name, '.json')
                write_whole(path, text.encode())
                label_map = sample.pred_sem_seg.data[0].numpy()
                if label_map.max() > LARGEST_CLASS + 1:
                    say_once(
                        f'{path}: has the masks alone: label maps hold '
                        f'{LARGEST_CLASS + 1} classes at most'
                    )
                    continue
                path = join_inside(str(out_dir), name, '.png')
                meta = self.visualizer.dataset_meta or {}
                palette = meta.get('palette')
                write_label_map(path, label_map.astype(np.uint8), palette)
        return dict(
            predictions=list(preds) if return_datasamples else predictions,
            visualization=visualization,
        )

    @property
    def classes(self) -> List[str]:
        """Names of the classes, without background; may be empty."""
        names = list((self.model.dataset_meta or {}).get('classes') or ())
        return names[1:] if is_segmentor(self.model) else names

    def load_image(self, image: Image) -> np.ndarray:
        """Load an image (H, W, 3), BGR, as the test pipeline does.

        Raises:
            FileNotFoundError: If it does not exist.
            ValueError: If it is broken.
        """
        info = data_info(image, 0, None, 1)
        loaded: np.ndarray = self.pipeline.transforms[0](info)['img']
        return loaded

    @staticmethod
    def list_models(scope: str = 'mmwsl', patterns: str = '.*') -> List[str]:
        """Return the names of models that metafiles list.

        Args:
            scope: The project, another one's as mmengine does.
            patterns: Regular expression that names begin with.
        """
        if scope != 'mmwsl':
            found: List[str] = BaseInferencer.list_models(scope, patterns)
            return found
        names = [entry['Name'] for entry in _metafile_models()]
        return [name for name in names if re.match(patterns, name)]

    def _init_pipeline(self, cfg: Config) -> Compose:
        return _test_pipeline(cfg)

    def _init_visualizer(self, cfg: Config) -> WSLVisualizer:
        """Return one whose pictures no backend of a run gets."""
        visualizer = WSLVisualizer()
        meta = dict(self.model.dataset_meta or {})
        if is_segmentor(self.model):
            # The classes of a segmentor begin with the background.
            keys = [key for key in ('classes', 'palette') if meta.get(key)]
            meta = {key: meta[key][1:] for key in keys}
        visualizer.dataset_meta = meta
        return visualizer


def find_config(
    model: Union[str, Path, Dict[str, Any]],
) -> Tuple[Any, Optional[str]]:
    """Return the config of a file or a metafile's model, and its weights.

    Raises:
        FileNotFoundError: If there is neither.
    """
    if isinstance(model, (Config, dict)):
        return (model if isinstance(model, Config) else Config(model)), None
    if not isinstance(model, (str, Path)):
        raise TypeError(
            'model: expected a config, its path, the name of a model, or a '
            f'model, got {type(model).__name__}.'
        )
    text = str(model)
    if text.endswith('.py') or '::' in text:
        return model, None
    for entry in _metafile_models():
        names = [entry['Name'], *entry.get('Alias', [])]
        if text.lower() in [name.lower() for name in names]:
            weights = entry.get('Weights')
            path = Path(_mim_folder(), entry['Config'])
            return path, weights[0] if isinstance(weights, list) else weights
    raise FileNotFoundError(
        f'{text}: neither a config file (*.py) nor a model of the metafiles; '
        'WSLInferencer.list_models() names these.'
    )


def list_images(
    inputs: Union[Image, Sequence[Image]], written: Sequence[Path] = ()
) -> List[Image]:
    """Turn the inputs of a call into single images.

    Args:
        inputs: An image, a folder, or a list of images.
        written: Folders of results: images in them are passed over.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ValueError: If a folder holds no image, or is one that results would
            be written to.
    """
    results = {path.resolve() for path in written}
    images: List[Image]
    if not isinstance(inputs, (str, Path)):
        images = [inputs] if isinstance(inputs, _SINGLE) else list(inputs)
    elif '://' in str(inputs):
        raise ValueError(f'{inputs}: download it first; URLs are not read.')
    elif not Path(inputs).is_dir():
        images = [Path(inputs)]
    else:
        inside = results - {Path(inputs).resolve()}
        images = [
            path
            for path in map(Path, find_files(str(inputs)))
            if not inside & set(path.resolve().parents)
        ]
        if not images:
            raise ValueError(f'{inputs}: the folder holds no image.')
    for image in images:
        if not isinstance(image, (str, Path)):
            continue
        folder = Path(image).resolve().parent
        if folder in results:
            raise ValueError(
                f'{folder}: the images lie there, and results of the same '
                'names would replace them.'
            )
        if len(images) == 1 and not Path(image).exists():
            raise FileNotFoundError(
                f'{image}: there is no such image or folder.'
            )
    return images


def output_names(images: Sequence[Image]) -> List[str]:
    """Return a name for the results of each image, without suffix.

    That of an image file is its path from the folder that all share; a.jpg
    and a.png of one folder keep their suffixes, as a_jpg and a_png.

    Raises:
        ValueError: If two would be the same.
    """
    paths = [Path(x) for x in images if isinstance(x, (str, Path))]
    parents = {path.absolute().parent for path in paths}
    root = _shared_folder(images)
    stems = Counter(
        file.with_suffix('')
        for parent in parents
        if parent.is_dir()
        for file in parent.iterdir()
        if file.suffix.lower() in IMG_SUFFIXES
    )
    names: List[str] = []
    files: Dict[str, Path] = {}
    for number, image in enumerate(images):
        if not isinstance(image, (str, Path)):
            names.append(f'image_{number}')
            continue
        path = Path(image).absolute()
        stem = path.with_suffix('')
        name = os.path.relpath(stem, root)
        if stems[stem] > 1:
            name = f'{name}_{path.suffix[1:]}'
        if files.setdefault(name, path) != path:
            raise ValueError(
                f'{path}: its results would have the name {name}, as those '
                f'of {files[name]}.'
            )
        names.append(name)
    return names


def _shared_folder(images: Sequence[Image]) -> str:
    """Return the folder that all image files are in; '' without files."""
    paths = [Path(x) for x in images if isinstance(x, (str, Path))]
    parents = {str(path.absolute().parent) for path in paths}
    return os.path.commonpath(parents) if parents else ''


def _is_list(value: Any) -> bool:
    return np.iterable(value) and not isinstance(value, str)


def _mim_folder() -> str:
    return os.path.join(os.path.dirname(mmwsl.__file__), '.mim')


def _metafile_models() -> Iterator[Dict[str, Any]]:
    """Yield the entries of the metafiles."""
    folder = _mim_folder()
    index = load(os.path.join(folder, 'model-index.yml'))
    for path in index['Import']:
        yield from load(os.path.join(folder, path))['Models']


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


def innermost(dataset: Dict[str, Any]) -> Dict[str, Any]:
    """Return the config of the data set inside wrappers."""
    while 'pipeline' not in dataset:
        inner = dataset.get('datasets') or [dataset.get('dataset')]
        if inner[0] is None:
            break
        dataset = inner[0]
    return dataset


def _test_set(cfg: Config) -> Dict[str, Any]:
    dataset = (cfg.get('test_dataloader') or {}).get('dataset')
    dataset = innermost(dataset or {})
    if 'pipeline' not in dataset:
        raise ValueError(
            f'{cfg.filename}: the config has no '
            '"test_dataloader.dataset.pipeline" to prepare images with.'
        )
    return dataset


def _config_meta(cfg: Config) -> Dict[str, Any]:
    """Return the names of classes that the test set has without files."""
    with _scope(cfg):
        dataset = DATASETS.build({**_test_set(cfg), 'lazy_init': True})
    return dict(dataset.metainfo)


def prediction_pipeline(cfg: Config) -> List[Dict[str, Any]]:
    """Return the config's test pipeline without what loads ground truth."""
    return [
        {key: value for key, value in step.items() if key != 'eval_keys'}
        for step in _test_set(cfg)['pipeline']
        if type_name(step) not in ('LoadEvalAnnotations', 'LoadAnnotations')
    ]


def insert_proposals(pipeline: List[Dict[str, Any]]) -> None:
    """Let a pipeline make proposals of the images, in place."""
    # Behind the image's loading; drawn images are there already.
    loaded = type_name(pipeline[0]) == 'LoadWSLImage'
    pipeline.insert(int(loaded), dict(type='mmwsl.MakeProposals'))


def predict_entries(
    model: BaseModel, dataset: Any, indices: Sequence[int]
) -> Iterator[Any]:
    """Predict entries of a data set one by one, and show how far it is.

    Yields:
        The samples, on the CPU.
    """
    for index in with_progress(indices):
        entry = {key: [value] for key, value in dataset[index].items()}
        with torch.no_grad():
            (sample,) = model.test_step(entry)
        yield sample.cpu()


def _test_pipeline(cfg: Config) -> Compose:
    """Build the pipeline of new images."""
    loader: Dict[str, Any] = dict(type='mmwsl.LoadWSLImage')
    first, others = [], []
    for transform in prediction_pipeline(cfg):
        name = type_name(transform)
        if name == 'LoadWSLImage':
            loader = transform
        elif name == 'LoadProposals':
            # The files are those of the data set, not of new images.
            first.append({**transform, 'folder': None})
        elif name != 'LoadImageFromFile':
            others.append(transform)
    with _scope(cfg):
        return Compose(
            [TRANSFORMS.build(t) for t in [loader, *first, *others]]
        )


def data_info(
    image: Image, number: int, known: Optional[List[int]], num_classes: int
) -> Dict[str, Any]:
    """Return what a dataset would hand to the pipeline for an image."""
    label = np.array(known or [], dtype=np.int64)
    info: Dict[str, Any] = dict(gt_label=label, num_classes=num_classes)
    if isinstance(image, (str, Path)):
        name = Path(image).with_suffix('').as_posix()
        return dict(info, img_path=str(Path(image)), img_id=name)
    if not isinstance(image, (np.ndarray, Pillow.Image)):
        raise TypeError(
            f'image {number}: expected a path, a picture of Pillow or an '
            f'array (H, W, 3) of uint8, got {type(image).__name__}.'
        )
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8:
            raise TypeError(
                f'image {number}: expected an array of uint8, got '
                f'{image.dtype}.'
            )
        if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(
                f'image {number}: expected an array of shape (H, W, 3), got '
                f'{image.shape}.'
            )
    return dict(info, img=image, img_path='', img_id=f'image_{number}')


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
