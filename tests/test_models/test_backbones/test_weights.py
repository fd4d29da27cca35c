"""Files and names of weights, and how they fit a network."""

import sys
from pathlib import Path
from typing import Dict
from urllib.error import URLError

import pytest
import torch
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights

from mmwsl.models.backbones import TorchvisionBackbone
from mmwsl.models.backbones.weights import (
    find_package_file,
    load_weights,
    read_state,
)


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
    with pytest.raises(ValueError, match='weights.pth.* 0.weight'):
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
    message = 'weights.pth.* lacks 5 .* 0.weight'
    with pytest.raises(ValueError, match=message):
        load_weights(network(), saved(tmp_path, content), KEYS)


def test_wrong_shape(tmp_path):
    content = state()
    content['0.weight'] = torch.zeros(4, 3, 1, 1)
    message = r'weights.pth.* 0.weight.*\[4, 3, 1, 1\].*\[4, 3, 3, 3\]'
    with pytest.raises(ValueError, match=message):
        load_weights(network(), saved(tmp_path, content), KEYS)


def test_parameters_of_another_network(tmp_path):
    content = {**state(), '2.weight': torch.zeros(3)}
    with pytest.raises(ValueError, match='weights.pth.* 2.weight'):
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


def test_broken_files(tmp_path):
    path = Path(saved(tmp_path, state()))
    for content in (path.read_bytes()[:-200], b'', b'<html>not found</html>'):
        path.write_bytes(content)
        with pytest.raises(ValueError, match='weights.pth'):
            load_weights(network(), str(path), KEYS)
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
    with pytest.raises(ValueError, match=r'weights.pth.* layer1\.2'):
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


def write_onnx(
    path: Path, tensors: Dict[str, Tensor], external: bool = False
) -> str:
    """An ONNX file as Keras's exporter writes it, all layers in one row."""
    onnx = pytest.importorskip('onnx')
    convs = [name[:-2] for name in tensors if name.endswith('/w')]
    nodes, last = [], 'image'
    for conv in convs:
        names = [last, f'{conv}/w', f'{conv}/b']
        nodes.append(onnx.helper.make_node('Conv', names, [conv]))
        nodes.append(onnx.helper.make_node('Relu', [conv], [f'{conv}/r']))
        last = f'{conv}/r'
    nodes.append(onnx.helper.make_node('MatMul', [last, 'dense'], ['out']))
    # In an order that says nothing of that of the layers.
    stored = [
        onnx.numpy_helper.from_array(tensors[name].numpy(), name)
        for name in sorted(tensors, reverse=True)
    ]
    for tensor in stored if external else ():
        onnx.external_data_helper.set_external_data(tensor, '/etc/hostname')
        tensor.ClearField('raw_data')
    graph = onnx.helper.make_graph(nodes, 'network', [], [], stored)
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    return str(path)


def keras_vgg() -> Dict[str, Tensor]:
    return {
        'zoom/w': torch.rand(4, 3, 3, 3),
        'zoom/b': torch.rand(4),
        'block/w': torch.rand(2, 4, 3, 3),
        'block/b': torch.rand(2),
        'dense': torch.rand(2, 5),
    }


