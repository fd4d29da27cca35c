"""The stages of every family against torchvision's own modules."""

from collections import OrderedDict
from functools import lru_cache
from typing import Dict, List, Optional

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import vgg

from mmwsl.models.backbones.graph_backbone import (
    TorchvisionBackbone,
    list_archs,
)

# The modules of torchvision at which stages 0, 1, 2, ... end.
STAGES = {
    'alexnet': ['features.1', 'features.4', 'features.11'],
    'convnext_tiny': ['features.1', 'features.3', 'features.5', 'features.7'],
    'densenet121': [
        'features.denseblock1',
        'features.denseblock2',
        'features.denseblock3',
        'features',
    ],
    'efficientnet_b0': ['features.2', 'features.3', 'features.5', 'features'],
    'googlenet': ['conv3', 'inception3b', 'inception4e', 'inception5b'],
    'inception_v3': ['Conv2d_4a_3x3', 'Mixed_5d', 'Mixed_6e', 'Mixed_7c'],
    'mnasnet0_5': ['layers.8', 'layers.9', 'layers.11', 'layers'],
    'mobilenet_v2': ['features.3', 'features.6', 'features.13', 'features'],
    'mobilenet_v3_small': [
        'features.1',
        'features.3',
        'features.8',
        'features',
    ],
    'regnet_y_400mf': [
        'trunk_output.block1',
        'trunk_output.block2',
        'trunk_output.block3',
        'trunk_output',
    ],
    'resnet18': ['layer1', 'layer2', 'layer3', 'layer4'],
    'shufflenet_v2_x0_5': ['maxpool', 'stage2', 'stage3', 'conv5'],
    'squeezenet1_1': ['features.4', 'features.7', 'features'],
    'vgg11': ['features.9', 'features.14', 'features.19'],
}


CHANNELS = {
    'alexnet': (64, 192, 256),
    'convnext_tiny': (96, 192, 384, 768),
    'densenet121': (256, 512, 1024, 1024),
    'efficientnet_b0': (24, 40, 112, 1280),
    'googlenet': (192, 480, 832, 1024),
    'inception_v3': (192, 288, 768, 2048),
    'mnasnet0_5': (16, 24, 48, 1280),
    'mobilenet_v2': (24, 32, 96, 1280),
    'mobilenet_v3_small': (16, 24, 48, 576),
    'regnet_y_400mf': (48, 104, 208, 440),
    'resnet18': (64, 128, 256, 512),
    'shufflenet_v2_x0_5': (24, 48, 96, 1024),
    'squeezenet1_1': (128, 256, 512),
    'vgg11': (256, 512, 512),
}


# The hundred million numbers of VGG's classifier need not be drawn twice.
FAST = {
    'vgg11': dict(init_weights=False),
    'inception_v3': dict(init_weights=False),
}


AUX = dict(aux_logits=False, transform_input=False, init_weights=False)


def build(arch: str, **kwargs) -> TorchvisionBackbone:
    return TorchvisionBackbone(arch, arch_cfg=FAST.get(arch), **kwargs).eval()


@lru_cache(maxsize=None)
def all_stages(arch: str, output_stride: Optional[int]) -> TorchvisionBackbone:
    """Shared by the tests here, which set all weights that they rely on."""
    return build(
        arch,
        output_stride=output_stride,
        out_indices=range(len(STAGES[arch])),
    )


def source_of(arch: str) -> nn.Module:
    if arch == 'vgg11':
        # Without the classifier, of a hundred million numbers.
        layers = vgg.make_layers(vgg.cfgs['A'])
        return nn.Sequential(OrderedDict(features=layers)).eval()
    cfg = AUX if arch in ('googlenet', 'inception_v3') else FAST.get(arch, {})
    return torchvision.models.get_model(arch, weights=None, **cfg).eval()


def copy_weights(source: nn.Module, backbone: TorchvisionBackbone) -> None:
    state = source.state_dict()
    backbone.net.load_state_dict(
        {key: state[key] for key in backbone.net.state_dict()}
    )


