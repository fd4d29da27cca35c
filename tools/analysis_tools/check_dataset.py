"""Read every entry of a config's data sets and list what is broken.

``python tools/analysis_tools/check_dataset.py CONFIG``; exit code 1 if
anything is broken.
"""

import argparse
import copy
import inspect
from collections import Counter
from itertools import combinations
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from mmwsl.apis import (
    ToolParser,
    add_cfg_options,
    dataset_config,
    friendly_errors,
    load_config,
    with_progress,
)
from mmwsl.datasets import WSLDataset
from mmwsl.datasets.files import read_lines
from mmwsl.datasets.own import EVERYWHERE, FEW_IMAGES
from mmwsl.registry import DATASETS
from mmwsl.utils.images import read_image, read_plane
from mmwsl.utils.prediction import type_name

import numpy as np
from mmengine.config import Config

Problem = Tuple[str, str]

# The transforms that read files; the others cannot find a broken one.
_LOADING = ('LoadEvalAnnotations', 'LoadProposals', 'LoadSaliency')
_LARGEST_MATRIX = 25


class Statistics:
    """What a data set holds; C is its number of classes."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = classes
        size = len(classes)
        self.shown = np.zeros(size, dtype=np.int64)
        # Of each two classes; a matrix of thousands would fill the memory.
        self.together: Counter = Counter()
        self.objects = np.zeros(size, dtype=np.int64)
        self.difficult = np.zeros(size, dtype=np.int64)
        self.numbers: Counter = Counter()
        self.sizes: List[Tuple[int, int]] = []
        self.images = self.unlabelled = self.counted = 0

    def add_labels(self, info: Dict[str, Any]) -> None:
        """Add what the annotation of an image says."""
        labels = info['gt_label']
        self.images += 1
        self.unlabelled += not len(labels)
        self.shown[labels] += 1
        self.together.update(combinations(labels.tolist(), 2))
        self.difficult[info['gt_label_difficult']] += 1
        if 'gt_count' in info:
            self.counted += 1
            self.objects += info['gt_count']
            self.numbers.update(
                min(number, 10) for number in info['gt_count'][labels].tolist()
            )

    def warnings(self) -> Iterator[str]:
        """Yield what the numbers of images say against some classes."""
        everywhere = self.shown > EVERYWHERE * max(self.images, 1)
        reasons = (
            (self.shown == 0, 'no image shows the class {}'),
            (
                (self.shown > 0) & (self.shown < FEW_IMAGES),
                'fewer than ten images show the class {}',
            ),
            (
                everywhere,
                'more than 90 % of the images show the class {}: without '
                'images that lack it, it cannot be located',
            ),
        )
        for wrong, text in reasons:
            names = [self.classes[label] for label in np.flatnonzero(wrong)]
            for name in names[:_LARGEST_MATRIX]:
                yield 'warning: ' + text.format(repr(name))
            if len(names) > _LARGEST_MATRIX:
                number = len(names) - _LARGEST_MATRIX
                text = text.replace('the class {}', f'{number} more classes')
                yield 'warning: ' + text.partition(':')[0]

    def lines(self) -> Iterator[str]:
        """Yield the report."""
        yield f'{self.images} images, {self.unlabelled} without label'
        yield from self._size_lines()
        yield from self._class_lines()
        yield from self._count_lines()
        yield from self._matrix_lines()

    def _size_lines(self) -> Iterator[str]:
        if not self.sizes:
            return
        sizes = np.array(self.sizes)
        low, high = sizes.min(axis=0), sizes.max(axis=0)
        middle = np.median(sizes, axis=0).astype(np.int64)
        yield (
            f'image size (width x height): smallest {low[1]} x {low[0]}, '
            f'median {middle[1]} x {middle[0]}, largest {high[1]} x {high[0]},'
            f' {len(set(self.sizes))} different'
        )

    def _class_lines(self) -> Iterator[str]:
        width = max(len(name) for name in ('class', *self.classes))
        yield f'{"class":{width}}  images  share  objects  difficult only'
        for label, name in enumerate(self.classes):
            images = int(self.shown[label])
            objects = str(self.objects[label]) if self.counted else '-'
            share = 100 * images / max(self.images, 1)
            yield (
                f'{name:{width}}  {images:6d}  {share:4.1f}%  {objects:>7}  '
                f'{self.difficult[label]:14d}'
            )

    def _count_lines(self) -> Iterator[str]:
        if not self.counted:
            yield 'counts: unknown'
            return
        shown = ', '.join(
            f'{number if number < 10 else "10 or more"}: {times}'
            for number, times in sorted(self.numbers.items())
        )
        yield f'objects of a class in an image: {shown}'

    def _matrix_lines(self) -> Iterator[str]:
        size = len(self.classes)
        if size <= _LARGEST_MATRIX:
            yield 'images that show both classes:'
            header = ''.join(f'{label:5d}' for label in range(size))
            yield f'{"":>19}{header}'
            matrix = np.diag(self.shown)
            for pair, number in self.together.items():
                matrix[pair] = matrix[pair[::-1]] = number
            for label, row in enumerate(matrix):
                cells = ''.join(f'{number or ".":>5}' for number in row)
                yield f'{label:3d} {self.classes[label][:15]:15}{cells}'
            return
        yield 'classes that are most often together:'
        pairs = sorted(self.together.items(), key=lambda x: (-x[1], x[0]))
        for (first, second), number in pairs[:20]:
            yield f'{self.classes[first]} + {self.classes[second]}: {number}'


def base_configs(config: Any) -> Iterator[Dict[str, Any]]:
    """Yield the configs of the data sets inside wrappers, depth first."""
    inner = config.get('datasets', config.get('dataset'))
    if inner is None:
        yield config
        return
    for item in inner if isinstance(inner, (list, tuple)) else [inner]:
        yield from base_configs(item)


def loading_part(pipeline: Sequence[Any]) -> List[Any]:
    """Return the transforms that read files, an image loader first."""
    loaders = [t for t in pipeline if type_name(t) == 'LoadWSLImage']
    others = [dict(t) for t in pipeline if type_name(t) in _LOADING]
    for transform in others:
        if type_name(transform) == 'LoadEvalAnnotations':
            transform.setdefault('absent', 'error')
    return [*(loaders[:1] or [dict(type='LoadWSLImage')]), *others]


def check(config: Dict[str, Any]) -> Tuple[List[Problem], List[str]]:
    """Check one data set.

    Args:
        config (dict): Its config, not that of a wrapper.

    Returns:
        tuple: Broken items as (file, message), and the lines of the report.
    """
    config = copy.deepcopy(dict(config))
    kind = config.get('type')
    found: Any = kind
    if isinstance(kind, str):
        # As a run would, in the scope of the config.
        with DATASETS.switch_scope_and_registry(None) as registry:
            found = registry.get(kind)
    if found is None:
        return [(str(kind), 'no such data set type is registered')], []
    if not (inspect.isclass(found) and issubclass(found, WSLDataset)):
        if 'seg_map_path' in (config.get('data_prefix') or {}):
            return check_label_maps(config)
        return [], [f'{kind} is not of mmwsl: not checked']
    config['pipeline'] = loading_part(config.get('pipeline', ()))
    config.update(collect_problems=True, lazy_init=True)
    problems: List[Problem] = []
    try:
        dataset = DATASETS.build(config)
        # The very list: it keeps what was found before an error ends all.
        problems = dataset.problems
        dataset.full_init()
    except (OSError, TypeError, ValueError) as error:
        return [*problems, _split(error)], []
    statistics = Statistics(dataset.classes)
    problems += _read_all(dataset, statistics)
    return problems, [*statistics.lines(), *statistics.warnings()]


def check_label_maps(
    config: Dict[str, Any],
) -> Tuple[List[Problem], List[str]]:
    """Check the images and label maps of a segmentor's data set.

    Args:
        config (dict): Config of a ``BaseSegDataset`` of mmseg.

    Returns:
        tuple: As :func:`check`.
    """
    try:
        dataset = DATASETS.build({**config, 'pipeline': [], 'lazy_init': True})
        listed = dataset.ann_file if config.get('ann_file') else ''
        if listed and not any(map(str.strip, read_lines(listed, 'list'))):
            raise ValueError(f'{listed}: list is empty')
        dataset.full_init()
    except (AssertionError, OSError, TypeError, ValueError) as error:
        return [_split(error)], []
    classes = dataset.metainfo['classes'] or ()
    whites = [x.get('max_value') for x in config.get('pipeline') or ()]
    white = next(filter(None, whites), None)
    problems: List[Problem] = []
    images = np.zeros(len(classes), dtype=np.int64)
    blank: List[str] = []
    for index in with_progress(range(len(dataset))):
        try:
            info = dataset.get_data_info(index)
            image = read_image(info['img_path'], max_value=white)
            labels = _read_labels(info, image, len(classes))
            images[labels] += 1
            if not labels.any():
                blank.append(info['seg_map_path'])
        except (OSError, ValueError) as error:
            place, message = _split(error)
            if listed and isinstance(error, FileNotFoundError):
                message += f', and {listed} names it'
            problems.append((place, message))
    lines = [f'{len(dataset)} images']
    lines += [f'{n}: in {c} images' for n, c in zip(classes, images.tolist())]
    lines += [
        f'warning: no label map shows the class {name!r}'
        for name, count in zip(classes, images)
        if not count
    ]
    if blank and len(classes) > 1:
        text = f'shows no class beside {classes[0]!r}, as {len(blank)} do'
        if images[1:].any():
            lines.append(f'warning: {blank[0]}: {text}')
        else:
            problems.append((blank[0], text))
    if not len(dataset):
        problems.append((str(config.get('ann_file')), 'no image is listed'))
    return problems, lines


def _read_labels(
    info: Dict[str, Any], image: np.ndarray, num_classes: int
) -> np.ndarray:
    """Return the classes of a label map, which must fit its image."""
    place = info['seg_map_path']
    label_map = read_plane(place, 'label map')
    if label_map.shape != image.shape[:2]:
        raise ValueError(
            f'{place}: the label map is {label_map.shape[1]} x '
            f'{label_map.shape[0]} pixels, but its image is '
            f'{image.shape[1]} x {image.shape[0]}'
        )
    labels = np.setdiff1d(label_map, 255).astype(np.int64)
    if info.get('reduce_zero_label'):
        labels = labels[labels > 0] - 1
    if len(labels) and labels[-1] >= num_classes:
        raise ValueError(
            f'{place}: the label map holds {labels[-1]}, but there are '
            f'{num_classes} classes'
        )
    return labels


def _read_all(dataset: WSLDataset, statistics: Statistics) -> List[Problem]:
    problems = []
    for index in with_progress(range(len(dataset))):
        try:
            info = dataset[index]
        except Exception as error:
            problems.append(_split(error))
        else:
            statistics.add_labels(info)
            statistics.sizes.append(info['ori_shape'])
    return problems


def _split(error: BaseException) -> Problem:
    text = ' '.join(str(error).split())
    place, separator, message = text.partition(': ')
    return (place, message) if separator else (type(error).__name__, text)


def check_config(cfg: Config) -> int:
    """Check all sets of a config, print reports, return broken items."""
    seen: List[Tuple[str, Any]] = []
    total = 0
    for split in ('train', 'val', 'test'):
        if not cfg.get(f'{split}_dataloader'):
            continue
        settings = dataset_config(cfg, split)
        for number, config in enumerate(base_configs(settings)):
            name = split if number == 0 else f'{split} ({number + 1})'
            same = [other for other, known in seen if known == config]
            if same:
                print(f'== {name}: the same as {same[0]}\n')
                continue
            seen.append((name, config))
            problems, lines = check(config)
            total += len(problems)
            print(f'== {name}: {config.get("type")}')
            for line in lines:
                print(line)
            for place, message in problems:
                print(f'broken: {place}: {message}')
            print(f'{len(problems)} broken items\n')
    if not seen:
        raise ValueError(f'{cfg.filename}: the config has no data set')
    return total


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser("Read every entry of a config's data sets")
    parser.add_argument('config', help='config file')
    add_cfg_options(parser)
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Check; 1 if anything is broken."""
    args = parse_args(argv)
    with friendly_errors():
        total = check_config(load_config(args.config, args.cfg_options))
    print(f'{total} broken items in all')
    return 1 if total else 0


if __name__ == '__main__':
    raise SystemExit(main())
