"""A small data set in every layout, with what the commands make of it."""

import json
import shutil
from pathlib import Path
from typing import Dict, List

import cv2
import numpy as np
import torch
from PIL import Image
from scipy.io import savemat
from torchvision.models import ResNet18_Weights, resnet18

import mmwsl.datasets
import mmwsl.evaluation
import mmwsl.models
import mmwsl.visualization  # noqa: F401
from mmwsl.apis import init_model
from mmwsl.pseudo_labels.attention import write_attention
from mmwsl.pseudo_labels.regions import write_regions
from mmwsl.utils.masks import encode_mask

NAMES = ('a', 'b', 'c')
CLASSES = ('cat', 'dog')
POLYGON = [[20, 10, 50, 10, 50, 30, 20, 30]]
MODEL = """
_base_ = ['mmwsl::_base_/models/cam_r18_scratch.py',
          'mmwsl::_base_/default_runtime.py']
model = dict(head=dict(num_classes=2))
val_dataloader = None
val_cfg = None
val_evaluator = None
"""
DATA = """
_base_ = './model.py'
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        {dataset},
        test_mode=True,
        pipeline=[
            dict(type='LoadWSLImage'),
            dict(type='LoadEvalAnnotations', {load}),
            dict(type='PackWSLInputs', eval_keys={keys!r}),
        ],
    ),
)
test_cfg = dict()
test_evaluator = [dict(type='MultiLabelMetric')]
"""
CATS = "metainfo=dict(classes=('cat', 'dog'))"
VOC = (
    "type='VOCImageLevelDataset', data_root='voc', "
    f"ann_file='ImageSets/Main/test.txt', {CATS}"
)
# Data sets, and what they load for the evaluation.
CONFIGS = {
    'voc': (VOC, 'with_instances=True', ('gt_sem_seg', 'gt_instances')),
    'coco': (
        "type='COCOImageLevelDataset', ann_file='coco.json', "
        f"data_prefix=dict(img_path='images'), {CATS}",
        'with_seg_map=False, with_masks=True',
        ('gt_instances',),
    ),
    'csv': (
        "type='FolderDataset', ann_file='labels.csv', "
        f"data_prefix=dict(img_path='images'), {CATS}",
        'with_seg_map=False',
        (),
    ),
    'folder': (
        "type='FolderDataset', data_root='folder'",
        'with_seg_map=False',
        (),
    ),
    'wsol': (
        "type='WSOLDataset', ann_file='wsol', num_classes=2, "
        "data_prefix=dict(img_path='images')",
        'with_seg_map=False, with_instances=True',
        ('gt_instances',),
    ),
    'loc': (
        "type='WSOLDataset', ann_file='loc', "
        "data_prefix=dict(img_path='images', mask_path='.')",
        'with_seg_map=True',
        ('gt_sem_seg',),
    ),
}
READERS = """
_base_ = './voc.py'
train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        %(voc)s,
        pipeline=[
            dict(type='LoadWSLImage'),
            dict(type='EraseRegions', folders=['regions/step_1'],
                 mean=[9, 9, 9]),
            dict(type='LoadSaliency', folder='saliency'),
            dict(type='LoadProposals', folder='proposals'),
            dict(type='LoadProposals', folder='proposals.json'),
            dict(type='PackWSLInputs'),
            dict(type='LoadAttention', path='attention.npz'),
        ],
    ),
)
"""
TRAIN = """
_base_ = './voc.py'
train_dataloader = dict(
    batch_size=3,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        %(voc)s,
        pipeline=[dict(type='LoadWSLImage'), dict(type='PackWSLInputs')],
    ),
)
train_cfg = dict(by_epoch=True, max_epochs=1)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)
)
"""
WEIGHTS = """
_base_ = './training.py'
model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint={file!r}))
)
"""
PEAKS = """
_base_ = './training.py'
model = dict(head=dict(type='PRMHead'))
"""
SEGMENTOR = """
default_scope = 'mmseg'
train_dataloader = dict(
    dataset=dict(
        type='mmseg.BaseSegDataset',
        metainfo=dict(classes=('background', 'cat', 'dog')),
        img_suffix='.jpg',
        ann_file='voc/ImageSets/Main/test.txt',
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        pipeline=[],
    )
)
"""
PIPELINE = """
masks = 'masks'
stages = [
    dict(name='one', run='tool', tool='pseudo_labels.py',
         args=['initial', 'cams', 'saliency', '{dir}/labels'],
         pictures='{dir}/labels'),
    dict(name='two', run='tool', tool='pseudo_labels.py',
         args=['initial', 'cams', 'saliency', '{dir}/labels']),
]
page = dict(images='images', masks='masks', classes=['cat', 'dog'])
"""


