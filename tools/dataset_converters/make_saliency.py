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
import sys
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import cv2
from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from mmengine.utils import ProgressBar
from torch.utils.data import DataLoader, Dataset

from mmwsl.apis import friendly_errors, load_config
from mmwsl.datasets.base import base_datasets
from mmwsl.datasets.files import IMG_SUFFIXES, image_id
from mmwsl.datasets.transforms import LoadWSLImage
from mmwsl.registry import DATASETS
from mmwsl.saliency import SaliencyGenerator, read_settings, write_saliency

# Path of the map, whether it was there, what went wrong.
Done = Tuple[str, bool, str]


class Entries:
    """The entries of a data set, each made when it is asked for.

    Args:
        dataset (WSLDataset): Initialised.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> Dict[str, Any]:
        """Return the entry of an image."""
        entry: Dict[str, Any] = self.dataset.get_data_info(index)
        return entry


Infos = Union[List[Dict[str, Any]], Entries]


class Making(Dataset):
    """Makes the map of one image when its index is asked for.

    As a data set, so that a data loader's workers share the work.

    Args:
        infos (list[dict] | Entries): ``img_id`` and what the loader needs of
            each image.
        loader (LoadWSLImage): Reads an image.
        folder (str): Where the maps go.
        generator (SaliencyGenerator): What makes them.
        overwrite (bool): Whether to make those again that are there.
    """

    def __init__(
        self,
        infos: Infos,
        loader: LoadWSLImage,
        folder: str,
        generator: SaliencyGenerator,
        overwrite: bool,
    ) -> None:
        self.infos = infos
        self.loader = loader
        self.folder = folder
        self.generator = generator
        self.overwrite = overwrite

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.infos)

    def __getitem__(self, index: int) -> Done:
        """Make one map; errors are returned, workers would garble them."""
        info = self.infos[index]
        path = os.path.join(self.folder, f'{info["img_id"]}.png')
        try:
            if os.path.exists(path) and not self.overwrite:
                self._check(path)
                return path, True, ''
            saliency = self.generator(self.loader(dict(info))['img'])
            write_saliency(path, saliency, self.generator.settings)
            return path, False, ''
        except (OSError, ValueError) as error:
            text = str(error)
            name = info['img_path'] or info['img_id']
            named = name in text or path in text
            return path, False, text if named else f'{name}: {text}'

    def _check(self, path: str) -> None:
        found, wanted = read_settings(path), self.generator.settings
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
    """Make all maps.

    Returns:
        tuple[int]: How many were written and how many were there.

    Raises:
        ValueError: If an image or a map is broken; names it.
    """
    loader = DataLoader(making, num_workers=num_workers, collate_fn=_first)
    # Nobody watches a bar in a log file, and it would fill the file.
    show = sys.stderr.isatty()
    bar = ProgressBar(len(making), file=sys.stderr) if show else None
    written = present = 0
    # One thread a process, and none when processes are forked: a fork would
    # wait for ever for the threads of OpenCV that it has not got.
    with _opencv_threads(0 if num_workers else cv2.getNumThreads()):
        for path, there, problem in loader:
            if problem:
                raise ValueError(problem)
            written += not there
            present += there
            if bar is not None:
                bar.update()
            elif not there and written % 100 == 0:
                print(
                    f'{written + present} of {len(making)}: {path}', flush=True
                )
    if show:
        print(file=sys.stderr)
    return written, present


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
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override the config: key=value, nested keys with dots',
    )
    return parser.parse_args(argv)


def folder_infos(folder: str, out: str) -> List[Dict[str, Any]]:
    """Find the images of a folder and its sub-folders.

    Raises:
        ValueError: If there is none, if two share an id, or if maps would
            lie among the images.
    """
    if os.path.realpath(folder) == os.path.realpath(out):
        raise ValueError(f'{out}: is the folder of the images')
    paths = sorted(
        os.path.join(root, name)
        for root, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(IMG_SUFFIXES)
    )
    if not paths:
        raise ValueError(f'{folder}: holds no image')
    found: Dict[str, str] = {}
    for path in paths:
        img_id = image_id(path, folder)
        if img_id in found:
            raise ValueError(
                f'{path}: its map would have the name of that of '
                f'{found[img_id]}'
            )
        found[img_id] = path
    return [dict(img_id=key, img_path=path) for key, path in found.items()]


def sources(
    args: argparse.Namespace,
) -> Iterator[Tuple[str, Infos, LoadWSLImage]]:
    """Name, images and loader of each set of images."""
    if os.path.isdir(args.source):
        infos = folder_infos(args.source, args.folder)
        yield args.source, infos, LoadWSLImage(min_size=1)
        return
    cfg = load_config(args.source, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmwsl'))
    for split in args.splits:
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            raise ValueError(f'{args.source}: has no {split}_dataloader')
        for dataset in base_datasets(DATASETS.build(loader['dataset'])):
            dataset.full_init()
            # The pipeline's own loader knows whether images are turned.
            loaders = [
                transform
                for transform in dataset.pipeline.transforms
                if isinstance(transform, LoadWSLImage)
            ]
            infos = Entries(dataset)
            yield split, infos, loaders[0] if loaders else LoadWSLImage()


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Make the maps and say how many."""
    args = parse_args(argv)
    with friendly_errors():
        generator = SaliencyGenerator(args.num_superpixels)
        for name, infos, loader in sources(args):
            making = Making(
                infos, loader, args.folder, generator, args.overwrite
            )
            written, present = make(making, args.num_workers)
            print(
                f'{args.folder}: {name}: {written} maps written, '
                f'{present} were there'
            )
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
