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
"""

import argparse
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from mmwsl.apis import (
    ToolParser,
    add_cfg_options,
    dataset_config,
    friendly_errors,
    init_model,
    load_config,
    with_progress,
)
from mmwsl.evaluation.functional.classification import count_by_score
from mmwsl.evaluation.functional.threshold_search import (
    PeakThresholds,
    PeakValues,
    best_score_threshold,
    fit_peak_thresholds,
    value_candidates,
)
from mmwsl.models.heads import PRMHead
from mmwsl.registry import DATASETS
from mmwsl.utils.tables import format_columns

import numpy as np
import torch
from mmengine.config import Config

RATIOS = tuple(x / 20 for x in range(20))
# Images that must show a class before it gets a threshold of its own.
LEAST = 5
# What instances need and peaks do not.
_UNUSED = ('LoadEvalAnnotations', 'LoadProposals')


class Predictions(NamedTuple):
    """What is known of n images."""

    scores: np.ndarray  # (n, C) probabilities
    present: np.ndarray  # bool (n, C)
    ignore: np.ndarray  # bool (n, C) classes of difficult objects only
    maps: List[Dict[int, PeakValues]]  # of each image, its present classes


def build_dataset(cfg: Config, args: argparse.Namespace) -> Any:
    """The images of the split, prepared as in testing, without masks."""
    source, test = (
        _innermost(dataset_config(cfg, x)) for x in (args.split, 'test')
    )
    pipeline = []
    for transform in test['pipeline']:
        name = transform['type'].split('.')[-1]
        if name == 'PackWSLInputs':
            transform = {**transform, 'eval_keys': ()}
        if name not in _UNUSED:
            pipeline.append(transform)
    return DATASETS.build({**source, 'pipeline': pipeline})


def _innermost(dataset: Dict[str, Any]) -> Dict[str, Any]:
    while 'pipeline' not in dataset and 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


def choose_images(dataset: Any, number: int, seed: int) -> List[int]:
    """Random images that show something."""
    order = np.random.default_rng(seed).permutation(len(dataset))
    chosen: List[int] = []
    for index in order:
        if len(chosen) < number and len(dataset.get_cat_ids(int(index))):
            chosen.append(int(index))
    if not chosen:
        raise ValueError('the data set has no image with a label')
    return sorted(chosen)


def prepare_head(head: Any) -> None:
    """Let a head that chooses peaks choose all of the given classes."""
    if not isinstance(head, PRMHead):
        return
    head.instances = False
    head.peaks_by_count = False
    choice = head.peaks
    choice.classes, choice.min_value, choice.min_ratio = 'given', None, 0.0
    choice.per_class = choice.per_image = None


def predict(model: Any, dataset: Any, indices: Sequence[int]) -> Predictions:
    """Scores and peaks of some images."""
    scores, present, ignore, maps = [], [], [], []
    with torch.no_grad():
        for index in with_progress(indices):
            data = {k: [v] for k, v in dataset[index].items()}
            sample = model.test_step(data)[0].cpu()
            scores.append(sample.pred_score.numpy())
            present.append(sample.gt_score.numpy() > 0)
            hidden = np.zeros(len(sample.gt_score), dtype=bool)
            if 'gt_label_difficult' in sample:
                hidden[sample.gt_label_difficult.numpy()] = True
            ignore.append(hidden)
            maps.append(_peaks(sample))
    arrays = (np.stack(x) for x in (scores, present, ignore))
    return Predictions(*arrays, maps)


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
    """Draw precision and recall, of all pairs and of each class.

    Args:
        found: What is known of the images.
        thresholds: The chosen one () or those of the classes (C,).
        title: Which data they are from.
        path: The picture to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(
        xlabel='recall', ylabel='precision', title=title, ylim=(0, 1.02)
    )
    kept, limits = (
        ~found.ignore,
        np.broadcast_to(thresholds, found.ignore.shape),
    )
    columns = [slice(None)] if thresholds.ndim == 0 else range(len(thresholds))
    for column in columns:
        used = kept[:, column]
        positive = found.present[:, column][used]
        if not positive.any():
            continue
        scores = found.scores[:, column][used]
        values, hits, shown = count_by_score(scores, positive)
        recall, precision = hits / positive.sum(), hits / shown
        (line,) = axes.plot(recall, precision, linewidth=1)
        # The last score above the threshold.
        place = int((values > limits[:, column][used][0]).sum()) - 1
        if place >= 0:
            axes.plot(recall[place], precision[place], 'o', c=line.get_color())
    figure.savefig(path, bbox_inches='tight')


def fit(found: Predictions, threshold: Any) -> Dict[str, PeakThresholds]:
    """Thresholds of peaks of the present classes that are predicted.

    Args:
        found: What is known of the images.
        threshold: Of class scores, one or one for each class (C,).

    Returns:
        One kind of threshold alone, and 'all'; nothing without counts.
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
) -> None:
    """Print the thresholds and the options that use them.

    Args:
        found: What is known of the images.
        split: The set that they are from.
        classes: Names of those that get a threshold each; none for one of
            all.
        curve: Picture of precision and recall to write.
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
        values = [f'{x:.4g}' for x in chosen]
        number = found.present.sum(axis=0).tolist()
        table = {'class': classes, 'images': number, 'threshold': values}
        print(format_columns(table))
        print(
            f'a threshold for each class: F1 '
            f'{100 * f1_score(found, chosen):.2f} %; classes in fewer than '
            f'{LEAST} images have that of all'
        )
        text = f'"[{",".join(values)}]"'
    if curve:
        draw_curves(found, chosen, f'chosen on {source}', curve)
    options = [f'model.head.score_threshold={text}']
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


def _text(value: Optional[float], form: str) -> str:
    return '-' if value is None else format(value, form)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Pick the thresholds and print them."""
    parser = ToolParser(__doc__)
    parser.add_argument('config', help='config of a model of stage 1')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--num-images',
        type=int,
        default=20,
        help='how many to look at, at random',
    )
    parser.add_argument(
        '--per-class',
        action='store_true',
        help='choose a threshold for each class, which takes more images',
    )
    parser.add_argument(
        '--curve',
        metavar='FILE',
        help='picture of precision and recall with what was chosen; needs '
        'matplotlib',
    )
    parser.add_argument(
        '--split',
        default='train',
        choices=['train', 'val', 'test'],
        help='where the images are from; they are prepared as in testing',
    )
    parser.add_argument('--seed', type=int, default=0, help='of the choice')
    parser.add_argument('--device', default='cpu')
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    with friendly_errors():
        if args.num_images < 1:
            raise ValueError(f'--num-images must be > 0: {args.num_images}')
        cfg = load_config(args.config, args.cfg_options)
        dataset = build_dataset(cfg, args)
        model = init_model(cfg, args.checkpoint, args.device)
        prepare_head(model.head)
        indices = choose_images(dataset, args.num_images, args.seed)
        found = predict(model, dataset, indices)
        names = dataset.metainfo['classes'] if args.per_class else ()
        report(found, args.split, names, args.curve)
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
