"""Score localisation maps of another program.

``python tools/analysis_tools/eval_maps.py MAPS --metadata FOLDER`` or ``...
MAPS --config CONFIG`` prints what MaxBoxAccMetric and PxAPMetric print.
"""

import argparse
import os
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from mmwsl.apis import ToolParser, with_progress
from mmwsl.apis.scoring import (
    add_truth_options,
    config_dataset,
    run_scoring,
)
from mmwsl.datasets.files import read_names
from mmwsl.datasets.transforms.eval_annotations import object_mask
from mmwsl.datasets.wsol import (
    mask_paths,
    read_ids,
    read_labels,
    read_localization,
    read_sizes,
)
from mmwsl.evaluation import MaxBoxAccMetric, PxAPMetric
from mmwsl.evaluation.files import (
    find_map_files,
    read_class_scores,
    read_score_map,
    without_suffix,
)
from mmwsl.utils.files import naming
from mmwsl.utils.masks import check_boxes

import numpy as np
import torch

Sample = Dict[str, Any]
BOX, MASK = 'gt_instances', 'gt_loc_mask'


def fail(place: str, message: str) -> None:
    """Report a broken line."""
    raise ValueError(f'{place}: {message}')


def metadata_samples(
    args: argparse.Namespace, num_classes: Optional[int]
) -> Iterator[Sample]:
    """Ground truth of each image of a metadata folder."""
    paths = {
        name: os.path.join(args.metadata, f'{name}.txt')
        for name in ('class_labels', 'image_sizes', 'localization')
    }
    labels = read_labels(paths['class_labels'], fail)
    objects = read_localization(paths['localization'], fail)
    sizes = read_sizes(paths['image_sizes'], fail) if objects.boxes else {}
    for _, name in read_ids(os.path.join(args.metadata, args.ids_file)):
        if name not in labels:
            fail(paths['class_labels'], f'no line of {name}')
        place, label = labels[name]
        if num_classes is not None and label >= num_classes:
            fail(place, f'label {label} is not in 0..{num_classes - 1}')
        sample: Sample = {
            'img_id': without_suffix(name),
            'gt_label': torch.tensor([label]),
        }
        if name in objects.boxes:
            if name not in sizes:
                fail(paths['image_sizes'], f'no line of {name}')
            for place, box in objects.boxes[name]:
                with naming(place):
                    inside = not args.keep_outside_boxes
                    check_boxes(np.array(box), sizes[name], inside)
            boxes = torch.tensor([box for _, box in objects.boxes[name]])
            sample.update({'ori_shape': sizes[name], BOX: {'bboxes': boxes}})
        elif name in objects.masks:
            side = args.size or 224
            masks = mask_paths(objects.masks[name], args.masks)
            mask = object_mask(masks, (side, side)).astype(np.int64)
            sample[MASK] = {'data': torch.from_numpy(mask)[None]}
        else:
            fail(paths['localization'], f'no line of {name}')
        yield sample


def dataset_with_truth(args: argparse.Namespace) -> Any:
    """The data set of a config with boxes and masks, as far as it has any."""
    source = (args.config, args.split, args.cfg_options)
    truth = config_dataset(*source, ())[0]['eval_ann']
    masks = {'object_masks', 'seg_map', 'segmentations'} & set(truth)
    has_mask = masks or os.path.isfile(truth.get('seg_map_path', ''))
    kinds = [BOX] * ('boxes' in truth) + [MASK] * bool(has_mask)
    if not kinds:
        raise ValueError(f'{args.config}: the data set has no boxes or masks')
    loading = dict(
        type='LoadEvalAnnotations',
        with_seg_map=False,
        with_instances=BOX in kinds,
        with_loc_mask=MASK in kinds,
        loc_mask_size=args.size or 224,
    )
    packing = dict(type='PackWSLInputs', eval_keys=tuple(kinds))
    return config_dataset(*source, [loading, packing])


