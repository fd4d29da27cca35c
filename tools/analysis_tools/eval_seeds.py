"""Score class maps or label maps, by masks or by boxes of own data.

``python tools/analysis_tools/eval_seeds.py MAPS MASKS --classes names.txt``
prints what SeedIoUMetric prints. ``... MAPS --data-root DIR`` reads own data,
as OwnDataset does, fills its boxes instead of masks, and compares the
connected parts of label maps with the boxes.
"""

import argparse
import os
import sys
from typing import Any, Dict, Iterator, List, Tuple

from mmwsl.apis import ToolParser, with_progress
from mmwsl.apis.scoring import score_samples, scoring_command
from mmwsl.datasets import OwnDataset
from mmwsl.datasets.transforms import (
    LoadEvalAnnotations,
    LoadSaliency,
    LoadWSLImage,
)
from mmwsl.evaluation import SeedIoUMetric
from mmwsl.evaluation.files import (
    class_indices,
    find_map_files,
    read_class_names,
    read_image_labels,
    read_maps,
)
from mmwsl.evaluation.functional.boxes import match_objects, object_scores
from mmwsl.evaluation.functional.seeds import (
    check_shown,
    label_map_histograms,
    seed_means,
    seed_scores,
    seed_table,
)
from mmwsl.utils.arrays import mean_without_nan
from mmwsl.utils.files import join_inside, naming
from mmwsl.utils.images import read_index_mask
from mmwsl.utils.tables import format_columns, percent

import numpy as np

Files = Dict[str, str]
# What --ignored does, in words.
IGNORED = {
    'left-out': 'left out of the scores',
    'background': 'counted as background',
    'wrong': 'counted as missed',
}

parser = ToolParser(__doc__)
parser.add_argument(
    'maps',
    help='folder of <image id>.npz (maps (K, H, W) in [0, 1] and labels '
    '(K,)), .npy (C, H, W), or label maps .png (0 background, c + 1 class c, '
    '255 ignored)',
)
parser.add_argument('masks', nargs='?', help='folder of <image id>.png')
parser.option(
    '--classes',
    None,
    'names of the foreground classes: a text file, or a,b,c, or voc; own data '
    'names its own',
)
parser.option(
    '--data-root',
    None,
    'own data with boxes instead of masks: VOC XML or a COCO json',
)
text = 'file or folder of the labels in --data-root, where there are several'
parser.option('--annotations', '.', text)
parser.option(
    '--split',
    'all',
    'part of --data-root, by default all of it',
    choices=['train', 'val', 'all'],
)
parser.option('--list', None, 'text file of the image ids to score')
text = '.csv of path,label[|label...]: only maps of these classes count'
parser.option('--labels', None, text)
kinds = ['constant', 'power', 'saliency']
parser.option('--background', 'constant', choices=kinds)
text = 'background scores, or exponents with --background power'
parser.option('--thresholds', None, text, nargs='+', type=float)
parser.option('--fixed-threshold', None, type=float)
text = 'folder of <image id>.png, 255 is salient'
parser.option('--saliency', None, text)
parser.option(
    '--ignored',
    'left-out',
    'what pixels of 255 in label maps count as: as those that the masks leave '
    'out, as background, or as missed, whatever they show',
    choices=list(IGNORED),
)
parser.option(
    '--allow-pickle',
    False,
    'read .npy files that hold pickled dicts, {class index: map} or empty for '
    'all background; only if you trust them',
)
parser.option('--sweep', None, 'write the sweep to this .json or .csv')


def own_boxes(args: argparse.Namespace) -> Tuple[OwnDataset, Dict[str, int]]:
    """Own data, whose boxes are filled as masks, and places of image ids."""
    dataset = OwnDataset(
        data_root=args.data_root,
        labels=args.annotations,
        split=args.split,
        test_mode=True,
        pipeline=[
            LoadWSLImage(),
            LoadEvalAnnotations(with_instances=True, seg_map_from='boxes'),
        ],
    )
    infos = map(dataset.get_data_info, range(len(dataset)))
    return dataset, {info['img_id']: i for i, info in enumerate(infos)}


def read_truth(args: argparse.Namespace, img_id: str) -> Dict[str, Any]:
    """Read ``gt_sem_seg`` of an image and, of own data, ``gt_instances``.

    Masks that ignore all objects are said.
    """
    if args.data_root:
        dataset, places = args.own
        truth: Dict[str, Any] = dataset[places[img_id]]['eval_gt']
        return truth
    path = join_inside(args.masks, img_id, '.png', links=True)
    mask = read_index_mask(path)
    if set(np.unique(mask).tolist()) == {0, 255}:
        print(
            f'warning: {path}: mask holds nothing but 0 and 255, which is '
            'ignored; class c is stored as c + 1',
            file=sys.stderr,
        )
    return {'gt_sem_seg': mask}


