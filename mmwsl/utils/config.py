"""Read config files, and set what a command line says of them."""

import inspect
import logging
import re
import traceback
from collections import Counter
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Union

import numpy as np
from mmengine.config import Config, DictAction
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmwsl.registry import DATASETS
from mmwsl.utils.prediction import predict_training_images

# What the runner and our commands read, beside the runner's arguments.
_READ = {
    'activation_checkpointing',
    'broadcast_buffers',
    'compile',
    'custom_imports',
    'detect_anomalous_params',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'predict',
    'runner_type',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
}


# How keys end that hold lists of dicts, dicts, and which hold texts.
_LISTS = ('_evaluator', 'param_scheduler', 'custom_hooks', 'vis_backends')
_DICTS = (
    *_LISTS,
    '_cfg',
    '_dataloader',
    'default_hooks',
    'model',
    'optim_wrapper',
    'visualizer',
)
_TEXTS = ('work_dir', 'default_scope', 'load_from')
# What a config says where it leaves a value to the data.
_OPEN = dict(
    num_classes=None,
    max_count=None,
    mean_counts=None,
    pos_weight='auto',
    max_epochs=None,
    epochs=None,
    T_max=None,
    spatial_start_epoch=None,
)
# What values are called that are found, where it is not the key.
_FOUND = dict(
    max_epochs='epochs', T_max='epochs', spatial_start_epoch='start_epoch'
)
# About how many images, with repetitions, a training by such a config sees.
SEEN_IMAGES = 3000


class ConfigError(ValueError):
    """A fault of a config file, with the file and the line."""


def load_config(
    path: Union[str, Path], cfg_options: Optional[Dict[str, Any]] = None
) -> Config:
    """Read a config file and merge options of the command line into it.

    Top-level variables can be set like any other option. mmengine has
    replaced their uses by their values when the file is read, so every text
    that equals the old value of a text variable such as ``data_root``, or
    begins with it and a slash, takes the new one, and so does every dict or
    list of dicts that equals that of a variable. All options act on what the
    file says, in whatever order they are given. ``persistent_workers`` is
    dropped where there are no workers. A config whose ``predict`` has an
    ``out_dir`` predicts the training images in its test, see
    :func:`~mmwsl.utils.prediction.predict_training_images`.

    Args:
        path: Config file, or ``package::file`` for one that an installed
            package carries, such as ``mmwsl::cam/cam_r18_toy.py``.
        cfg_options: Dotted keys and values, as from mmengine's DictAction.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If the package is not installed.
        ValueError: If mmengine knows no package of that name, if the file
            is faulty or a ``.yaml`` file, whose loader would run what it
            says, or if an option would have no effect.

    Example:
        ``--cfg-options data_root=/data/VOC2012`` moves the training, the
        validation and the test set.
    """
    if '::' in str(path):
        # Config.fromfile knows packages in _base_ alone, and mmengine.hub
        # would install a missing one.
        try:
            path = Config._get_cfg_path(str(path), '')[0]
        except AssertionError as error:
            raise ValueError(f'{path}: {error}') from error
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: there is no such config file.')
    cfg = apply_options(_read_file(str(path)), cfg_options)
    if 'stages' in cfg:
        return cfg
    check_config(cfg)
    return predict_training_images(cfg)


def check_config(cfg: Config, *needed: str) -> None:
    """Check the keys of a config that commands read.

    Raises:
        ValueError: If a ``needed`` key is missing, or one holds something
            else than is read from it; names the file and the key.
    """
    place = cfg.filename or 'the config'
    for key in needed:
        if not cfg.get(key):
            raise ValueError(f'{place}: has no {key}')
    for key, value in cfg.items():
        allowed: List[type] = []
        if key.endswith(_DICTS) and not key.startswith('_'):
            allowed.append(dict)
        if key.endswith(_LISTS):
            allowed += [list, tuple]
        if key in _TEXTS:
            allowed.append(str)
        if allowed and not isinstance(value, (*allowed, type(None))):
            names = ' or '.join(kind.__name__ for kind in allowed)
            raise ValueError(f'{place}: {key} is {value!r}, not a {names}')
    _check_types(cfg.to_dict(), f'{place}: ')


def _check_types(node: Any, place: str) -> None:
    """Check that every 'type' is a name or a class."""
    if isinstance(node, dict):
        kind = node.get('type', '')
        if not (isinstance(kind, str) or callable(kind)):
            raise ValueError(f'{place}type is {kind!r}, not a name')
        for key, value in node.items():
            _check_types(value, f'{place}{key}.')
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            _check_types(value, f'{place}{index}.')


