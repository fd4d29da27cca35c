"""Tests of prohibitive segmentation learning."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData

from mmwsl.models.decode_heads.psl_head import online_mask
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample


def make_head(**kwargs):
    return MODELS.build(
        dict(
            type='PSLHead',
            in_channels=4,
            decode_head=dict(
                type='DeepLabV2Head',
                in_channels=4,
                num_classes=3,
                dilations=(1,),
            ),
            **kwargs,
        )
    )


def make_sample(label_map, scores=None):
    sample = WSLDataSample()
    sample.gt_sem_seg = PixelData(data=label_map[None])
    if scores is not None:
        sample.gt_score = torch.tensor(scores)
    return sample


def test_online_mask_by_hand():
    probs = torch.tensor([[0.2, 0.5, 0.3], [0.4, 0.5, 0.1], [0.1, 0.4, 0.5]])
    logits = probs.T.log()[None, :, None]
    # Background 0.2, 0.5 * 0.3 = 0.15, 0.3 * 1; then 0.4, 0.15, 0.1; ...
    mask = online_mask(logits, torch.tensor([[0.3, 1.0]]))
    assert mask.tolist() == [[[2, 0, 2]]]
    mask = online_mask(logits, torch.tensor([[1.0, 0.0]]))
    assert mask.tolist() == [[[1, 1, 1]]]


def test_loss_equals_the_formula():
    head = make_head(online_weight=0.5, class_weight=2.0)
    feats = [torch.randn(2, 4, 6, 6)]
    label_maps = torch.randint(0, 3, (2, 6, 6))
    label_maps[0, :2] = 255
    label_maps[1][label_maps[1] == 2] = 0
    samples = [make_sample(label_maps[0], [0.0, 1.0])]
    samples.append(make_sample(label_maps[1]))
    losses = head.loss(feats, samples)

    logits = head(feats)
    classes = head.classifier(feats[0].mean((2, 3)))
    weights = torch.cat([torch.ones(2, 1), classes.sigmoid()], 1)
    mask = (logits.softmax(1) * weights[:, :, None, None]).argmax(1)
    # The first image's labels are given, the second's are in its map.
    targets = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    want = dict(
        loss_ce=F.cross_entropy(logits, label_maps, ignore_index=255),
        loss_online=0.5 * F.cross_entropy(logits, mask),
        loss_class=2 * F.binary_cross_entropy_with_logits(classes, targets),
    )
    assert set(losses) == set(want)
    for name, value in want.items():
        torch.testing.assert_close(losses[name], value)


def padded_sample(label_map, scores, padding):
    padded = F.pad(label_map, padding, value=255)
    sample = make_sample(padded, scores)
    sample.set_metainfo(dict(padding_size=padding))
    return sample


@pytest.mark.parametrize('padding', [(0, 3, 0, 2), (1, 0, 2, 4)])
def test_padding_takes_no_part(padding):
    head = make_head()
    # The same confidence whatever the mean of the features is.
    torch.nn.init.zeros_(head.classifier.weight)
    feats, label_map = torch.randn(1, 4, 6, 5), torch.randint(0, 3, (6, 5))
    # Ignored pixels of the image itself do take part.
    label_map[2:4] = 255
    want = head.loss([feats], [make_sample(label_map, [1.0, 0.0])])
    # The convolution pads with 0 as well, so logits of the image stay.
    padded = [F.pad(feats, padding)]
    sample = padded_sample(label_map, [1.0, 0.0], padding)
    found = head.loss(padded, [sample])
    for name, value in want.items():
        torch.testing.assert_close(found[name], value)
    sample.set_metainfo(dict(padding_size=(0, 0, 0, 0)))
    counted = head.loss(padded, [sample])['loss_online']
    assert not torch.allclose(counted, want['loss_online'])


def test_padding_where_logits_are_resized():
    head = make_head()
    feats = [torch.randn(2, 4, 4, 4)]
    label_map = torch.randint(0, 3, (8, 8))
    samples = [
        padded_sample(label_map[:7, :5], [1.0, 0.0], (0, 3, 0, 1)),
        make_sample(label_map, [1.0, 0.0]),
    ]
    found = head.loss(feats, samples)['loss_online']
    logits = F.interpolate(head(feats), (8, 8), mode='bilinear')
    confidence = head.class_logits(feats).sigmoid()
    mask = online_mask(logits, confidence)
    losses = F.cross_entropy(logits, mask, reduction='none')
    inside = torch.cat([losses[0, :7, :5].flatten(), losses[1].flatten()])
    torch.testing.assert_close(found, inside.mean())


def test_padding_of_mmsegs_preprocessor():
    pytest.importorskip('mmseg')
    from mmseg.utils import stack_batch

    head, label_map = make_head(), torch.randint(0, 3, (5, 6))
    feats = [torch.randn(1, 4, 5, 6)]
    torch.nn.init.zeros_(head.classifier.weight)
    want = head.loss(feats, [make_sample(label_map)])['loss_online']
    padded, samples = stack_batch(
        [feats[0][0]], [make_sample(label_map)], size=(8, 8)
    )
    found = head.loss([padded], samples)['loss_online']
    torch.testing.assert_close(found, want)


def test_no_gradient_flows_through_the_mask():
    head = make_head(class_weight=0.0)
    samples = [make_sample(torch.randint(0, 3, (5, 5)))]
    losses = head.loss([torch.randn(1, 4, 5, 5)], samples)
    sum(losses.values()).backward()
    assert not head.classifier.weight.grad.any()
    assert head.decode_head.branches[0].weight.grad.any()


def test_prediction_weights_the_probabilities():
    head = make_head(threshold=0.3).eval()
    with torch.no_grad():
        head.classifier.weight.zero_()
        head.classifier.bias.copy_(torch.tensor([-1.0, 0.5]))
    feats = [torch.randn(1, 4, 5, 5)]
    result = head.predict(feats, [dict(img_shape=(5, 5))])
    probs = head(feats).softmax(1)
    # sigma(-1) = 0.27 is below the threshold.
    confidence = torch.tensor([1.0, 0.0, torch.tensor(0.5).sigmoid()])
    scores = probs * confidence[:, None, None]
    scores = scores / scores.sum(1, keepdim=True)
    torch.testing.assert_close(result.softmax(1), scores, atol=1e-6, rtol=1e-5)
    assert not (result.argmax(1) == 1).any()
    assert torch.isfinite(result).all()


def test_prediction_without_weights_is_the_inner_heads():
    head = make_head(weighted_test=False)
    feats = [torch.randn(2, 4, 5, 5)]
    result = head.predict(feats, [dict(img_shape=(10, 10))])
    expected = head.decode_head.predict(feats, [dict(img_shape=(10, 10))])
    assert result.shape == (2, 3, 10, 10)
    assert torch.equal(result, expected)
    weighted = make_head()
    weighted.load_state_dict(head.state_dict())
    other = weighted.predict(feats, [dict(img_shape=(10, 10))])
    assert not torch.allclose(other.softmax(1), result.softmax(1))


def test_reads_what_the_inner_head_is():
    head = make_head()
    assert head.num_classes == head.out_channels == 3
    assert head.classifier.out_features == 2
    with pytest.raises(KeyError):
        MODELS.build(
            dict(type='PSLHead', in_channels=4, decode_head=dict(type='No'))
        )


DEEPLAB = dict(
    type='DeepLabV2Head', in_channels=4, num_classes=3, dilations=(1,)
)
DECODE_HEADS = [
    DEEPLAB,
    dict(type='LargeFOVHead', in_channels=4, num_classes=3, channels=5),
    dict(type='MultiScaleHead', num_scales=2, decode_head=DEEPLAB),
    dict(
        type='mmseg.FCNHead',
        in_channels=4,
        channels=4,
        num_classes=3,
        in_index=0,
        loss_decode=dict(type='mmseg.CrossEntropyLoss'),
    ),
]


@pytest.mark.parametrize('config', DECODE_HEADS, ids=lambda x: x['type'])
def test_beside_every_decode_head(config):
    """The head's own losses stay, and the branch sees the full size."""
    head = MODELS.build(
        dict(type='PSLHead', decode_head=config, in_channels=4)
    ).eval()
    feats = [torch.randn(2, 4, 6, 6), torch.randn(2, 4, 3, 3)]
    if config['type'] != 'MultiScaleHead':
        feats = feats[:1]
    samples = [make_sample(torch.randint(0, 3, (6, 6))) for _ in range(2)]
    losses = head.loss(feats, samples)
    own = head.decode_head.loss(feats, samples, None)
    if config['type'] == 'MultiScaleHead':
        assert {'loss_ce', 'loss_ce_scale0', 'loss_ce_scale1'} == set(own)
    assert set(losses) == {*own, 'loss_online', 'loss_class'}
    for name, value in own.items():
        torch.testing.assert_close(losses[name], value)
    classes = head.classifier(feats[0].mean((2, 3)))
    for order in (feats, feats[::-1]):
        torch.testing.assert_close(head.class_logits(order), classes)


def test_no_images():
    losses = make_head().loss([torch.rand(0, 4, 6, 6)], [])
    assert {v.item() for v in losses.values()} == {0}
