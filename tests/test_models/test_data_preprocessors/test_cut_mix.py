"""Tests of CutMix."""

import pytest
import torch

from mmwsl.models.data_preprocessors import CutMix, WSLDataPreprocessor
from mmwsl.models.heads import CAMHead
from mmwsl.structures import WSLDataSample


def batch(size=4):
    """Image n is full of n and shows class n."""
    inputs = torch.arange(float(size)).view(-1, 1, 1, 1)
    samples = [
        WSLDataSample(metainfo=dict(img_id=str(n)))
        .set_gt_label([n], size)
        .set_gt_count([1] * size)
        for n in range(size)
    ]
    return inputs.expand(size, 3, 20, 30), samples


def test_labels_are_mixed_by_the_area():
    inputs, samples = batch()
    shares = []
    for _ in range(30):
        mixed, labelled = CutMix(prob=1.0)(inputs, samples)
        for n, (image, sample) in enumerate(zip(mixed, labelled)):
            areas = torch.bincount(image[0].long().flatten(), minlength=4)
            assert torch.allclose(sample.gt_score, areas / 600, atol=1e-6)
            assert 'gt_label' not in sample
            assert 'gt_count' not in sample
            shares.append(sample.gt_score[n].item())
    # The given batch stays as it was.
    assert [s.gt_score.argmax().item() for s in samples] == [0, 1, 2, 3]
    assert inputs[0].eq(0).all()
    assert min(shares) < 0.5 < max(shares)


def test_the_patch_is_a_rectangle():
    inputs, samples = batch(2)
    for _ in range(20):
        mixed, _ = CutMix(prob=1.0)(inputs, samples)
        other = mixed[0, 0] != 0
        rows, columns = other.any(1), other.any(0)
        assert other.sum() == rows.sum() * columns.sum()


def test_probability_and_single_images():
    inputs, samples = batch()
    augment = CutMix(prob=0.25)
    same = sum(augment(inputs, samples)[1] is samples for _ in range(400))
    assert 270 < same < 330
    one, alone = batch(1)
    assert CutMix(prob=1.0)(one, alone)[0] is one


@pytest.mark.parametrize('multi_label', [True, False])
def test_losses_are_mixed(multi_label):
    torch.manual_seed(2)
    head = CAMHead(4, 3, multi_label=multi_label)
    feats = torch.randn(1, 3, 5, 5)

    def loss(score):
        sample = batch()[1][0]
        sample.gt_score = torch.tensor(score)
        return head.loss((feats,), [sample])['loss_cls'].item()

    mixed = loss([0.3, 0.7, 0.0, 0.0])
    parts = 0.3 * loss([1.0, 0, 0, 0]) + 0.7 * loss([0, 1.0, 0, 0])
    assert mixed == pytest.approx(parts, rel=1e-5)


def test_in_the_preprocessor_in_training_only():
    inputs, samples = batch()
    preprocessor = WSLDataPreprocessor(
        batch_augments=[dict(type='CutMix', prob=1.0)]
    )
    data = dict(inputs=inputs, data_samples=samples)
    assert preprocessor(data)['inputs'].equal(inputs)
    torch.manual_seed(1)
    assert not preprocessor(data, True)['inputs'].equal(inputs)


def test_bad_settings():
    with pytest.raises(ValueError, match='beta must be positive'):
        CutMix(beta=0)
    with pytest.raises(ValueError, match='prob must be in'):
        CutMix(prob=2)
