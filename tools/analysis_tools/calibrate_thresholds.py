"""Pick the thresholds of classes and peaks on a handful of images.

``python tools/analysis_tools/calibrate_thresholds.py CONFIG CHECKPOINT``
prints the ``--cfg-options`` that use them.

The class threshold is the one with the highest F1 over all pairs of image and
class, or with ``--per-class`` over the images of each class; ``--curve`` draws
what it was chosen from. Heads that choose peaks get their thresholds as well,
such that the numbers of peaks of present classes fit the numbers of objects:
they minimise the mean of (peaks - count)^2 / (count + 1), LC's relative error.
Only image labels and counts are used, of the training set unless another is
named.

``--background`` also chooses the background score of label maps, for which
the mean IoU over images and their classes is highest: of regions and masks, or
of the box of the largest part and boxes. Without either, boxes of proposals
that the class maps choose (``make_pseudo_boxes.py``) stand for true ones.
"""

import argparse
from itertools import islice
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from mmwsl.apis import ToolParser, dataset_config, init_model, load_config
from mmwsl.apis.inference import (
    innermost,
    insert_proposals,
    is_segmentor,
    predict_entries,
    prediction_pipeline,
)
from mmwsl.evaluation import SeedIoUMetric
from mmwsl.evaluation.functional.boxes import best_ious, sweep_boxes
from mmwsl.evaluation.functional.classification import count_by_score
from mmwsl.evaluation.functional.threshold_search import (
    PeakThresholds,
    PeakValues,
    best_score_threshold,
    fit_peak_thresholds,
    value_candidates,
)
from mmwsl.models.heads import PRMHead
from mmwsl.proposals.pseudo_boxes import pseudo_box
from mmwsl.registry import DATASETS
from mmwsl.utils.prediction import type_name
from mmwsl.utils.tables import format_columns

import numpy as np
from mmengine.config import Config

TRUTHS = ('masks', 'boxes', 'proposals')
RATIOS = tuple(x / 20 for x in range(20))
# Images that must show a class before it gets a threshold of its own.
LEAST = 5

parser = ToolParser(__doc__)
parser.add_argument('config', help='config of a model of stage 1')
parser.add_argument('checkpoint', help='checkpoint file')
parser.option('--num-images', 20, 'how many to look at, at random')
parser.option(
    '--per-class',
    False,
    'choose a threshold for each class, which takes more images',
)
parser.option(
    '--background',
    None,
    'also choose the background score of label maps, by masks or boxes of the '
    'data set, or by boxes of proposals',
    choices=TRUTHS,
)
parser.option(
    '--curve',
    None,
    'picture of precision and recall with what was chosen; needs matplotlib',
    metavar='FILE',
)
text = 'where the images are from; they are prepared as in testing'
parser.split('train', text)
parser.option('--seed', 0, 'of the choice')
parser.option('--device', 'cpu')
parser.cfg_options()


class Predictions(NamedTuple):
    """What is known of n images."""

    scores: np.ndarray  # (n, C) probabilities
    present: np.ndarray  # bool (n, C)
    ignore: np.ndarray  # bool (n, C) classes of difficult objects only
    maps: List[Dict[int, PeakValues]]  # of each image, its present classes
    # Of each image, for its present classes: IoU (T,) at each background.
    ious: Sequence[Dict[int, np.ndarray]] = ()


def build_dataset(cfg: Config, args: argparse.Namespace) -> Any:
    """The images of the split, prepared as in testing, without masks."""
    truth = args.background
    needed = dict(masks='gt_sem_seg', boxes='gt_instances').get(truth)
    load = dict(
        type='mmwsl.LoadEvalAnnotations',
        with_seg_map=truth == 'masks',
        with_instances=truth == 'boxes',
    )
    pipeline: List[Dict[str, Any]] = []
    for step in prediction_pipeline(cfg):
        if needed and type_name(step) == 'PackWSLInputs':
            pipeline += [load, {**step, 'eval_keys': (needed,)}]
        # Peaks need no proposals.
        elif type_name(step) != 'LoadProposals':
            pipeline.append(step)
    if truth == 'proposals':
        insert_proposals(pipeline)
    source = innermost(dataset_config(cfg, args.split))
    if needed:
        source = {**source, 'test_mode': True}
    return DATASETS.build({**source, 'pipeline': pipeline})