def map_files(folder: str) -> Dict[str, str]:
    """The .npy file of each image id."""
    files: Dict[str, str] = {}
    for img_id, path in find_map_files(folder).items():
        name = without_suffix(img_id)
        if name in files:
            raise ValueError(f'{path}: {files[name]} is of the same image')
        files[name] = path
    return files


def class_names(args: argparse.Namespace) -> Optional[List[str]]:
    """Class names of a metadata folder, if it has any."""
    path = os.path.join(args.metadata, 'class_names.txt')
    if not os.path.isfile(path):
        return None
    return read_names(path, 'list of class names', gaps=False)


def truth(args: argparse.Namespace) -> Tuple[Iterator[Sample], Any]:
    """Ground truth of each image, and names of classes, if there are any."""
    if args.config:
        dataset = dataset_with_truth(args)
        samples = (entry['data_samples'].to_dict() for entry in dataset)
        return samples, dataset.metainfo['classes']
    classes = class_names(args)
    number = len(classes) if classes else None
    if args.scores and not classes:
        number = read_class_scores(args.scores).scores.shape[1]
    return metadata_samples(args, number), classes


def evaluate(args: argparse.Namespace) -> Dict[str, float]:
    """Score as the command line says."""
    files = map_files(args.maps)
    samples, classes = truth(args)
    size = args.size or None
    metrics: Dict[str, Any] = {
        BOX: MaxBoxAccMetric(
            size=size,
            scores_file=args.scores,
            outside_boxes='keep' if args.keep_outside_boxes else 'error',
        ),
        MASK: PxAPMetric(size=size, average=args.average),
    }
    number, missing = 0, []
    for sample in with_progress(samples, len(files)):
        number += 1
        if sample['img_id'] not in files:
            missing.append(sample['img_id'])
            continue
        path = files[sample['img_id']]
        plane = np.ascontiguousarray(read_score_map(path))
        with naming(path):
            sample['pred_score_map'] = {'data': torch.from_numpy(plane)[None]}
            for key in metrics.keys() & sample.keys():
                metrics[key].dataset_meta = {'classes': classes}
                metrics[key].process(None, [sample])
    if missing:
        raise ValueError(
            f'{args.maps}: no map of {len(missing)} of {number} images, the '
            f'first is {missing[0]}'
        )
    if len(files) > number:
        print(f'{len(files) - number} maps have no ground truth: left out')
    if not number:
        source = args.config or os.path.join(args.metadata, args.ids_file)
        raise ValueError(f'{source}: names no image')
    found: Dict[str, float] = {}
    for metric in metrics.values():
        if metric.results:
            found.update(metric.evaluate(number))
    return found


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Print the metrics and, with --out, write them."""
    parser = ToolParser(__doc__)
    parser.add_argument(
        'maps',
        help='folder of <image id>.npy, (H, W) in [0, 1]: the map of the '
        "image's class; an image suffix before .npy does no harm",
    )
    add_truth_options(
        parser,
        '--metadata',
        'folder of image_ids.txt, class_labels.txt, image_sizes.txt, '
        'localization.txt',
    )
    parser.add_argument('--masks', default='', help='folder of the masks')
    parser.add_argument('--ids-file', default='image_ids.txt')
    parser.add_argument(
        '--keep-outside-boxes',
        action='store_true',
        help='take boxes over the border of the image as they are',
    )
    parser.add_argument(
        '--scores',
        help='class scores of a classifier, for Top-1 and Top-5 Loc: .csv '
        'with an image and C scores a line, or .npz with ids and scores',
    )
    parser.add_argument(
        '--size',
        type=int,
        default=224,
        help='size of the maps; others are resized and min-max scaled, 0 '
        'takes all as they are',
    )
    parser.add_argument(
        '--average',
        default='image',
        choices=['image', 'dataset'],
        help='how pIoU is averaged',
    )
    return run_scoring(evaluate, parser, argv)


if __name__ == '__main__':
    raise SystemExit(main())
