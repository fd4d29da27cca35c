"""Transformers of timm give maps that lie where they should."""

import copy
from typing import Any, Dict

import pytest
import torch
from mmengine.config import Config
from torch import Tensor

from mmwsl.models import WSLClassifier, fill_from_backbone
from mmwsl.models.backbones import (
    CNNBackbone,
    TimmBackbone,
    TransformerBackbone,
)
from mmwsl.models.backbones.transformer import _interleave, _shift
from mmwsl.structures import WSLDataSample

timm = pytest.importorskip('timm')

VIT = dict(
    arch='vit_tiny_patch16_224',
    arch_cfg=dict(
        img_size=48, patch_size=8, embed_dim=16, depth=3, num_heads=2
    ),
)
SWIN = dict(
    arch='swin_tiny_patch4_window7_224',
    arch_cfg=dict(
        img_size=64,
        embed_dim=8,
        depths=(1, 1, 2, 2),
        num_heads=(1, 2, 2, 4),
        window_size=2,
    ),
)


def small(arch: str, **kwargs: Any) -> Dict[str, Any]:
    """Make a network of ViT's form small."""
    sizes = dict(VIT['arch_cfg'], **kwargs)
    return dict(arch=arch, arch_cfg=sizes)


def build(config: Dict[str, Any], **kwargs: Any) -> TransformerBackbone:
    torch.manual_seed(0)
    return TransformerBackbone(**config, **kwargs).eval()


def source(config: Dict[str, Any]) -> Any:
    """Build timm's own network, whose weights are all drawn."""
    torch.manual_seed(1)
    net = TransformerBackbone.make(config['arch'], **config['arch_cfg'])
    for value in net.parameters():
        torch.nn.init.normal_(value, std=0.2)
    return net.eval()