def choose_images(dataset: Any, number: int, seed: int) -> List[int]:
    """Random images that show something."""
    order = np.random.default_rng(seed).permutation(len(dataset)).tolist()
    shown = (index for index in order if len(dataset.get_cat_ids(index)))
    chosen = [*islice(shown, number)]
    if not chosen:
        raise ValueError('the data set has no image with a label')
    return sorted(chosen)


def prepare_head(head: Any) -> None:
    """Let a head make maps, and choose all peaks, of the given classes."""
    head.keep = 'given'
    if not isinstance(head, PRMHead):
        return
    head.instances = False
    head.peaks_by_count = False
    choice = head.peaks
    choice.classes, choice.min_value, choice.min_ratio = 'given', None, 0.0
    choice.per_class = choice.per_image = None


def tried_backgrounds(head: Any) -> Tuple[np.ndarray, np.ndarray]:
    """Backgrounds (T,) to try, and the constants that act like them."""
    swept = SeedIoUMetric(background=head.background).swept
    if not swept:
        raise ValueError("background='saliency' has no value to choose")
    return swept.get('alpha', swept['threshold']), swept['threshold']


def predict(
    model: Any,
    dataset: Any,
    indices: Sequence[int],
    truth: Optional[str] = None,
    levels: Sequence[float] = (),
) -> Predictions:
    """Scores and peaks of some images, and IoUs if there is a ``truth``."""
    rows, maps, ious = [], [], []
    for sample in predict_entries(model, dataset, indices):
        hidden = np.zeros(len(sample.gt_score), dtype=bool)
        if 'gt_label_difficult' in sample:
            hidden[sample.gt_label_difficult.numpy()] = True
        present = sample.gt_score.numpy() > 0
        rows.append((sample.pred_score.numpy(), present, hidden))
        maps.append(_peaks(sample))
        ious.append(_ious(sample, truth, levels) if truth else {})
    return Predictions(*map(np.stack, zip(*rows)), maps, ious)


def _peaks(sample: Any) -> Dict[int, PeakValues]:
    """The peaks of each class with objects; none if counts are unknown."""
    if 'gt_count' not in sample or 'pred_peaks' not in sample:
        return {}
    peaks = sample.pred_peaks
    return {
        int(c): PeakValues(
            peaks.scores[peaks.labels == c].double().numpy(),
            int(sample.gt_count[c]),
        )
        for c in sample.gt_count.nonzero().flatten()
    }


def _ious(
    sample: Any, truth: str, levels: Sequence[float]
) -> Dict[int, np.ndarray]:
    """IoU (T,) of each shown class at each background score."""
    maps = sample.pred_maps.data.numpy()
    # A pixel is of the class with the highest map alone.
    planes = np.where(maps == maps.max(axis=0, initial=0), maps, 0)
    found = {}
    for label, full, plane in zip(
        sample.pred_map_labels.tolist(), maps, planes
    ):
        if not sample.gt_score[label]:
            continue
        if truth == 'masks':
            mask = sample.gt_sem_seg.data[0].numpy()
            own, plane = mask == label + 1, np.where(mask == 255, 0, plane)
            if own.any():
                parts = (plane > level for level in levels)
                ious = [(x & own).sum() / (x | own).sum() for x in parts]
                found[label] = np.array(ious)
            continue
        if truth == 'proposals':
            boxes = pseudo_box(sample.proposals, full)[None]
        else:
            instances = sample.gt_instances
            boxes = instances.bboxes[instances.labels == label].numpy()
        if len(boxes):
            # Relative to the highest value.
            cuts = np.asarray(levels) / max(plane.max(), 1e-6)
            sweep = sweep_boxes(plane, cuts)
            found[label] = best_ious(sweep, boxes.astype(np.int64))[0]
    return found