def dataset_config(cfg: Config, split: str) -> Dict[str, Any]:
    """Return the data set of a split, and take the config's scope.

    Raises:
        ValueError: If there is none of 'train', 'val' or 'test'; names the
            file and the key.
    """
    init_default_scope(cfg.get('default_scope') or 'mmwsl')
    key = f'{split}_dataloader'
    check_config(cfg, key)
    dataset = cfg[key].get('dataset')
    if not isinstance(dataset, dict) or 'type' not in dataset:
        raise ValueError(
            f'{cfg.filename}: {key}.dataset is {dataset!r}, not a dict with '
            "a 'type'"
        )
    return dict(dataset)


def base_configs(config: Any) -> Iterator[Dict[str, Any]]:
    """Yield the configs of the data sets inside wrappers, depth first."""
    inner = config.get('datasets', config.get('dataset'))
    if inner is None:
        yield config
        return
    for item in inner if isinstance(inner, (list, tuple)) else [inner]:
        yield from base_configs(item)


def fill_from_data(
    cfg: Config, classes: Optional[Sequence[str]] = None
) -> Dict[str, Any]:
    """Set what a config leaves to the data.

    Configs for own data say ``None`` there: ``num_classes``, ``max_count``
    and ``mean_counts`` of the model, the number of epochs in ``train_cfg``
    and in schedules, and ``spatial_start_epoch`` of LC. The number of classes
    is that of the data set, background included where it has one, the largest
    count that of its images, the mean counts take larger ones than
    ``max_count`` for one more than that, and the epochs are as many as show
    the model about :data:`SEEN_IMAGES`, 3 at least and 15 at most; half of
    them for each step of erasing. LC's second stage begins after five sixths
    of the epochs. ``pos_weight='auto'`` of a loss becomes, for each class,
    the number of images without it for each image that shows it.

    Args:
        cfg: The config, changed in place.
        classes: The classes, as a checkpoint names them; without them the
            training set is read, or else the test set.

    Returns:
        What was set, by its key.

    Raises:
        ValueError: If there is no data set to ask, or one without counts.
    """
    places = [
        (node, key)
        for part in ('model', 'train_cfg', 'param_scheduler')
        for node in walk_dicts(cfg.get(part))
        for key, open_value in _OPEN.items()
        if key in node and node[key] == open_value
    ]
    if not places:
        return {}
    found: Dict[str, Any] = {}
    if classes is None:
        split = 'train' if cfg.get('train_dataloader') else 'test'
        settings = dataset_config(cfg, split)
        while 'dataset' in settings:
            settings = settings['dataset']
        dataset = DATASETS.build({**settings, 'pipeline': []})
        classes = dataset.metainfo['classes']
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        counts = [info.get('gt_count') for info in infos]
        if any(key == 'pos_weight' for _, key in places):
            shown = Counter(
                int(label) for info in infos for label in info['gt_label']
            )
            # A class of all images, or of none, keeps its weight of 1.
            found['pos_weight'] = [
                round((len(infos) - n) / n, 4) if 0 < n < len(infos) else 1.0
                for n in (shown[index] for index in range(len(classes)))
            ]
        if not any(count is None for count in counts):
            found['max_count'] = max(1, max(int(c.max()) for c in counts))
            known = found['max_count']
            for node, key in places:
                if key == 'mean_counts':
                    known = node.get('max_count') or known
            # Of larger counts only that they are larger is known.
            means = np.minimum(counts, known + 1).mean(axis=0)
            found['mean_counts'] = [
                round(max(float(m), 0.1), 3) for m in means
            ]
        elif any(key in ('max_count', 'mean_counts') for _, key in places):
            raise ValueError(
                f'{cfg.filename}: counting needs the number of objects, but '
                f'the {split} set has labels alone; XML, a COCO json and a '
                'CSV of path,class,count hold it'
            )
        found.update(_epochs(cfg.get('train_cfg') or {}, len(dataset)))
    found['num_classes'] = len(classes)
    for node, key in places:
        # Neither counts nor losses nor schedules are needed to predict.
        default = None if key in ('pos_weight', 'mean_counts') else 1
        node[key] = found.get(_FOUND.get(key, key), default)
    asked = {_FOUND.get(key, key) for _, key in places}
    return {key: value for key, value in found.items() if key in asked}


