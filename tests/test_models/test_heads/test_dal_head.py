"""Tests of the head that adds DA-WSOL's loss."""

import pytest
import torch

from mmwsl.models.heads import CAMHead, DALHead
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample

DAL = dict(
    type='DALLoss',
    assigner=dict(
        type='TargetSampleAssigner',
        num_classes=3,
        feat_dim=4,
        num_source=3,
        num_target=3,
    ),
)


def make(**kwargs):
    inner = dict(type='CAMHead', num_classes=3, in_channels=4, **kwargs)
    head = MODELS.build(dict(type='DALHead', head=inner, dal=DAL))
    assert isinstance(head, DALHead)
    return head


def sample(labels):
    meta = dict(img_id='a', ori_shape=(8, 8), img_shape=(8, 8))
    return WSLDataSample(metainfo=meta).set_gt_label(labels, 3)


def feats(images=2):
    torch.manual_seed(0)
    return (torch.randn(images, 4, 6, 6).relu().requires_grad_(),)


@pytest.mark.parametrize('multi_label', [True, False])
def test_loss(multi_label):
    head, maps = make(multi_label=multi_label), feats()
    samples = [sample([0]), sample([2])]
    losses = head.loss(maps, samples)
    assert sorted(losses) == [
        'loss_cls',
        'loss_discrepancy',
        'loss_universum',
    ]
    assert losses['loss_cls'].equal(head.head.loss(maps, samples)['loss_cls'])
    assert head.dal.assigner.class_counts.tolist() == [2, 0, 2]
    sum(losses.values()).backward()
    assert head.classifier.weight.grad.abs().sum() > 0
    assert maps[0].grad.isfinite().all()


def test_predictions_are_the_inner_heads():
    head, maps = make(keep='all'), feats(1)
    head.head.classifier.weight.data.normal_()
    (expected,) = head.head.predict(maps, [sample([0])])
    (found,) = head.predict(maps, [sample([0])])
    assert found.pred_maps.data.equal(expected.pred_maps.data)
    assert head(maps).equal(head.head(maps))
    assert head.view_maps(maps).equal(head.head(maps))
    assert head.num_classes == 3
    assert not hasattr(head, 'predict_instances')
    assert isinstance(head.head, CAMHead)
    with pytest.raises(AttributeError, match='nothing'):
        _ = head.nothing


def test_kept_assignment():
    head, maps = make(), feats(3)
    samples = [sample([]), sample([0, 2]), sample([1])]
    head.loss(maps, samples)
    assert head.last_assignment is None
    head.keep_assignment = True
    kept = []
    head.dal.register_forward_hook(lambda m, i, terms: kept.append(terms))
    head.loss(maps, samples)
    (terms,) = kept
    assert terms.images.tolist() == [1, 1, 2]
    assert head.last_assignment.shape == (3, 6, 6)
    assert head.last_assignment[0].eq(0).all()
    assert head.last_assignment[1].equal(terms.assignment[0])
    assert head.last_assignment[2].equal(terms.assignment[2])


def test_epochs_reach_both_parts():
    head = MODELS.build(
        dict(
            type='DALHead',
            head=dict(type='CAMHead', num_classes=3, in_channels=4),
            dal=dict(DAL, start_epoch=1),
        )
    )
    told = []
    head.head.set_epoch = told.append
    head.keep_assignment = True
    for epoch in (0, 1):
        head.set_epoch(epoch)
        head.loss(feats(), [sample([0]), sample([1])])
        assert (head.last_assignment is None) == (epoch == 0)
    assert told == [0, 1]


def test_state_is_in_the_checkpoint():
    keys = make().state_dict()
    assert 'head.classifier.weight' in keys
    assert 'dal.assigner.class_anchors' in keys
    assert 'dal.assigner.universum_count' in keys


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        (dict(num_classes=4), 'assigner is 4, but the inner head has 3'),
        (dict(num_target=2), 'must be equal, got 3 and 2'),
    ],
)
def test_numbers_that_do_not_fit(changed, message):
    dal = dict(DAL, assigner=dict(DAL['assigner'], **changed))
    head = dict(type='CAMHead', num_classes=3, in_channels=4)
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type='DALHead', head=head, dal=dal))
