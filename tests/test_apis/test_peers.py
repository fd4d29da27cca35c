"""Converted checkpoints give what the authors' networks give."""

import pickle
import re

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from torch import nn

from mmwsl.apis import init_model
from mmwsl.apis.classifiers import save_model
from mmwsl.apis.peers import PEERS, convert_peer
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample
from peer_networks import (
    Attention,
    Complementary,
    Counting,
    Extractor,
    FullyConvolutional,
    LocalInception,
    Localiser,
    LocalVGG,
    MultiScale,
    enliven,
    pixelwise,
)
from tool_calls import call, error, load_tool

THIN = {'model.backbone.arch_cfg': dict(width_per_group=4)}
# Random numbers for weights that are replaced take seconds.
UNDRAWN = {'model.backbone.arch_cfg': dict(init_weights=False)}
# Images of odd sizes.
SIZES = ((65, 97), (72, 50))


def module(net):
    """The tensors of a network that was trained on several GPUs."""
    names = (key.replace('net.', '', 1) for key in net.state_dict())
    return {f'module.{k}': v for k, v in zip(names, net.state_dict().values())}


@pytest.fixture
def converted(tmp_path):
    """Convert what a file holds; returns the model of what was written."""

    def convert(peer, content, **kwargs):
        path = tmp_path / 'theirs.pth'
        torch.save(content, path)
        found = convert_peer(peer, path, **kwargs)
        out = tmp_path / 'ours.pth'
        config = save_model(found.cfg, found.checkpoint, out)
        init_default_scope(found.cfg.default_scope)
        return init_model(config, out), found

    return convert


def check(one, other, tolerance=1e-5):
    """Compare as a share of the largest value."""
    assert one.shape == other.shape
    difference = float((one - other).abs().max() / other.abs().max())
    print(f'difference {difference:.1e}')
    assert difference <= tolerance


def images():
    torch.manual_seed(1)
    return [torch.randn(2, 3, *size) for size in SIZES]


@torch.no_grad()
def compare(net, model):
    for x in images():
        check(model.class_maps(x), net(x))


def test_prm(converted):
    net = enliven(FullyConvolutional(20, width=4))
    state = {
        key.replace('module.', 'module.0.'): value
        for key, value in module(net).items()
        # Files of older torch have no counters.
        if 'num_batches' not in key
    }
    content = dict(model=state, optimizer={}, epoch=3)
    model, found = converted('prm', content, cfg_options=THIN)
    compare(net, model)
    assert found.left == ['optimizer', 'epoch']
    assert all(x.endswith('num_batches_tracked') for x in found.added)
    assert found.checkpoint['meta']['dataset_meta']['classes'][7] == 'cat'
    assert len(found.names) == len(state)


def peak_scores(maps):
    """The means of the peaks (N, C), by hand."""
    padded = F.pad(maps, (1, 1, 1, 1), value=-torch.inf)
    windows = F.max_pool2d(padded, 3, 1)
    middle = maps.flatten(2).median(dim=2).values[..., None, None]
    peaks = (maps == windows) & (maps >= middle)
    return (maps * peaks).sum((2, 3)) / peaks.sum((2, 3))


@pytest.mark.parametrize(
    'number', [20, pytest.param(80, marks=pytest.mark.slow)]
)
@torch.no_grad()
def test_countseg(converted, number):
    net = enliven(Counting(number, width=4))
    # The counts of some classes are negative.
    net.addedmodule.branch2[2].weight *= 10
    content = dict(model=module(net))
    model, found = converted('countseg', content, cfg_options=THIN)
    for x in images():
        maps, density = net(x)
        feats = model.extract_feat(x)
        both = torch.cat([maps, density], 1)
        check(model.head.view_maps(feats), both)
        size = tuple(x.shape[2:])
        samples = [
            WSLDataSample(metainfo=dict(img_shape=size, ori_shape=size))
            for _ in x
        ]
        for sample in samples:
            sample.gt_score = torch.zeros(number)
        counts = density.mean((2, 3)).round() * (peak_scores(maps) > 0)
        predicted = model.head.predict(feats, samples)
        predicted = torch.stack([s.pred_count for s in predicted])
        assert (counts < 0).any()
        assert predicted.equal(counts)
    names = found.checkpoint['meta']['dataset_meta']['classes']
    assert len(set(names)) == number
    assert names[-1] == ('tvmonitor' if number == 20 else 'toothbrush')


