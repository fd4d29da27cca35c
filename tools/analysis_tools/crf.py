"""Refine a folder of class maps or label maps by a dense CRF.

``python tools/analysis_tools/crf.py IMAGES MAPS OUT`` writes a label map
``OUT/<image id>.png`` for each file of MAPS. Images that are there already
are skipped, so a broken run goes on where it was.
"""

import argparse
import os
from typing import Tuple

from mmwsl.apis import ToolParser
from mmwsl.apis.image_files import add_truth_option, make_label_maps
from mmwsl.datasets.files import FileIndex
from mmwsl.evaluation.files import find_map_files, read_class_maps
from mmwsl.pseudo_labels import background_score, dense_crf
from mmwsl.pseudo_labels.crf import METHODS
from mmwsl.pseudo_labels.guard import check_origin
from mmwsl.pseudo_labels.labels import IGNORE, check_range, read_label_map
from mmwsl.utils.arrays import map_probabilities
from mmwsl.utils.files import naming
from mmwsl.utils.images import read_image

import numpy as np
import torch

parser = ToolParser('Refine class maps or label maps by a dense CRF')
parser.add_argument('images', help='folder of the images')
parser.add_argument(
    'maps',
    help='folder of <image id>.npz (maps (K, H, W) in [0, 1] and labels '
    '(K,)), or label maps .png (0 background, c + 1 class c, 255 unknown)',
)
parser.add_argument('out', help='folder of the label maps to write')
parser.option(
    '--ignore-orientation',
    False,
    'do not turn images by their EXIF entry, for maps of models that saw them '
    'as they are stored',
)
parser.option(
    '--background',
    'rest',
    'score of the background beside class maps: what they leave of 1, a '
    'constant, or (1 - max)^power',
    choices=['rest', 'constant', 'power'],
)
parser.option('--background-value', 0.3, 'the constant, or the power')
parser.option(
    '--certainty', 0.7, 'probability of the label that a label map gives'
)
parser.option('--iterations', 10)
parser.option('--gaussian', (3.0, 1.0), metavar=('WEIGHT', 'SIGMA'))
names = ('WEIGHT', 'SIGMA', 'SIGMA_RGB')
parser.option('--bilateral', (4.0, 67.0, 3.0), metavar=names)
parser.option('--method', 'auto', choices=METHODS)
add_truth_option(parser)


def file_probabilities(
    path: str, args: argparse.Namespace
) -> Tuple[np.ndarray, np.ndarray]:
    """Return values (L,) of a label map and their probabilities (L, H, W)."""
    maps, labels = read_class_maps(path)
    check_range(maps, f'{path}: maps', 0)
    planes = torch.from_numpy(maps)
    if args.background == 'rest':
        background = 1 - planes.sum(dim=0)
    else:
        background = background_score(
            planes, args.background, args.background_value
        )
    probs = map_probabilities(planes, background)
    return np.concatenate([[0], labels + 1]), probs.numpy()


def label_probabilities(
    path: str, certainty: float
) -> Tuple[np.ndarray, np.ndarray]:
    """Return the values (L,) in a label map and probabilities (L, H, W)."""
    label = read_label_map(path)
    values = np.unique(label)
    values = values[values != IGNORE]
    if not len(values):
        values = np.zeros(1, np.uint8)
    given = label == values[:, None, None]
    others = (1 - certainty) / max(len(values) - 1, 1)
    probs = np.where(given, np.float32(certainty), np.float32(others))
    probs[:, label == IGNORE] = 1 / len(values)
    return values, probs


def refine(
    image_path: str, map_path: str, args: argparse.Namespace
) -> np.ndarray:
    """Return the label map of one image."""
    turn = not args.ignore_orientation
    image = read_image(image_path, turn, max_value=0)
    if map_path.endswith('.png'):
        values, probs = label_probabilities(map_path, args.certainty)
    else:
        values, probs = file_probabilities(map_path, args)
    with naming(map_path):
        refined = dense_crf(
            image,
            probs,
            args.iterations,
            tuple(args.gaussian),
            tuple(args.bilateral),
            args.method,
        )
    return values[refined.argmax(axis=0)].astype(np.uint8)


@parser.command
def main(args: argparse.Namespace) -> None:
    """Refine all images that are not there yet."""
    if not 0 < args.certainty < 1:
        parser.error('--certainty must be between 0 and 1')
    files = find_map_files(args.maps)
    labels = [path for path in files.values() if path.endswith('.png')]
    check_origin(args.maps, labels, args.truth)
    same = os.path.realpath(args.out) == os.path.realpath(args.maps)
    if labels and same:
        raise ValueError(f'{args.out}: is the folder of the maps')
    index = FileIndex()

    def make(img_id: str, path: str) -> np.ndarray:
        image = index.find_image(os.path.join(args.images, img_id))
        if image is None:
            raise FileNotFoundError(f'{args.images}: has no image {img_id}')
        return refine(image, path, args)

    make_label_maps(files, args.out, make)


if __name__ == '__main__':
    raise SystemExit(main())