def choose_backgrounds(
    found: Predictions, values: Sequence[float]
) -> Tuple[float, float, np.ndarray]:
    """Return the best of T values, its mean IoU, and those (C,) of classes.

    Where too few images show a class it is that of all.
    """
    pairs = [pair for row in found.ious for pair in row.items()]
    if not pairs:
        raise ValueError('no image has a mask or a box of a class it shows')
    labels, ious = np.array([c for c, _ in pairs]), [x for _, x in pairs]
    means = np.mean(ious, axis=0)
    chosen = np.full(found.scores.shape[1], values[means.argmax()])
    for c in range(len(chosen)):
        own = np.compress(labels == c, ious, axis=0)
        if len(own) >= LEAST:
            chosen[c] = values[own.mean(axis=0).argmax()]
    return float(values[means.argmax()]), float(means.max()), chosen


def class_thresholds(found: Predictions, common: float) -> np.ndarray:
    """Return the threshold (C,) of each class that enough images show.

    The others have the ``common`` one.
    """
    chosen = np.full(found.scores.shape[1], common)
    number = (found.present & ~found.ignore).sum(axis=0)
    for c in np.flatnonzero(number >= LEAST):
        columns = (x[:, c] for x in found[:3])
        chosen[c] = best_score_threshold(*columns)[0]
    return chosen


def f1_score(found: Predictions, thresholds: Any) -> float:
    """Return the F1 of all decisions together."""
    seen = (found.scores > thresholds) & ~found.ignore
    present = found.present & ~found.ignore
    return float(2 * (seen & present).sum() / (seen.sum() + present.sum()))


