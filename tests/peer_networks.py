"""The networks of the authors' programs, in plain torch.

Each is built layer by layer from its description, under the names that its
checkpoints have, and knows nothing of mmwsl. ResNets may be thinner than the
published ones.
"""

import torch
import torch.nn.functional as F
from torch import nn


def enliven(model, seed=0):
    """Give normalisations random weights and statistics; returns the model."""
    torch.manual_seed(seed)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.1)
    return model.eval()


def conv(inside, outside, kernel=1, stride=1, dilation=1, bias=False):
    reach = dilation * (kernel // 2)
    return nn.Conv2d(inside, outside, kernel, stride, reach, dilation, 1, bias)


class Bottleneck(nn.Module):
    def __init__(self, inside, middle, outside, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(inside, middle), nn.BatchNorm2d(middle)
        self.conv2 = conv(middle, middle, 3, stride)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3, self.bn3 = conv(middle, outside), nn.BatchNorm2d(outside)
        self.downsample = nn.Identity()
        if inside != outside:
            self.downsample = nn.Sequential(
                conv(inside, outside, 1, stride), nn.BatchNorm2d(outside)
            )

    def forward(self, x):
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        return (self.bn3(self.conv3(y)) + self.downsample(x)).relu()


def resnet50_stages(width, strides, erased=()):
    """The four stages; dropout layers stand behind blocks of ``erased``."""
    stages, inside = [], 64
    for index, (depth, stride) in enumerate(zip((3, 4, 6, 3), strides)):
        middle, outside = width << index, 256 << index
        layers = []
        for block in range(depth):
            first = stride if block == 0 else 1
            layers.append(Bottleneck(inside, middle, outside, first))
            inside = outside
            if (index + 1, block) in erased:
                layers.append(nn.Identity())
        stages.append(nn.Sequential(*layers))
    return stages


class FullyConvolutional(nn.Module):
    """The ResNet-50 of PRM: features and a classifier of 1 x 1."""

    def __init__(self, channels, width=64):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            *resnet50_stages(width, (1, 2, 2, 2)),
        )
        self.classifier = nn.Sequential(conv(2048, channels, bias=True))

    def forward(self, x):
        return self.classifier(self.features(x))


class Counting(nn.Module):
    """CountSeg: two branches share a network; maps of classes and counts."""

    def __init__(self, number, width=64):
        super().__init__()
        half = number * 3 // 2
        self.backbond = FullyConvolutional(2 * half, width)
        self.addedmodule = nn.Module()
        for name in ('branch1', 'branch2'):
            branch = nn.Sequential(
                nn.BatchNorm2d(half), nn.ReLU(), conv(half, number, bias=True)
            )
            setattr(self.addedmodule, name, branch)

    def forward(self, x):
        first, second = self.backbond(x).chunk(2, dim=1)
        return (
            self.addedmodule.branch1(first),
            self.addedmodule.branch2(second),
        )


def vgg16(pool4, dilation=1):
    """VGG-16 up to conv5, with the poolings 1 to 3 and what is given."""
    layers, inside = [], 3
    for index, (depth, width) in enumerate(
        ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
    ):
        for _ in range(depth):
            apart = dilation if index == 4 else 1
            layers += [
                conv(inside, width, 3, dilation=apart, bias=True),
                nn.ReLU(),
            ]
            inside = width
        if index < 3:
            layers.append(nn.MaxPool2d(2, 2))
        elif index == 3 and pool4 is not None:
            layers.append(pool4)
    return nn.Sequential(*layers)


class GraphReasoning(nn.Module):
    def __init__(self, channels, states, nodes):
        super().__init__()
        self.conv_state = nn.Conv2d(channels, states, 1)
        self.conv_proj = nn.Conv2d(channels, nodes, 1)
        self.gcn = nn.Module()
        self.gcn.conv1 = nn.Conv1d(nodes, nodes, 1)
        self.gcn.conv2 = nn.Conv1d(states, states, 1, bias=False)
        self.conv_extend = nn.Conv2d(states, channels, 1, bias=False)
        self.blocker = nn.BatchNorm2d(channels, eps=1e-4)

    def forward(self, x):
        onto = self.conv_proj(x).flatten(2)
        nodes = torch.einsum(
            'nsl,nml->nsm', self.conv_state(x).flatten(2), onto
        )
        passed = self.gcn.conv1(nodes.transpose(1, 2)).transpose(1, 2)
        nodes = self.gcn.conv2((nodes + passed).relu())
        back = torch.einsum('nsm,nml->nsl', nodes, onto)
        back = back.reshape(*back.shape[:2], *x.shape[2:])
        return x + self.blocker(self.conv_extend(back))


class Attention(nn.Module):
    """NSROM's classifier, or its integral model."""

    def __init__(self, number, integral):
        super().__init__()
        self.features = vgg16(nn.MaxPool2d(3, 1, 1), dilation=2)
        layers = []
        for _ in range(3):
            layers += [conv(512, 512, 3, bias=True), nn.ReLU()]
        self.extra_convs_1 = nn.Sequential(*layers[: 6 if integral else 5])
        self.extra_convs_2 = GraphReasoning(512, 128, 64)
        last = conv(512, number, bias=True)
        self.extra_convs_3 = nn.Sequential(
            *([last] if integral else [nn.ReLU(), last])
        )

    def forward(self, x):
        x = self.extra_convs_1(self.features(x))
        return self.extra_convs_3(self.extra_convs_2(x))


def unit(inside, outside, kernel=1, stride=1, dilation=1):
    part = nn.Module()
    part.conv = conv(inside, outside, kernel, stride, dilation)
    part.bn = nn.BatchNorm2d(outside)
    return part


def run(part, x):
    return part.bn(part.conv(x))


class CaffeBottleneck(nn.Module):
    """Its stride lies in the first convolution."""

    def __init__(self, inside, middle, outside, stride, dilation):
        super().__init__()
        self.reduce = unit(inside, middle, 1, stride)
        self.conv3x3 = unit(middle, middle, 3, 1, dilation)
        self.increase = unit(middle, outside)
        if inside != outside:
            self.shortcut = unit(inside, outside, 1, stride)

    def forward(self, x):
        y = run(self.conv3x3, run(self.reduce, x).relu()).relu()
        y = run(self.increase, y)
        if hasattr(self, 'shortcut'):
            x = run(self.shortcut, x)
        return (y + x).relu()


class DeepLabV2(nn.Module):
    """Caffe's ResNet-101 with dilated convolutions side by side."""

    def __init__(self, labels, width=64):
        super().__init__()
        self.layer1 = nn.Module()
        self.layer1.conv1 = unit(3, 64, 7, 2)
        inside = 64
        for index, (depth, stride, dilation) in enumerate(
            ((3, 1, 1), (4, 2, 1), (23, 1, 2), (3, 1, 4))
        ):
            stage = nn.Sequential()
            for block in range(depth):
                outside = 256 << index
                part = CaffeBottleneck(
                    inside,
                    width << index,
                    outside,
                    stride if block == 0 else 1,
                    dilation,
                )
                stage.add_module(f'block{block + 1}', part)
                inside = outside
            setattr(self, f'layer{index + 2}', stage)
        self.aspp = nn.Module()
        for index, dilation in enumerate((6, 12, 18, 24)):
            part = conv(2048, labels, 3, dilation=dilation, bias=True)
            setattr(self.aspp, f'c{index}', part)

    def forward(self, x):
        x = run(self.layer1.conv1, x).relu()
        x = F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
        for name in ('layer2', 'layer3', 'layer4', 'layer5'):
            x = getattr(self, name)(x)
        return sum(branch(x) for branch in self.aspp.children())


class MultiScale(nn.Module):
    """NSROM's segmentor: the largest logits of three scales."""

    def __init__(self, labels, width=64):
        super().__init__()
        self.base = DeepLabV2(labels, width)

    def forward(self, x):
        found = [self.base(x)]
        for scale in (0.75, 0.5):
            small = F.interpolate(
                x, scale_factor=scale, mode='bilinear', align_corners=False
            )
            found.append(
                F.interpolate(
                    self.base(small),
                    size=found[0].shape[2:],
                    mode='bilinear',
                    align_corners=False,
                )
            )
        return torch.stack(found).amax(dim=0)


class Extractor(nn.Module):
    """The ResNet-50 of localisation, whose last strides are left out."""

    def __init__(self, width=64, large=True, erased=()):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        strides = (1, 2, 1 if large else 2, 1)
        stages = resnet50_stages(width, strides, erased)
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

    def forward(self, x):
        x = F.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def pixelwise(layer, x):
    """Apply a linear layer to the features of every cell."""
    maps = torch.einsum('kc,nchw->nkhw', layer.weight, x)
    return maps + layer.bias[:, None, None]


class Localiser(nn.Module):
    """wsolevaluation's VGG-16 and ResNet-50: CAM by the linear layer."""

    def __init__(self, net, number, channels=2048):
        super().__init__()
        # The names of its parts are those of the whole.
        self.net = net
        self.fc = nn.Linear(channels, number)

    def forward(self, x):
        return pixelwise(self.fc, self.net(x))


class LocalVGG(nn.Module):
    def __init__(self, large=True):
        super().__init__()
        pool4 = None if large else nn.MaxPool2d(2, 2)
        self.features = vgg16(pool4)
        self.conv6 = conv(512, 1024, 3, bias=True)

    def forward(self, x):
        return self.conv6(self.features(x)).relu()


class Complementary(nn.Module):
    """ACoL: two branches of three convolutions; returns both maps."""

    def __init__(self, net, number, channels=2048, threshold=0.6):
        super().__init__()
        self.net, self.threshold = net, threshold
        for name in ('classifier_A', 'classifier_B'):
            branch = nn.Sequential(
                conv(channels, 1024, 3, bias=True),
                nn.ReLU(),
                conv(1024, 1024, 3, bias=True),
                nn.ReLU(),
                conv(1024, number, bias=True),
            )
            setattr(self, name, branch)

    def forward(self, x):
        feats = self.net(x)
        first = self.classifier_A(feats)
        best = first.mean(dim=(2, 3)).argmax(dim=1)
        chosen = first[torch.arange(len(first)), best][:, None]
        low, high = chosen.amin((2, 3), True), chosen.amax((2, 3), True)
        erased = (chosen - low) / (high - low) > self.threshold
        return first, self.classifier_B(feats.masked_fill(erased, 0))


class Cell(nn.Module):
    """Convolution, normalisation and ReLU, as InceptionV3 has them."""

    def __init__(self, inside, outside, kernel=1, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(
            inside, outside, kernel, stride, padding, bias=False
        )
        self.bn = nn.BatchNorm2d(outside, eps=0.001)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class Branches(nn.Module):
    """Rows of cells side by side, some behind an average pooling."""

    def __init__(self, inside, rows, pool=None):
        super().__init__()
        self.rows = {}
        for name, cells in rows.items():
            width, names = inside, []
            for index, (outside, kernel) in enumerate(cells, 1):
                own = name if len(cells) == 1 else f'{name}_{index}'
                sides = (kernel,) * 2 if isinstance(kernel, int) else kernel
                padding = tuple(side // 2 for side in sides)
                cell = Cell(width, outside, sides, 1, padding)
                self.add_module(own, cell)
                names.append(own)
                width = outside
            self.rows[name] = names
        self.pool = pool

    def forward(self, x):
        found = []
        for name, cells in self.rows.items():
            y = F.avg_pool2d(x, 3, 1, 1) if name == 'branch_pool' else x
            for cell in cells:
                y = getattr(self, cell)(y)
            found.append(y)
        if self.pool is not None:
            found.append(self.pool(x))
        return torch.cat(found, dim=1)


def block_a(inside, pooled):
    return Branches(
        inside,
        dict(
            branch1x1=[(64, 1)],
            branch5x5=[(48, 1), (64, 5)],
            branch3x3dbl=[(64, 1), (96, 3), (96, 3)],
            branch_pool=[(pooled, 1)],
        ),
    )


def block_c(middle):
    row, column = (1, 7), (7, 1)
    return Branches(
        768,
        dict(
            branch1x1=[(192, 1)],
            branch7x7=[(middle, 1), (middle, row), (192, column)],
            branch7x7dbl=[
                (middle, 1),
                (middle, column),
                (middle, row),
                (middle, column),
                (192, row),
            ],
            branch_pool=[(192, 1)],
        ),
    )


class LocalInception(nn.Module):
    """The InceptionV3 of localisation with the large map."""

    def __init__(self, number):
        super().__init__()
        self.Conv2d_1a_3x3 = Cell(3, 32, 3, 2, 1)
        self.Conv2d_2a_3x3 = Cell(32, 32, 3)
        self.Conv2d_2b_3x3 = Cell(32, 64, 3, 1, 1)
        self.Conv2d_3b_1x1 = Cell(64, 80)
        self.Conv2d_4a_3x3 = Cell(80, 192, 3)
        self.Mixed_5b = block_a(192, 32)
        self.Mixed_5c = block_a(256, 64)
        self.Mixed_5d = block_a(288, 64)
        self.Mixed_6a = Branches(
            288,
            dict(
                branch3x3=[(384, 3)],
                branch3x3dbl=[(64, 1), (96, 3), (96, 3)],
            ),
            nn.MaxPool2d(3, 1, 1),
        )
        self.Mixed_6b = block_c(128)
        self.Mixed_6c = block_c(160)
        self.Mixed_6d = block_c(160)
        self.Mixed_6e = block_c(192)
        self.SPG_A3_1b = nn.Sequential(
            conv(768, 1024, 3, bias=True), nn.ReLU()
        )
        self.SPG_A3_2b = nn.Sequential(
            conv(1024, 1024, 3, bias=True), nn.ReLU()
        )
        self.SPG_A4 = conv(1024, number, bias=True)

    def forward(self, x):
        x = self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))
        x = F.max_pool2d(self.Conv2d_2b_3x3(x), 3, 2, 1, ceil_mode=True)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
        for name in ('5b', '5c', '5d', '6a', '6b', '6c', '6d', '6e'):
            x = getattr(self, f'Mixed_{name}')(x)
        return self.SPG_A4(self.SPG_A3_2b(self.SPG_A3_1b(x)))
