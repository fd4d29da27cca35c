import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData

from mmwsl.models import MultiScaleHead
from mmwsl.structures import WSLDataSample

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