def samples(
    args: argparse.Namespace, files: Files, classes: List[str]
) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """File and sample of each image."""
    given = read_image_labels(args.labels) if args.labels else None
    for img_id, path in with_progress(files.items()):
        maps, labels = read_maps(path, len(classes), args.allow_pickle)
        mask = read_truth(args, img_id)['gt_sem_seg']
        if not any(maps.shape):
            # Of an empty dict, which knows no size.
            maps = np.zeros((0, *mask.shape), np.float32)
        sample: Dict[str, Any] = {
            'img_id': img_id,
            'pred_maps': {'data': maps},
            'pred_map_labels': labels,
            'gt_sem_seg': {'data': mask.astype(np.int64)},
        }
        if given is not None:
            if img_id not in given:
                raise ValueError(f'{args.labels}: no line for {img_id}')
            place = f'{args.labels}: {img_id}'
            sample['gt_label'] = class_indices(given[img_id], classes, place)
        if args.saliency and args.background == 'saliency':
            entry = {'img_id': img_id, 'ori_shape': mask.shape}
            plane = LoadSaliency(args.saliency)(entry)['saliency']
            sample['saliency'] = {'data': plane}
        yield path, sample


def evaluate_maps(
    args: argparse.Namespace, files: Files, classes: List[str]
) -> Dict[str, float]:
    """Score class maps with the metric of the runs."""
    metric = SeedIoUMetric(
        args.thresholds,
        background=args.background,
        labels='given' if args.labels else 'kept',
        fixed_threshold=args.fixed_threshold,
        out_file=args.sweep,
    )
    return score_samples(metric, samples(args, files, classes), classes)


def evaluate_label_maps(
    args: argparse.Namespace, files: Files, classes: List[str]
) -> Dict[str, float]:
    """Score finished label maps; ``coverage`` says how much they label."""
    hists, labelled, total = [], 0, 0
    matches = []
    # What is wrong everywhere is of one more class.
    wrong = args.ignored == 'wrong'
    filling = dict(zip(IGNORED, (255, 0, len(classes) + 1)))[args.ignored]
    for img_id, path in with_progress(files.items()):
        pred = read_index_mask(path)
        truth = read_truth(args, img_id)
        mask = truth['gt_sem_seg']
        with naming(path):
            if pred[pred != 255].max(initial=0) > len(classes):
                raise ValueError(
                    'prediction holds values other than '
                    f'0..{len(classes)} and 255'
                )
            filled = np.where(pred == 255, filling, pred)
            count = len(classes) + wrong
            hists.append(label_map_histograms(filled, mask, count))
        if 'gt_instances' in truth:
            matches.append(match_objects(pred, truth['gt_instances']))
        valid = mask != 255
        labelled += int((valid & (pred != 255)).sum())
        total += int(valid.sum())
    scores = seed_scores(hists)
    check_shown(scores['gt_pixels'][1:], args.masks)
    for name in ('IoU', 'Precision', 'Recall') if wrong else ():
        kept = scores[name.lower()][:, :-1]
        scores[name.lower()], scores[f'm{name}'] = kept, mean_without_nan(kept)
    print(format_columns(seed_table(scores, 0, classes)))
    coverage = round(100 * labelled / max(total, 1), 2)
    print(
        f'ignored pixels (255) of the label maps: {100 - coverage:.2f} % of '
        f'those that the masks judge, {IGNORED[args.ignored]} (--ignored)'
    )
    found = {**seed_means(scores, 0), 'coverage': coverage}
    if matches:
        found.update(box_metrics(np.concatenate(matches), classes))
    return found


def box_metrics(rows: np.ndarray, classes: List[str]) -> Dict[str, float]:
    """Print and return how well the parts of label maps fit the boxes."""
    scores = object_scores(rows, len(classes))
    print('connected parts against boxes, right from an IoU of 0.5 on:')
    columns = {name: values.tolist() for name, values in scores.items()}
    print(format_columns({'class': [*classes, 'all'], **columns}))
    return {
        'box_recall@0.5': percent(scores['recall'][-1]),
        'box_precision@0.5': percent(scores['precision'][-1]),
        'CorLoc': percent(scores['corloc'][-1]),
        'best_box_IoU': percent(scores['best_iou'][-1]),
    }


@scoring_command(parser)
def main(args: argparse.Namespace) -> Dict[str, float]:
    """Score as the command line says."""
    if args.background == 'saliency' and not args.saliency:
        raise ValueError('--background saliency needs --saliency FOLDER')
    if bool(args.masks) == bool(args.data_root):
        raise ValueError('name either a folder of masks or --data-root')
    files = find_map_files(args.maps, args.list)
    if args.data_root:
        args.own, args.masks = own_boxes(args), 'boxes'
        dataset, places = args.own
        classes = list(dataset.classes)
        files = {k: v for k, v in files.items() if k in places}
        print(
            f'{args.data_root}: {len(places)} images, of which {len(files)} '
            'have a map'
        )
        if not files:
            raise ValueError(
                f'{args.maps}: has no map of an image of {args.data_root}, '
                f'such as {next(iter(places))}.png'
            )
    elif not args.classes:
        raise ValueError('a folder of masks needs --classes')
    else:
        classes = read_class_names(args.classes)
        if not os.path.isdir(args.masks):
            raise FileNotFoundError(
                f'{args.masks}: folder of masks is missing'
            )
    labelled = [path.endswith('.png') for path in files.values()]
    if any(labelled) and not all(labelled):
        raise ValueError(f'{args.maps}: holds both class maps and label maps')
    split = args.list or f'all in {args.maps}'
    print(f'images: {len(files)}, {split}; masks: {args.masks}')
    score = evaluate_label_maps if all(labelled) else evaluate_maps
    return score(args, files, classes)


if __name__ == '__main__':
    raise SystemExit(main())
