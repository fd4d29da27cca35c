"""A handful of images on disk for every data layout that configs name."""

import copy
import json
import re
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any, Optional, Sequence

import cv2
import numpy as np
from mmengine.config import Config
from PIL import Image

from mmwsl.apis import load_config
from mmwsl.models import fill_from_backbone
from mmwsl.proposals import write_proposals
from mmwsl.pseudo_labels.attention import write_attention
from mmwsl.structures import Proposals
from mmwsl.utils.config import apply_options, fill_from_data
from wsol_data import write_wsol

CONFIG_DIR = Path(__file__).resolve().parents[1] / 'configs'
OBJECT = (
    '<object><name>{name}</name><difficult>0</difficult><bndbox>'
    '<xmin>10</xmin><ymin>20</ymin><xmax>50</xmax><ymax>60</ymax></bndbox>'
    '</object>'
)
XML = (
    '<annotation><size><width>96</width><height>72</height><depth>3</depth>'
    '</size>{objects}</annotation>'
)
# Objects of each image: counts beyond what methods learn as numbers too.
NUMBERS = {'a': 6, 'b': 1, 'c': 1, 'd': 3}
LISTS = (
    'Main/train',
    'Main/trainval',
    'Main/test',
    'Segmentation/train',
    'Segmentation/trainaug',
    'Segmentation/val',
)
MASK_FOLDERS = ('SegmentationClass', 'SegmentationObject')


def _all_files() -> list:
    return sorted(
        path.relative_to(CONFIG_DIR).as_posix()
        for path in CONFIG_DIR.glob('*/*.py')
        if path.parent.name != '_base_'
        and not path.name.startswith('pipeline_')
    )


def _inherits_mmseg(path: Path) -> bool:
    text = path.read_text()
    bases = re.findall(r"'(\.{1,2}/[^']+\.py)'", text)
    return 'mmseg::' in text or any(
        _inherits_mmseg((path.parent / base).resolve()) for base in bases
    )


def config_files() -> list:
    """All config files of stage 1, relative to ``configs/``."""
    return [x for x in _all_files() if not _inherits_mmseg(CONFIG_DIR / x)]


def segmentor_files() -> list:
    """All config files of segmentors, which inherit configs of mmseg."""
    return [x for x in _all_files() if _inherits_mmseg(CONFIG_DIR / x)]


def write_data(root: Path) -> None:
    """Write four images as VOC, COCO and WSOL sets and as class folders."""
    rng = np.random.default_rng(0)
    folders = ('JPEGImages', 'Annotations', 'SaliencyMaps', 'pseudo_labels')
    for folder in (*folders, *MASK_FOLDERS):
        (root / folder).mkdir(parents=True)
    names = {'a': 'cat', 'b': 'dog', 'c': 'cat', 'd': 'dog'}
    for name, label in names.items():
        image = rng.integers(0, 256, (72, 96, 3), dtype=np.uint8)
        path = root / 'JPEGImages' / f'{name}.jpg'
        cv2.imwrite(str(path), image)
        annotation = root / 'Annotations' / f'{name}.xml'
        annotation.write_text(
            XML.format(objects=OBJECT.format(name=label) * NUMBERS[name])
        )
        (root / 'own').mkdir(exist_ok=True)
        for own in (path, annotation):
            shutil.copy(own, root / 'own')
        mask = np.zeros((72, 96), np.uint8)
        mask[20:60, 10:50] = 8 if label == 'cat' else 12
        for folder, value in zip(MASK_FOLDERS, (mask, mask > 0)):
            png = Image.fromarray(value.astype(np.uint8))
            png.save(root / folder / f'{name}.png')
        # Nearly the mask, with a class that the data set has.
        pseudo = np.where(mask > 0, 1, 0).astype(np.uint8)
        pseudo[:5] = 255
        Image.fromarray(pseudo * 255).save(root / f'SaliencyMaps/{name}.png')
        Image.fromarray(pseudo).save(root / f'pseudo_labels/{name}.png')
        for split in ('train', 'val'):
            folder = root / split / label
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder)
    for name in LISTS:
        path = root / 'ImageSets' / f'{name}.txt'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('\n'.join(names) + '\n')
    classes = ('cat', 'dog', 'emu', 'fox', 'gnu', 'hen')
    (root / 'classes.txt').write_text('\n'.join(classes) + '\n')
    write_coco(root, [f'{name}.jpg' for name in names])
    write_quarters(root / 'proposals')
    write_wsol(root, [root / f'JPEGImages/{name}.jpg' for name in names])


def write_quarters(folder: Path) -> None:
    """Write the quarters of all images and of toy's first test pictures."""
    sizes = {f'toy/1000/{number:06d}': (32, 32) for number in range(4)}
    sizes.update(dict.fromkeys(NUMBERS, (36, 48)))
    for name, (height, width) in sizes.items():
        quarters = np.arange(4).reshape(2, 2)
        plane = quarters.repeat(height, axis=0).repeat(width, axis=1)
        masks = plane == np.arange(4)[:, None, None]
        write_proposals(str(folder / f'{name}.npz'), Proposals(masks))


