"""Score the regions that adversarial erasing has mined.

``python tools/analysis_tools/eval_regions.py WORK_DIR/regions MASKS
--classes names.txt`` prints, for each step alone and for the union of the
steps so far, which share of the pixels of a class its regions cover (recall)
and which share of the regions' pixels is of the class (precision), both as
means over the classes.
"""

import argparse
import csv
import os
from typing import Dict, List, Tuple

from mmwsl.apis import ToolParser, with_progress
from mmwsl.apis.scoring import scoring_command
from mmwsl.evaluation.files import find_map_files, read_class_names
from mmwsl.evaluation.functional.seeds import (
    check_shown,
    region_counts,
    region_scores,
)
from mmwsl.pseudo_labels.regions import (
    merge_steps,
    read_regions,
    region_file,
    step_folder,
)
from mmwsl.utils.files import naming
from mmwsl.utils.images import read_index_mask
from mmwsl.utils.tables import format_table, percent

import numpy as np

parser = ToolParser(__doc__)
text = '"regions" in the work folder of a finished run'
parser.add_argument('regions', help=text)
parser.add_argument('masks', help='folder of <image id>.png')
parser.option(
    '--classes',
    None,
    'names of the foreground classes: a text file, or a,b,c, or voc',
    required=True,
)
text = 'text file of the image ids to score; by default all'
parser.option('--list', None, text)


def read_steps(root: str) -> List[Tuple[float, bool]]:
    """Return the converged loss of each step and whether it is merged."""
    path = os.path.join(root, 'steps.csv')
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'{path}: does not exist; a run of adversarial erasing writes it '
            'at its end'
        )
    with naming(path), open(path, encoding='utf-8', newline='') as file:
        steps = [
            (float(row['converged_loss']), row['merged'] == '1')
            for row in csv.DictReader(file, strict=True)
        ]
    if not steps or not steps[0][1]:
        raise ValueError(f'{path}: says of no step that it is merged')
    return steps


def count(
    args: argparse.Namespace, steps: int, num_classes: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Sum up all images: (steps, 3, C) for each step, and for unions."""
    single = np.zeros((steps, 3, num_classes), np.int64)
    union = np.zeros_like(single)
    files = find_map_files(step_folder(args.regions, 1), args.list)
    for img_id in with_progress(files):
        mask = read_index_mask(os.path.join(args.masks, f'{img_id}.png'))
        for step in range(1, steps + 1):
            path = region_file(step_folder(args.regions, step), img_id)
            own = read_regions(path)
            merged = merge_steps(args.regions, step, img_id)
            with naming(path):
                single[step - 1] += region_counts(*own, mask, num_classes)
                union[step - 1] += region_counts(*merged, mask, num_classes)
    return single, union


@scoring_command(parser)
def main(args: argparse.Namespace) -> Dict[str, float]:
    """Print the table and return the metrics in percent."""
    classes = read_class_names(args.classes)
    losses = read_steps(args.regions)
    steps = sum(merged for _, merged in losses)
    single, union = count(args, steps, len(classes))
    check_shown(single[:, 2], args.masks)
    rows, metrics = [], {}
    for number, (loss, merged) in enumerate(losses):
        row = [str(number + 1), f'{loss:.4f}']
        metrics[f'loss_step_{number + 1}'] = round(loss, 4)
        if merged:
            own = region_scores(single[number])
            both = region_scores(union[number])
            row += [own['recall'], own['precision']]
            row += [both['recall'], both['precision']]
            metrics[f'recall_step_{number + 1}'] = percent(own['recall'])
        else:
            row += ['left out', '-', '-', '-']
        rows.append(row)
    header = ['step', 'loss', 'recall', 'precision', 'recall of union']
    print(format_table([*header, 'precision of union'], rows))
    metrics['recall_union'] = percent(both['recall'])
    metrics['precision_union'] = percent(both['precision'])
    gain = metrics['recall_union'] - metrics['recall_step_1']
    metrics['recall_gain'] = round(gain, 2)
    return metrics


if __name__ == '__main__':
    raise SystemExit(main())