def images(height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(2, 3, height, width, generator=generator)


@pytest.mark.parametrize(
    ('config', 'prefix'),
    [
        (VIT, 1),
        (small('deit_tiny_distilled_patch16_224'), 2),
        (small('deit3_small_patch16_224'), 1),
        (small('vit_base_patch16_clip_224'), 1),
        (small('vit_base_patch16_siglip_224'), 0),
        (small('vit_small_patch14_reg4_dinov2', img_size=56), 5),
        (small('eva02_tiny_patch14_224'), 1),
        (small('vit_small_patch16_dinov3'), 5),
    ],
    ids=lambda value: value['arch'] if isinstance(value, dict) else '',
)
@torch.no_grad()
def test_cells_are_timms_tokens(config, prefix):
    net = source(config)
    backbone = build(config)
    state = net.state_dict()
    backbone.net.load_state_dict(
        {key: state[key] for key in backbone.net.state_dict()}
    )
    image = images(32, 64)
    (found,) = backbone(image)
    tokens = net.forward_features(image)[:, prefix:]
    assert found.shape == (2, 16, 4, 8)
    for row in range(4):
        for column in range(8):
            expected = tokens[:, 8 * row + column]
            assert torch.allclose(found[..., row, column], expected, atol=1e-5)
    assert (backbone.out_channels, backbone.out_strides) == ((16,), (8,))


@torch.no_grad()
def test_stages_of_swin():
    net = source(SWIN)
    backbone = build(SWIN, out_indices=(3, 0, 2))
    state = net.state_dict()
    backbone.net.load_state_dict(
        {key: state[key] for key in backbone.net.state_dict()}
    )
    image = images(64, 96)
    last, first, third = backbone(image)
    expected = net.forward_features(image).permute(0, 3, 1, 2)
    assert torch.allclose(last, expected, atol=1e-5)
    assert first.shape == (2, 8, 16, 24)
    assert third.shape == (2, 32, 4, 6)
    assert backbone.out_channels == (64, 8, 32)
    assert backbone.out_strides == (32, 4, 16)


def test_what_is_not_used_is_left_out():
    backbone = build(SWIN, out_indices=(2,))
    assert len(backbone.net.layers) == 3
    (found,) = backbone(images(64, 64))
    assert found.shape == (2, 32, 4, 4)
    assert len(build(VIT, out_indices=(0,)).net.blocks) == 1


@pytest.mark.parametrize('size', [(48, 48), (45, 83), (3, 70)])
@pytest.mark.parametrize(
    ('config', 'kwargs'),
    [
        (VIT, {}),
        (SWIN, dict(out_indices=(0,))),
        (SWIN, dict(out_indices=(2,))),
        (SWIN, dict(output_stride=16)),
        (SWIN, dict(output_stride=8)),
        (
            dict(SWIN, arch='swinv2_tiny_window8_256'),
            dict(output_stride=16),
        ),
    ],
    ids=['vit', 'swin-0', 'swin-2', 'swin-16', 'swin-8', 'swinv2-16'],
)
@torch.no_grad()
def test_a_cell_is_where_its_pixels_are(config, kwargs, size):
    """What changes with a square of pixels lies around the square."""
    backbone = build(config, **kwargs)
    (stride,) = backbone.out_strides
    image = images(*size)[:1]
    (plain,) = backbone(image)
    cells = plain.shape[2:]
    largest = max(backbone._multiple, stride)
    assert tuple(cells) == tuple(
        -(-edge // largest) * largest // stride for edge in size
    )
    errors = []
    for top in range(0, size[0], 5):
        for left in range(0, size[1], 5):
            changed = image.clone()
            changed[..., top : top + 5, left : left + 5] += 20
            where = [
                (top + min(top + 5, size[0])) / 2 / size[0],
                (left + min(left + 5, size[1])) / 2 / size[1],
            ]
            change = (backbone(changed)[0] - plain)[0].pow(2).sum(0)
            change = change / change.sum()
            for axis in (0, 1):
                centres = (torch.arange(cells[axis]) + 0.5) / cells[axis]
                centre = (change.sum(1 - axis) * centres).sum()
                errors.append((centre - where[axis]) * size[axis])
    error = torch.stack(errors).reshape(-1, 2)
    # A window's cells move together; on the whole nothing moves.
    assert error.mean(dim=0).abs().max() < 0.15 * backbone._multiple


@pytest.mark.parametrize('times', [1, 2])
def test_finer_grids_keep_places(times):
    """Of stages that average 2 x 2 cells, means around each cell are left."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 16, 24, generator=generator)
    # How far the taps of a stage lie, and those that its cells are moved by.
    pairs = [-1, 0, 0, 1]
    offsets = pairs
    if times == 2:
        offsets = [near + 2 * far for near in pairs for far in pairs]
    expected = torch.zeros_like(x)
    for row in offsets:
        for column in offsets:
            expected += x.roll((row, column), (2, 3)) / len(offsets) ** 2
    for _ in range(times):
        x = _shift(torch.nn.Identity(), (x.permute(0, 2, 3, 1),))
        x = torch.nn.functional.avg_pool2d(x.permute(0, 3, 1, 2), 2)
    found = _interleave(x, times)
    assert found.shape == expected.shape
    inner = (slice(None), slice(None), slice(4, -4), slice(4, -4))
    assert torch.allclose(found[inner], expected[inner], atol=1e-6)


def test_frozen_parts():
    backbone = build(VIT, frozen_stages=2).train()
    learns = {
        '.'.join(name.split('.')[:2]) if '.' in name else name
        for name, value in backbone.net.named_parameters()
        if value.requires_grad
    }
    assert learns == {'blocks.2', 'norm.weight', 'norm.bias'}
    assert not backbone.net.blocks[1].training
    assert backbone.net.blocks[2].training
    backbone = build(SWIN, frozen_stages=0)
    frozen = [
        name
        for name, value in backbone.net.named_parameters()
        if not value.requires_grad
    ]
    assert {name.split('.')[0] for name in frozen} == {'patch_embed'}


def as_open_clip(state: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Name an image tower as OpenAI and open_clip do."""
    swaps = [
        ('patch_embed.proj', 'conv1'),
        ('norm_pre', 'ln_pre'),
        ('norm1', 'ln_1'),
        ('norm2', 'ln_2'),
        ('attn.qkv.', 'attn.in_proj_'),
        ('attn.proj', 'attn.out_proj'),
        ('mlp.fc1', 'mlp.c_fc'),
        ('mlp.fc2', 'mlp.c_proj'),
        ('blocks.', 'transformer.resblocks.'),
    ]
    renamed = {'logit_scale': torch.ones(())}
    for key, value in state.items():
        for own, other in swaps:
            key = key.replace(own, other)
        if key.startswith('norm.'):
            key = key.replace('norm.', 'ln_post.')
        if key.startswith('head'):
            continue
        if key == 'pos_embed':
            key, value = 'positional_embedding', value[0]
        if key == 'cls_token':
            key, value = 'class_embedding', value[0, 0]
        renamed[f'visual.{key}'] = value
    renamed['visual.proj'] = torch.randn(16, 4)
    return renamed


def as_dinov2(state: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Name a network with registers as DINOv2 does."""
    state = dict(state)
    state['register_tokens'] = state.pop('reg_token')
    state['pos_embed'] = torch.cat(
        [torch.zeros_like(state['cls_token']), state['pos_embed']], dim=1
    )
    state['mask_token'] = torch.zeros(1, 16)
    return state


def as_old_swin(state: Dict[str, Tensor]) -> Dict[str, Any]:
    """Name a Swin as its authors do, with what they keep beside."""
    renamed = {'layers.0.blocks.0.attn.relative_position_index': torch.ones(4)}
    for key, value in state.items():
        if '.downsample.' in key:
            layer = int(key.split('.')[1])
            key = key.replace(f'layers.{layer}.', f'layers.{layer - 1}.')
        renamed[key.replace('head.fc.', 'head.')] = value
    return dict(model=renamed)


@pytest.mark.parametrize(
    ('config', 'form'),
    [
        (VIT, dict),
        (SWIN, dict),
        (SWIN, as_old_swin),
        (small('deit_tiny_patch16_224'), lambda state: dict(model=state)),
        (small('vit_small_patch14_reg4_dinov2', img_size=56), as_dinov2),
        (small('vit_base_patch16_clip_224'), as_open_clip),
    ],
    ids=['timm', 'swin', 'swin-old', 'deit', 'dinov2', 'clip'],
)
def test_weights_of_files(config, form, tmp_path):
    net = source(config)
    path = str(tmp_path / 'weights.pth')
    torch.save(form(net.state_dict()), path)
    init_cfg = dict(type='Pretrained', checkpoint=path)
    backbone = build(config, init_cfg=init_cfg, out_indices=(1,))
    backbone.init_weights()
    state = net.state_dict()
    for key, value in backbone.net.state_dict().items():
        if key != 'norm.weight':
            assert value.equal(state[key]), key


def test_own_checkpoints_and_other_sizes(tmp_path):
    path = str(tmp_path / 'own.pth')
    for config in (SWIN, VIT):
        first = build(config, out_indices=(1,))
        state = {f'backbone.{k}': v for k, v in first.state_dict().items()}
        torch.save(dict(state_dict=state), path)
        init_cfg = dict(type='Pretrained', checkpoint=path)
        second = TransformerBackbone(
            **config, out_indices=(1,), init_cfg=init_cfg
        )
        second.init_weights()
        for key, value in second.state_dict().items():
            assert value.equal(first.state_dict()[key]), key
    larger = copy.deepcopy(VIT)
    larger['arch_cfg']['img_size'] = 96
    third = TransformerBackbone(**larger, out_indices=(1,), init_cfg=init_cfg)
    third.init_weights()
    assert third.net.pos_embed.shape == (1, 145, 16)
    with torch.no_grad():
        image = images(96, 96)
        assert torch.allclose(
            third.eval()(image)[0], first(image)[0], atol=1e-5
        )


@pytest.mark.parametrize(
    ('config', 'drop', 'add', 'words'),
    [
        (VIT, 'blocks.1.attn.proj.weight', '', 'lacks 1 .*blocks.1.attn.proj'),
        (VIT, '', 'blocks.1.extra', '1 tensors that the .*blocks.1.extra'),
        (
            SWIN,
            '',
            'layers.4.blocks.0.attn.relative_position_bias_table',
            'weights.pth does not fit the network: .* `4`',
        ),
    ],
)
def test_files_that_do_not_fit(config, drop, add, words, tmp_path):
    state = source(config).state_dict()
    state.pop(drop, None)
    if add:
        state[add] = torch.ones(1)
    path = str(tmp_path / 'weights.pth')
    torch.save(state, path)
    init_cfg = dict(type='Pretrained', checkpoint=path)
    with pytest.raises(ValueError, match=words):
        build(config, init_cfg=init_cfg).init_weights()


@pytest.mark.parametrize(
    ('config', 'kwargs', 'words'),
    [
        (VIT, dict(out_indices=(3,)), 'no stage 3, the network has 3'),
        (VIT, dict(frozen_stages=4), r'frozen_stages must be in \[-1, 3\]'),
        (VIT, dict(output_stride=4), 'vit_tiny.* has patches of 8 pixels'),
        (SWIN, dict(output_stride=2), 'swin_tiny.* has patches of 4 pixels'),
        (VIT, dict(output_stride=12), 'power of two'),
        (VIT, dict(attention='all'), 'one of class, rollout'),
        (SWIN, dict(attention='class'), 'swin_tiny.* has no class token'),
        (dict(arch='resnet18'), {}, 'resnet18 is not a transformer'),
        (dict(arch='vit_tini_patch16_224'), {}, 'for example vit_tiny'),
    ],
)
def test_errors(config, kwargs, words):
    with pytest.raises(ValueError, match=words):
        build(config, **kwargs)


def test_arch_names_the_kind():
    assert type(CNNBackbone(**VIT)) is TransformerBackbone
    assert type(CNNBackbone('tf_efficientnet_lite0')) is TimmBackbone
    # Patches of 14 pixels are fine enough for 16.
    config = small('vit_small_patch14_dinov2', patch_size=14, img_size=56)
    backbone = CNNBackbone(**config, output_stride=16, frozen_stages=2)
    assert backbone.out_strides == (14,)
    assert backbone(images(50, 60))[0].shape == (2, 16, 4, 5)


def test_configs_leave_channels_and_pixels_to_it():
    config = small('vit_base_patch16_clip_224')
    model = dict(
        backbone=dict(type='CNNBackbone', **config),
        data_preprocessor=dict(mean='as_arch', std='as_arch'),
        head=dict(in_channels=None),
    )
    cfg = Config(dict(model=model))
    fill_from_backbone(cfg)
    assert cfg.model.head.in_channels == 16
    # Those that CLIP was trained with.
    assert cfg.model.data_preprocessor.mean[0] == pytest.approx(122.77, 1e-4)


@torch.no_grad()
def test_attention_by_hand():
    """The weights, by q and k of every block and head."""
    config = small('vit_small_patch14_reg4_dinov2', img_size=48)
    net = source(config)
    image = images(32, 40)[:1]
    found = {}
    for attention in ('class', 'rollout'):
        backbone = build(config, attention=attention)
        backbone.net.load_state_dict(
            {k: net.state_dict()[k] for k in backbone.net.state_dict()}
        )
        found[attention], feature = backbone(image)
        plain = copy.deepcopy(backbone).train()(image)
        assert len(plain) == 1
        assert torch.allclose(plain[0], feature, atol=1e-5)
    x = net._pos_embed(net.patch_embed(image))
    number = x.shape[1]
    mean = torch.zeros(number)
    rollout = torch.eye(number)
    for block in net.blocks:
        qkv = block.attn.qkv(block.norm1(x))[0]
        weights = torch.zeros(number, number)
        for head in range(2):
            q = qkv[:, 8 * head : 8 * head + 8]
            k = qkv[:, 16 + 8 * head : 24 + 8 * head]
            for row in range(number):
                weights[row] += (k @ q[row] / 8**0.5).softmax(0) / 2
        mean += weights[0] / 3
        rollout = (0.5 * weights + 0.5 * torch.eye(number)) @ rollout
        x = block(x)
    for name, row in (('class', mean), ('rollout', rollout[0])):
        cells = row[5:]
        expected = (cells / cells.mean()).reshape(1, 1, 4, 5)
        assert torch.allclose(found[name], expected, atol=1e-4), name


@pytest.mark.parametrize(
    'arch', ['vit_tiny_patch16_224', 'eva02_tiny_patch14_224']
)
@torch.no_grad()
def test_fixed_size_is_the_same(arch):
    backbone = build(small(arch), attention='class')
    image = images(43, 60)
    expected = backbone(image)
    backbone.fix_size((43, 60))
    for found, value in zip(backbone(image), expected):
        assert torch.allclose(found, value, atol=1e-5)


def make_model(config: Dict[str, Any], **kwargs: Any) -> WSLClassifier:
    torch.manual_seed(0)
    channels = 16 if config['arch'] != SWIN['arch'] else 64
    backbone = dict(type='TransformerBackbone', **config)
    head = dict(type='CAMHead', num_classes=3, in_channels=channels)
    head.update(kwargs.pop('head', {}))
    return WSLClassifier(backbone=backbone, head=head, **kwargs)


def make_sample(size: Any = (32, 32), label: int = 0) -> WSLDataSample:
    meta = dict(img_id='i', ori_shape=size, img_shape=size)
    sample = WSLDataSample(metainfo=meta).set_gt_label([label], 3)
    return sample.set_gt_count([int(c == label) for c in range(3)])


@pytest.mark.parametrize('config', [VIT, SWIN], ids=['vit', 'swin'])
@pytest.mark.parametrize('kind', ['PRMHead', 'DensityHead'])
def test_peaks_do_not_go_through_attention(config, kind):
    words = f'attention of {config["arch"]} .*attn.*instances=False'
    with pytest.raises(ValueError, match=words):
        make_model(config, head=dict(type=kind))
    model = make_model(config, head=dict(type=kind, instances=False))
    losses = model(images(64, 64), [make_sample()] * 2, 'loss')
    assert torch.isfinite(sum(losses.values()))


@pytest.mark.parametrize('config', [VIT, SWIN], ids=['vit', 'swin'])
def test_dal(config):
    channels = 16 if config is VIT else 64
    assigner = dict(
        type='TargetSampleAssigner',
        num_classes=3,
        feat_dim=channels,
        num_source=2,
        num_target=2,
    )
    dal = dict(type='DALLoss', assigner=assigner)
    model = make_model(config, auxiliary=[dal])
    samples = [make_sample(label=0), make_sample(label=1)]
    for _ in range(2):
        losses = model(images(60, 90), samples, 'loss')
    names = {name for name, value in losses.items() if value != 0}
    assert len(names) > 1
    sum(losses.values()).backward()
    part = model.backbone.net.patch_embed.proj.weight
    assert part.grad.abs().sum() > 0


@pytest.mark.parametrize('config', [VIT, SWIN], ids=['vit', 'swin'])
def test_segmentors(config):
    pytest.importorskip('mmseg')
    from mmengine.structures import PixelData
    from mmseg.models import EncoderDecoder
    from mmseg.structures import SegDataSample

    torch.manual_seed(0)
    model = EncoderDecoder(
        backbone=dict(type='mmwsl.CNNBackbone', **config, output_stride=16),
        decode_head=dict(
            type='mmwsl.LargeFOVHead',
            in_channels=16 if config is VIT else 64,
            num_classes=3,
            channels=8,
            dilation=2,
            pools=(),
        ),
        test_cfg=dict(mode='whole'),
    )
    sample = SegDataSample(metainfo=dict(img_shape=(50, 70)))
    truth = torch.zeros(1, 50, 70, dtype=torch.long)
    sample.gt_sem_seg = PixelData(data=truth)
    losses = model.loss(images(50, 70), [sample] * 2)
    losses['decode.loss_ce'].backward()
    part = model.backbone.net.patch_embed.proj.weight
    assert part.grad.abs().sum() > 0
    logits = model.eval().encode_decode(
        images(50, 70), [dict(img_shape=(50, 70))] * 2
    )
    assert logits.shape[:2] == (2, 3)


@torch.no_grad()
def test_maps_are_coupled_with_attention():
    config = dict(VIT, attention='class')
    head = dict(type='AttentionCAMHead', keep='all')
    model = make_model(config, head=head).eval()
    torch.nn.init.normal_(model.head.classifier.weight)
    image = images(48, 40)[:1]
    (sample,) = model(image, [make_sample((48, 40))], 'predict')
    attention, feature = model.backbone(image)
    maps = model.head.classifier(feature)
    scores = maps.mean(dim=(2, 3)).sigmoid()[0]
    assert torch.allclose(sample.pred_score, scores, atol=1e-5)
    coupled = torch.zeros(1, 3, 6, 5)
    for label in range(3):
        for row in range(6):
            for column in range(5):
                value = float(maps[0, label, row, column])
                factor = float(attention[0, 0, row, column])
                coupled[0, label, row, column] = max(value, 0) * factor
    coupled = torch.nn.functional.interpolate(
        coupled, (48, 40), mode='bilinear'
    )[0]
    coupled /= coupled.amax(dim=(1, 2), keepdim=True)
    assert torch.allclose(sample.pred_maps.data, coupled, atol=1e-5)
    # Views of other sizes and mirrored ones are averaged.
    model.scales, model.flip = (1.0, 1.5), True
    (sample,) = model(image, [make_sample((48, 40))], 'test')
    assert sample.pred_maps.data.shape == (3, 48, 40)
    assert sample.pred_maps.data.amax() == 1


def test_coupling_needs_attention():
    model = make_model(VIT, head=dict(type='AttentionCAMHead')).eval()
    with pytest.raises(ValueError, match='features bring no attention'):
        model(images(48, 48), [make_sample((48, 48))] * 2, 'predict')
