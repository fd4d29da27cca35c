"""Tests of what all decode heads share, the plain ones and several scales."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.structures import PixelData

from mmwsl.models.decode_heads import (
    DeepLabV2Head,
    LargeFOVHead,
    MultiScaleHead,
)
from mmwsl.models.decode_heads.decode_head import pixel_cross_entropy
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample


def make_samples(labels):
    return [
        SimpleNamespace(gt_sem_seg=PixelData(data=label[None]))
        for label in labels
    ]


def test_loss_is_the_mean_over_labelled_pixels():
    logits = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 3, (2, 4, 5))
    labels[0, 1:] = 255
    total, count = 0, 0
    for n, y, x in labels.ne(255).nonzero().tolist():
        total -= logits[n, :, y, x].log_softmax(0)[labels[n, y, x]]
        count += 1
    assert count < labels.numel()
    loss = pixel_cross_entropy(logits, labels)
    assert loss.item() == pytest.approx((total / count).item(), rel=1e-5)


def test_loss_at_the_size_of_the_logits():
    head = DeepLabV2Head(4, 3, loss_size='logits')
    logits = torch.randn(1, 3, 2, 3)
    labels = torch.randint(0, 3, (1, 8, 12))
    labels[0, 0, 0] = 255
    small = labels[:, ::4, ::4]
    expected = F.cross_entropy(logits, small, ignore_index=255)
    losses = head.loss_by_feat(logits, make_samples(labels))
    torch.testing.assert_close(losses['loss_ce'], expected)
    with pytest.raises(ValueError, match='loss_size'):
        DeepLabV2Head(4, 3, loss_size='half')


def test_wholly_ignored_images_cost_nothing():
    head = DeepLabV2Head(4, 3, loss_weight=2.0)
    samples = make_samples(torch.full((1, 8, 8), 255))
    losses = head.loss([torch.randn(1, 4, 4, 4)], samples)
    losses['loss_ce'].backward()
    assert losses['loss_ce'].item() == 0
    assert not head.branches[0].weight.grad.any()


def test_large_fov_is_two_layers_and_a_classifier():
    head = LargeFOVHead(4, 3, channels=6, dilation=2).eval()
    x = torch.randn(1, 4, 7, 8)
    pooled = F.avg_pool2d(F.max_pool2d(x, 3, 1, 1), 3, 1, 1)
    first, second = (m for m in head.layers if hasattr(m, 'weight'))
    y = F.conv2d(pooled, first.weight, first.bias, padding=2, dilation=2)
    y = F.conv2d(y.relu(), second.weight, second.bias).relu()
    y = F.conv2d(y, head.conv_seg.weight, head.conv_seg.bias)
    torch.testing.assert_close(head([x]), y)
    plain = LargeFOVHead(4, 3, channels=6, pools=())
    assert len(plain.layers) == len(head.layers) - 2
    with pytest.raises(ValueError, match="'sum'"):
        LargeFOVHead(4, 3, pools=('sum',))


def test_deeplabv2_sums_its_branches():
    head = DeepLabV2Head(4, 3, dilations=(1, 2), in_index=0)
    x = torch.randn(1, 4, 5, 5)
    want = sum(
        F.conv2d(x, b.weight, b.bias, padding=d, dilation=d)
        for b, d in zip(head.branches, (1, 2))
    )
    torch.testing.assert_close(head([x, None]), want)
    with pytest.raises(ValueError, match='dilations'):
        DeepLabV2Head(4, 3, dilations=())


def test_predictions_have_the_size_of_the_input():
    head = DeepLabV2Head(4, 3)
    feats = [torch.randn(1, 4, 5, 5)]
    meta = dict(img_shape=(30, 20), pad_shape=(32, 32))
    assert head.predict(feats, [meta]).shape == (1, 3, 32, 32)
    window = dict(meta, img_shape=torch.Size((16, 16)))
    assert head.predict(feats, [window]).shape == (1, 3, 16, 16)
    bare = dict(img_shape=(30, 20))
    assert head.predict(feats, [bare]).shape == (1, 3, 30, 20)


@pytest.mark.parametrize('head', ['LargeFOVHead', 'DeepLabV2Head', 'PSLHead'])
def test_in_a_segmentor_of_mmseg(head):
    pytest.importorskip('mmseg')
    own = dict(type='mmwsl.LargeFOVHead', num_classes=3, channels=4)
    configs = dict(
        LargeFOVHead=dict(own, in_channels=16),
        DeepLabV2Head=dict(
            type='mmwsl.DeepLabV2Head', num_classes=3, in_channels=16
        ),
        PSLHead=dict(
            type='mmwsl.PSLHead',
            in_channels=16,
            decode_head=dict(
                type='mmseg.FCNHead',
                in_channels=16,
                channels=4,
                num_classes=3,
                loss_decode=dict(type='mmseg.CrossEntropyLoss'),
            ),
        ),
    )
    model = MODELS.build(
        dict(
            type='mmseg.EncoderDecoder',
            backbone=dict(
                type='mmseg.ResNet',
                depth=18,
                base_channels=2,
                stem_channels=2,
                num_stages=4,
            ),
            decode_head=configs[head],
            train_cfg=dict(),
            test_cfg=ConfigDict(
                mode='slide', crop_size=(24, 24), stride=(16, 16)
            ),
            data_preprocessor=dict(type='mmseg.SegDataPreProcessor'),
        )
    )
    from mmseg.structures import SegDataSample

    samples = [SegDataSample(), SegDataSample()]
    for sample in samples:
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 3, (1, 32, 32)))
        shape = dict.fromkeys(
            ('img_shape', 'ori_shape', 'pad_shape'), (32, 32)
        )
        sample.set_metainfo(shape)
    inputs = torch.randn(2, 3, 32, 32)
    loss, _ = model.parse_losses(model.loss(inputs, samples))
    loss.backward()
    assert torch.isfinite(loss)
    result = model.eval().predict(inputs, samples)[0]
    assert result.pred_sem_seg.data.shape == (1, 32, 32)


def test_cross_entropy_keeps_doubles():
    logits = torch.randn(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 3, (1, 4, 4))
    assert pixel_cross_entropy(logits, labels).dtype == torch.float64
    assert pixel_cross_entropy(logits.half(), labels).dtype == torch.float32
    assert torch.autograd.gradcheck(pixel_cross_entropy, (logits, labels))


INNER = dict(
    type='DeepLabV2Head', in_channels=4, num_classes=3, dilations=(1, 2)
)


@pytest.fixture
def head():
    torch.manual_seed(0)
    head = MultiScaleHead(INNER, num_scales=2, scale_weight=0.5)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    return head


@pytest.fixture
def feats():
    torch.manual_seed(1)
    # Two outputs a scale; the head takes the last one of each.
    return (
        torch.rand(2, 9, 12, 16),
        torch.rand(2, 4, 6, 8),
        torch.rand(2, 9, 6, 8),
        torch.rand(2, 4, 3, 4),
    )


@pytest.fixture
def samples():
    torch.manual_seed(2)
    labels = torch.randint(0, 3, (2, 1, 24, 32))
    labels[0, :, :5] = 255
    return [
        WSLDataSample(gt_sem_seg=PixelData(data=label)) for label in labels
    ]


def enlarged(logits, size):
    return F.interpolate(logits, size, mode='bilinear', align_corners=False)


def test_the_largest_logits_win(head, feats):
    with torch.no_grad():
        one, other = head.decode_head(feats[:2]), head.decode_head(feats[2:])
        expected = torch.maximum(one, enlarged(other, (6, 8)))
        torch.testing.assert_close(head(feats), expected)
        # The larger scale may come last.
        swapped = (*feats[2:], *feats[:2])
        torch.testing.assert_close(head(swapped), expected)
        assert head.out_channels == head.num_classes == 3
        found = head.predict(feats, [dict(img_shape=(24, 32))])
        torch.testing.assert_close(found, enlarged(expected, (24, 32)))


def test_each_scale_has_a_loss(head, feats, samples):
    losses = head.loss(feats, samples)
    labels = torch.cat([sample.gt_sem_seg.data for sample in samples])

    def loss(logits):
        logits = enlarged(logits, (24, 32))
        return F.cross_entropy(logits, labels, ignore_index=255)

    expected = dict(
        loss_ce=loss(head(feats)),
        loss_ce_scale0=0.5 * loss(head.decode_head(feats[:2])),
        loss_ce_scale1=0.5 * loss(head.decode_head(feats[2:])),
    )
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value)


def test_one_scale_is_the_head_itself(feats, samples):
    torch.manual_seed(0)
    head = MultiScaleHead(INNER, num_scales=1)
    with torch.no_grad():
        found = head.loss(feats[:2], samples)
        expected = head.decode_head.loss(feats[:2], samples)
    assert found == expected


def test_bad_numbers(head, feats):
    with pytest.raises(ValueError, match='3 features are not .* 2 scales'):
        head(feats[:3])
    with pytest.raises(ValueError, match='0 features'):
        head(())
    with pytest.raises(ValueError, match='at least 1, got 0'):
        MultiScaleHead(INNER, num_scales=0)
