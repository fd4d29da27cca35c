"""Compare the training step with a bare loop over the same network.

``python tools/benchmarks/train_step.py`` trains MobileNetV2 (or ``--arch``)
on random images in two ways, turn by turn in one process: through
``WSLClassifier.train_step`` with its data preprocessor, and as plain torch.
Both ways keep freed memory, as ``tools/train.py`` does.
"""

from typing import Callable, Dict, Optional, Sequence

from mmwsl.apis import keep_freed_memory
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample

import torch
import torch.nn.functional as F
import torchvision
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from timing import compare, make_parser, set_threads

NUM_CLASSES = 20


class BareModel(nn.Module):
    """torchvision's features, a linear layer and average pooling."""

    def __init__(self, arch: str) -> None:
        super().__init__()
        net = torchvision.models.get_model(arch, weights=None)
        layers = [
            module
            for name, module in net.named_children()
            if name not in ('avgpool', 'classifier', 'fc')
        ]
        self.features = nn.Sequential(*layers)
        with torch.no_grad():
            channels = self.features.eval()(torch.zeros(1, 3, 64, 64)).shape[1]
        self.classifier = nn.Conv2d(channels, NUM_CLASSES, 1)
        self.train().to(memory_format=torch.channels_last)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return scores (N, C)."""
        return self.classifier(self.features(inputs)).mean((2, 3))


def bare_step(arch: str, batch: Dict) -> Callable:
    """Return a function that trains the bare model once."""
    model = BareModel(arch)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    targets = torch.stack([s.gt_score for s in batch['data_samples']])

    def step() -> None:
        inputs = torch.stack(batch['inputs']).flip(1).float()
        inputs = (inputs - 127.5) / 127.5
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        loss = F.multilabel_soft_margin_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def our_step(arch: str, batch: Dict) -> Callable:
    """Return a function that trains a WSLClassifier once."""
    init_default_scope('mmwsl')
    channels = BareModel(arch).classifier.in_channels
    model = MODELS.build(
        dict(
            type='WSLClassifier',
            data_preprocessor=dict(
                mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True
            ),
            backbone=dict(type='TorchvisionBackbone', arch=arch),
            head=dict(
                type='CAMHead', num_classes=NUM_CLASSES, in_channels=channels
            ),
        )
    )
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    wrapper = OptimWrapper(optimizer)
    return lambda: model.train_step(dict(batch), wrapper)['loss'].item()


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the comparison and print the ratio."""
    parser = make_parser(__doc__, rounds=15)
    parser.add_argument('--arch', default='mobilenet_v2')
    parser.add_argument('--batch-size', type=int, default=16)
    parser.add_argument('--size', type=int, default=224)
    args = parser.parse_args(argv)
    set_threads(args)
    keep_freed_memory()
    shape = (args.batch_size, 3, args.size, args.size)
    batch = dict(
        inputs=list(torch.randint(0, 256, shape, dtype=torch.uint8)),
        data_samples=[
            WSLDataSample().set_gt_label([n % NUM_CLASSES], NUM_CLASSES)
            for n in range(args.batch_size)
        ],
    )
    steps = {
        'mmwsl': our_step(args.arch, batch),
        'bare loop': bare_step(args.arch, batch),
    }
    # The first two rounds fill caches.
    seconds = compare(args, steps, warm_up=2)
    for name, value in seconds.items():
        print(f'{name}: {args.batch_size / value:.2f} images/s')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
