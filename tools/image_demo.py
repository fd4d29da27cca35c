"""Draw what a model sees in images.

``python tools/image_demo.py IMAGE_OR_FOLDER CONFIG CHECKPOINT``
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from mmwsl.apis import (
    add_cfg_options,
    friendly_errors,
    inference_model,
    init_model,
)
from mmwsl.apis.errors import error_line
from mmwsl.apis.inference import is_segmentor, label_indices, load_image
from mmwsl.datasets.files import find_files
from mmwsl.utils.images import IMG_SUFFIXES
from mmwsl.visualization import WSLVisualizer

import numpy as np
from mmengine.device import get_device


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Draw the class maps that a model makes of images, and '
        'the counts and instances that it predicts'
    )
    parser.add_argument('source', help='image, or folder of images')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out-dir',
        default='image_demo',
        help='folder for the pictures, by default image_demo',
    )
    parser.add_argument(
        '--labels',
        nargs='+',
        metavar='CLASS',
        help='names or indices of classes that the images are known to show; '
        'by default maps are drawn of the classes that the model predicts',
    )
    parser.add_argument(
        '--device', help='for example cpu or cuda:1; by default what is there'
    )
    add_cfg_options(parser)
    return parser.parse_args(argv)


def find_images(source: Path, out_dir: Path) -> Dict[Path, Path]:
    """Return the images of a folder, or the one, and the pictures to write.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        ValueError: If a folder holds no image, or if pictures would be
            written where the images are.
    """
    if not source.exists():
        raise FileNotFoundError(f'{source}: there is no such image or folder.')
    folder = source if source.is_dir() else source.parent
    if out_dir.resolve() == folder.resolve():
        raise ValueError(
            f'--out-dir {out_dir}: the images lie there, and pictures of the '
            'same names would replace them.'
        )
    images = [source]
    if source.is_dir():
        images = [
            path
            for path in map(Path, find_files(str(source)))
            if out_dir.resolve() not in path.resolve().parents
        ]
    if not images:
        raise ValueError(f'{source}: the folder holds no image.')
    # a.jpg and a.png must not become one picture, now or one by one.
    beside = images if source.is_dir() else list(folder.iterdir())
    stems = Counter(
        path.with_suffix('')
        for path in beside
        if path.suffix.lower() in IMG_SUFFIXES
    )
    targets: Dict[Path, Path] = {}
    for path in images:
        name = path.with_suffix('').relative_to(folder)
        if stems[path.with_suffix('')] > 1:
            name = name.with_name(f'{name.name}_{path.suffix[1:]}')
        targets[path] = out_dir / f'{name}.jpg'
    if len(set(targets.values())) < len(targets):
        twice = Counter(targets.values()).most_common(1)[0][0]
        raise ValueError(f'{source}: two images would become {twice}.')
    return targets


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
    names = classes or [f'class {i}' for i in range(len(scores))]
    shown.sort(key=lambda label: -scores[label])
    words = [f'{names[c]} {scores[c]:.2f}' for c in shown]
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
    names = classes or [f'class {i}' for i in range(len(counts))]
    found = sorted(zip(counts, names), reverse=True)
    words = [f'{n} {100 * c / len(labels):.0f} %' for c, n in found if c]
    return ', '.join(words) or 'background only'


def draw_images(args: argparse.Namespace) -> List[Tuple[Path, str]]:
    """Write all pictures and return the images that failed, with reasons."""
    targets = find_images(Path(args.source), Path(args.out_dir))
    device = args.device or get_device()
    model = init_model(args.config, args.checkpoint, device, args.cfg_options)
    visualizer = WSLVisualizer()
    meta, describing = model.dataset_meta, describe
    if is_segmentor(model):
        # The classes of a segmentor begin with the background.
        meta = {k: meta[k][1:] for k in ('classes', 'palette') if meta.get(k)}
        describing = describe_labels
    visualizer.dataset_meta = meta
    classes = meta.get('classes') or ()
    labels = None
    if args.labels:
        given = [as_label(text, classes) for text in args.labels]
        labels = label_indices(model, given)
    failed = []
    for number, (path, target) in enumerate(targets.items(), 1):
        place = f'[{number}/{len(targets)}] {path}'
        try:
            image = load_image(model, path)
            sample = inference_model(model, path, labels)
            visualizer.add_datasample(
                str(path),
                np.ascontiguousarray(image[..., ::-1]),
                sample,
                out_file=str(target),
            )
        # Whatever is wrong with one image, the others are still drawn.
        except Exception as error:
            failed.append((path, error_line(error)))
            print(f'{place}: failed', flush=True)
            continue
        print(f'{place}: {describing(sample, classes)}', flush=True)
    print(f'{len(targets) - len(failed)} pictures are in {args.out_dir}')
    return failed


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Draw the images; 1 if one of them could not be drawn."""
    args = parse_args(argv)
    with friendly_errors():
        failed = draw_images(args)
    for path, text in failed:
        line = text if str(path) in text else f'{path}: {text}'
        print(f'error: {line}', file=sys.stderr)
    return 1 if failed else 0


if __name__ == '__main__':
    raise SystemExit(main())
