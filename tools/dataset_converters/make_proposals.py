"""Make object proposals for the images of a config's data set.

``python tools/dataset_converters/make_proposals.py CONFIG data/proposals``
writes ``data/proposals/<image id>.npz`` for ``LoadProposals``. A run that was
stopped goes on where it was; files made with other settings are refused.
"""

import argparse
from functools import partial
from typing import Optional, Sequence

import numpy as np

from mmwsl.apis import add_cfg_options, friendly_errors
from mmwsl.apis.image_files import (
    ImageEntries,
    ImageFiles,
    make_image_files,
    split_datasets,
)
from mmwsl.proposals import (
    ProposalGenerator,
    read_parameters,
    write_proposals,
)


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
    add_cfg_options(parser)
    return parser.parse_args(argv)


def write_file(
    generator: ProposalGenerator, path: str, img: np.ndarray
) -> None:
    """Make the file of one image."""
    write_proposals(path, generator(img), generator.parameters)


def make_all(args: argparse.Namespace) -> None:
    """Make the files of all splits."""
    generator = ProposalGenerator(args.max_proposals, args.num_superpixels)
    for split, dataset, loader in split_datasets(
        args.config, args.cfg_options, args.splits
    ):
        files = ImageFiles(
            ImageEntries(dataset),
            loader,
            args.folder,
            '.npz',
            generator.parameters,
            partial(write_file, generator),
            read_parameters,
            args.overwrite,
        )
        written, present = make_image_files(files, args.num_workers)
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