@pytest.mark.slow
def test_layers_without_a_bias(converted):
    net = enliven(Counting(20, width=4))
    net.backbond.classifier[0].bias = None
    model, found = converted(
        'countseg', dict(model=module(net)), cfg_options=THIN
    )
    assert found.added == ['head.shared.bias']
    with torch.no_grad():
        (x, _) = images()
        check(model.class_maps(x), net(x)[0])


@pytest.mark.slow
@pytest.mark.parametrize('integral', [False, True])
def test_nsrom_attention(converted, integral):
    net = enliven(Attention(20, integral))
    model, found = converted(
        'nsrom', dict(state_dict=module(net)), cfg_options=UNDRAWN
    )
    compare(net, model)
    kind = 'IntegralAttentionHead' if integral else 'CAMHead'
    assert found.cfg.model.head.type == kind


@pytest.fixture
def segmentor(converted):
    """A thin segmentor of NSROM, and what it becomes."""
    pytest.importorskip('mmseg')

    def convert(change):
        net = enliven(MultiScale(21, width=4))
        key = 'model.backbone.backbone.arch_cfg'
        options = {key: dict(width_per_group=4)}
        state = change(net.state_dict())
        return net, *converted('nsrom', state, cfg_options=options)

    return convert


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
@torch.no_grad()
def test_nsrom_segmentor(segmentor):
    net, model, found = segmentor(dict)
    for x in images():
        check(model.decode_head(model.backbone(x)), net(x))
    names = found.checkpoint['meta']['dataset_meta']['classes']
    assert names[0] == 'background'
    assert len(names) == 21


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
def test_weights_of_coco_begin_a_training(tmp_path):
    pytest.importorskip('mmseg')
    net = enliven(MultiScale(21, width=4)).base
    state = {k: v for k, v in net.state_dict().items() if 'aspp' not in k}
    torch.save({**state, 'fc.weight': torch.ones(91, 2048)}, tmp_path / 'in')
    options = {
        'model.backbone.backbone.arch_cfg': dict(width_per_group=4),
    }
    found = convert_peer('nsrom', tmp_path / 'in', cfg_options=options)
    assert found.left == ['fc.weight']
    assert 'decode_head.decode_head.branches.0.weight' in found.added
    path = tmp_path / 'out.pth'
    torch.save(found.checkpoint, path)
    part = found.cfg.model.backbone.backbone
    part.init_cfg = dict(
        type='Pretrained', checkpoint=str(path), prefix='backbone.backbone'
    )
    init_default_scope('mmseg')
    backbone = MODELS.build(part)
    backbone.init_weights()
    weight = net.layer5.block2.increase.conv.weight
    found = backbone.state_dict()['net.layer4.1.conv3.weight']
    assert found.equal(weight)


@pytest.mark.slow
@pytest.mark.parametrize('erased', [(), ((3, 0), (4, 0), (4, 2))])
@torch.no_grad()
def test_dawsol(converted, erased):
    net = enliven(Extractor(width=4, erased=erased))
    classifier = nn.Linear(2048, 200)
    content = dict(
        state_dict_extractor=module(net),
        state_dict_classifier={
            f'fc.{key}': value
            for key, value in classifier.state_dict().items()
        },
        state_dict_domain_classifier={'fc.weight': torch.ones(1, 2048)},
        epoch=2,
    )
    model, found = converted('dawsol', content, cfg_options=THIN)
    for x in images():
        check(model.class_maps(x), pixelwise(classifier, net(x)))
    assert found.left == ['epoch', 'domain_classifier.fc.weight']
    assert ('insert' in found.cfg.model.backbone) == bool(erased)


@pytest.mark.slow
@pytest.mark.parametrize('large', [True, False])
def test_wsolevaluation_resnet(converted, large):
    net = enliven(Localiser(Extractor(width=4, large=large), 7))
    options = {**THIN, 'model.backbone.output_stride': 8 if large else 16}
    content = dict(state_dict=module(net))
    model, found = converted(
        'wsolevaluation', content, classes=list('abcdefg'), cfg_options=options
    )
    compare(net, model)
    assert found.checkpoint['meta']['dataset_meta']['classes'] == [*'abcdefg']


@pytest.mark.slow
@pytest.mark.parametrize('large', [True, False])
def test_wsolevaluation_vgg(converted, large):
    net = enliven(Localiser(LocalVGG(large), 100, 1024))
    content = dict(state_dict=module(net))
    model, _ = converted('wsolevaluation', content, cfg_options=UNDRAWN)
    compare(net, model)


