"""Score saliency maps by other ones, or by masks.

::

    eval_saliency.py MAPS OTHER_MAPS
    eval_saliency.py MAPS MASKS --masks

Everything is ``<image id>.png``. The mean absolute error is that to the other
maps; for the F-measure (beta^2 = 0.3) and the IoU what is at least half as
bright as possible is salient there. With ``--masks`` it is what carries a
class in class masks, and pixels of 255 are left out.
"""

import argparse
import os
from typing import Dict, Tuple

from mmwsl.apis import ToolParser, with_progress
from mmwsl.apis.scoring import scoring_command
from mmwsl.evaluation.files import find_map_files
from mmwsl.evaluation.functional.pixel_pr import (
    pixel_histograms,
    saliency_scores,
)
from mmwsl.saliency import read_saliency
from mmwsl.utils.arrays import check_same_size
from mmwsl.utils.images import read_index_mask
from mmwsl.utils.tables import percent

import numpy as np

THRESHOLDS = np.arange(256) / 255

parser = ToolParser(__doc__)
parser.add_argument('maps', help='folder of saliency maps')
parser.add_argument('truth', help='folder of saliency maps or of masks')
parser.option('--masks', False, 'TRUTH holds class masks')
parser.option('--list', None, 'text file of the image ids to score')


def score_image(path: str, truth: str, masks: bool) -> Tuple[float, ...]:
    """Compare one map.

    Returns:
        tuple: Mean absolute error and histograms.
    """
    saliency = read_saliency(path)
    if masks:
        labels = read_index_mask(truth)
        wanted = (labels > 0).astype(np.float32)
        objects = np.where(labels == 255, 255, wanted).astype(np.uint8)
    else:
        wanted = read_saliency(truth)
        objects = (wanted >= 0.5).astype(np.uint8)
    what = f'{path}: saliency map is'
    check_same_size(what, saliency.shape, f'{truth} is', objects.shape)
    known = objects != 255
    error = float(np.abs(saliency - wanted)[known].mean())
    return error, pixel_histograms(saliency, objects, THRESHOLDS)


@scoring_command(parser)
def main(args: argparse.Namespace) -> Dict[str, float]:
    """Score as the command line says."""
    errors, histograms = [], []
    if not os.path.isdir(args.truth):
        raise FileNotFoundError(f'{args.truth}: folder does not exist')
    ids = list(find_map_files(args.maps, args.list))
    for img_id in with_progress(ids):
        path, truth = (
            os.path.join(folder, f'{img_id}.png')
            for folder in (args.maps, args.truth)
        )
        error, histogram = score_image(path, truth, args.masks)
        errors.append(error)
        histograms.append(histogram)
    scores = saliency_scores(np.stack(histograms), THRESHOLDS)
    kind = 'masks' if args.masks else 'saliency maps'
    print(
        f'images: {len(ids)}, {args.list or "all in " + args.maps}; '
        f'{kind}: {args.truth}'
    )
    return dict(
        MAE=percent(float(np.nanmean(errors))),
        maxF=percent(scores['maxF']),
        F_threshold=round(scores['F_threshold'], 3),
        IoU=percent(scores['IoU']),
        IoU_threshold=round(scores['IoU_threshold'], 3),
    )


if __name__ == '__main__':
    raise SystemExit(main())
