"""Class maps of classifiers that exist."""

import re

import numpy as np
import pytest
import torch
import torchvision

from mmwsl.apis import WSLInferencer, load_config
from mmwsl.apis.classifiers import convert_classifier
from tool_calls import call, load_tool

NAMES = ['ant', 'bee', 'great auk']
EXTRA = {
    'swin_tiny_patch4_window7_224': dict(strict_img_size=False),
    'googlenet': dict(aux_logits=False, init_weights=False),
}


def build(arch, number=3):
    """A network as other programs have it, with random weights."""
    torch.manual_seed(0)
    library, _, name = arch.rpartition('/')
    if library == 'timm':
        timm = pytest.importorskip('timm')
        return timm.create_model(
            name, num_classes=number, **EXTRA.get(name, {})
        ).eval()
    return torchvision.models.get_model(
        name, weights=None, num_classes=number, **EXTRA.get(name, {})
    ).eval()


@pytest.fixture
def weights(tmp_path):
    """Save the weights of a network; returns the file."""

    def save(arch, change=lambda state: state):
        path = tmp_path / 'classifier.pth'
        torch.save(change(build(arch).state_dict()), path)
        return path

    return save


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (224, 288, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    'arch',
    [
        'resnet18',
        pytest.param('mobilenet_v2', marks=pytest.mark.slow),
        'mnasnet0_5',
        pytest.param('efficientnet_b0', marks=pytest.mark.slow),
        pytest.param('densenet121', marks=pytest.mark.slow),
        pytest.param('timm/mobilenetv2_100', marks=pytest.mark.slow),
        pytest.param('timm/resnetv2_18', marks=pytest.mark.slow),
        pytest.param(
            'timm/swin_tiny_patch4_window7_224', marks=pytest.mark.slow
        ),
    ],
)
def test_scores_are_those_of_the_classifier(arch, weights, image):
    inferencer = WSLInferencer.from_classifier(
        arch,
        weights(arch),
        NAMES,
        device='cpu',
        # The classifier sees the image as it is.
        cfg_options={'test_dataloader.dataset.pipeline.1.scale': 288},
        show_progress=False,
    )
    result = inferencer(image, return_vis=True)
    (found,) = result['predictions']
    prepare = inferencer.cfg.model.data_preprocessor
    pixels = (image[..., ::-1] - np.array(prepare.mean)) / prepare.std
    batch = torch.from_numpy(pixels.transpose(2, 0, 1)[None]).float()
    with torch.no_grad():
        scores = build(arch)(batch).softmax(dim=1)[0]
    assert found['scores'] == pytest.approx(scores.tolist(), abs=1e-4)
    assert found['names'] == [NAMES[int(scores.argmax())]]
    assert len(result['visualization']) == 1


@pytest.mark.parametrize(
    ('arch', 'words'),
    [
        ('alexnet', r'alexnet.*classifier\.1 .*classifier\.4 .*one linear'),
        ('convnext_tiny', r'classifier\.0 \(LayerNorm2d\).*norm of a pooled'),
        ('mobilenet_v3_small', r'classifier\.0 \(Linear\)'),
        ('squeezenet1_1', 'differ from its logits'),
        ('timm/convnext_atto', r'head\.norm \(LayerNorm2d\).*norm'),
        ('mmpretrain/resnet50', 'only networks of torchvision'),
        ('vit_b_16', 'not a CNN'),
        ('timm/vit_tiny_patch16_224', 'differ from its logits'),
    ],
)
def test_other_classifiers_are_refused(arch, words, tmp_path):
    path = tmp_path / 'none.pth'
    if arch in ('squeezenet1_1', 'timm/vit_tiny_patch16_224'):
        torch.save(build(arch).state_dict(), path)
    if arch.startswith('timm/'):
        pytest.importorskip('timm')
    with pytest.raises(ValueError, match=words):
        convert_classifier(arch, path, NAMES)


def as_mmpretrain(state):
    """Name the parameters of a ResNet as mmpretrain does."""
    names = {
        key: f'head.{key}' if key.startswith('fc.') else f'backbone.{key}'
        for key in state
    }
    return dict(state_dict={names[k]: v for k, v in state.items()}, meta={})


