"""Score localisation maps of another program.

``python tools/analysis_tools/eval_maps.py MAPS --metadata FOLDER`` or ``...
MAPS --config CONFIG`` prints what MaxBoxAccMetric and PxAPMetric print.
"""

import argparse
import os
from typing import Any, Dict, Iterator, Tuple

from mmwsl.apis import ToolParser, with_progress
from mmwsl.apis.scoring import (
    add_truth_options,
    config_dataset,
    load_truth,
    scoring_command,
)
from mmwsl.datasets import WSOLDataset
from mmwsl.datasets.transforms.eval_annotations import object_mask
from mmwsl.evaluation import MaxBoxAccMetric, PxAPMetric
from mmwsl.evaluation.files import (
    find_map_files,
    read_class_scores,
    read_score_map,
    without_suffix,
)
from mmwsl.utils.files import naming

Sample = Dict[str, Any]
BOX, MASK = 'gt_instances', 'gt_loc_mask'

parser = ToolParser(__doc__)
parser.add_argument(
    'maps',
    help="folder of <image id>.npy, (H, W) in [0, 1]: the map of the image's "
    'class; an image suffix before .npy does no harm',
)
add_truth_options(
    parser,
    '--metadata',
    'folder of image_ids.txt, class_labels.txt, image_sizes.txt, '
    'localization.txt',
)
parser.option('--masks', '', 'folder of the masks')
parser.option('--ids-file', 'image_ids.txt')
text = 'take boxes over the border of the image as they are'
parser.option('--keep-outside-boxes', False, text)
parser.option(
    '--scores',
    None,
    'class scores of a classifier, for Top-1 and Top-5 Loc: .csv with an '
    'image and C scores a line, or .npz with ids and scores',
)
parser.option(
    '--size',
    224,
    'size of the maps; others are resized and min-max scaled, 0 takes all as '
    'they are',
)
choices = ['image', 'dataset']
parser.option('--average', 'image', 'how pIoU is averaged', choices=choices)


def metadata_samples(args: argparse.Namespace, data: Any) -> Iterator[Sample]:
    """Ground truth of each image of a metadata folder."""
    side = args.size or 224
    for index in range(len(data)):
        info = data.get_data_info(index)
        truth = info['eval_ann']
        sample = {'img_id': info['img_id'], 'gt_label': info['gt_label']}
        if 'object_masks' in truth:
            sample[MASK] = {'data': object_mask(truth, (side, side))}
        elif 'size' in truth:
            sample['ori_shape'] = truth['size']
            sample[BOX] = {'bboxes': truth['boxes']}
        else:
            file = 'image_sizes' if truth else 'localization'
            path = os.path.join(args.metadata, f'{file}.txt')
            raise FileNotFoundError(f'{path}: does not exist')
        yield sample


def dataset_with_truth(args: argparse.Namespace) -> Any:
    """The data set of a config with boxes and masks, as far as it has any."""
    dataset = config_dataset(args.config, args.split, args.cfg_options, ())
    truth = dataset[0]['eval_ann']
    masks = {'object_masks', 'seg_map', 'segmentations'} & set(truth)
    has_mask = masks or os.path.isfile(truth.get('seg_map_path', ''))
    kinds = [BOX] * ('boxes' in truth) + [MASK] * bool(has_mask)
    if not kinds:
        raise ValueError(f'{args.config}: the data set has no boxes or masks')
    load_truth(dataset, kinds, loc_mask_size=args.size or 224)
    return dataset


def map_files(folder: str) -> Dict[str, str]:
    """The .npy file of each image id."""
    files: Dict[str, str] = {}
    for img_id, path in find_map_files(folder).items():
        name = without_suffix(img_id)
        if name in files:
            raise ValueError(f'{path}: {files[name]} is of the same image')
        files[name] = path
    return files


def truth(args: argparse.Namespace) -> Tuple[Iterator[Sample], Any]:
    """Ground truth of each image, and names of classes, if there are any."""
    if args.config:
        dataset = dataset_with_truth(args)
        samples = (entry['data_samples'].to_dict() for entry in dataset)
        return samples, dataset.metainfo['classes']
    named = os.path.isfile(os.path.join(args.metadata, 'class_names.txt'))
    number = None
    if args.scores and not named:
        number = read_class_scores(args.scores).scores.shape[1]
    data = WSOLDataset(
        args.metadata,
        num_classes=number,
        ids_file=args.ids_file,
        outside_boxes='keep' if args.keep_outside_boxes else 'error',
        need_images=False,
        data_prefix=dict(mask_path=args.masks),
        test_mode=True,
        pipeline=[],
    )
    return metadata_samples(args, data), data.classes if named else None


@scoring_command(parser)
def main(args: argparse.Namespace) -> Dict[str, float]:
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
        sample['pred_score_map'] = {'data': read_score_map(path)}
        with naming(path):
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


if __name__ == '__main__':
    raise SystemExit(main())
