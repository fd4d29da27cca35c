"""Make object proposals for the images of a config's data set.

``python tools/dataset_converters/make_proposals.py CONFIG data/proposals``
writes ``data/proposals/<image id>.npz`` for ``LoadProposals``. A run that was
stopped goes on where it was; files made with other settings are refused.
"""

import argparse
import os
import sys
from contextlib import contextmanager
from typing import Any, Iterator, List, Optional, Sequence, Tuple

import cv2
from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from mmengine.utils import ProgressBar
from torch.utils.data import DataLoader, Dataset

from mmwsl.apis import friendly_errors, load_config
from mmwsl.datasets.base import base_datasets
from mmwsl.datasets.transforms import LoadWSLImage
from mmwsl.proposals import (
    ProposalGenerator,
    read_parameters,
    write_proposals,
)
from mmwsl.registry import DATASETS

# Path of the file, number of new proposals (-1: was there), what went wrong.
Done = Tuple[str, int, str]


class Making(Dataset):
    """Makes the file of one image when its index is asked for.

    As a data set, so that a data loader's workers share the work.

    Args:
        dataset (WSLDataset): The images.
        folder (str): Where the files go.
        generator (ProposalGenerator): What makes them.
        overwrite (bool): Whether to make those again that are there.
    """

    def __init__(
        self,
        dataset: Any,
        folder: str,
        generator: ProposalGenerator,
        overwrite: bool,
    ) -> None:
        self.dataset = dataset
        self.folder = folder
        self.generator = generator
        self.overwrite = overwrite
        # The pipeline's own loader knows whether images are turned.
        loaders = [
            transform
            for transform in dataset.pipeline.transforms
            if isinstance(transform, LoadWSLImage)
        ]
        self.loader = loaders[0] if loaders else LoadWSLImage()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> Done:
        """Make one file; errors are returned, workers would garble them."""
        info = self.dataset.get_data_info(index)
        path = os.path.join(self.folder, f'{info["img_id"]}.npz')
        try:
            if os.path.exists(path) and not self.overwrite:
                self._check(path)
                return path, -1, ''
            proposals = self.generator(self.loader(info)['img'])
            write_proposals(path, proposals, self.generator.parameters)
            return path, len(proposals), ''
        except (OSError, ValueError) as error:
            text = str(error)
            name = info['img_path'] or info['img_id']
            named = name in text or path in text
            return path, 0, text if named else f'{name}: {text}'

    def _check(self, path: str) -> None:
        found, wanted = read_parameters(path), self.generator.parameters
        if found is None:
            raise ValueError(
                f'{path}: was not made by this command; name another folder '
                'or say --overwrite'
            )
        for name, value in wanted.items():
            if found.get(name) != value:
                raise ValueError(
                    f'{path}: was made with {name}={found.get(name)!r}, not '
                    f'{value!r}; name another folder or say --overwrite'
                )


@contextmanager
def _opencv_threads(number: int) -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(number)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _first(items: List[Done]) -> Done:
    return items[0]


def make(making: Making, num_workers: int) -> Tuple[int, int]:
    """Make all files.

    Returns:
        tuple[int]: How many files were written and how many were there.

    Raises:
        ValueError: If an image or a file is broken; names it.
    """
    loader = DataLoader(
        making,
        num_workers=num_workers,
        collate_fn=_first,
    )
    # Nobody watches a bar in a log file, and it would fill the file.
    show = sys.stderr.isatty()
    bar = ProgressBar(len(making), file=sys.stderr) if show else None
    written = present = 0
    # One thread a process, and none when processes are forked: a fork would
    # wait for ever for the threads of OpenCV that it has not got.
    with _opencv_threads(0 if num_workers else cv2.getNumThreads()):
        for path, number, problem in loader:
            if problem:
                raise ValueError(problem)
            written += number >= 0
            present += number < 0
            if bar is not None:
                bar.update()
            elif number >= 0 and written % 100 == 0:
                print(
                    f'{written + present} of {len(making)}: {path}', flush=True
                )
    if show:
        print(file=sys.stderr)
    return written, present


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Make object proposals for a config's data set"
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('folder', help='where <image id>.npz are written')
    parser.add_argument(
        '--splits',
        nargs='+',
        default=['test'],
        choices=['train', 'val', 'test'],
        help='whose images; prediction needs those of the test set alone',
    )
    parser.add_argument('--max-proposals', type=int, default=200)
    parser.add_argument('--num-superpixels', type=int, default=300)
    parser.add_argument(
        '--num-workers', type=int, default=0, help='processes beside this one'
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='make all files again'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override the config: key=value, nested keys with dots',
    )
    return parser.parse_args(argv)


def make_all(args: argparse.Namespace) -> None:
    """Make the files of all splits."""
    cfg = load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmwsl'))
    generator = ProposalGenerator(args.max_proposals, args.num_superpixels)
    for split in args.splits:
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            raise ValueError(f'{args.config}: has no {split}_dataloader')
        for dataset in base_datasets(DATASETS.build(loader['dataset'])):
            dataset.full_init()
            making = Making(dataset, args.folder, generator, args.overwrite)
            written, present = make(making, args.num_workers)
            print(
                f'{args.folder}: {split}: {written} files written, '
                f'{present} were there'
            )


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Make the files and say how many."""
    args = parse_args(argv)
    with friendly_errors():
        make_all(args)
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
