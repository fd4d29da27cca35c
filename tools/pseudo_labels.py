"""Make label maps of NSROM and of AE-PSL, folder by folder.

::

    pseudo_labels.py initial OA_CAMS SALIENCY OUT
    pseudo_labels.py mine CAMS INITIAL OUT
    pseudo_labels.py mask CAMS MINED PREDICTIONS SALIENCY OUT
    pseudo_labels.py keep LABELS PREDICTIONS OUT

The first makes label maps of class maps and saliency, the second ignores the
background that plain class activation maps claim, and the third turns the
predictions of a segmentor that was trained on them into new label maps. The
last takes predictions as label maps, but leaves background ignored that the
label maps before ignore.
Class maps are ``<image id>.npz`` with ``maps`` (K, H, W) and ``labels`` (K,),
as PseudoLabelWriter writes them; everything else is ``<image id>.png``.
Images that are in OUT already are skipped, so a broken run goes on. Ground
truth is refused as input: folders with the names that data sets give them, and
those of ``--truth`` and copies of what they hold.
"""

import argparse
import os
from functools import partial
from typing import List, Tuple

from mmwsl.apis import ToolParser
from mmwsl.apis.image_files import add_truth_option, make_label_maps
from mmwsl.datasets.transforms import LoadSaliency
from mmwsl.evaluation.files import find_map_files, read_class_maps
from mmwsl.pseudo_labels import (
    ignore_if_small,
    initial_label,
    keep_ignored,
    non_salient_region_masking,
    potential_object_mining,
)
from mmwsl.pseudo_labels.guard import check_origin
from mmwsl.pseudo_labels.labels import read_label_map
from mmwsl.utils.arrays import check_same_size
from mmwsl.utils.files import naming

import numpy as np

MAPS = ('maps', 'folder of class maps')
LABELS = ('labels', 'folder of the label maps so far')
PREDICTIONS = ('predictions', 'folder of predicted label maps')
SALIENCY = ('saliency', 'folder of saliency maps')
STEPS = {
    'initial': ('extract the background', MAPS, SALIENCY),
    'mine': ('mine potential objects', MAPS, LABELS),
    'mask': ('mask non-salient regions', MAPS, LABELS, PREDICTIONS, SALIENCY),
    'keep': ('keep pixels ignored', LABELS, PREDICTIONS),
}
parser = ToolParser('Make label maps, folder by folder')
subparsers = parser.add_subparsers(dest='step', required=True)
steps = {}
for name, (words, *sources) in STEPS.items():
    step = steps[name] = subparsers.add_parser(name, help=words)
    for folder, words in (*sources, ('out', 'folder to write to')):
        step.add_argument(folder, help=words)
    step.option(
        '--min-ratio',
        0.01 if name in ('mine', 'mask') else 0.0,
        'ignore images in which a smaller share of the pixels carries a class',
    )
    add_truth_option(step)
steps['initial'].option('--fg-threshold', 0.3)
steps['initial'].option('--conflict-threshold', 0.9)
steps['initial'].option('--map-threshold', 0.8)
steps['initial'].option('--saliency-threshold', 32 / 255)
steps['mine'].option('--bg-threshold', 0.3)
steps['mask'].option('--dilation', 30)
steps['mask'].option(
    '--saliency-threshold',
    0.0,
    'saliency above it is salient; soft maps, which are hardly anywhere 0, '
    'need more than 0',
)
steps['mask'].option(
    '--keep-ignored', False, "the same as the step 'keep' besides"
)


def read_label(
    folder: str, img_id: str, shape: Tuple[int, ...], other: str
) -> np.ndarray:
    """Read a label map that has to have the shape of something else."""
    file = os.path.join(folder, f'{img_id}.png')
    label = read_label_map(file)
    check_same_size(f'{file}: label map is', label.shape, other, shape)
    return label


def make_label(args: argparse.Namespace, img_id: str, path: str) -> np.ndarray:
    """Run one step for one image."""
    if args.step == 'keep':
        predicted = read_label_map(path)
        other = f'the prediction {path} is'
        given = read_label(args.labels, img_id, predicted.shape, other)
        label = keep_ignored(predicted, given)
    else:
        label = label_of_maps(args, img_id, path)
    return ignore_if_small(label, args.min_ratio)


def label_of_maps(
    args: argparse.Namespace, img_id: str, path: str
) -> np.ndarray:
    """Run one of NSROM's steps for the class maps in ``path``."""
    planes, labels = read_class_maps(path)
    maps = dict(zip(labels.tolist(), planes))
    shape, other = planes.shape[1:], f'the class maps in {path} are'
    if args.step != 'mine':
        entry = dict(img_id=img_id, ori_shape=shape)
        saliency = LoadSaliency(args.saliency)(entry)['saliency']
    if args.step != 'initial':
        given = read_label(args.labels, img_id, shape, other)
    if args.step == 'mask':
        predicted = read_label(args.predictions, img_id, shape, other)
    with naming(path):
        if args.step == 'initial':
            return initial_label(
                saliency,
                maps,
                args.fg_threshold,
                args.conflict_threshold,
                args.map_threshold,
                args.saliency_threshold,
            )
        if args.step == 'mine':
            return potential_object_mining(given, maps, args.bg_threshold)
        label = non_salient_region_masking(
            predicted,
            given,
            saliency,
            len(maps),
            args.dilation,
            args.saliency_threshold,
        )
    return keep_ignored(label, given) if args.keep_ignored else label


def check_sources(args: argparse.Namespace, img_ids: List[str]) -> None:
    """Refuse ground truth as input, and to write where the input is."""
    for name in ('labels', 'predictions', 'saliency'):
        source = getattr(args, name, None)
        if source is None:
            continue
        # Saliency is refused by its place alone.
        found = [] if name == 'saliency' else img_ids
        paths = [os.path.join(source, f'{img_id}.png') for img_id in found]
        check_origin(source, paths, args.truth)
        if os.path.realpath(args.out) == os.path.realpath(source):
            raise ValueError(f'{args.out}: is a folder of the input')


@parser.command
def main(args: argparse.Namespace) -> None:
    """Make the label maps that are not there yet."""
    if not 0 <= args.min_ratio <= 1:
        parser.error('--min-ratio must be from 0 to 1')
    keep = args.step == 'keep'
    files = find_map_files(args.predictions if keep else args.maps)
    check_sources(args, list(files))
    make_label_maps(files, args.out, partial(make_label, args))


if __name__ == '__main__':
    raise SystemExit(main())
