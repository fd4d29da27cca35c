"""Bases of data sets with image-level labels, and wrappers of others.

K: classes of an image, C: classes of the dataset, n: objects of an image.
"""

import os
import random
from collections import Counter
from contextlib import contextmanager, nullcontext
from typing import (
    Any,
    ContextManager,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
)

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from torch.utils.data import Dataset, get_worker_info

from mmwsl.datasets.files import read_names
from mmwsl.registry import DATASETS
from mmwsl.utils.files import naming

DataInfo = Dict[str, Any]
Size = Tuple[int, int]


class _Reproducible:
    """Part of data sets that draw entries from (seed, epoch, index)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        # Shared memory: persistent workers see epochs set after their start.
        self._epoch = torch.tensor([-1, seed]).share_memory_()

    def set_epoch(self, epoch: int, seed: Optional[int] = None) -> None:
        """Draw augmentations from (seed, epoch, index) from now on.

        Args:
            epoch: 0 or larger; a negative one ends the reseeding.
            seed: Seed of the run, instead of the own one.
        """
        key = [epoch, self.seed if seed is None else seed]
        self._epoch.share_memory_().copy_(torch.tensor(key))

    def _drawing(self, idx: int) -> ContextManager[None]:
        epoch, seed = self._epoch.tolist()
        return nullcontext() if epoch < 0 else _seeded([seed, epoch, idx])


class WSLDataset(_Reproducible, BaseDataset):
    """Base of the datasets whose supervision is image-level.

    Every entry has ``img_id`` (unique: the path without suffix, relative to
    the image folder), ``img_path``, ``gt_label`` int64 (K,), sorted,
    ``gt_label_difficult`` int64 (J,), the classes that only difficult objects
    show, ``num_classes`` and, where counts are known, ``gt_count`` int64
    (C,). Boxes, masks and everything else that the supervision does not
    contain are under ``eval_ann``, which exists only when ``test_mode`` is
    true: a training set cannot leak it.

    Random augmentations are reproducible: after :meth:`set_epoch`, an entry
    is drawn from (seed, epoch, index) alone, so that neither the number of
    workers nor a resumed run changes it. Under a ``RepeatDataset`` this
    makes the repetitions of one epoch equal; train more epochs instead.

    A subclass is a :meth:`load_data_list` that reads its files and makes
    entries by ``_entry``. It reads each within ``_noting``, and gives names
    their numbers by ``_label``.

    Args:
        seed: Seed of the augmentations, used once an epoch is set.
        collect_problems: Whether broken entries are left out and listed in
            ``problems`` as (file, message) instead of raising at the first
            one. Meant for checking a dataset.
        max_refetch: How many other entries are tried when the pipeline returns
            None. With 0, None is an error that names the image.
        data_prefix: Folders instead of the data set's own.
        **kwargs: Arguments of :class:`mmengine.dataset.BaseDataset`. Class
            names come from ``metainfo=dict(classes=[...])``, or from a text
            file with one a line whose path stands there instead.

    Raises:
        FileNotFoundError: If a list, or a file that it names, is missing;
            names list, line and file.
        ValueError: If class names are empty or double, if the dataset has no
            entry, or if an entry is broken; names the file, and the line of
            a list.
    """

    # The folders of the layout, by their keys in ``data_prefix``.
    PREFIXES: Dict[str, str] = dict(img_path='')
    # Whether names that are no class are an 'error', or to 'ignore'.
    unknown_class = 'error'
    _fully_initialized: bool

    def __init__(
        self,
        *args: Any,
        seed: int = 0,
        collect_problems: bool = False,
        max_refetch: int = 0,
        data_prefix: Optional[Dict[str, str]] = None,
        **kwargs: Any,
    ) -> None:
        _Reproducible.__init__(self, seed)
        self.collect_problems = collect_problems
        self.problems: List[Tuple[str, str]] = []
        # New numbers (C,) of the classes and how many there are then, see
        # renumber_classes.
        self.class_numbers: Optional[Tuple[np.ndarray, int]] = None
        BaseDataset.__init__(
            self,
            *args,
            max_refetch=max_refetch,
            data_prefix={**self.PREFIXES, **(data_prefix or {})},
            **kwargs,
        )

    @classmethod
    def _load_metainfo(cls, metainfo: Any = None) -> Dict[str, Any]:
        """Read class names from a file, or cut the space around them."""
        if isinstance(metainfo, Mapping) and 'classes' in metainfo:
            names = metainfo['classes']
            if isinstance(names, str) and os.path.isfile(names):
                names = read_names(names, 'list of classes')
            # mmengine would take any other text for a class list as well.
            elif isinstance(names, str) or not isinstance(names, Sequence):
                raise ValueError(
                    f'{cls.__name__}: metainfo classes must be a list of '
                    'names or the path of a text file with one name per '
                    f'line, not {names!r}'
                )
            cut = [n.strip() if isinstance(n, str) else n for n in names]
            names = tuple(cut) if isinstance(names, tuple) else cut
            metainfo = {**metainfo, 'classes': names}
        loaded: Dict[str, Any] = super()._load_metainfo(metainfo)
        return loaded

    @property
    def classes(self) -> Tuple[str, ...]:
        """The names of the C classes in the order of their indices."""
        return tuple(self._metainfo.get('classes') or ())

    def full_init(self) -> None:
        """Load all entries."""
        if self._fully_initialized:
            return
        if self._metainfo.get('classes') is not None:
            self._check_classes()
        self.data_list = self.load_data_list()
        self._check_classes()
        self.data_list = self._unique_entries()
        self.data_list = self.filter_data()
        if self._indices is not None:
            self.data_list = self._get_unserialized_subset(self._indices)
        if not self.data_list:
            raise ValueError(
                f'{type(self).__name__}: no entry in the dataset with '
                f'ann_file={self.ann_file!r}, data_root={self.data_root!r}'
            )
        if self.serialize_data:
            self.data_bytes, self.data_address = self._serialize_data()
        self._fully_initialized = True

    def _check_classes(self) -> None:
        classes, name = self.classes, f'{type(self).__name__}: metainfo'
        if not classes:
            raise ValueError(f'{name} classes are empty')
        for label in classes:
            if not isinstance(label, str) or not label.strip():
                raise ValueError(
                    f'{name} classes hold {label!r}, which is no name'
                )
        for label, number in Counter(classes).items():
            if number > 1:
                raise ValueError(
                    f'{name} classes hold {label!r} more than once'
                )
        palette = self._metainfo.get('palette')
        if palette and palette == self.METAINFO.get('palette'):
            # The layout's own, which fits its own classes alone.
            if len(palette) != len(classes):
                del self._metainfo['palette']
        elif palette and not (
            len(palette) == len(classes)
            and all(len(x) == 3 and {*x} <= {*range(256)} for x in palette)
        ):
            raise ValueError(
                f'{name} palette must be one [red, green, blue], 0 to 255, '
                f'for each of {len(classes)} classes'
            )

    def _unique_entries(self) -> List[DataInfo]:
        entries: Dict[str, DataInfo] = {}
        for info in self.data_list:
            first = entries.setdefault(info['img_id'], info)
            with self._noting(info['img_path']):
                if first is not info:
                    raise ValueError(
                        f'{info["img_path"]}: image id {info["img_id"]!r} is '
                        f'already taken by {first["img_path"]}'
                    )
        return list(entries.values())

    def filter_data(self) -> List[DataInfo]:
        """Drop images without label from training sets, if asked to.

        ``filter_cfg=dict(filter_empty_gt=True)`` does.
        """
        config = dict(self.filter_cfg or {})
        drop_empty = config.pop('filter_empty_gt', False)
        if config:
            raise ValueError(
                f'{type(self).__name__}: unknown filter_cfg keys '
                f'{sorted(config)}, known is filter_empty_gt'
            )
        if self.test_mode or not drop_empty:
            return self.data_list
        return [info for info in self.data_list if len(info['gt_label'])]

    def prepare_data(self, idx: int) -> Any:
        """Return one entry after the pipeline.

        Raises:
            ValueError: If the pipeline fails; names the image.
        """
        with self._drawing(idx % len(self)):
            info = self.get_data_info(idx)
            if self.class_numbers is not None:
                info = _renumbered(info, *self.class_numbers)
            name = info.get('img_path') or info['img_id']
            with naming(str(name)):
                data = self.pipeline(info)
        if data is None and self.max_refetch == 0:
            raise ValueError(f'{name}: the pipeline returned None')
        return data

    def get_cat_ids(self, idx: int) -> List[int]:
        """Return the class indices of one entry."""
        labels: List[int] = self.get_data_info(idx)['gt_label'].tolist()
        return labels

    @contextmanager
    def _noting(self, place: str = '') -> Iterator[None]:
        """Note an error of a file if ``collect_problems``, and go on.

        It is named by ``place``, or else begins with a path and a colon.
        """
        try:
            with naming(place) if place else nullcontext():
                yield
        except (FileNotFoundError, ValueError) as error:
            if not self.collect_problems:
                raise
            text = str(error)
            place = place or text.partition(': ')[0]
            cut = len(place) if text.startswith(place) else 0
            self.problems.append((place, text[cut:].lstrip(': ')))

    def _label_of(self) -> Dict[str, int]:
        return {name: label for label, name in enumerate(self.classes)}

    def _label(
        self, name: str, label_of: Dict[str, int], place: str
    ) -> Optional[int]:
        """Return the number of a class, None if it is to be ignored."""
        if name not in label_of and self.unknown_class == 'error':
            raise ValueError(
                f'{place}: class {name!r} is not in the list of classes '
                "(unknown_class='ignore' passes over it)"
            )
        return label_of.get(name)

    def _entry(
        self,
        img_id: str,
        img_path: str,
        labels: Sequence[int],
        difficult_only: Sequence[int] = (),
        counts: Optional[Dict[int, int]] = None,
        eval_ann: Optional[Dict[str, Any]] = None,
    ) -> DataInfo:
        """Build one entry; ground truth is kept in test mode only."""
        info: DataInfo = dict(
            img_id=img_id,
            img_path=img_path,
            gt_label=np.array(sorted(set(labels)), dtype=np.int64),
            gt_label_difficult=np.array(
                sorted(set(difficult_only)), dtype=np.int64
            ),
            num_classes=len(self.classes),
        )
        if counts is not None:
            info['gt_count'] = np.zeros(len(self.classes), dtype=np.int64)
            for label, count in counts.items():
                info['gt_count'][label] = count
        if self.test_mode:
            info['eval_ann'] = eval_ann or {}
        return info

    def _entry_of_objects(
        self,
        img_id: str,
        img_path: str,
        labels: Sequence[int],
        hard: Sequence[bool],
        use_hard: Tuple[bool, bool],
        **truth: Any,
    ) -> DataInfo:
        """Build the entry of an image whose objects are listed.

        ``use_hard`` says whether hard ones give labels, and whether they
        count; ``truth`` are arguments of :func:`object_truth`.
        """
        easy = {label for label, flag in zip(labels, hard) if not flag}
        counts = dict.fromkeys(labels, 0)
        for label, flag in zip(labels, hard):
            counts[label] += use_hard[1] or not flag
        return self._entry(
            img_id,
            img_path,
            labels if use_hard[0] else list(easy),
            list(set(labels) - easy),
            counts,
            object_truth(labels, hard, **truth),
        )


@DATASETS.register_module()
class SeededDataset(_Reproducible, Dataset):
    """Draw each entry of another data set from (seed, epoch, index) alone.

    ``EpochSeedHook`` sets the epoch. Neither the number of workers nor a
    resumed run then changes what random transforms do, as with the data
    sets here.

    Args:
        dataset: The data set, or its config.
        seed: Seed, unless the hook sets the run's.
    """

    def __init__(self, dataset: Any, seed: int = 0) -> None:
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dict(dataset))
        self.dataset: BaseDataset = dataset
        super().__init__(seed)

    @property
    def metainfo(self) -> Dict[str, Any]:
        """What the data set says of itself."""
        metainfo: Dict[str, Any] = self.dataset.metainfo
        return metainfo

    def full_init(self) -> None:
        """Load all entries."""
        self.dataset.full_init()

    def get_data_info(self, idx: int) -> Dict[str, Any]:
        """Return the annotation of an entry."""
        info: Dict[str, Any] = self.dataset.get_data_info(idx)
        return info

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, idx: int) -> Any:
        with self._drawing(idx):
            return self.dataset[idx]


def _renumbered(
    info: DataInfo, table: np.ndarray, num_classes: int
) -> DataInfo:
    """Return an entry whose class c is ``table[c]`` instead."""
    info = dict(info, num_classes=num_classes)
    for key in ('gt_label', 'gt_label_difficult'):
        info[key] = np.sort(table[info[key]])
    if 'gt_count' in info:
        counts = np.zeros(num_classes, dtype=np.int64)
        # Entries that are drawn when they are asked for know the new length.
        counts[table] = info['gt_count'][: len(table)]
        info['gt_count'] = counts
    if 'eval_ann' in info:
        values = np.arange(256)
        values[1 : len(table) + 1] = table + 1
        truth = dict(info['eval_ann'], mask_values=values)
        for key in ('labels', 'only_label'):
            if key in truth:
                truth[key] = table[truth[key]]
        info['eval_ann'] = truth
    return info


def renumber_classes(dataset: Any, classes: Sequence[str]) -> None:
    """Give a data set's labels the numbers that another list of names says.

    Labels, counts, boxes and masks of a data set of mmwsl or mmseg, also
    within wrappers, are renumbered when they are loaded.

    Raises:
        ValueError: If a name of the data set is missing, or if it is of
            another kind.
    """
    wrapped = _wrapped(dataset)
    for inner in wrapped:
        renumber_classes(inner, classes)
    if not wrapped:
        _renumber(dataset, list(classes))
    if isinstance(getattr(dataset, '_metainfo', None), dict):
        dataset._metainfo['classes'] = list(classes)


def _renumber(dataset: Any, classes: Sequence[str]) -> None:
    old = dataset.metainfo['classes']
    missing = [name for name in old if name not in classes]
    if missing:
        raise ValueError(
            f'classes cannot be matched by name: {missing[0]!r} of '
            f'{type(dataset).__name__} is not among {", ".join(classes)}.'
        )
    table = [classes.index(name) for name in old]
    palette = dataset.metainfo.get('palette')
    if palette and len(palette) == len(classes) == len(old):
        order = np.argsort(table)
        dataset._metainfo['palette'] = [palette[i] for i in order]
    else:
        dataset._metainfo.pop('palette', None)
    if isinstance(dataset, WSLDataset):
        dataset.class_numbers = (np.array(table), len(classes))
    elif hasattr(dataset, 'label_map'):
        # A data set of mmseg: values of masks to classes.
        known = dataset.label_map or {i: i for i in range(len(old))}
        dataset.label_map = {
            value: label if label == dataset.ignore_index else table[label]
            for value, label in known.items()
        }
        dataset._metainfo['label_map'] = dataset.label_map
        dataset._fully_initialized = False
        dataset.full_init()
    else:
        raise ValueError(
            f'classes of a {type(dataset).__name__} cannot be matched by name.'
        )


def base_datasets(dataset: Any) -> Iterator[Any]:
    """Yield the data sets inside wrappers of mmengine or torch, in order."""
    wrapped = _wrapped(dataset)
    for inner in wrapped:
        yield from base_datasets(inner)
    if not wrapped:
        yield dataset


def _wrapped(dataset: Any) -> List[Any]:
    """Return what a wrapper wraps, nothing for any other data set."""
    single = [dataset.dataset] if hasattr(dataset, 'dataset') else []
    return list(getattr(dataset, 'datasets', single))


def image_ids(dataset: Any) -> List[str]:
    """Return the ids of all images inside a data set, in its order.

    Raises:
        ValueError: If images of two data sets share an id, so that what is
            kept by it would be mixed up.
    """
    found: List[str] = []
    source: Dict[str, int] = {}
    for number, inner in enumerate(base_datasets(dataset)):
        ids = [inner.get_data_info(i)['img_id'] for i in range(len(inner))]
        for img_id in ids:
            if source.setdefault(img_id, number) != number:
                raise ValueError(
                    f'image id {img_id!r} occurs in two of the data sets; '
                    'give them a common data_root, in which ids differ'
                )
        found += ids
    return found


def set_epoch(dataset: Any, epoch: int, seed: Optional[int] = None) -> None:
    """Set the epoch of all data sets inside ``dataset`` that have one."""
    if hasattr(dataset, 'set_epoch'):
        dataset.set_epoch(epoch, seed)
    else:
        for inner in _wrapped(dataset):
            set_epoch(inner, epoch, seed)


@contextmanager
def _seeded(key: Sequence[int]) -> Iterator[None]:
    """Draw random numbers from whole numbers alone, then go on as before."""
    states = (random.getstate(), np.random.get_state(), torch.get_rng_state())
    words = np.random.SeedSequence(list(key)).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    torch.default_generator.manual_seed(int(words[2]))
    try:
        yield
    finally:
        # Workers have random states of their own; the main process' states
        # belong to the training and must not depend on data loading.
        if get_worker_info() is None:
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_rng_state(states[2])


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Refuse the value of an option that is none of its choices."""
    if value not in choices:
        known = ' or '.join(map(repr, choices))
        raise ValueError(f'{name} must be {known}, got {value!r}')


def object_truth(
    labels: Any,
    difficult: Any,
    boxes: Any = None,
    size: Optional[Size] = None,
    **more: Any,
) -> Dict[str, Any]:
    """Build what ``eval_ann`` says of the n objects of an image.

    Args:
        labels: Their classes (n,).
        difficult: Whether they are marked difficult (n,).
        boxes: x0, y0, x1, y1 in pixels (n, 4), None if they are not known.
        size: (H, W) of the image as the file tells it.
        **more: Other entries, see ``LoadEvalAnnotations``.
    """
    truth = dict(
        more,
        labels=np.array(labels, dtype=np.int64),
        difficult=np.array(difficult, dtype=bool),
    )
    if boxes is not None:
        truth['boxes'] = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    if size is not None:
        truth['size'] = size
    return truth