def write_coco(root: Path, files: Sequence[str]) -> None:
    """Write the images of ``JPEGImages`` once more, in COCO's layout."""
    box = [10, 20, 40, 40]
    corners = [10, 20, 50, 20, 50, 60, 10, 60]
    content = dict(
        images=[
            dict(id=i, file_name=name, width=96, height=72)
            for i, name in enumerate(files)
        ],
        annotations=[
            dict(
                id=10 * i + k,
                image_id=i,
                category_id=1 + i % 2,
                bbox=box,
                area=1600,
                iscrowd=0,
                segmentation=[corners],
            )
            for i, name in enumerate(files)
            for k in range(NUMBERS[Path(name).stem])
        ],
        categories=[dict(id=i + 1, name=f'thing {i}') for i in range(80)],
    )
    (root / 'annotations').mkdir()
    for split in ('train2014', 'val2014'):
        (root / split).mkdir()
        for name in files:
            shutil.copy(root / 'JPEGImages' / name, root / split)
        path = root / 'annotations' / f'instances_{split}.json'
        path.write_text(json.dumps(content))


@lru_cache(maxsize=None)
def read_once(name: str) -> Config:
    """Read a config; those with bases of mmseg take a second each."""
    return load_config(CONFIG_DIR / name)


def small_config(name: str, root: Path) -> Config:
    """Read a config and make one step of it cheap.

    The data root is replaced, images and batches are small, nothing is
    downloaded and no worker processes are started.
    """
    path = CONFIG_DIR / name
    known = read_once(name)
    places = dict(
        data_root='own' if 'own-data' in name else '.',
        saliency='SaliencyMaps',
        labels='pseudo_labels',
        attention=f'work/{path.stem}.npz',
        out_dir='work',
    )
    options = {k: str(root / v) for k, v in places.items() if k in known}
    options['work_dir'] = str(root / 'work')
    cfg = apply_options(copy.deepcopy(known), options)
    for loader in _loaders(cfg):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
        _make_small_data(loader.dataset, root)
    if 'attention' in known:
        _write_attention(cfg)
    if 'size' in (cfg.model.get('data_preprocessor') or {}):
        cfg.model.data_preprocessor.size = (64, 64)
    _drop_pretrained(cfg.model)
    head = cfg.model.get('head', {})
    if head.get('type') in ('PRMHead', 'DensityHead'):
        # Networks that have learned nothing have a hundred of them.
        head.peaks = dict(head.get('peaks') or {}, per_image=4)
    fill(cfg)
    return cfg


def fill(cfg: Config, classes: Optional[Sequence[str]] = None) -> None:
    """Set what a config leaves to data and backbone, which is a small one."""
    if cfg.model.backbone.type == 'mmwsl.CNNBackbone':
        cfg.model.backbone.arch = 'resnet18'
    fill_from_data(cfg, classes)
    fill_from_backbone(cfg)


def _write_attention(cfg: Config) -> None:
    """Write the attention of all images, at the size of the class maps."""
    # The images have 96 x 72 pixels, resized or not.
    stride = cfg.model.backbone.get('output_stride', 8)
    height, width = -(-72 // stride), -(-96 // stride)
    plane = np.linspace(0, 1, height * width, dtype=np.float32)
    maps = dict.fromkeys(range(20), plane.reshape(height, width))
    write_attention(cfg.attention, dict.fromkeys(NUMBERS, maps))


def _loaders(cfg: Config) -> list:
    found = [cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader]
    if 'predict_dataloader' in cfg.train_cfg:
        found.append(cfg.train_cfg.predict_dataloader)
    return [loader for loader in found if loader is not None]


def _make_small_data(dataset: Any, root: Path) -> None:
    while 'dataset' in dataset:
        dataset = dataset.dataset
    if dataset.type == 'ToyDataset':
        dataset.update(num_images=4, image_size=64)
    if dataset.get('img_suffix') == '.png':
        dataset.img_suffix = '.jpg'
    for transform in dataset.pipeline:
        _make_small(transform, root)


def _make_small(transform: Any, root: Path) -> None:
    if 'scale' in transform:
        square = isinstance(transform.scale, int)
        transform.scale = 64 if square else (96, 72)
    if transform.type in ('RandomCrop', 'mmseg.RandomCrop'):
        # mmseg's own names it otherwise.
        if 'crop_size' in transform:
            transform.crop_size = (64, 64)
        else:
            transform.size = 64
    if transform.type == 'LoadProposals':
        transform.folder = str(root / 'proposals')


def _drop_pretrained(node: Any) -> None:
    if isinstance(node, dict):
        if (node.get('init_cfg') or {}).get('type') == 'Pretrained':
            node['init_cfg'] = None
        for child in node.values():
            _drop_pretrained(child)
