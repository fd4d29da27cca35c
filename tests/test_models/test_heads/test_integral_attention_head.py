"""Tests of the head that learns accumulated attention."""

import pytest
import torch
from mmengine.structures import PixelData

from mmwsl.models.losses import integral_attention_loss
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample


def make_head(**kwargs):
    return MODELS.build(
        dict(
            type='IntegralAttentionHead',
            num_classes=3,
            in_channels=4,
            **kwargs,
        )
    )


def make_sample(labels, maps):
    sample = WSLDataSample(metainfo=dict(img_id='a'))
    sample.set_gt_label(labels, 3)
    sample.attention = PixelData(data=maps)
    return sample


def test_present_classes_learn_their_attention():
    head = make_head()
    feats = [torch.randn(2, 4, 2, 3)]
    attention = torch.rand(3, 2, 3) * (torch.rand(3, 2, 3) > 0.4)
    samples = [
        make_sample([2, 0], attention[:2]),
        make_sample([1], attention[2:]),
    ]
    maps = head(feats)
    logits = torch.stack([maps[0, 2], maps[0, 0], maps[1, 1]])
    want = integral_attention_loss(logits, attention)
    loss = head.loss(feats, samples)['loss_attention']
    torch.testing.assert_close(loss, want)
    loss.backward()
    assert head.classifier.weight.grad.abs().sum() > 0
    empty = torch.zeros(2, 3, 2, 3)
    empty[0, [2, 0]], empty[1, 1] = attention[:2], attention[2]
    head.absent = True
    torch.testing.assert_close(
        head.loss(feats, samples)['loss_attention'],
        integral_attention_loss(maps, empty),
    )


def test_images_without_label_keep_the_graph():
    head = make_head()
    samples = [make_sample([], torch.zeros(0, 2, 2))]
    loss = head.loss([torch.randn(1, 4, 2, 2)], samples)['loss_attention']
    loss.backward()
    assert loss.item() == 0
    assert not head.classifier.weight.grad.any()


def test_missing_or_unfit_attention():
    head, feats = make_head(), [torch.randn(1, 4, 2, 2)]
    sample = WSLDataSample(metainfo=dict(img_id='b')).set_gt_label([1], 3)
    with pytest.raises(ValueError, match='b: .*LoadAttention'):
        head.loss(feats, [sample])
    with pytest.raises(ValueError, match='3 x 2 cells'):
        head.loss(feats, [make_sample([1], torch.zeros(1, 3, 2))])
