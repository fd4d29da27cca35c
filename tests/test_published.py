"""Configs of published networks have the published settings."""

import re

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from mmwsl.registry import MODELS
from stage1_data import read_once

SGD = dict(momentum=0.9, nesterov=False, weight_decay=1e-4)
VGG_SGD = dict(momentum=0.9, nesterov=True, weight_decay=5e-4)
WSOL_SGD = {**SGD, 'nesterov': True}
# Patterns of parameters, the factor of their learning rate and that of their
# weight decay; the first one that is found counts.
PRM = (('backbone', 0.01, 1), ('', 1, 1))
NEW_LAYERS = ((r'(neck|head).*bias', 20, 1), ('neck|head', 10, 1))
NSROM = (*NEW_LAYERS, ('bias', 2, 1), ('', 1, 1))
SEGMENTOR = (
    (r'branches.*bias', 20, 0),
    (r'branches', 10, 1),
    (r'bn|downsample\.1', 0, 0),
    ('', 1, 1),
)
ERASING = (('neck|head', 10, 1), ('', 1, 1))
HALVING = dict(type='StepLR', step_size=50, gamma=0.5)
TENTHS = dict(type='MultiStepLR', gamma=0.1)
CUB, TEN = {**TENTHS, 'milestones': [29]}, {**TENTHS, 'milestones': [2, 5, 8]}
OBJECTS = dict(lr=0.01, sgd=SGD, batch=16, size=448, stride=32, groups=PRM)
LC = dict(OBJECTS, epochs=300, schedule=HALVING)
ATTENTION = dict(
    lr=1e-3,
    sgd=VGG_SGD,
    batch=5,
    size=256,
    stride=8,
    epochs=15,
    schedule={**TENTHS, 'milestones': [5, 10]},
    groups=NSROM,
)


def wsol(lr, epochs, weights, net='r50', stride=8):
    """Settings of DA-WSOL; weights of discrepancy and universum."""
    decay = dict(WSOL_SGD, weight_decay=1e-4 if net == 'r50' else 5e-4)
    return dict(
        lr=lr,
        sgd=decay,
        batch=32,
        size=224,
        stride=stride,
        epochs=epochs,
        schedule=CUB if epochs == 50 else TEN,
        groups=ERASING,
        weights=weights,
        start=5 if (net, epochs) == ('inception-v3', 50) else 1,
    )


PUBLISHED = {
    'prm/prm_r50_voc12-448.py': dict(OBJECTS, epochs=20, schedule=None),
    'lc/lc_r50_voc07-448.py': LC,
    'lc/lc_r50_coco14.py': LC,
    'ae_psl/erase_vgg16_voc12.py': dict(
        lr=1e-3,
        sgd=dict(VGG_SGD, nesterov=False),
        batch=30,
        size=321,
        stride=8,
        epochs=5,
        schedule=dict(type='StepLR', step_size=4, gamma=0.1),
        groups=ERASING,
    ),
    'nsrom/cls_vgg16_voc12.py': ATTENTION,
    'nsrom/oa_vgg16_voc12.py': ATTENTION,
    'nsrom/seg_r101_voc12.py': dict(
        lr=2.5e-4,
        sgd=dict(VGG_SGD, nesterov=False),
        batch=10,
        size=321,
        stride=8,
        epochs=19,
        schedule=dict(type='PolyLR', power=0.9, end=19),
        groups=SEGMENTOR,
    ),
    'da_wsol/dal_cam_r50_cub.py': wsol(1e-3, 50, (0.3, 2)),
    'da_wsol/dal_cam_r50_ilsvrc.py': wsol(1e-5, 10, (0.3, 3)),
    'da_wsol/dal_cam_r50_openimages.py': wsol(1e-3, 10, (0.2, 3), stride=16),
    'da_wsol/dal_cam_inception-v3_cub.py': wsol(
        2e-3, 50, (1.4, 4), 'inception-v3'
    ),
    'da_wsol/dal_cam_inception-v3_ilsvrc.py': wsol(
        1e-3, 10, (0.1, 0.3), 'inception-v3'
    ),
    'da_wsol/dal_cam_inception-v3_openimages.py': wsol(
        1e-3, 10, (0.1, 0.5), 'inception-v3'
    ),
}