def features_of(
    source: nn.Module, names: List[str], image: torch.Tensor
) -> List[torch.Tensor]:
    """What the modules of these names return, seen by hooks."""
    seen: Dict[str, torch.Tensor] = {}

    def keep(name: str) -> None:
        def hook(module: nn.Module, args: tuple, output: torch.Tensor) -> None:
            seen[name] = output

        source.get_submodule(name).register_forward_hook(hook)

    for name in names:
        keep(name)
    with torch.no_grad():
        source(image)
    return [seen[name] for name in names]


@pytest.mark.parametrize('arch', sorted(STAGES))
def test_stages_are_torchvisions_features(arch):
    source = source_of(arch)
    count = len(STAGES[arch])
    backbone = all_stages(arch, None)
    copy_weights(source, backbone)
    image = torch.randn(1, 3, 97, 96)
    expected = features_of(source, STAGES[arch], image)
    if arch == 'densenet121':
        expected[-1] = expected[-1].relu()
    with torch.no_grad():
        outputs = backbone(image)
    assert backbone.out_channels == CHANNELS[arch]
    assert backbone.out_strides == (4, 8, 16, 32)[:count]
    assert len(outputs) == count
    for output, reference in zip(outputs, expected):
        assert torch.equal(output, reference)


@pytest.mark.parametrize(
    ('arch', 'stride'),
    [(arch, 8) for arch in sorted(STAGES)]
    + [('inception_v3', 16), ('mobilenet_v2', 16), ('resnet18', 16)],
)
def test_sizes_under_an_output_stride(arch, stride):
    backbone = all_stages(arch, stride)
    real = tuple(min(s, stride) for s in (4, 8, 16, 32)[: len(STAGES[arch])])
    assert backbone.out_strides == real
    assert backbone.out_channels == CHANNELS[arch]
    for size in [(64, 96), (65, 95)]:
        with torch.no_grad():
            outputs = backbone(torch.randn(1, 3, *size))
        for output, s in zip(outputs, real):
            if arch in ('convnext_tiny', 'vgg11'):
                # Kernels of 2 x 2 and 4 x 4 round down.
                expected = tuple(side // s for side in size)
            elif arch == 'densenet121':
                # Odd kernels up to stride 4, then poolings of 2 x 2.
                expected = tuple(-(-side // 4) * 4 // s for side in size)
            else:
                expected = tuple(-(-side // s) for side in size)
            assert output.shape[2:] == expected


@pytest.mark.parametrize(
    ('arch', 'own'),
    [
        ('convnext_tiny', 32),
        ('densenet121', 32),
        ('googlenet', 32),
        ('inception_v3', 32),
        ('mobilenet_v2', 32),
        ('resnet18', 32),
        ('shufflenet_v2_x0_5', 32),
        ('squeezenet1_1', 16),
        ('vgg11', 16),
    ],
)
def test_dense_maps_contain_the_coarse_ones(arch, own):
    """Dilated layers compute the strided ones' values, and more between."""
    padded = arch in ('googlenet', 'inception_v3', 'squeezenet1_1')
    coarse = all_stages(arch, own if padded else None)
    dense = all_stages(arch, 8)
    dense.load_state_dict(coarse.state_dict())
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = coarse(image)[-1]
        output = dense(image)[-1][:, :, :: own // 8, :: own // 8]
    scale = expected.abs().max()
    assert expected.std() > 0
    assert torch.allclose(output / scale, expected / scale, atol=1e-5)


@pytest.mark.parametrize(
    ('stride', 'replace'),
    [(16, [False, False, True]), (8, [False, True, True])],
)
def test_resnet50_equals_torchvisions_own_dilation(stride, replace):
    source = torchvision.models.resnet50(
        replace_stride_with_dilation=replace
    ).eval()
    backbone = build('resnet50', output_stride=stride)
    copy_weights(source, backbone)
    image = torch.randn(1, 3, 65, 64)
    (expected,) = features_of(source, ['layer4'], image)
    with torch.no_grad():
        (output,) = backbone(image)
    assert expected.shape[2:] == (-(-65 // stride), 64 // stride)
    assert torch.equal(output, expected)


def test_every_family_is_listed():
    archs = list_archs()
    assert set(STAGES) < set(archs)
    assert not any(
        arch.startswith(('vit', 'swin', 'maxvit')) for arch in archs
    )
