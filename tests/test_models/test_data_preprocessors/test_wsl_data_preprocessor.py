"""Tests of the data preprocessor and of batch augmentations."""

from typing import Any, List, Tuple

import pytest
import torch
from mmengine.model import ImgDataPreprocessor
from torch import Tensor, nn

from mmwsl.models.data_preprocessors import (
    CutMix,
    HideAndSeek,
    WSLDataPreprocessor,
)
from mmwsl.models.heads import CAMHead
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample

CONFIG = dict(
    mean=[10.0, 20.0, 30.0],
    std=[1.0, 2.0, 4.0],
    bgr_to_rgb=True,
    pad_size_divisor=4,
)


def make_images(*sizes: Tuple[int, int]) -> List[Tensor]:
    return [
        torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in sizes
    ]


@pytest.mark.parametrize(
    'sizes', [((4, 6), (4, 6)), ((5, 6), (4, 7)), ((8, 8),)]
)
def test_equals_mmengine(sizes: Any) -> None:
    images = make_images(*sizes)
    ours = WSLDataPreprocessor(**CONFIG)(dict(inputs=images))
    theirs = ImgDataPreprocessor(**CONFIG)(dict(inputs=images))
    assert torch.allclose(ours['inputs'], theirs['inputs'])
    assert ours['inputs'].dtype == torch.float32


def test_stacked_tensor_equals_list() -> None:
    images = make_images((4, 4), (4, 4))
    preprocessor = WSLDataPreprocessor(**CONFIG)
    stacked = preprocessor(dict(inputs=torch.stack(images)))
    assert torch.equal(
        stacked['inputs'], preprocessor(dict(inputs=images))['inputs']
    )


def test_known_answer() -> None:
    image = torch.tensor([30, 20, 14], dtype=torch.uint8).reshape(3, 1, 1)
    config = dict(CONFIG, pad_size_divisor=1)
    inputs = WSLDataPreprocessor(**config)(dict(inputs=[image]))['inputs']
    # B, G, R = 30, 20, 14: red (14 - 10) / 1, green 0, blue (30 - 30) / 4.
    assert inputs.flatten().tolist() == [4.0, 0.0, 0.0]


def test_batch_augments_only_in_training() -> None:
    @MODELS.register_module(force=True)
    class AddOne(nn.Module):
        def forward(self, inputs: Tensor, samples: list) -> Tuple:
            return inputs + 1, samples

    preprocessor = WSLDataPreprocessor(
        batch_augments=[dict(type='AddOne'), dict(type='AddOne')]
    )
    data = dict(inputs=make_images((2, 2)), data_samples=[WSLDataSample()])
    plain = preprocessor(data, training=False)['inputs']
    assert torch.equal(preprocessor(data, training=True)['inputs'], plain + 2)


def test_whole_squares_are_hidden():
    inputs = torch.rand(40, 3, 25, 32) + 1
    samples = [object()] * 40
    found, kept = HideAndSeek(grid_size=10, drop_rate=0.3, fill=-2.0)(
        inputs, samples
    )
    assert kept is samples
    hidden = 0
    for image, before in zip(found, inputs):
        for y in range(0, 25, 10):
            for x in range(0, 32, 10):
                cell = image[:, y : y + 10, x : x + 10]
                gone = bool((cell == -2).all())
                hidden += gone
                same = before[:, y : y + 10, x : x + 10]
                assert gone or cell.equal(same)
    # 480 squares.
    assert 0.2 < hidden / 480 < 0.4
    assert inputs.min() >= 1


@pytest.mark.parametrize(('rate', 'value'), [(0.0, 1.0), (1.0, 0.0)])
def test_limits(rate, value):
    found, _ = HideAndSeek(drop_rate=rate)(torch.ones(2, 3, 60, 60))
    assert found.eq(value).all()


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
    with pytest.raises(ValueError, match='grid_size must be at least 1'):
        HideAndSeek(grid_size=0)
    with pytest.raises(ValueError, match='drop_rate must be in'):
        HideAndSeek(drop_rate=-0.1)
    with pytest.raises(ValueError, match='beta must be positive'):
        CutMix(beta=0)
    with pytest.raises(ValueError, match='prob must be in'):
        CutMix(prob=2)
