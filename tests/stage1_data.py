"""A handful of images on disk for every data layout that configs name."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from PIL import Image

from mmwsl.apis import load_config

CONFIG_DIR = Path(__file__).resolve().parents[1] / 'configs'
XML = (
    '<annotation><size><width>96</width><height>72</height><depth>3</depth>'
    '</size><object><name>{name}</name><difficult>0</difficult><bndbox>'
    '<xmin>10</xmin><ymin>20</ymin><xmax>50</xmax><ymax>60</ymax></bndbox>'
    '</object></annotation>'
)
LISTS = ('Main/train', 'Segmentation/train', 'Segmentation/val')


def config_files() -> list:
    """All config files that are not bases, relative to ``configs/``."""
    return sorted(
        path.relative_to(CONFIG_DIR).as_posix()
        for path in CONFIG_DIR.glob('*/*.py')
        if path.parent.name != '_base_'
    )


def write_data(root: Path) -> None:
    """Write four images as VOC set and as folders of classes."""
    rng = np.random.default_rng(0)
    for folder in ('JPEGImages', 'Annotations', 'SegmentationClass'):
        (root / folder).mkdir(parents=True)
    names = {'a': 'cat', 'b': 'dog', 'c': 'cat', 'd': 'dog'}
    for name, label in names.items():
        image = rng.integers(0, 256, (72, 96, 3), dtype=np.uint8)
        path = root / 'JPEGImages' / f'{name}.jpg'
        cv2.imwrite(str(path), image)
        (root / 'Annotations' / f'{name}.xml').write_text(
            XML.format(name=label)
        )
        mask = np.zeros((72, 96), np.uint8)
        mask[20:60, 10:50] = 8 if label == 'cat' else 12
        Image.fromarray(mask).save(root / f'SegmentationClass/{name}.png')
        for split in ('train', 'val'):
            folder = root / split / label
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder)
    for name in LISTS:
        path = root / 'ImageSets' / f'{name}.txt'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('\n'.join(names) + '\n')


def small_config(name: str, root: Path) -> Config:
    """Read a config and make one step of it cheap.

    The data root is replaced, images and batches are small, nothing is
    downloaded and no worker processes are started.
    """
    path = CONFIG_DIR / name
    options = {'work_dir': str(root / 'work')}
    if 'data_root' in load_config(path):
        options['data_root'] = str(root)
    cfg = load_config(path, options)
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        if loader.dataset.type == 'ToyDataset':
            loader.dataset.update(num_images=4, image_size=64)
        for transform in loader.dataset.pipeline:
            if 'scale' in transform:
                square = isinstance(transform.scale, int)
                transform.scale = 64 if square else (96, 72)
    _drop_pretrained(cfg.model)
    return cfg


def _drop_pretrained(node: Any) -> None:
    if isinstance(node, dict):
        if (node.get('init_cfg') or {}).get('type') == 'Pretrained':
            node['init_cfg'] = None
        for child in node.values():
            _drop_pretrained(child)
