"""Draw what a model sees in images.

``python tools/image_demo.py IMAGE_OR_FOLDER CONFIG CHECKPOINT``
"""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, List, Sequence, Tuple, Union

from mmwsl.apis import ToolParser, WSLInferencer
from mmwsl.apis.command_line import add_export_options
from mmwsl.apis.errors import error_line
from mmwsl.apis.inference import (
    as_dict,
    is_segmentor,
    list_images,
    output_names,
)
from mmwsl.utils.tables import class_name

import numpy as np

parser = ToolParser(
    'Draw the class maps that a model makes of images, and the counts and '
    'instances that it predicts'
)
parser.add_argument('source', help='image, or folder of images')
parser.add_argument('config', help='config file')
parser.add_argument('checkpoint', help='checkpoint file')
parser.option('--out-dir', 'image_demo', 'folder for the pictures')
parser.option(
    '--labels',
    None,
    'names or indices of classes that the images are known to show; by '
    'default maps are drawn of the classes that the model predicts',
    nargs='+',
    metavar='CLASS',
)
parser.option(
    '--batch-size',
    1,
    'images that the network sees at once; those of other sizes are padded',
)
text = 'for example cpu or cuda:1; by default what is there'
parser.option('--device', None, text)
add_export_options(parser)
parser.cfg_options()


def as_label(text: str, classes: Sequence[str]) -> Union[str, int]:
    """Read a class of the command line: a name, or else an index."""
    return int(text) if text.isdigit() and text not in classes else text


def describe(sample: Any, classes: Sequence[str]) -> str:
    """Return the scores of the drawn classes, best first, and what is found.

    Example:
        'cat 0.98, dog 0.61', 'cat 0.98 (count 3); 2 instances', or 'nothing
        predicted, best cat 0.31'.
    """
    scores = sample.pred_score.numpy()
    drawn = sample.pred_map_labels.tolist()
    shown = drawn or [int(np.argmax(scores))]
    shown.sort(key=lambda label: -scores[label])
    words = [f'{class_name(classes, c)} {scores[c]:.2f}' for c in shown]
    if 'pred_count' in sample:
        counts = sample.pred_count.tolist()
        words = [f'{w} (count {counts[c]:g})' for w, c in zip(words, shown)]
    text = ', '.join(words)
    if not drawn:
        text = f'nothing predicted, best {text}'
    if 'pred_instances' in sample:
        number = len(sample.pred_instances)
        text += f'; {number} instance{"" if number == 1 else "s"}'
    return text


def describe_labels(sample: Any, classes: Sequence[str]) -> str:
    """Return how much of an image a segmentor gives to each class.

    Example:
        'cat 31 %, dog 2 %', or 'background only'.
    """
    labels = sample.pred_sem_seg.data.flatten()
    counts = labels.bincount(minlength=len(classes) + 1)[1:].tolist()
    names = classes or [class_name((), i) for i in range(len(counts))]
    found = sorted(zip(counts, names), reverse=True)
    words = [f'{n} {100 * c / len(labels):.0f} %' for c, n in found if c]
    return ', '.join(words) or 'background only'


def draw_images(args: argparse.Namespace) -> List[Tuple[Any, str]]:
    """Write all pictures and return the images that failed, with reasons."""
    images = list_images(args.source, [Path(args.out_dir)])
    names = output_names(images)
    inferencer = WSLInferencer(
        args.config, args.checkpoint, args.device, args.cfg_options
    )
    describing = describe
    if is_segmentor(inferencer.model):
        describing = describe_labels
    classes = inferencer.classes
    labels = [as_label(x, classes) for x in args.labels or ()] or None
    given = [
        (kind, dict(out_dir=folder, min_area=args.min_area))
        for kind, folder in args.export
    ]
    failed = []
    exports = inferencer.exports(given, images)
    predictions = inferencer.predict(images, labels, args.batch_size)
    with ExitStack() as stack:
        for export in exports:
            stack.enter_context(export)
        for number, (name, done) in enumerate(zip(names, predictions), 1):
            image, sample, error = done
            if error is None:
                try:
                    inferencer.visualize(
                        [image], [sample], [name], show_dir=args.out_dir
                    )
                    for export in exports:
                        export.add(name, as_dict(sample, classes))
                # Whatever is wrong with one image, the others are drawn.
                except Exception as caught:
                    error = caught
            text = 'failed'
            if error is None:
                text = describing(sample, classes)
            else:
                failed.append((image, error_line(error)))
            print(f'[{number}/{len(images)}] {image}: {text}', flush=True)
    print(f'{len(images) - len(failed)} pictures are in {args.out_dir}')
    for export in exports:
        print(export.summary())
    return failed


@parser.command
def main(args: argparse.Namespace) -> int:
    """Draw the images; 1 if one of them could not be drawn."""
    failed = draw_images(args)
    for path, text in failed:
        line = text if str(path) in text else f'{path}: {text}'
        print(f'error: {line}', file=sys.stderr)
    return 1 if failed else 0


if __name__ == '__main__':
    raise SystemExit(main())
