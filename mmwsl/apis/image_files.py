"""Make a file for every image, as commands over data sets do."""

import argparse
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import cv2
import numpy as np
from torch.utils.data import DataLoader, Dataset

from mmwsl.apis.command_line import ToolParser, with_progress
from mmwsl.registry import DATASETS
from mmwsl.utils.config import dataset_config, load_config
from mmwsl.utils.files import join_inside

# Path of the file, whether it was there, what went wrong.
Done = Tuple[str, bool, str]


@dataclass
class ImageFiles(Dataset):
    """Makes the file of one image when its index is asked for.

    As a data set, so that a data loader's workers share the work.
    """

    number: int
    # ``img_id``, ``img_path`` and what the loader needs of an image.
    entry_of: Callable[[int], Dict[str, Any]]
    # Adds ``img`` to an entry.
    loader: Callable[[Dict[str, Any]], Optional[Dict[str, Any]]]
    # Where ``<image id><suffix>`` are written.
    folder: str
    suffix: str
    # What files are made with, as they say themselves.
    settings: Dict[str, Any]
    # Makes the file of an image, ``(path, img)``.
    write: Callable[[str, np.ndarray], None]
    # What a file was made with, None for one of another program; raises
    # ValueError for a broken one.
    read_settings: Callable[[str], Optional[Dict[str, Any]]]
    # Height and width of the image of a file.
    read_size: Callable[[str], Tuple[int, int]]
    # Whether to make those again that are there.
    overwrite: bool = False

    def __len__(self) -> int:
        """Return the number of images."""
        return self.number

    def __getitem__(self, index: int) -> Done:
        """Make one file; errors are returned, workers would garble them."""
        entry = self.entry_of(index)
        path = ''
        try:
            path = join_inside(self.folder, entry['img_id'], self.suffix)
            img = (self.loader(dict(entry)) or {})['img']
            there = os.path.exists(path) and not self.overwrite
            if there:
                self._check(path, img.shape[:2])
            else:
                self.write(path, img)
            return path, there, ''
        except (ImportError, OSError, ValueError) as error:
            text = str(error)
            name = entry['img_path'] or entry['img_id']
            named = name in text or (path and path in text)
            return path, False, text if named else f'{name}: {text}'

    def _check(self, path: str, shape: Tuple[int, ...]) -> None:
        other = 'name another folder or say --overwrite'
        try:
            found = self.read_settings(path)
        except ValueError as error:
            raise ValueError(
                f'{error}; delete the file or say --overwrite'
            ) from error
        if found is None:
            raise ValueError(f'{path}: was not made by this command; {other}')
        for name, value in self.settings.items():
            if found.get(name) != value:
                raise ValueError(
                    f'{path}: was made with {name}={found.get(name)!r}, not '
                    f'{value!r}; {other}'
                )
        size = self.read_size(path)
        if tuple(size) != tuple(shape):
            raise ValueError(
                f'{path}: was made of an image of {size[1]} x {size[0]} '
                f'pixels, not {shape[1]} x {shape[0]}; {other}'
            )


def make_image_files(files: ImageFiles, num_workers: int) -> Tuple[int, int]:
    """Make all files that are not there; say how many were made and there."""
    loader = DataLoader(files, batch_size=None, num_workers=num_workers)
    written = present = 0
    # One thread a process, and none when processes are forked: a fork would
    # wait for ever for the threads of OpenCV that it has not got.
    with _opencv_threads(0 if num_workers else cv2.getNumThreads()):
        for _, there, problem in with_progress(loader):
            if problem:
                raise ValueError(problem)
            written += not there
            present += there
    return written, present


def making_parser(
    description: Optional[str], suffix: str, splits: List[str]
) -> ToolParser:
    """Return the command line that commands which make files share.

    Images of a config are by default those of ``splits``.
    """
    parser = ToolParser(description)
    parser.add_argument('source', help='config file, or folder of images')
    parser.add_argument('folder', help=f'where <image id>{suffix} are written')
    choices = ['train', 'val', 'test']
    parser.option(
        '--splits', splits, 'whose images of a config', choices=choices
    )
    parser.option('--num-workers', 0, 'processes beside this one')
    text = 'what white is in a folder of 16-bit images, such as 4095'
    parser.option('--max-value', None, text, type=int)
    parser.option('--overwrite', False, 'make all files again')
    parser.cfg_options()
    return parser


def make_files(args: argparse.Namespace, what: str, **making: Any) -> None:
    """Make the files of a folder or of a config's data sets; say how many.

    Args:
        args: Of :func:`making_parser`.
        what: What to call the files.
        **making: Those of :class:`ImageFiles` that are not of ``args``.
    """
    for name, number, entry_of, loader in _sources(args):
        files = ImageFiles(
            number,
            entry_of,
            loader,
            args.folder,
            overwrite=args.overwrite,
            **making,
        )
        written, present = make_image_files(files, args.num_workers)
        print(
            f'{args.folder}: {name}: {written} {what} written, {present} were '
            'there'
        )


def _sources(args: argparse.Namespace) -> Iterator[Tuple[str, int, Any, Any]]:
    """Yield name, number, entries and loader of each set of images."""
    # Data sets are slow to import, and most commands do without.
    from mmwsl.datasets import base_datasets
    from mmwsl.datasets.files import files_by_id
    from mmwsl.datasets.transforms import LoadWSLImage

    if os.path.isdir(args.source):
        if os.path.realpath(args.source) == os.path.realpath(args.folder):
            raise ValueError(f'{args.folder}: is the folder of the images')
        found = files_by_id(args.source).items()
        entries = [dict(img_id=key, img_path=path) for key, path in found]
        loader = LoadWSLImage(min_size=1, max_value=args.max_value)
        yield args.source, len(entries), entries.__getitem__, loader
        return
    cfg = load_config(args.source, args.cfg_options)
    for split in args.splits:
        settings = dataset_config(cfg, split)
        for dataset in base_datasets(DATASETS.build(settings)):
            dataset.full_init()
            loader = image_loader(dataset)
            yield split, len(dataset), dataset.get_data_info, loader


def image_loader(dataset: Any) -> Any:
    """Return the transform that loads the images of a data set.

    That of its pipeline knows how, such as whether images are turned.
    """
    from mmwsl.datasets.transforms import LoadWSLImage

    loaders = (
        transform
        for transform in dataset.pipeline.transforms
        if isinstance(transform, LoadWSLImage)
    )
    return next(loaders, LoadWSLImage())


def add_truth_option(parser: ToolParser) -> None:
    """Add ``--truth``, folders of masks that nothing may be a copy of."""
    parser.option(
        '--truth',
        [],
        'a folder of masks, of which no label map may be a copy; may be '
        'repeated',
        action='append',
        nargs=None,
        metavar='DIR',
    )


def make_label_maps(
    files: Dict[str, str],
    folder: str,
    make: Callable[[str, str], np.ndarray],
) -> None:
    """Make the label maps that a folder lacks; say how many.

    Args:
        files: File of each image id.
        folder: Where ``<image id>.png`` are written.
        make: Returns the label map of an image id and its file.
    """
    from mmwsl.pseudo_labels.labels import write_label_map

    done = 0
    for img_id, path in with_progress(files.items()):
        out = os.path.join(folder, f'{img_id}.png')
        if not os.path.isfile(out):
            write_label_map(out, make(img_id, path))
            done += 1
    print(f'{folder}: {done} written, {len(files) - done} kept')


@contextmanager
def _opencv_threads(number: int) -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(number)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
