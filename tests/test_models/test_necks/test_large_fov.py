"""The fully connected layers as convolutions."""

import torch
import torch.nn.functional as F

from mmwsl.registry import MODELS


def test_two_convolutions():
    neck_cfg = dict(type='LargeFOVNeck', in_channels=4, channels=6, dilation=2)
    neck = MODELS.build(neck_cfg)
    x = torch.randn(1, 4, 7, 8)
    first, second = (m for m in neck.layers if hasattr(m, 'weight'))
    y = F.conv2d(x, first.weight, first.bias, padding=2, dilation=2).relu()
    y = F.conv2d(y, second.weight, second.bias).relu()
    (found,) = neck.eval()((None, x))
    torch.testing.assert_close(found, y)
    settings = dict(neck_cfg, kernels=(3, 3))
    layers = [m for m in MODELS.build(settings).layers if hasattr(m, 'weight')]
    assert [layer.kernel_size for layer in layers] == [(3, 3), (3, 3)]
    assert [layer.padding for layer in layers] == [(2, 2), (1, 1)]
    # Whole channels are dropped in training.
    (dropped,) = neck.train()([x])
    assert (dropped == 0).all(dim=(2, 3)).any()
