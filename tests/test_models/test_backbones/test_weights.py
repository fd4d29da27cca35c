"""Files and names of weights, and how they fit a network."""

from pathlib import Path
from typing import Dict
from urllib.error import URLError

import pytest
import torch
from mmengine.runner import checkpoint as mmengine_checkpoint
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights

from mmwsl.models.backbones import TorchvisionBackbone
from mmwsl.models.backbones.weights import efficientnet_key_map, load_weights


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


KEYS = frozenset(network().state_dict()) | {'fc.weight', 'fc.bias'}


def state() -> Dict[str, Tensor]:
    """What a file of ``network`` with its classifier holds."""
    state = network().state_dict()
    state['fc.weight'] = torch.zeros(9, 4)
    return state


def saved(path: Path, content: object) -> str:
    torch.save(content, path / 'weights.pth')
    return str(path / 'weights.pth')


def is_loaded(net: nn.Module, state: Dict[str, Tensor]) -> bool:
    return all(
        torch.equal(value, state[key])
        for key, value in net.state_dict().items()
    )


@pytest.mark.parametrize(
    'wrap',
    [
        lambda s: s,
        lambda s: {'state_dict': s, 'meta': {'epoch': 3}},
        lambda s: {f'module.{key}': value for key, value in s.items()},
        lambda s: {
            'state_dict': {
                **{f'backbone.net.{key}': value for key, value in s.items()},
                'head.weight': torch.zeros(2),
            }
        },
        lambda s: {f'module.backbone.{key}': s[key] for key in s},
    ],
)
def test_accepted_forms(tmp_path, wrap):
    net, expected = network(), state()
    load_weights(net, saved(tmp_path, wrap(expected)), KEYS)
    assert is_loaded(net, expected)


def test_prefix(tmp_path):
    net, expected = network(), state()
    content = {f'encoder.{key}': value for key, value in expected.items()}
    content['decoder.weight'] = torch.zeros(2)
    path = saved(tmp_path, content)
    load_weights(net, path, KEYS, prefix='encoder.')
    assert is_loaded(net, expected)
    with pytest.raises(ValueError, match='weights.pth lacks 0.weight'):
        load_weights(net, path, KEYS, prefix='other')


def test_files_without_batch_counts(tmp_path):
    net, expected = network(), state()
    del expected['1.num_batches_tracked']
    load_weights(net, saved(tmp_path, expected), KEYS)
    assert torch.equal(net[0].weight, expected['0.weight'])


def test_missing_keys(tmp_path):
    content = state()
    for key in list(content)[:5]:
        del content[key]
    message = 'weights.pth lacks 0.weight, 0.bias, 1.weight and 2 more$'
    with pytest.raises(ValueError, match=message):
        load_weights(network(), saved(tmp_path, content), KEYS)


def test_wrong_shape(tmp_path):
    content = state()
    content['0.weight'] = torch.zeros(4, 3, 1, 1)
    net = network()
    expected = net[1].weight.detach().clone()
    message = r'wrong shape for 0.weight \(4, 3, 1, 1\) instead of \(4, 3, 3'
    with pytest.raises(ValueError, match=message):
        load_weights(net, saved(tmp_path, content), KEYS)
    assert torch.equal(net[1].weight, expected)


def test_parameters_of_another_network(tmp_path):
    content = {**state(), '2.weight': torch.zeros(3)}
    with pytest.raises(ValueError, match='another network: 2.weight$'):
        load_weights(network(), saved(tmp_path, content), KEYS)


def test_auxiliary_classifiers_are_ignored(tmp_path):
    net, expected = network(), state()
    expected['AuxLogits.fc.weight'] = torch.zeros(3)
    load_weights(net, saved(tmp_path, expected), KEYS)
    assert is_loaded(net, expected)


@pytest.mark.parametrize('content', [[1, 2], {'epoch': 3}, torch.zeros(2)])
def test_no_state_dict(tmp_path, content):
    with pytest.raises(ValueError, match='weights.pth is not a state dict'):
        load_weights(network(), saved(tmp_path, content), KEYS)


@pytest.mark.parametrize('content', [b'', b'<html>not found</html>'])
def test_broken_file(tmp_path, content):
    path = tmp_path / 'weights.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='weights.pth'):
        load_weights(network(), str(path), KEYS)


def test_truncated_file(tmp_path):
    path = Path(saved(tmp_path, state()))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match='weights.pth'):
        load_weights(network(), str(path), KEYS)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'none\.pth'):
        load_weights(network(), str(tmp_path / 'none.pth'), KEYS)


