"""A handful of images in the layout of the WSOL benchmarks."""

import shutil
from pathlib import Path
from typing import Sequence

import numpy as np
from PIL import Image

SETS = {'CUB': False, 'ILSVRC': False, 'OpenImages': True}


def write_wsol(root: Path, images: Sequence[Path]) -> None:
    """Write images of 96 x 72 as all three benchmarks, two classes each.

    Args:
        root: Gets ``dataset/NAME`` and ``metadata/NAME/SPLIT``.
        images: Files to copy.
    """
    mask = np.zeros((72, 96), np.uint8)
    mask[20:60, 10:50] = 255
    for name, has_masks in SETS.items():
        folder = root / 'dataset' / name
        folder.mkdir(parents=True)
        truth = '10,20,50,60'
        if has_masks:
            truth = 'mask.png,ignore.png'
            Image.fromarray(mask).save(folder / 'mask.png')
            Image.fromarray(255 - mask).save(folder / 'ignore.png')
        for path in images:
            shutil.copy(path, folder)
        ids = [path.name for path in images]
        lists = {
            'image_ids': ids,
            'class_labels': [f'{x},{i % 2}' for i, x in enumerate(ids)],
            'image_sizes': [f'{x},96,72' for x in ids],
            'localization': [f'{x},{truth}' for x in ids],
        }
        for split in ('train', 'val', 'test'):
            target = root / 'metadata' / name / split
            target.mkdir(parents=True)
            for kind, lines in lists.items():
                (target / f'{kind}.txt').write_text('\n'.join(lines) + '\n')
