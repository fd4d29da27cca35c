"""Write labelled pictures of a config's data, as its pipeline leaves them.

``python tools/analysis_tools/browse_dataset.py CONFIG --split train
--out-dir DIR``
"""

import argparse
import os
from typing import Any, List, Sequence

from mmwsl.apis import ToolParser, dataset_config, load_config
from mmwsl.datasets import set_epoch
from mmwsl.registry import DATASETS
from mmwsl.utils.arrays import spread
from mmwsl.utils.files import join_inside
from mmwsl.visualization import WSLVisualizer
from mmwsl.visualization.drawing import Tile, contact_sheet, panel, write_image
from mmwsl.visualization.visualizer import original_image

import numpy as np

parser = ToolParser("Write labelled pictures of a config's data")
parser.add_argument('config', help='config file')
parser.split('train')
text = 'folder to write; by default work_dirs/NAME_OF_THE_CONFIG/browse'
parser.option('--out-dir', None, text)
parser.option('--number', 24, 'most pictures to write')
parser.cfg_options()


def describe(sample: Any, classes: Sequence[str]) -> str:
    """Return class names, with counts where they are known.

    Example:
        'cat 2, dog' for two cats and a dog.
    """
    counts = sample.get('gt_count')
    words = []
    for label in sample.gt_label.tolist():
        number = 1 if counts is None else int(counts[label])
        suffix = {0: ' (difficult)', 1: ''}.get(number, f' {number}')
        words.append(classes[label] + suffix)
    return ', '.join(words) or 'no label'


def tiles_of(
    packed: Any, classes: Sequence[str], visualizer: WSLVisualizer
) -> List[Tile]:
    """Return the picture of an entry and, if it has one, its ground truth."""
    sample = packed['data_samples']
    inputs = packed['inputs']
    # Test-time augmentation packs several views; the first is plain.
    if isinstance(sample, (list, tuple)):
        sample, inputs = sample[0], inputs[0]
    has_truth = 'gt_sem_seg' in sample or 'gt_instances' in sample
    if has_truth:
        image = original_image(inputs, sample, sample)
    else:
        pixels = inputs.permute(1, 2, 0).numpy()
        image = np.ascontiguousarray(pixels[..., ::-1])
    tiles = visualizer.draw_tiles(image, sample, draw_pred=False)
    title = f'{sample.img_id}: {describe(sample, classes)}'
    return [tiles[0]._replace(text=title), *tiles[1:]]


@parser.command
def main(args: argparse.Namespace) -> None:
    """Write the pictures."""
    cfg = load_config(args.config, args.cfg_options)
    settings = dataset_config(cfg, args.split)
    if args.number < 1:
        raise ValueError(f'--number must be at least 1, got {args.number}')
    name = os.path.splitext(os.path.basename(args.config))[0]
    out_dir = args.out_dir or os.path.join('work_dirs', name, 'browse')
    dataset = DATASETS.build(settings)
    set_epoch(dataset, 0)
    visualizer = WSLVisualizer()
    visualizer.dataset_meta = dataset.metainfo
    classes = dataset.metainfo['classes']
    rows = []
    # Spread over the set: its beginning often shows one class only.
    for index in spread(len(dataset), args.number):
        packed = dataset[index]
        tiles = tiles_of(packed, classes, visualizer)
        name = tiles[0].text.split(': ')[0]
        write_image(join_inside(out_dir, name, '.jpg'), panel(tiles))
        rows.append(tiles)
    sheet = os.path.join(out_dir, f'contact_sheet_{args.split}.jpg')
    # Short rows are joined so that the sheet is not a tower.
    joined = max(1, 6 // max(len(row) for row in rows))
    rows = [sum(rows[i : i + joined], []) for i in range(0, len(rows), joined)]
    write_image(sheet, contact_sheet(rows))
    print(f'contact sheet: {sheet}')


if __name__ == '__main__':
    raise SystemExit(main())
