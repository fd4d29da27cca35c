"""Tests of parts of models that do not fit together."""

from types import SimpleNamespace
from typing import Any, Dict

import pytest
import torch
from torch import nn

from mmwsl.apis import load_config
from mmwsl.models import fill_from_backbone
from mmwsl.models.checks import (
    check_channels,
    check_class_weights,
    check_normalisation,
)
from mmwsl.registry import MODELS
from stage1_data import CONFIG_DIR, config_files


def build(backbone: Dict, head: Dict, **model: Any) -> Any:
    """Build a classifier of six classes."""
    return MODELS.build(
        dict(
            type='WSLClassifier',
            backbone={
                'type': 'TorchvisionBackbone',
                'arch': 'resnet18',
                **backbone,
            },
            head={
                'type': 'CAMHead',
                'num_classes': 6,
                'in_channels': 512,
                **head,
            },
            **model,
        )
    )


@pytest.mark.parametrize(
    ('backbone', 'head', 'words'),
    [
        (dict(arch='resnet50'), {}, 'head.in_channels.*512.*2048'),
        ({}, dict(in_index=3), 'head.in_index.*3.*1 features'),
        (dict(out_indices=(1, 3)), dict(in_index=0), 'head.in_channels.*128'),
        (
            {},
            dict(loss=dict(type='CrossEntropyLoss', class_weight=[1, 2])),
            'class_weight.*2.*6',
        ),
        (
            {},
            dict(
                loss=dict(type='MultiLabelSoftMarginLoss', pos_weight=[1, 2])
            ),
            'pos_weight.*2.*6',
        ),
        ({}, dict(num_classes=1, multi_label=False), 'num_classes=1'),
    ],
)
def test_what_does_not_fit(backbone: Dict, head: Dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build(backbone, head)


def test_necks() -> None:
    neck = dict(type='LargeFOVNeck', in_channels=64)
    with pytest.raises(ValueError, match='neck.in_channels.*64.*512'):
        build({}, {}, neck=neck)
    for kind in ('LargeFOVNeck', 'GraphReasoningNeck'):
        neck = dict(type=kind, in_channels=512, channels=32)
        with pytest.raises(ValueError, match='head.in_channels.*512.*32'):
            build({}, {}, neck=neck)
        assert build({}, dict(in_channels=32), neck=neck).neck


@pytest.mark.parametrize('weights', [[1.0, 2.0], torch.ones(4)])
def test_class_weights_of_losses(weights: Any) -> None:
    model = nn.Module()
    model.decode_head = nn.Module()
    model.decode_head.num_classes = 3
    model.decode_head.loss_decode = nn.Module()
    model.decode_head.loss_decode.class_weight = weights
    number = f'{len(weights)} values.* 3'
    with pytest.raises(ValueError, match=f'decode_head.loss_decode.*{number}'):
        check_class_weights(model)
    for fitting in (None, 1.0, [1.0, 2.0, 3.0]):
        model.decode_head.loss_decode.class_weight = fitting
        check_class_weights(model)


def test_features_of_siblings() -> None:
    backbone = SimpleNamespace(out_channels=(64, 128))
    fpn = SimpleNamespace(in_channels=[64, 128], out_channels=32)
    head = SimpleNamespace(in_channels=32, in_index=0)
    check_channels(head, 'decode_head', fpn, backbone)
    head.in_channels = 16
    with pytest.raises(ValueError, match='decode_head.in_channels.*16.*32'):
        check_channels(head, 'decode_head', fpn, backbone)
    fpn.in_channels = [64]
    with pytest.raises(ValueError, match='neck.in_channels'):
        check_channels(head, 'decode_head', fpn, backbone)
    # Of unknown kinds nothing is said.
    check_channels(SimpleNamespace(), 'head', None, SimpleNamespace())


@pytest.mark.parametrize('name', config_files())
def test_configs_normalise_as_their_weights_want(name: str) -> None:
    cfg = load_config(CONFIG_DIR / name)
    fill_from_backbone(cfg)
    model = cfg.model
    check_normalisation(model.backbone, model.data_preprocessor)


def test_normalisation() -> None:
    weights = dict(checkpoint='torchvision://resnet18')
    backbone = dict(init_cfg=weights)
    good = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
    check_normalisation(backbone, good)
    for key in good:
        with pytest.raises(ValueError, match=f'{key}.*resnet18'):
            check_normalisation(backbone, {**good, key: [127.5] * 3})
    weights['checkpoint'] = 'torchvision://inception_v3'
    with pytest.raises(ValueError, match='inception_v3'):
        check_normalisation(backbone, good)
    with pytest.raises(ValueError, match='fill_from_backbone'):
        check_normalisation({}, dict(mean='as_arch', std='as_arch'))