def build(cfg):
    """The model of a config, without memory for its weights."""
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        return MODELS.build(cfg.model)


@pytest.fixture(params=PUBLISHED)
def settings(request):
    if '/seg_' in request.param:
        pytest.importorskip('mmseg')
    return read_once(request.param), PUBLISHED[request.param]


def sizes(pipeline):
    """Sides of images and of parts, in the order of a pipeline."""
    sides = [
        step.get('size') or step.get('crop_size') or step.get('scale')
        for step in pipeline
    ]
    return [max(x) if isinstance(x, (tuple, list)) else x for x in sides if x]


def test_training(settings):
    cfg, known = settings
    loop = cfg.train_cfg
    assert (loop.get('max_epochs') or loop.epochs) == known['epochs']
    assert cfg.train_dataloader.batch_size == known['batch']
    dataset = cfg.train_dataloader.dataset
    pipeline = dataset.get('pipeline') or dataset.dataset.pipeline
    assert sizes(pipeline)[-1] == known['size']
    if known['schedule'] is None:
        assert cfg.param_scheduler == []
        return
    (schedule,) = cfg.param_scheduler
    assert schedule.by_epoch
    for key, value in known['schedule'].items():
        assert schedule[key] == value, key


def test_groups_of_parameters(settings):
    cfg, known = settings
    model = build(cfg)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    names = {id(value): name for name, value in model.named_parameters()}
    seen = set()
    for group in optimizer.param_groups:
        assert group['momentum'] == known['sgd']['momentum']
        assert group['nesterov'] == known['sgd']['nesterov']
        for parameter in group['params']:
            name = names[id(parameter)]
            _, rate, decay = next(
                rule for rule in known['groups'] if re.search(rule[0], name)
            )
            decay *= known['sgd']['weight_decay']
            assert group['lr'] == pytest.approx(rate * known['lr']), name
            assert group['weight_decay'] == pytest.approx(decay), name
            seen.add(name)
    assert seen == set(names.values())


def test_strides(settings):
    cfg, known = settings
    backbone = build(cfg).backbone
    backbone = getattr(backbone, 'backbone', backbone)
    assert backbone.out_strides == (known['stride'],)


@pytest.mark.parametrize('name', [x for x in PUBLISHED if 'da_wsol' in x])
def test_domain_adaption(name):
    cfg, known = read_once(name), PUBLISHED[name]
    (loss,) = cfg.model.auxiliary
    found = loss.discrepancy_weight, loss.universum_weight
    assert found == known['weights']
    assert loss.start_epoch == known['start']
    assert loss.assigner.num_classes == cfg.model.head.num_classes
    steps = sizes(cfg.train_dataloader.dataset.pipeline)
    assert steps == [256, 224]
    hooks = [hook.type for hook in cfg.custom_hooks]
    assert 'HeadEpochHook' in hooks


def test_images_are_resized_as_by_the_authors():
    for name in PUBLISHED:
        if 'ae_psl' in name or 'seg_' in name:
            continue
        for split in ('train', 'test'):
            pipeline = read_once(name)[f'{split}_dataloader'].dataset.pipeline
            backends = [
                x.get('backend') for x in pipeline if x['type'] == 'Resize'
            ]
            assert backends == ['pillow'], name


def test_data_and_options():
    cfg = read_once('lc/lc_r50_voc07-448.py')
    dataset = cfg.train_dataloader.dataset
    assert dataset.ann_file == 'ImageSets/Main/train.txt'
    assert not dataset.difficult_label
    assert cfg.model.head.spatial_start_epoch == 20
    assert read_once(
        'lc/lc_r50_coco14.py'
    ).train_dataloader.dataset.crowd_count
    assert read_once('prm/prm_r50_voc12-448.py').model.head.upsample == 8
    cfg = read_once('nsrom/oa_vgg16_voc12.py')
    assert cfg.model.head.absent
    assert not cfg.train_dataloader.drop_last
    (jitter,) = (
        x
        for x in cfg.train_dataloader.dataset.pipeline
        if x.type == 'ColorJitter'
    )
    assert jitter.hue == 0.1