@pytest.mark.slow
@pytest.mark.parametrize('peer', ['dawsol', 'wsolevaluation'])
def test_inception(converted, peer):
    net = enliven(LocalInception(1000))
    state = module(net)
    content = dict(state_dict=state)
    if peer == 'dawsol':
        # A linear layer in a part of its own.
        weight, bias = (
            state.pop(f'module.SPG_A4.{name}') for name in ('weight', 'bias')
        )
        content = dict(
            state_dict_extractor=state,
            state_dict_classifier={
                'module.fc.weight': weight[..., 0, 0],
                'module.fc.bias': bias,
            },
        )
    model, found = converted(peer, content)
    compare(net, model)
    with torch.no_grad():
        maps = model.class_maps(torch.zeros(1, 3, 224, 224))
    assert maps.shape[2:] == (28, 28)
    assert found.cfg.train_dataloader.dataset.num_classes == 1000


@pytest.mark.slow
@torch.no_grad()
def test_wsolevaluation_acol(converted):
    net = enliven(Complementary(Extractor(width=4), 200))
    content = dict(state_dict=module(net))
    model, _ = converted('wsolevaluation', content, cfg_options=THIN)
    for x in images():
        found = model.head._branches(model.extract_feat(x))
        for one, other in zip(found, net(x)):
            check(one, other)


def test_networks_differ_by_dilation(converted):
    """What a conversion to the wrong geometry would give."""
    net = enliven(Localiser(Extractor(width=4), 5))
    options = {**THIN, 'model.backbone.dilate': True}
    content = dict(state_dict=module(net))
    model, _ = converted(
        'wsolevaluation', content, classes=list('abcde'), cfg_options=options
    )
    with torch.no_grad(), pytest.raises(AssertionError):
        check(model.class_maps(images()[0]), net(images()[0]), 0.05)


class Harmful:
    """Runs something when it is read."""

    def __reduce__(self):
        return print, ('this was run',)


CLASSIFIER = 'module.classifier.0.weight'


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'neck.w': torch.ones(1)}, 'first is neck.w'),
        (
            {'module.classifier.0.bias': None},
            'lacks 1 .* head.classifier.bias',
        ),
        (
            {'module.features.0.weight': torch.ones(3)},
            'size mismatch for backbone.net.conv1',
        ),
        (
            {CLASSIFIER: torch.ones(4, 2048, 1, 1)},
            '20 different names, but .* 4 classes',
        ),
        ({CLASSIFIER: torch.full((20, 2048, 1, 1), torch.nan)}, 'not finite'),
        ({}, ''),
    ],
)
def test_faults_are_one_line(tmp_path, capsys, changes, words):
    path, out = tmp_path / 'in.pth', tmp_path / 'out.pth'
    state = {**module(FullyConvolutional(20, width=4)), **changes}
    state = {key: x for key, x in state.items() if x is not None}
    torch.save(dict(model=state, more=1), path)
    tool = load_tool('model_converters/prm.py')
    option = 'model.backbone.arch_cfg.width_per_group=4'
    code = call(tool, path, out, '--cfg-options', option)
    printed = capsys.readouterr()
    if not words:
        assert code == 0
        assert 'mapped: features -> backbone (318 tensors)' in printed.out
        assert 'left: more' in printed.out
        assert out.with_suffix('.py').is_file()
        return
    assert code == 1
    line = error(printed)
    assert str(path) in line
    assert re.search(words, line), line
    assert not out.exists()


@pytest.mark.parametrize('peer', PEERS)
def test_other_files(peer, tmp_path, capsys):
    tool = load_tool(f'model_converters/{peer}.py')
    out = tmp_path / 'out.pth'
    cut, text, plain = (tmp_path / f'{x}.pth' for x in ('cut', 'text', 'pkl'))
    torch.save(dict(state_dict={'a': torch.ones(9)}), cut)
    cut.write_bytes(cut.read_bytes()[:-300])
    text.write_text('not a checkpoint')
    plain.write_bytes(pickle.dumps(dict(model={'a': Harmful()})))
    contents = (
        {'conv9.weight': torch.ones(2)},
        dict(model=Harmful()),
        dict(epoch=3),
        [1, 2],
    )
    paths = [tmp_path / f'{index}.pth' for index in range(len(contents))]
    for path, content in zip(paths, contents):
        torch.save(content, path)
    for path in (cut, text, plain, *paths, tmp_path / 'none.pth'):
        assert call(tool, path, out) == 1
        printed = capsys.readouterr()
        assert str(path) in error(printed)
        assert 'this was run' not in printed.out
    assert not out.exists()
