"""Read every entry of a config's data sets and list what is broken.

``python tools/analysis_tools/check_dataset.py CONFIG``; exit code 1 if
anything is broken.
"""

import argparse
import copy
import inspect
from collections import Counter
from itertools import combinations
from typing import Any, Dict, Iterator, List, Sequence, Tuple

from mmwsl.apis import ToolParser, dataset_config, load_config, with_progress
from mmwsl.datasets import WSLDataset
from mmwsl.datasets.files import read_lines
from mmwsl.datasets.own import class_warnings
from mmwsl.registry import DATASETS
from mmwsl.utils.arrays import check_same_size
from mmwsl.utils.config import base_configs
from mmwsl.utils.images import read_image, read_plane
from mmwsl.utils.prediction import type_name
from mmwsl.utils.tables import format_columns, format_table

import numpy as np

Problem = Tuple[str, str]

# The transforms that read files; the others cannot find a broken one.
_LOADING = ('LoadEvalAnnotations', 'LoadProposals', 'LoadSaliency')
_LARGEST_MATRIX = 25

parser = ToolParser("Read every entry of a config's data sets")
parser.add_argument('config', help='config file')
parser.cfg_options()


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

    def lines(self) -> Iterator[str]:
        """Yield the report."""
        yield f'{self.images} images, {self.unlabelled} without label'
        if self.sizes:
            sizes = np.array(self.sizes)[:, ::-1]
            kinds = dict(
                smallest=sizes.min(axis=0),
                median=np.median(sizes, axis=0).astype(np.int64),
                largest=sizes.max(axis=0),
            )
            words = [f'{k} {w} x {h}' for k, (w, h) in kinds.items()]
            yield (
                f'image size (width x height): {", ".join(words)}, '
                f'{len(set(self.sizes))} different'
            )
        objects = self.objects.tolist()
        yield format_columns(
            {
                'class': self.classes,
                'images': self.shown.tolist(),
                '% of all': (self.shown / max(self.images, 1)).tolist(),
                'objects': objects if self.counted else ['-'] * len(objects),
                'difficult only': self.difficult.tolist(),
            }
        )
        shown = ', '.join(
            f'{number if number < 10 else "10 or more"}: {times}'
            for number, times in sorted(self.numbers.items())
        )
        if self.counted:
            yield f'objects of a class in an image: {shown}'
        else:
            yield 'counts: unknown'
        yield from self._pair_lines()
        images = dict(zip(self.classes, self.shown.tolist()))
        for line in class_warnings(images, self.images, _LARGEST_MATRIX):
            yield f'warning: {line}'

    def _pair_lines(self) -> Iterator[str]:
        if len(self.classes) > _LARGEST_MATRIX:
            yield 'classes that are most often together:'
            pairs = sorted(self.together.items(), key=lambda x: (-x[1], x[0]))
            for pair, number in pairs[:20]:
                first, second = (self.classes[label] for label in pair)
                yield f'{first} + {second}: {number}'
            return
        matrix = np.diag(self.shown)
        for pair, number in self.together.items():
            matrix[pair] = matrix[pair[::-1]] = number
        rows = [
            [f'{label} {name[:15]}', *(number or '.' for number in row)]
            for label, (name, row) in enumerate(
                zip(self.classes, matrix.tolist())
            )
        ]
        yield 'images that show both classes:'
        yield format_table(['class', *map(str, range(len(rows)))], rows)


def loading_part(pipeline: Sequence[Any]) -> List[Any]:
    """Return the transforms that read files, an image loader first."""
    loaders = [t for t in pipeline if type_name(t) == 'LoadWSLImage']
    others = [dict(t) for t in pipeline if type_name(t) in _LOADING]
    for transform in others:
        if type_name(transform) == 'LoadEvalAnnotations':
            transform.setdefault('absent', 'error')
    return [*(loaders[:1] or [dict(type='LoadWSLImage')]), *others]


def check(config: Dict[str, Any]) -> Tuple[List[Problem], List[str]]:
    """Check one data set, no wrapper; return broken items and the report."""
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
    for index in with_progress(range(len(dataset))):
        try:
            info = dataset[index]
        except Exception as error:
            problems.append(_split(error))
        else:
            statistics.add_labels(info)
            statistics.sizes.append(info['ori_shape'])
    return problems, [*statistics.lines()]


def check_label_maps(
    config: Dict[str, Any],
) -> Tuple[List[Problem], List[str]]:
    """Check the images and label maps of a data set of mmseg likewise."""
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
    what = f'{place}: the label map is'
    check_same_size(what, label_map.shape, 'its image is', image.shape)
    labels = np.setdiff1d(label_map, 255).astype(np.int64)
    if info.get('reduce_zero_label'):
        labels = labels[labels > 0] - 1
    if len(labels) and labels[-1] >= num_classes:
        raise ValueError(
            f'{place}: the label map holds {labels[-1]}, but there are '
            f'{num_classes} classes'
        )
    return labels


def _split(error: BaseException) -> Problem:
    text = ' '.join(str(error).split())
    place, separator, message = text.partition(': ')
    return (place, message) if separator else (type(error).__name__, text)


@parser.command
def main(args: argparse.Namespace) -> int:
    """Check all sets, print reports and broken items; 1 if there is any."""
    cfg = load_config(args.config, args.cfg_options)
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
    print(f'{total} broken items in all')
    return 1 if total else 0


if __name__ == '__main__':
    raise SystemExit(main())
