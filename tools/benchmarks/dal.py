"""Compare the target sample assigner and MMD with one image at a time.

``python tools/benchmarks/dal.py`` clusters random features in two ways, turn
by turn in one process: by ``TargetSampleAssigner`` and ``mmd``, and image by
image by scikit-learn's ``k_means`` and an MMD that writes out all differences
and loops over neighbouring pairs, as the released code of DA-WSOL does. Both
include the backward pass of MMD. It checks that they agree and reports the
ratio of the times; ``--train-step`` also reports the time of a training step
of ResNet-50 with the large map.
"""

import argparse
from typing import Callable, Dict, List, Tuple

from mmwsl.models.losses import mmd
from mmwsl.models.task_modules import TargetSampleAssigner
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample

import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from torch import Tensor

from timing import compare, make_parser

parser = make_parser(__doc__)
parser.option('--batch-size', 32)
parser.option('--channels', 2048)
parser.option('--size', 28)
parser.option('--train-step', False)

NUM_CLASSES = 200
Result = Tuple[Tensor, Tensor, Tensor]


def draw_features(args: argparse.Namespace) -> Tensor:
    """Draw smooth positive features (N, d, h, w)."""
    shape = (args.batch_size, args.channels)
    size = (args.size, args.size)
    feats = F.interpolate(
        torch.randn(*shape, 5, 5), size=size, mode='bilinear'
    )
    # Without clusters to be found k-means stops after a few rounds.
    feats = 1.5 * feats + 0.5 * torch.randn(*shape, *size) - 0.3
    return feats.relu().contiguous(memory_format=torch.channels_last)


class Ours:
    """All images at once."""

    def __init__(self, labels: Tensor, channels: int) -> None:
        self.labels = labels
        self.assigner = TargetSampleAssigner(NUM_CLASSES, channels)

    def __call__(self, feats: Tensor, estimator: str = 'linear') -> Result:
        """Return assignment, discrepancies and gradients of the sets."""
        own = feats.mean((2, 3))
        found = self.assigner.assign(feats, own, self.labels)
        samples = self.assigner.sample(found.assignment)
        pixels = feats.flatten(2).transpose(1, 2)
        rows = torch.arange(len(feats))[:, None]
        source = pixels[rows, samples.source]
        source = torch.cat([own[:, None], source], 1).requires_grad_()
        self.sets = source, pixels[rows, samples.target]
        values = mmd(*self.sets, estimator=estimator)
        (grad,) = torch.autograd.grad(values.sum(), source)
        return found.assignment, values.detach(), grad


class OneByOne:
    """Image after image, from the anchors of one batch and the given sets."""

    def __init__(self, ours: Ours) -> None:
        self.ours = ours
        self.anchors: Dict[str, Tensor] = {}

    def __call__(self, feats: Tensor) -> Result:
        """Return assignment, discrepancies and gradients of the sets."""
        from sklearn.cluster import k_means

        parts: List[List[Tensor]] = [[], [], []]
        for index, feat in enumerate(feats):
            start = torch.stack(
                [
                    self.anchors['universum_anchor'],
                    feat.mean((1, 2)),
                    self.anchors['class_anchors'][self.ours.labels[index]],
                ]
            )
            points = feat.flatten(1).T.numpy()
            labels = k_means(points, 3, init=start.numpy(), n_init=1)[1]
            parts[0].append(torch.from_numpy(labels).view(feat.shape[1:]))
            source, target = (x[index] for x in self.ours.sets)
            value = looped_mmd(source, target)
            parts[1].append(value.detach())
            parts[2].append(torch.autograd.grad(value, source)[0])
        return tuple(torch.stack(part) for part in parts)


def looped_mmd(source: Tensor, target: Tensor) -> Tensor:
    """Linear-time MMD of sets (n, d), pair by pair."""
    joined = torch.cat([source, target])
    count, total = len(source), len(joined)
    gaps = (joined[None] - joined[:, None]).square().sum(2)
    bandwidth = gaps.detach().sum() / (total**2 - total) / 4
    kernels = sum(torch.exp(-gaps / (bandwidth * 2**i)) for i in range(5))
    loss = kernels.new_zeros(())
    for i in range(count):
        j = (i + 1) % count
        loss = loss + kernels[i, j] + kernels[count + i, count + j]
        loss = loss - kernels[i, count + j] - kernels[j, count + i]
    return loss / count


def check(found: Result, expected: Result) -> None:
    """Stop if the two ways do not agree."""
    same = (found[0] == expected[0]).float().mean().item()
    close = torch.allclose(found[1], expected[1], rtol=1e-3, atol=1e-4)
    grads = torch.allclose(found[2], expected[2], rtol=1e-2, atol=1e-5)
    # Rounding may decide about a pixel between two centres.
    if same < 0.999 or not close or not grads:
        raise SystemExit(f'answers differ: {same:.4%}, {close}, {grads}')


def train_step(args: argparse.Namespace) -> Callable[[], None]:
    """Return a training step of ResNet-50 with the large map."""
    init_default_scope('mmwsl')
    model = MODELS.build(
        dict(
            type='WSLClassifier',
            backbone=dict(
                type='TorchvisionBackbone', arch='resnet50', output_stride=8
            ),
            head=dict(
                type='CAMHead', num_classes=NUM_CLASSES, in_channels=2048
            ),
        )
    )
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-4))
    size = (3, 8 * args.size, 8 * args.size)
    batch = dict(
        inputs=list(
            torch.randint(0, 256, (args.batch_size, *size), dtype=torch.uint8)
        ),
        data_samples=[
            WSLDataSample().set_gt_label([index], NUM_CLASSES)
            for index in range(args.batch_size)
        ],
    )
    return lambda: model.train().train_step(dict(batch), wrapper)


@parser.command
def main(args: argparse.Namespace) -> None:
    """Run the comparison and print the ratios."""
    torch.manual_seed(0)
    labels = torch.randint(0, NUM_CLASSES // 8, (args.batch_size,))
    ours = Ours(labels, args.channels)
    other = OneByOne(ours)
    ours(draw_features(args))
    feats = draw_features(args)

    def own_way() -> Result:
        # Both start from the same anchors.
        other.anchors = {
            key: value.clone() for key, value in ours.assigner.named_buffers()
        }
        return ours(feats)

    ways = {'mmwsl': own_way, 'image by image': lambda: other(feats)}
    # The first round imports scikit-learn.
    compare(args, ways, check, warm_up=1)
    if args.train_step:
        compare(args, {'training step': train_step(args)})


if __name__ == '__main__':
    raise SystemExit(main())