def test_checkpoints_of_mmpretrain(weights):
    path = weights('resnet18', as_mmpretrain)
    _, checkpoint = convert_classifier('resnet18', path, NAMES)
    state = build('resnet18').state_dict()
    found = checkpoint['state_dict']
    assert found['head.classifier.weight'][..., 0, 0].equal(state['fc.weight'])
    name = 'layer1.0.conv1.weight'
    assert found[f'backbone.net.{name}'].equal(state[name])


@pytest.mark.slow
def test_other_names_of_mmpretrain_in_the_same_order(weights):
    """As its MobileNetV2, ShuffleNetV2 and RepVGG have them."""

    def renamed(state):
        last = [key for key in state if key.startswith('classifier.')]
        names = {
            key: f'head.fc.{key.rpartition(".")[2]}'
            if key in last
            else f'backbone.layer{number}.{key.rpartition(".")[2]}'
            for number, key in enumerate(state)
        }
        return {names[key]: value for key, value in state.items()}

    path = weights('mobilenet_v2', renamed)
    _, checkpoint = convert_classifier('mobilenet_v2', path, NAMES)
    state = build('mobilenet_v2').state_dict()
    found = checkpoint['state_dict']
    for name in ('features.0.0.weight', 'features.18.1.running_var'):
        assert found[f'backbone.net.{name}'].equal(state[name])
    with pytest.raises(ValueError, match="mmpretrain's.*nor in their order"):
        convert_classifier('resnet18', path, NAMES)


@pytest.mark.slow
def test_safetensors(weights, tmp_path):
    save = pytest.importorskip('safetensors.torch').save_file
    path = tmp_path / 'model.safetensors'
    save(build('resnet18').state_dict(), path)
    _, checkpoint = convert_classifier('resnet18', path, NAMES)
    plain = convert_classifier('resnet18', weights('resnet18'), NAMES)[1]
    for name, value in plain['state_dict'].items():
        assert checkpoint['state_dict'][name].equal(value), name


@pytest.mark.parametrize(
    ('change', 'classes', 'words'),
    [
        (lambda state: state, ['a', 'b'], '2 different names.* 3'),
        (lambda state: state, ['a', 'b', 'b'], '2 different names.* 3'),
        (lambda state: state, None, '0 different names.* 3'),
        (
            lambda state: {k: v for k, v in state.items() if k[:3] != 'fc.'},
            NAMES,
            r'classifier.pth: has no fc\.weight',
        ),
        (
            lambda state: {k: v for k, v in state.items() if k[:3] != 'bn1'},
            NAMES,
            r'classifier.pth: .*lacks .* bn1\.',
        ),
    ],
)
def test_what_does_not_fit(weights, change, classes, words):
    with pytest.raises(ValueError, match=words):
        convert_classifier('resnet18', weights('resnet18', change), classes)


def test_names_of_imagenet(tmp_path):
    path = tmp_path / 'imagenet.pth'
    torch.save(build('resnet18', 1000).state_dict(), path)
    cfg, checkpoint = convert_classifier('resnet18', path)
    names = checkpoint['meta']['dataset_meta']['classes']
    assert cfg.model.head.num_classes == len(set(names)) == 1000
    assert names[:2] == ['tench', 'goldfish']


@pytest.mark.slow
@pytest.mark.parametrize('multi_label', [False, True])
def test_command(weights, tmp_path, capsys, multi_label):
    tool = load_tool('model_converters/from_classifier.py')
    names = tmp_path / 'names.txt'
    names.write_text('\n'.join(NAMES))
    out = tmp_path / 'out' / 'model.pth'
    args = ['resnet18', weights('resnet18'), out, '--classes', names]
    args += ['--output-stride', 16] + ['--multi-label'] * multi_label
    assert call(tool, *args) == 0
    assert re.search(
        rf'3 classes.*\n.*model\.py {out}', capsys.readouterr()[0]
    )
    cfg = load_config(out.with_suffix('.py'))
    assert cfg.model.backbone.output_stride == 16
    inferencer = WSLInferencer(out.with_suffix('.py'), out, 'cpu')
    assert inferencer.model.dataset_meta['classes'] == NAMES
    assert inferencer.model.head.multi_label == multi_label
    metric = cfg.test_evaluator[0].type
    assert metric == ('MultiLabelMetric' if multi_label else 'AccuracyMetric')
    assert call(tool, *args[:2], tmp_path / 'model.txt') == 1
    assert 'model.txt: name a file' in capsys.readouterr().err