def write_images(root: Path) -> None:
    rng = np.random.default_rng(0)
    for folder in ('images', 'masks', 'saliency', 'folder/cat', 'folder/dog'):
        (root / folder).mkdir(parents=True)
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:50] = 1
    for number, name in enumerate(NAMES):
        image = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(root / f'images/{name}.jpg'), image)
        label = mask * (1 + number % 2)
        Image.fromarray(label).save(root / f'masks/{name}.png')
        Image.fromarray(mask * 255).save(root / f'saliency/{name}.png')
        shutil.copy(
            root / f'images/{name}.jpg',
            root / 'folder' / CLASSES[number % 2],
        )
    (root / 'names.txt').write_text('cat\ndog\n')


def write_voc(root: Path) -> None:
    for folder in ('Annotations', 'ImageSets/Main'):
        (root / 'voc' / folder).mkdir(parents=True)
    (root / 'voc/JPEGImages').symlink_to(root / 'images')
    (root / 'voc/SegmentationClass').symlink_to(root / 'masks')
    for number, name in enumerate(NAMES):
        (root / f'voc/Annotations/{name}.xml').write_text(
            '<annotation><size><width>64</width><height>48</height></size>'
            f'<object><name>{CLASSES[number % 2]}</name><difficult>0'
            '</difficult><bndbox><xmin>21</xmin><ymin>11</ymin>'
            '<xmax>50</xmax><ymax>30</ymax></bndbox></object></annotation>'
        )
    (root / 'voc/ImageSets/Main/test.txt').write_text('\n'.join(NAMES) + '\n')


def write_coco(root: Path) -> None:
    content = dict(
        images=[
            dict(id=i, file_name=f'{name}.jpg', width=64, height=48)
            for i, name in enumerate(NAMES)
        ],
        categories=[dict(id=i + 1, name=x) for i, x in enumerate(CLASSES)],
        annotations=[
            dict(
                id=i,
                image_id=i,
                category_id=1 + i % 2,
                bbox=[20, 10, 30, 20],
                area=600,
                iscrowd=0,
                segmentation=POLYGON,
            )
            for i in range(len(NAMES))
        ],
    )
    (root / 'coco.json').write_text(json.dumps(content))
    results = [
        dict(
            image_id=name,
            category_id=i % 2,
            segmentation=POLYGON,
            score=0.5,
        )
        for i, name in enumerate(NAMES)
    ]
    (root / 'results.json').write_text(json.dumps(results))


def write_lists(root: Path) -> None:
    rows = [f'{x}.jpg,{CLASSES[i % 2]}' for i, x in enumerate(NAMES)]
    (root / 'labels.csv').write_text('\n'.join(['path,label', *rows]) + '\n')
    (root / 'scores.csv').write_text(
        ''.join(f'{name},0.3,0.6\n' for name in NAMES)
    )
    np.savez(
        root / 'scores.npz',
        ids=np.array(NAMES),
        scores=np.array([[0.3, 0.6]] * len(NAMES)),
    )
    (root / 'counts.csv').write_text(
        ''.join(f'{name},1,2\n' for name in NAMES)
    )
    (root / 'truth.csv').write_text(
        'path,class,count\n' + ''.join(f'{x}.jpg,cat,2\n' for x in NAMES)
    )


def write_wsol(root: Path) -> None:
    (root / 'wsol').mkdir()
    lines: Dict[str, List[str]] = dict(
        image_ids=[f'{x}.jpg' for x in NAMES],
        class_labels=[f'{x}.jpg,{i % 2}' for i, x in enumerate(NAMES)],
        image_sizes=[f'{x}.jpg,64,48' for x in NAMES],
        localization=[f'{x}.jpg,20,10,50,30' for x in NAMES],
    )
    for kind, content in lines.items():
        (root / f'wsol/{kind}.txt').write_text('\n'.join(content) + '\n')


