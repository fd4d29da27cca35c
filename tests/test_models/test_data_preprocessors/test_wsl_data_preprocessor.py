"""Tests of the data preprocessor."""

from typing import Any, List, Tuple

import pytest
import torch
from mmengine.model import ImgDataPreprocessor
from torch import Tensor, nn

from mmwsl.models.data_preprocessors import WSLDataPreprocessor
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