def _epochs(train_cfg: Dict[str, Any], images: int) -> Dict[str, int]:
    """Return for how many epochs to train, and of them those of a start."""
    epochs = min(max(round(SEEN_IMAGES / images), 3), 15)
    if 'epochs' in train_cfg:
        # Of one of several steps.
        epochs = train_cfg['epochs'] or (epochs + 1) // 2
    epochs = train_cfg.get('max_epochs') or epochs
    return dict(epochs=epochs, start_epoch=epochs * 5 // 6)


def walk_dicts(node: Any) -> Iterator[Dict[str, Any]]:
    """Yield a config and all that it holds."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for part in node:
            yield from walk_dicts(part)


def _read_file(path: str) -> Config:
    """Read a config file; errors say the file and the line."""
    plain = Config._file2dict
    reading: List[str] = []

    def watched(filename: str, *args: Any, **kwargs: Any) -> Any:
        name = str(Path(filename).resolve())
        with _naming_file(name):
            if Path(name).suffix.lower() in ('.yaml', '.yml'):
                raise ConfigError(
                    f'{name}: YAML configs are not read, because their '
                    'loader runs what they say; write it as .py or .json'
                )
            if name in reading:
                chain = ' -> '.join([*reading, name])
                raise ConfigError(f'{name}: is its own base: {chain}')
            if not Path(name).is_file():
                raise ConfigError(f'{reading[-1]}: has no base {name}')
            reading.append(name)
            found = plain(filename, *args, **kwargs)
            reading.pop()
            return found

    # Bases are read inside mmengine, by this function alone.
    Config._file2dict = staticmethod(watched)
    try:
        with _naming_file(str(Path(path).resolve())):
            return Config.fromfile(path)
    finally:
        Config._file2dict = staticmethod(plain)


@contextmanager
def _naming_file(path: str) -> Iterator[None]:
    """Name a config file and its line in what reading it raises."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        text = ' '.join(str(error).split())
        line = None
        if isinstance(error, SyntaxError):
            text, line = error.msg, error.lineno
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename == path:
                line = frame.lineno
        place = path if line is None else f'{path}, line {line}'
        if not isinstance(error, (OSError, ImportError)):
            text = f'{type(error).__name__}: {text}'
        raise ConfigError(f'{place}: {text}') from error


def read_value(text: str) -> Any:
    """Read a value of the command line.

    As mmengine does it, but texts keep their spaces, and what stands in
    quotes is a text, unless it is a list.

    Raises:
        ValueError: If brackets do not match.
    """
    bare = text.strip()
    if bare[:1] in ('"', "'") and bare[-1:] == bare[:1] and len(bare) > 1:
        bare = bare[1:-1]
        if bare[:1] not in ('[', '('):
            return bare
    if bare[:1] not in ('[', '(') and ',' not in bare:
        return DictAction._parse_int_float_bool(bare)
    # mmengine drops spaces, wherever they are.
    bare = re.sub(r'\s*([][(),])\s*', r'\1', bare).replace(' ', '\0')
    try:
        return _with_spaces(DictAction._parse_iterable(bare))
    except (AssertionError, RecursionError) as error:
        raise ValueError(f'{text!r}: brackets do not match') from error


def _with_spaces(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(map(_with_spaces, value))
    return value.replace('\0', ' ') if isinstance(value, str) else value


def apply_options(
    cfg: Config, cfg_options: Optional[Dict[str, Any]] = None
) -> Config:
    """Merge options into a config that has been read, as load_config does."""
    options = cfg_options or {}
    # What is nested deeper wins.
    options = dict(sorted(options.items(), key=lambda x: x[0].count('.')))
    content = cfg.to_dict()
    for key in options:
        _warn_of_typo(content, key)
    variables = _Variables(content, options)
    if variables.options:
        cfg = Config(variables.replaced(), filename=cfg.filename)
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        names = ', '.join(options)
        raise ValueError(f'--cfg-options {names}: {error}') from error
    for name in ('train', 'val', 'test'):
        loader = cfg.get(f'{name}_dataloader')
        if isinstance(loader, dict) and loader.get('num_workers') == 0:
            loader.pop('persistent_workers', None)
            loader.pop('prefetch_factor', None)
    return cfg


def _warn_of_typo(content: Dict[str, Any], key: str) -> None:
    """Warn of an option that adds a key which is nearly one that is there."""
    *path, name = key.split('.')
    node: Any = content
    for step in path:
        node = node.get(step) if isinstance(node, dict) else None
    if path and isinstance(node, dict) and name not in node:
        for known in get_close_matches(name, [*map(str, node)], 1, 0.85):
            print_log(
                f'--cfg-options {key}: {".".join(path)} has no {name}, which '
                f'is added; is {known} meant?',
                logger='current',
                level=logging.WARNING,
            )


def _as_text(key: str, value: Any) -> str:
    """Return the value of a text variable; a,b,c was read as a list."""
    if isinstance(value, list):
        value = ','.join(map(str, value))
    if not isinstance(value, str):
        raise ValueError(
            f'{key}={value}: {key} is a text; where it looks like something '
            f"""else, quotes say so: {key}='"{value}"'"""
        )
    return value


class _Variables:
    """The top-level variables that options change, and their uses."""

    def __init__(
        self, content: Dict[str, Any], options: Dict[str, Any]
    ) -> None:
        self.content = content
        self.options: Dict[str, Dict[str, Any]] = {}
        self.used: Set[str] = set()
        arguments = inspect.signature(Runner.__init__).parameters
        # The model's own data preprocessor goes before that of the runner.
        read = {*arguments, *_READ} - {'self', 'data_preprocessor'}
        for key, value in options.items():
            name = key.partition('.')[0]
            if name not in content:
                if name not in read:
                    raise ValueError(
                        f'{key}={value}: neither the config file nor the '
                        f'runner knows {name!r}, so it would have no effect'
                    )
                continue
            if name in read and not isinstance(content[name], str):
                continue
            if isinstance(content[name], str) and key not in read:
                value = options[key] = _as_text(key, value)
            self._check(key, value, content[name])
            self.options.setdefault(name, {})[key] = value

    def _check(self, key: str, value: Any, old: Any) -> None:
        """Refuse options whose uses cannot be found."""
        if not (isinstance(old, str) or _holds_dict(old) or old is None):
            raise ValueError(
                f'{key}={value}: the value is used where the config file is '
                'read, so set the places that it went to, such as '
                'train_cfg.max_epochs or model.head.num_classes'
            )
        name = key.partition('.')[0]
        for other in self.options:
            if other != name and self.content[other] == old:
                raise ValueError(
                    f'{key}={value}: {name} and {other} have the same value, '
                    'so that their uses cannot be told apart; set the places '
                    'that they went to'
                )

    def replaced(self) -> Dict[str, Any]:
        """The config with the new values wherever they are used."""
        found = {k: self._copy(v, k) for k, v in self.content.items()}
        for name in set(self.options) - self.used:
            old = self.content[name]
            others = {k: v for k, v in self.content.items() if k != name}
            part = _find_part(others, old) if isinstance(old, dict) else ''
            if old and part:
                key, value = next(iter(self.options[name].items()))
                raise ValueError(
                    f'{key}={value}: the config file has put {name} into '
                    f'{part}, so set it there'
                )
        return found

    def _copy(self, node: Any, top: str = '') -> Any:
        for name in self.options if _holds_dict(node) and node else ():
            if name != top and node == self.content[name]:
                self.used.add(name)
                return self._new(name)
        if isinstance(node, dict):
            return {key: self._copy(value) for key, value in node.items()}
        if isinstance(node, (list, tuple)):
            return type(node)(self._copy(value) for value in node)
        return self._text(node) if isinstance(node, str) else node

    def _text(self, text: str) -> str:
        """Replace the variable that says most of a text."""
        best = ''
        new = text
        for name in self.options:
            old, value = self.content[name], self.options[name].get(name)
            if not (isinstance(old, str) and isinstance(value, str)):
                continue
            if len(old) > len(best) and f'{text}/'.startswith(f'{old}/'):
                best, new = old, value + text[len(old) :]
        return new

    def _new(self, name: str) -> Any:
        """The new value of a dict or list."""
        value = Config({name: self._copy(self.content[name], name)})
        for key, new in self.options[name].items():
            old: Any = value.to_dict()
            for part in key.split('.'):
                old = old.get(part) if isinstance(old, dict) else None
            # A command line has lists only, and mmcv wants sizes as tuples.
            if isinstance(old, tuple) and isinstance(new, list):
                new = tuple(new)
            value.merge_from_dict({key: new})
        return value.to_dict()[name]


def _holds_dict(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_holds_dict(item) for item in value)
    return isinstance(value, dict)


def _find_part(node: Any, part: Dict[str, Any], place: str = '') -> str:
    """Find the place of a dict that holds all items of another."""
    if isinstance(node, dict):
        if all(key in node and node[key] == part[key] for key in part):
            return place
        items = list(node.items())
    elif isinstance(node, (list, tuple)):
        items = list(enumerate(node))
    else:
        return ''
    found = (_find_part(v, part, f'{place}.{k}'.lstrip('.')) for k, v in items)
    return next(filter(None, found), '')
