"""The fully connected layers as convolutions."""

import torch
import torch.nn.functional as F

from mmwsl.registry import MODELS


def test_two_convolutions():
    neck = MODELS.build(
        dict(type='LargeFOVNeck', in_channels=4, channels=6, dilation=2)
    )
    x = torch.randn(1, 4, 7, 8)
    first, second = (m for m in neck.layers if hasattr(m, 'weight'))
    y = F.conv2d(x, first.weight, first.bias, padding=2, dilation=2).relu()
    y = F.conv2d(y, second.weight, second.bias).relu()
    (found,) = neck.eval()((None, x))
    torch.testing.assert_close(found, y)
    # Whole channels are dropped in training.
    (dropped,) = neck.train()([x])
    assert (dropped == 0).all(dim=(2, 3)).any()