class SmallVGG(nn.Module):
    """Layers 8 and 10, whose names sort the other way round."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.ReLU() for _ in range(11)]
        layers[8], layers[10] = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 3)
        self.features = nn.Sequential(*layers)


def test_convolutions_of_an_onnx_file(tmp_path):
    net, content = SmallVGG(), keras_vgg()
    path = write_onnx(tmp_path / 'vgg.onnx', content)
    load_weights(net, path, frozenset(), key_map='vgg_onnx')
    for layer, name in ((8, 'zoom'), (10, 'block')):
        assert torch.equal(net.features[layer].weight, content[f'{name}/w'])
        assert torch.equal(net.features[layer].bias, content[f'{name}/b'])


def test_onnx_file_of_a_package(package):
    content = keras_vgg()
    write_onnx(package / 'toy_weights' / 'models' / 'vgg.onnx', content)
    net = SmallVGG()
    path = 'package://toy_weights/vgg.onnx'
    load_weights(net, path, frozenset(), key_map='vgg_onnx')
    assert torch.equal(net.features[10].bias, content['block/b'])


def test_onnx_file_of_another_network(tmp_path):
    content = keras_vgg()
    content['third/w'] = torch.rand(2, 2, 3, 3)
    content['third/b'] = torch.rand(2)
    path = write_onnx(tmp_path / 'vgg.onnx', content)
    with pytest.raises(ValueError, match='vgg.onnx.* conv2.weight'):
        load_weights(SmallVGG(), path, frozenset(), key_map='vgg_onnx')


def test_onnx_files_that_cannot_be_read(tmp_path):
    path = write_onnx(tmp_path / 'vgg.onnx', keras_vgg(), external=True)
    with pytest.raises(ValueError, match='vgg.onnx: zoom/w.* not in the file'):
        read_state(path)
    content = keras_vgg()
    del content['block/b']
    path = write_onnx(tmp_path / 'vgg.onnx', content)
    with pytest.raises(ValueError, match='vgg.onnx: block/b'):
        read_state(path)
    (tmp_path / 'text.onnx').write_text('no network')
    with pytest.raises(ValueError, match='text.onnx is no ONNX file'):
        read_state(str(tmp_path / 'text.onnx'))
    with pytest.raises(FileNotFoundError, match='none.onnx'):
        read_state(str(tmp_path / 'none.onnx'))


def test_onnx_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnx', None)
    with pytest.raises(ImportError, match='vgg.onnx needs onnx: pip install'):
        read_state(str(tmp_path / 'vgg.onnx'))


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """An importable package with weights, which fails when imported."""
    root = tmp_path / 'site'
    folder = root / 'toy_weights'
    (folder / 'models').mkdir(parents=True)
    (folder / '__init__.py').write_text('raise SystemExit("imported")\n')
    (folder / 'notes.txt').write_text('no weights\n')
    torch.save({'a': torch.ones(2)}, folder / 'models' / 'small.pth')
    torch.save({'a': torch.zeros(2)}, folder / 'large.pth')
    monkeypatch.syspath_prepend(str(root))
    return root


def install(package: Path, name: str) -> None:
    """Writes what pip writes about a distribution."""
    info = package / f'{name.replace("-", "_")}-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\n')
    (info / 'RECORD').write_text('toy_weights/models/small.pth,,\n')
    (info / 'top_level.txt').write_text('toy_weights\n')


def test_package_file_is_loaded_without_import(package):
    content = CheckpointLoader.load_checkpoint(
        'package://toy_weights/models/small.pth', map_location='cpu'
    )
    assert torch.equal(content['a'], torch.ones(2))
    assert 'toy_weights' not in sys.modules


def test_package_by_distribution_name(package):
    install(package, 'Weights-of-toys')
    expected = (package / 'toy_weights/models/small.pth').resolve()
    found = find_package_file('package://weights-of-toys/small.pth')
    assert found == expected
    # Files that RECORD does not list, as in an editable installation.
    found = find_package_file('package://weights-of-toys/large.pth')
    assert found.name == 'large.pth'


def test_package_is_missing():
    message = 'pip install no-such-weights$'
    with pytest.raises(ImportError, match=message):
        find_package_file('package://no-such-weights/small.pth')


@pytest.mark.parametrize('name', ['tiny.pth', 'mall.pth', 'notes.txt'])
def test_package_file_is_missing(package, name):
    message = f'{name}: no such file.*toy_weights: large.pth, small.pth$'
    with pytest.raises(FileNotFoundError, match=message):
        find_package_file(f'package://toy_weights/{name}')


def test_package_file_is_ambiguous(package):
    torch.save({}, package / 'toy_weights' / 'small.pth')
    with pytest.raises(ValueError, match='is ambiguous: .*small.pth, .*'):
        find_package_file('package://toy_weights/small.pth')
    found = find_package_file('package://toy_weights/models/small.pth')
    assert found.parent.name == 'models'


@pytest.mark.parametrize(
    'name', ['package://toy', 'package:///small.pth', 'toy/small.pth']
)
def test_package_name_of_another_form(name):
    with pytest.raises(ValueError, match='not of the form package://NAME/FI'):
        find_package_file(name)