def test_torchvision_name_is_resolved(monkeypatch):
    urls = []
    source = TorchvisionBackbone('resnet18')
    content = source.net.state_dict()
    content['fc.weight'] = torch.zeros(1000, 512)

    def load(url: str, map_location: object = None) -> Dict[str, Tensor]:
        urls.append(url)
        return content

    monkeypatch.setattr(mmengine_checkpoint, 'load_from_http', load)
    backbone = TorchvisionBackbone(
        'resnet18',
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18'),
    )
    backbone.init_weights()
    assert urls == [ResNet18_Weights.IMAGENET1K_V1.url]
    assert is_loaded(backbone.net, content)


def test_unknown_torchvision_name():
    with pytest.raises(ValueError, match='torchvision://resnet1: no weights'):
        load_weights(network(), 'torchvision://resnet1', KEYS)


def test_no_network(monkeypatch):
    def load(url: str, map_location: object = None) -> None:
        raise URLError('no route')

    monkeypatch.setattr(mmengine_checkpoint, 'load_from_http', load)
    message = r'torchvision://resnet50 cannot be downloaded \(no route\)'
    with pytest.raises(ConnectionError, match=message):
        load_weights(network(), 'torchvision://resnet50', KEYS)


def test_weights_of_a_deeper_network_are_refused(tmp_path):
    deeper = TorchvisionBackbone('resnet34').net.state_dict()
    backbone = TorchvisionBackbone(
        'resnet18',
        init_cfg=dict(
            type='Pretrained', checkpoint=saved(tmp_path, dict(deeper))
        ),
    )
    with pytest.raises(ValueError, match=r'another network: layer1\.2'):
        backbone.init_weights()


def test_weights_beyond_the_last_stage_are_ignored(tmp_path):
    whole = TorchvisionBackbone('resnet18').net.state_dict()
    backbone = TorchvisionBackbone(
        'resnet18',
        out_indices=(0,),
        init_cfg=dict(
            type='Pretrained', checkpoint=saved(tmp_path, dict(whole))
        ),
    )
    backbone.init_weights()
    assert is_loaded(backbone.net, whole)


def test_old_densenet_names(tmp_path):
    net = nn.ModuleDict(
        {'denselayer1': nn.ModuleDict({'conv1': nn.Conv2d(1, 1, 1)})}
    )
    old = {
        'denselayer1.conv.1.weight': torch.ones(1, 1, 1, 1),
        'denselayer1.conv.1.bias': torch.ones(1),
    }
    load_weights(net, saved(tmp_path, old), frozenset())
    assert net['denselayer1']['conv1'].weight.item() == 1


def test_key_map_of_patterns(tmp_path):
    net, expected = network(), state()
    content = {f'stem{key}': value for key, value in expected.items()}
    path = saved(tmp_path, content)
    load_weights(net, path, KEYS, key_map={r'^stem(?=\d)': '', '^stem': ''})
    assert is_loaded(net, expected)


def test_unknown_key_map(tmp_path):
    path = saved(tmp_path, state())
    with pytest.raises(ValueError, match="'x' .*: efficientnet_pytorch"):
        load_weights(network(), path, KEYS, key_map='x')


def test_efficientnet_names():
    names = [
        'conv_stem.weight',
        'bn1.bias',
        'blocks.0.0.conv_dw.weight',
        'blocks.0.0.bn1.weight',
        'blocks.0.0.conv_pw.weight',
        'blocks.0.0.bn2.weight',
        'blocks.1.0.conv_pw.weight',
        'blocks.1.0.bn1.weight',
        'blocks.1.1.conv_dw.weight',
        'blocks.1.1.bn2.running_var',
        'blocks.1.1.conv_pwl.weight',
        'blocks.10.0.bn3.weight',
        'blocks.10.0.conv_pwl.weight',
        'blocks.1.0.conv_pwl.weight',
        'conv_head.weight',
        'bn2.weight',
        'classifier.bias',
    ]
    assert efficientnet_key_map(frozenset(names)) == {
        '_conv_stem.weight': names[0],
        '_bn0.bias': names[1],
        '_blocks.0._depthwise_conv.weight': names[2],
        '_blocks.0._bn1.weight': names[3],
        '_blocks.0._project_conv.weight': names[4],
        '_blocks.0._bn2.weight': names[5],
        '_blocks.1._expand_conv.weight': names[6],
        '_blocks.1._bn0.weight': names[7],
        '_blocks.2._depthwise_conv.weight': names[8],
        '_blocks.2._bn1.running_var': names[9],
        '_blocks.2._project_conv.weight': names[10],
        '_blocks.3._bn2.weight': names[11],
        '_blocks.3._project_conv.weight': names[12],
        '_blocks.1._project_conv.weight': names[13],
        '_conv_head.weight': names[14],
        '_bn1.weight': names[15],
        '_fc.bias': names[16],
    }
