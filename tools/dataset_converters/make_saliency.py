"""Make saliency maps for a folder of images or for a config's data set.

::

    make_saliency.py data/voc/JPEGImages data/voc/SaliencyMaps
    make_saliency.py CONFIG data/SaliencyMaps --splits train test

writes ``<image id>.png`` for ``LoadSaliency``; in a folder, an image's id is
its path there without suffix. A run that was stopped goes on where it was;
maps of other programs and those made with other settings are refused.
"""

import argparse
import os
from functools import partial
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from mmwsl.apis import add_cfg_options, friendly_errors
from mmwsl.apis.image_files import (
    ImageEntries,
    ImageFiles,
    make_image_files,
    split_datasets,
)
from mmwsl.datasets.files import files_by_id
from mmwsl.datasets.transforms import LoadWSLImage
from mmwsl.saliency import SaliencyGenerator, read_settings, write_saliency


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Make saliency maps for a folder of images or for a '
        "config's data set"
    )
    parser.add_argument('source', help='folder of images, or config file')
    parser.add_argument('folder', help='where <image id>.png are written')
    parser.add_argument(
        '--splits',
        nargs='+',
        default=['train'],
        choices=['train', 'val', 'test'],
        help='whose images of a config',
    )
    parser.add_argument('--num-superpixels', type=int, default=300)
    parser.add_argument(
        '--num-workers', type=int, default=0, help='processes beside this one'
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='make all maps again'
    )
    add_cfg_options(parser)
    return parser.parse_args(argv)


def folder_infos(folder: str, out: str) -> List[Dict[str, Any]]:
    """Find the images of a folder and its sub-folders.

    Raises:
        ValueError: If there is none, if two share an id, or if maps would
            lie among the images.
    """
    if os.path.realpath(folder) == os.path.realpath(out):
        raise ValueError(f'{out}: is the folder of the images')
    found = files_by_id(folder)
    return [dict(img_id=key, img_path=path) for key, path in found.items()]


def sources(
    args: argparse.Namespace,
) -> Iterator[Tuple[str, Any, LoadWSLImage]]:
    """Name, entries and loader of each set of images."""
    if os.path.isdir(args.source):
        entries = folder_infos(args.source, args.folder)
        yield args.source, entries, LoadWSLImage(min_size=1)
        return
    for split, dataset, loader in split_datasets(
        args.source, args.cfg_options, args.splits
    ):
        yield split, ImageEntries(dataset), loader


def write_map(
    generator: SaliencyGenerator, path: str, img: np.ndarray
) -> None:
    """Make the map of one image."""
    write_saliency(path, generator(img), generator.settings)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Make the maps and say how many."""
    args = parse_args(argv)
    with friendly_errors():
        generator = SaliencyGenerator(args.num_superpixels)
        for name, entries, loader in sources(args):
            files = ImageFiles(
                entries,
                loader,
                args.folder,
                '.png',
                generator.settings,
                partial(write_map, generator),
                read_settings,
                args.overwrite,
            )
            written, present = make_image_files(files, args.num_workers)
            print(
                f'{args.folder}: {name}: {written} maps written, '
                f'{present} were there'
            )
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