def draw_curves(
    found: Predictions, thresholds: np.ndarray, title: str, path: str
) -> None:
    """Draw precision and recall, with thresholds () of all or (C,)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5))
    axes = figure.add_subplot(
        xlabel='recall', ylabel='precision', title=title, ylim=(0, 1.02)
    )
    arrays = [found.scores, found.present, ~found.ignore]
    if thresholds.ndim == 0:
        arrays = [x.reshape(-1, 1) for x in arrays]
    columns = zip(*(x.T for x in arrays), np.atleast_1d(thresholds))
    for scores, present, kept, limit in columns:
        positive = present[kept]
        if not positive.any():
            continue
        values, hits, shown = count_by_score(scores[kept], positive)
        recall, precision = hits / positive.sum(), hits / shown
        (line,) = axes.plot(recall, precision, linewidth=1)
        # The last score above the threshold.
        place = int((values > limit).sum()) - 1
        if place >= 0:
            axes.plot(recall[place], precision[place], 'o', c=line.get_color())
    figure.savefig(path, bbox_inches='tight')


def fit(found: Predictions, threshold: Any) -> Dict[str, PeakThresholds]:
    """Thresholds of peaks of the present classes that are predicted.

    That of class scores is one or one for each class (C,). Returns one kind
    alone, and 'all'; nothing without counts.
    """
    predicted = found.scores > threshold
    pairs = [
        (values, row[c])
        for row, maps in zip(predicted, found.maps)
        for c, values in maps.items()
    ]
    # A class that is not predicted has no peaks whatever the threshold.
    maps = [x for x, seen in pairs if seen] or [x for x, _ in pairs]
    maps = [x for x in maps if len(x.values)]
    if not maps:
        return {}
    values = value_candidates(maps)
    limits = [None, *range(1, max(x.objects for x in maps) + 1)]
    return {
        'none': fit_peak_thresholds(maps, [None], [0.0]),
        'absolute': fit_peak_thresholds(maps, values, [0.0]),
        'relative': fit_peak_thresholds(maps, [None], RATIOS),
        'top-k': fit_peak_thresholds(maps, [None], [0.0], limits),
        'all': fit_peak_thresholds(maps, values, RATIOS, limits),
    }


def report(
    found: Predictions,
    split: str,
    classes: Sequence[str] = (),
    curve: Optional[str] = None,
    values: Sequence[float] = (),
) -> None:
    """Print the thresholds and the options that use them.

    Classes that are named get one each; the IoU is that of background values.
    """
    threshold, f1 = best_score_threshold(
        found.scores, found.present, found.ignore
    )
    objects = sum(x.objects for maps in found.maps for x in maps.values())
    source = f'{len(found.scores)} images of the {split} set'
    print(
        f'used {source} with '
        f'{int(found.present.sum())} labels and {objects} counted objects'
    )
    print(f'class threshold {threshold:.4g}: F1 {100 * f1:.2f} %')
    chosen = np.array(threshold)
    text = f'{threshold:.4g}'
    if classes:
        chosen = class_thresholds(found, threshold)
        shown = found.present.sum(axis=0).tolist()
        numbers = [f'{x:.4g}' for x in chosen]
        table = {'class': classes, 'images': shown, 'threshold': numbers}
        print(format_columns(table))
        print(
            f'a threshold for each class: F1 '
            f'{100 * f1_score(found, chosen):.2f} %; classes in fewer than '
            f'{LEAST} images have that of all'
        )
        text = _listed(chosen)
    if curve:
        draw_curves(found, chosen, f'chosen on {source}', curve)
    options = [f'model.head.score_threshold={text}']
    if len(values):
        common, iou, backgrounds = choose_backgrounds(found, values)
        print(f'background {common:.4g}: mean IoU {100 * iou:.2f} %')
        text = _listed(backgrounds) if classes else f'{common:.4g}'
        options.append(f'model.head.background_value={text}')
    results = fit(found, chosen)
    if results:
        kinds = list(results.values())
        table = {
            'peak thresholds': list(results),
            'min_value': [_text(x.min_value, '.4g') for x in kinds],
            'min_ratio': [_text(x.min_ratio, '.2f') for x in kinds],
            'per_class': [_text(x.per_class, 'd') for x in kinds],
            'error': [_text(x.error, '.3f') for x in kinds],
        }
        print(format_columns(table))
        options += [
            f'model.head.peaks.{key}={table[key][-1]}'
            for key in ('min_value', 'min_ratio', 'per_class')
            if table[key][-1] != '-'
        ]
    else:
        print('without peaks and counts there is nothing to fit peaks to')
    print('--cfg-options ' + ' '.join(options))


def _listed(values: np.ndarray) -> str:
    return f'"[{",".join(f"{x:.4g}" for x in values)}]"'


def _text(value: Optional[float], form: str) -> str:
    return '-' if value is None else format(value, form)


@parser.command
def main(args: argparse.Namespace) -> None:
    """Pick the thresholds and print them."""
    if args.num_images < 1:
        raise ValueError(f'--num-images must be > 0: {args.num_images}')
    cfg = load_config(args.config, args.cfg_options)
    dataset = build_dataset(cfg, args)
    model = init_model(cfg, args.checkpoint, args.device)
    if is_segmentor(model):
        raise ValueError(f'{args.config}: a segmentor has no thresholds')
    prepare_head(model.head)
    values = levels = np.zeros(0)
    if args.background:
        values, levels = tried_backgrounds(model.head)
    indices = choose_images(dataset, args.num_images, args.seed)
    found = predict(model, dataset, indices, args.background, levels)
    names = dataset.metainfo['classes'] if args.per_class else ()
    report(found, args.split, names, args.curve, values)


if __name__ == '__main__':
    raise SystemExit(main())
