"""Make boxes from proposals and class maps, to choose models by.

::

    make_pseudo_boxes.py CONFIG CHECKPOINT boxes.json --proposals DIR

writes the box of each entry of the validation set: of the proposals that hold
the peak of the class map, the one that parts the map best. Boxes and masks of
the data set are not read. ``MaxBoxAccMetric(boxes_file=...)`` takes the file.
"""

import argparse
import os

from mmwsl.apis import ToolParser, dataset_config, init_model, load_config
from mmwsl.apis.inference import (
    insert_proposals,
    predict_entries,
    prediction_pipeline,
)
from mmwsl.datasets.transforms import LoadProposals
from mmwsl.proposals.pseudo_boxes import pseudo_box, write_boxes
from mmwsl.registry import DATASETS

import numpy as np

parser = ToolParser(__doc__)
parser.add_argument('config', help='config of a classifier with maps')
parser.add_argument('checkpoint', help='checkpoint file')
parser.add_argument('out', help='file to write, .json')
parser.option(
    '--proposals',
    None,
    'folder of <image id>.npz, from make_proposals.py, or one .json list of '
    'all images; without it they are made now',
)
parser.split('val', 'whose boxes to make')
parser.option('--device', 'cpu')
parser.cfg_options()


@parser.command
def main(args: argparse.Namespace) -> None:
    """Make the boxes."""
    cfg = load_config(args.config, args.cfg_options)
    settings = dataset_config(cfg, args.split)
    pipeline = prediction_pipeline(cfg)
    if not args.proposals:
        insert_proposals(pipeline)
    dataset = DATASETS.build({**settings, 'pipeline': pipeline})
    model = init_model(cfg, args.checkpoint, args.device)
    load = LoadProposals(args.proposals) if args.proposals else None
    boxes = {}
    for sample in predict_entries(model, dataset, range(len(dataset))):
        if len(sample.gt_label) != 1 or 'pred_score_map' not in sample:
            raise ValueError(
                f'{sample.img_id}: pseudo boxes need entries of one class, as '
                'SingleLabelEntries makes them, and head.score_map_size'
            )
        if load is None:
            proposals = sample.proposals
        else:
            # Entries of one class are called a/cat, their image a.
            name = sample.img_id
            if not os.path.isfile(os.path.join(args.proposals, f'{name}.npz')):
                name = name.rpartition('/')[0] or name
            found = dict(img_id=name, ori_shape=sample.ori_shape)
            proposals = load(found)['proposals']
        plane = np.asarray(sample.pred_score_map.data[0])
        boxes[sample.img_id] = pseudo_box(proposals, plane)
    write_boxes(args.out, boxes)
    print(f'{args.out}: {len(boxes)} boxes')


if __name__ == '__main__':
    raise SystemExit(main())
