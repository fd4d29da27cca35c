"""Tests of the two-branch head on features that can be followed by hand."""

import pytest
import torch

from mmwsl.models.heads import ACoLHead
from mmwsl.structures import WSLDataSample

# (1, 2, 1, 4): with weight 1 each channel is a class map.
FEATURE = torch.tensor([[[[8.0, 6.0, 2.0, 0.0]], [[0.0, 0.0, 1.0, 1.0]]]])


def make(**kwargs):
    settings = dict(multi_label=False, num_convs=0, erase_threshold=0.7)
    head = ACoLHead(2, 2, **{**settings, **kwargs})
    with torch.no_grad():
        for layer in (head.classifier, head.second[-1]):
            layer.weight.copy_(torch.eye(2)[:, :, None, None])
            layer.bias.zero_()
    return head


def sample(labels):
    meta = dict(img_id='a', ori_shape=(1, 4), img_shape=(1, 4))
    return WSLDataSample(metainfo=meta).set_gt_label(labels, 2)


def test_second_branch_sees_erased_features():
    losses = make().loss((FEATURE,), [sample([0])])
    # Class 0 scaled is 1, 0.75, 0.25, 0: the first two cells go.
    assert sorted(losses) == ['loss_cls', 'loss_cls_erased']
    first = torch.tensor([4.0, 0.5]).log_softmax(0)[0]
    second = torch.tensor([0.5, 0.5]).log_softmax(0)[0]
    assert losses['loss_cls'].item() == pytest.approx(-first.item())
    assert losses['loss_cls_erased'].item() == pytest.approx(-second.item())
    other = make().loss((FEATURE,), [sample([1])])
    second = torch.tensor([3.5, 0.0]).log_softmax(0)[1]
    assert other['loss_cls_erased'].item() == pytest.approx(-second.item())


def test_fused_maps():
    head = make()
    fused = head((FEATURE,))
    # Class 0: 1, .75, .25, 0 and, without the first two cells, 0, 0, 1, 0.
    scaled = torch.tensor([1.0, 0.75, 1.0, 0.0])
    found = fused[0, 0, 0]
    assert torch.allclose(
        (found - found.min()) / found.std(), (scaled / scaled.std())
    )
    # The scores are the first branch's.
    assert torch.allclose(head.scores(fused), torch.tensor([[4.0, 0.5]]))


def test_no_gradient_through_the_erasing():
    head, feature = make(), FEATURE.clone().requires_grad_()
    head.loss((feature,), [sample([0])])['loss_cls_erased'].backward()
    assert feature.grad[..., :2].eq(0).all()
    assert feature.grad[..., 2:].abs().sum() > 0
    assert head.classifier.weight.grad is None


def test_branches_have_layers_of_their_own():
    head = ACoLHead(3, 4, num_convs=2, mid_channels=5)
    assert head.classifier.in_channels == 5
    maps = head((torch.randn(2, 4, 6, 6),))
    assert maps.shape == (2, 3, 6, 6)
    kernels = [p for p in head.parameters() if p.ndim == 4]
    assert len(kernels) == 6


def test_several_labels():
    head = make(multi_label=True)
    losses = head.loss((FEATURE,), [sample([0, 1])])
    # Every cell is high for one of the classes.
    expected = torch.tensor(2.0).log()
    assert losses['loss_cls_erased'].item() == pytest.approx(expected.item())
    assert head((FEATURE,)).isfinite().all()


def test_bad_settings():
    with pytest.raises(ValueError, match='between 0 and 1, got 1'):
        make(erase_threshold=1)
    with pytest.raises(ValueError, match="pools by 'avg'"):
        make(pooling='max')
