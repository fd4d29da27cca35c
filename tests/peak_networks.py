"""Small networks of every kind of layer, and peaks on their maps."""

import torch
from torch import nn

from peak_reference import Residual

SIZE = (27, 34)


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc = nn.Linear(channels, channels)

    def forward(self, x):
        scale = self.fc(x.mean((2, 3))).sigmoid()
        return x * scale[:, :, None, None]


class Shuffle(nn.Module):
    """Split, shuffle and join channels, with tensors of other shapes."""

    def forward(self, x):
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        first, second = x.chunk(2, 1)
        return torch.cat([second.relu(), first[:, :, ::1]], 1)


def bottleneck(ins, width, outs, **conv):
    return nn.Sequential(
        nn.Conv2d(ins, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, bias=False, **conv),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, outs, 1, bias=False),
        nn.BatchNorm2d(outs),
    )


def resnet():
    return nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
        Residual(bottleneck(8, 4, 8, padding=1)),
        nn.ReLU(inplace=True),
        Residual(
            bottleneck(8, 6, 12, stride=2, padding=1, groups=3),
            nn.Sequential(nn.Conv2d(8, 12, 1, 2), nn.BatchNorm2d(12)),
        ),
        nn.ReLU(inplace=True),
        Residual(bottleneck(12, 6, 12, padding=2, dilation=2)),
        nn.ReLU(inplace=True),
        nn.Conv2d(12, 4, 1),
    )


def paddings():
    modes = ('zeros', 'reflect', 'replicate', 'circular')
    return nn.Sequential(
        nn.Conv2d(3, 4, (3, 2), (1, 3), (2, 0)),
        *[
            layer
            for mode in modes
            for layer in (
                nn.Conv2d(4, 4, 3, 1, 2, 2, padding_mode=mode),
                nn.LeakyReLU(),
            )
        ],
        nn.Conv2d(4, 4, (2, 4), padding='same', dilation=(1, 3)),
        nn.Hardswish(),
        nn.Conv2d(4, 4, 4, padding='same', padding_mode='reflect'),
        # Outputs at the border see nothing but padding.
        nn.Conv2d(4, 4, 1, padding=1, stride=2),
        nn.Conv2d(4, 4, 3, padding='valid'),
    )


def mixture():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2),
        nn.ReLU6(inplace=True),
        nn.AvgPool2d(3, 2, 1),
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        SqueezeExcite(6),
        Shuffle(),
        nn.InstanceNorm2d(6),
        nn.Conv2d(6, 4, 3, padding=4, dilation=4),
        nn.Upsample(scale_factor=2.5, mode='bilinear', align_corners=True),
    )


def pre_activation():
    # The in-place layer changes what the other way sees, too.
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.ReLU(inplace=True),
        Residual(
            nn.Sequential(nn.SiLU(), nn.Conv2d(4, 4, 5, padding=2), nn.GELU())
        ),
        nn.Conv2d(4, 4, 3, 2),
    )


def build(make, seed=0):
    """Return a network of some kind in eval mode with lively statistics."""
    torch.manual_seed(seed)
    net = make()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return net.eval()


def draw(net, count=7, batch=2, seed=1):
    """Return images and peaks on their maps, the four corners among them."""
    torch.manual_seed(seed)
    dtype = next(net.parameters()).dtype
    images = torch.randn(batch, 3, *SIZE, dtype=dtype)
    with torch.no_grad():
        _, c, h, w = net(images).shape
    peaks = torch.stack(
        [torch.randint(n, (count,)) for n in (batch, c, h, w)], dim=1
    )
    corners = [(0, 0), (0, w - 1), (h - 1, 0), (h - 1, w - 1)]
    peaks[:4, 2:] = torch.tensor(corners[: len(peaks)])
    return images, peaks