def write_maps(root: Path) -> None:
    shutil.copytree(root / 'masks', root / 'initial')
    for folder in ('cams', 'maps', 'proposals', 'mat', 'regions/step_1'):
        (root / folder).mkdir(parents=True)
    (root / 'regions/steps.csv').write_text(
        'step,converged_loss,merged\n1,0.5,1\n'
    )
    for number, name in enumerate(NAMES):
        cam = np.zeros((1, 48, 64), np.float32)
        cam[0, 10:30, 20:50] = 0.9
        labels = np.array([number % 2])
        np.savez(root / f'cams/{name}.npz', maps=cam, labels=labels)
        np.save(root / f'maps/{name}.npy', cam[0])
        mask = cam > 0
        bits = np.packbits(mask.reshape(1, -1), axis=1)
        np.savez(
            root / f'proposals/{name}.npz', bits=bits, size=np.array([48, 64])
        )
        write_regions(str(root / f'regions/step_1/{name}.npz'), mask, labels)
        savemat(
            root / f'mat/{name}.mat',
            dict(masks=np.moveaxis(mask, 0, 2), scores=np.ones(1)),
        )


def write_proposals(root: Path) -> None:
    mask = np.zeros((48, 64), bool)
    mask[10:30, 20:50] = True
    runs = [dict(segmentation=encode_mask(mask), score=0.5)]
    for folder in ('npy', 'json'):
        (root / folder).mkdir()
    for name in NAMES:
        np.save(root / f'npy/{name}.npy', mask[None])
        (root / f'json/{name}.json').write_text(json.dumps(runs))
    items = [dict(item, image_id=name) for name in NAMES for item in runs]
    (root / 'proposals.json').write_text(json.dumps(items))
    plane = np.full((6, 8), 0.5, np.float32)
    write_attention(
        str(root / 'attention.npz'),
        {name: {number % 2: plane} for number, name in enumerate(NAMES)},
    )


def write_wsol_masks(root: Path) -> None:
    shutil.copytree(root / 'wsol', root / 'loc')
    (root / 'loc/localization.txt').write_text(
        ''.join(f'{x}.jpg,saliency/{x}.png,\n' for x in NAMES)
    )
    (root / 'loc/class_names.txt').write_text('cat\ndog\n')
    (root / 'loc/image_paths.txt').write_text('b.jpg,b.jpg\n')


def write_weights(root: Path) -> None:
    content = dict(
        state_dict=init_model(root / 'voc.py').state_dict(),
        meta=dict(dataset_meta=dict(classes=CLASSES)),
    )
    torch.save(content, root / 'model.pth')
    (root / 'packs/heavy').mkdir(parents=True)
    (root / 'packs/heavy/__init__.py').touch()
    (root / 'hub/checkpoints').mkdir(parents=True)
    state = content['state_dict']
    weights = {k: v for k, v in state.items() if k.startswith('backbone.')}
    hub = ResNet18_Weights.DEFAULT.url.rpartition('/')[2]
    torch.save(weights, root / 'packs/heavy/weights.pth')
    torch.save(resnet18().state_dict(), root / 'hub/checkpoints' / hub)
    for name, file in (
        ('weights', 'packs/heavy/weights.pth'),
        ('package', 'package://heavy/weights.pth'),
        ('hub', 'torchvision://resnet18'),
    ):
        (root / f'{name}.py').write_text(WEIGHTS.format(file=file))


def write_all(root: Path) -> None:
    """Write everything that a command of the tests reads."""
    write_images(root)
    for name, (dataset, load, keys) in CONFIGS.items():
        text = DATA.format(dataset=dataset, load=load, keys=keys)
        (root / f'{name}.py').write_text(text)
    for name, text in (
        ('model', MODEL),
        ('readers', READERS % dict(voc=VOC)),
        ('training', TRAIN % dict(voc=VOC)),
        ('peaks', PEAKS),
        ('segmentor', SEGMENTOR),
        ('pipe', PIPELINE),
    ):
        (root / f'{name}.py').write_text(text)
    for write in (
        write_voc,
        write_coco,
        write_lists,
        write_wsol,
        write_maps,
        write_proposals,
        write_wsol_masks,
        write_weights,
    ):
        write(root)
