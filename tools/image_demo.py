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
from mmwsl.apis.demo import describe, describe_labels
from mmwsl.apis.errors import error_line
from mmwsl.apis.inference import (
    as_dict,
    is_segmentor,
    list_images,
    output_names,
)

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


def draw_images(args: argparse.Namespace) -> List[Tuple[Any, str]]:
    """Write all pictures and return the images that failed, with reasons."""
    images = list_images(args.source, [Path(args.out_dir)])
    names = output_names(images)
    inferencer = WSLInferencer(
        args.config, args.checkpoint, args.device, args.cfg_options
    )
    segments = is_segmentor(inferencer.model)
    describing = describe_labels if segments else describe
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
            text = 'failed'
            try:
                if error is not None:
                    raise error
                inferencer.visualize(
                    [image], [sample], [name], show_dir=args.out_dir
                )
                for export in exports:
                    export.add(name, as_dict(sample, classes))
                text = describing(sample, classes)
            # Whatever is wrong with one image, the others are drawn.
            except Exception as caught:
                failed.append((image, error_line(caught)))
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
