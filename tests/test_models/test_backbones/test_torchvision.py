"""What the wrapper keeps, refuses and leaves alone."""

import copy

import pytest
import torch
import torchvision
from torch import nn

from mmwsl.models.backbones.torchvision import TorchvisionBackbone
from mmwsl.registry import MODELS


def test_vgg16_at_stride_8_is_nsroms_network():
    backbone = TorchvisionBackbone(
        'vgg16',
        output_stride=8,
        out_indices=(2,),
        arch_cfg=dict(init_weights=False),
    )
    convs = [m for m in backbone.net.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == 13
    assert [conv.dilation[0] for conv in convs] == [1] * 10 + [2] * 3
    pools = [m for m in backbone.net.modules() if isinstance(m, nn.MaxPool2d)]
    assert [pool.stride for pool in pools] == [(2, 2)] * 3 + [(1, 1)]
    assert backbone.out_strides == (8,)
    assert backbone.out_channels == (512,)


def test_holds_only_the_layers_in_use():
    source = torchvision.models.resnet18()
    backbone = TorchvisionBackbone('resnet18', out_indices=(1,))
    expected = [
        key
        for key in source.state_dict()
        if not key.startswith(('layer3', 'layer4', 'fc'))
    ]
    assert list(backbone.net.state_dict()) == expected


@pytest.mark.parametrize(
    'arch', ['convnext_tiny', 'efficientnet_b0', 'googlenet']
)
def test_every_parameter_gets_a_gradient(arch):
    backbone = TorchvisionBackbone(
        arch, output_stride=4, out_indices=(0, 1)
    ).train()
    outputs = backbone(torch.randn(2, 3, 64, 64))
    sum(output.square().mean() for output in outputs).backward()
    assert all(p.grad is not None for p in backbone.parameters())


def test_building_leaves_random_state_and_statistics_alone():
    torch.manual_seed(1)
    source = torchvision.models.mobilenet_v3_small()
    expected = torch.get_rng_state()
    torch.manual_seed(1)
    backbone = TorchvisionBackbone('mobilenet_v3_small', output_stride=8)
    assert torch.equal(torch.get_rng_state(), expected)
    state = source.state_dict()
    for key, value in backbone.net.state_dict().items():
        assert torch.equal(value, state[key])
    assert all(module.training for module in backbone.modules())


@pytest.mark.parametrize(
    ('arch', 'message'),
    [
        ('resnet51', "'resnet51' is unknown; .*resnet50"),
        ('vit_b_16', "'vit_b_16' is not a CNN"),
        ('swin_t', "'swin_t' is not a CNN"),
    ],
)
def test_refuses_other_archs(arch, message):
    with pytest.raises(ValueError, match=message):
        TorchvisionBackbone(arch)


def test_is_registered_and_takes_arguments_of_the_builder():
    backbone = MODELS.build(
        dict(
            type='TorchvisionBackbone',
            arch='mobilenet_v2',
            out_indices=(-1, 0),
            arch_cfg=dict(width_mult=0.5),
        )
    )
    assert backbone.out_channels == (1280, 16)
    assert backbone.out_strides == (32, 4)


def test_real_weights_recognise_a_photograph(shared_dir):
    """Pooled features times the file's classifier name what is shown."""
    import cv2

    path = shared_dir / 'weights' / 'mobilenet_v2_imagenet.pth'
    if not path.is_file():
        pytest.skip(f'needs {path.name}')
    backbone = TorchvisionBackbone(
        'mobilenet_v2',
        output_stride=16,
        init_cfg=dict(type='Pretrained', checkpoint=str(path)),
    )
    backbone.eval().init_weights()
    photo = shared_dir / 'data/voc12_2007/JPEGImages/2007_007772.jpg'
    image = cv2.resize(cv2.imread(str(photo)), (256, 256))[16:240, 16:240]
    image = torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1)
    with torch.no_grad():
        (features,) = backbone((image[None].float() - 127.5) / 127.5)
    classifier = torch.load(path, weights_only=True)
    logits = nn.functional.linear(
        features.mean((2, 3)),
        classifier['classifier.1.weight'].float(),
        classifier['classifier.1.bias'].float(),
    )
    weights = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1
    assert weights.meta['categories'][logits.argmax()] == 'ox'


@pytest.mark.parametrize(
    ('arch', 'parts'),
    [
        ('resnet18', ['layer2', 'layer3.1']),
        ('densenet121', ['features.denseblock2', 'features.transition1']),
        ('convnext_tiny', ['features.3', 'features.5.0']),
    ],
)
def test_hooks_on_parts_see_their_results(arch, parts):
    """As those of the source network do; a copy keeps them."""
    torch.manual_seed(0)
    source = torchvision.models.get_model(arch, weights=None).eval()
    backbone = TorchvisionBackbone(arch).eval()
    backbone.net.load_state_dict(source.state_dict(), strict=False)
    copied = copy.deepcopy(backbone)
    seen = {}
    nets = dict(source=source, own=backbone.net, copied=copied.net)
    for kind, net in nets.items():
        for name in parts:

            def listen(module, inputs, output, key=(kind, name)):
                seen[key] = output

            net.get_submodule(name).register_forward_hook(listen)
    image = torch.rand(1, 3, 64, 96)
    source(image)
    (maps,) = backbone(image)
    assert copied(image)[0].equal(maps)
    for name in parts:
        for kind in ('own', 'copied'):
            torch.testing.assert_close(
                seen[kind, name], seen['source', name], rtol=1e-4, atol=1e-5
            )
    (gradient,) = torch.autograd.grad(maps.sum(), seen['own', parts[0]])
    assert gradient.abs().sum() > 0
