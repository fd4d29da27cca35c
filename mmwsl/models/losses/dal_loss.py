"""The domain adaptive localisation loss of DA-WSOL, and its discrepancies.

Shape shorthand: N images, C classes, M entries, d features, (h, w) the
feature map, P pairs of sets, n features a set.
"""

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn

from mmwsl.models.heads.cam_head import stack_gt_scores, warn_of_no_epoch
from mmwsl.models.task_modules.target_sample_assigner import UNIVERSUM
from mmwsl.registry import MODELS, TASK_UTILS
from mmwsl.structures import WSLDataSample

ESTIMATORS = ('full', 'linear')
# A sum and the weights in it, scalars.
WeightedSum = Tuple[Tensor, Tensor]


class DALTerms(NamedTuple):
    """What :class:`DALLoss` returns.

    Attributes:
        discrepancy: Weighted L_d, scalar.
        universum: Weighted L_u, scalar.
        assignment: Subsets of the pixels of every entry, long (M, h, w), or
            None before the first epoch of the loss.
        images: To which of the N images an entry belongs (M,), ascending.
    """

    discrepancy: Tensor
    universum: Tensor
    assignment: Optional[Tensor]
    images: Tensor


@MODELS.register_module()
class DALLoss(nn.Module):
    """Domain adaptive localisation loss (https://arxiv.org/abs/2203.01714).

    ``lambda_1 L_d(S u T^f, T^t) + lambda_2 L_u(T^u)``: an assigner parts the
    pixels of an image into three subsets. L_d is the discrepancy between the
    image's feature s with random pixels of T^f (fake source) and random
    pixels of T^t (target), averaged over the images that have enough of
    both. L_u is the mean of the features' magnitudes in T^u (universum) over
    the batch.

    Every pair of an image and one of its classes is an entry of its own,
    and the label, which may be a fraction where images are mixed, is its
    weight in both averages. With several processes, over which gradients
    are averaged in turn, the averages are those of the whole batch.

    Attributes:
        num_classes: C of the assigner.
        keep_assignment: Whether the next loss keeps its assignment, which
            costs a copy.
        last_assignment: Long (N, h, w): 0 universum, 1 fake source, 2
            target, by the first class of every image; 0 for images without
            classes. None if nothing was assigned.

    Args:
        assigner: Config of the assigner, for example
            ``dict(type='TargetSampleAssigner', num_classes=C, feat_dim=d)``.
        discrepancy: Config of a module (P, n, d), (P, n, d) -> (P,), by
            default MMDLoss.
        discrepancy_weight: lambda_1.
        universum_weight: lambda_2.
        start_epoch: Epoch, from 0, from which the terms count. Before it
            they are 0 and anchors stay; ``set_epoch`` must tell the epoch,
            as HeadEpochHook does.
        in_index: Which of the backbone's or neck's outputs is adapted.

    Raises:
        ValueError: If the assigner draws sets of two sizes.
    """

    def __init__(
        self,
        assigner: Dict,
        discrepancy: Optional[Dict] = None,
        discrepancy_weight: float = 0.3,
        universum_weight: float = 2.0,
        start_epoch: int = 0,
        in_index: int = -1,
    ) -> None:
        super().__init__()
        self.assigner = TASK_UTILS.build(assigner)
        sizes = self.assigner.num_source, self.assigner.num_target
        if sizes[0] != sizes[1]:
            raise ValueError(
                'DALLoss: num_source and num_target of the assigner must be '
                f'equal, got {sizes[0]} and {sizes[1]}.'
            )
        self.num_classes: int = self.assigner.num_classes
        self.discrepancy = MODELS.build(
            discrepancy or dict(type='mmwsl.MMDLoss')
        )
        self.discrepancy_weight = discrepancy_weight
        self.universum_weight = universum_weight
        self.start_epoch = start_epoch
        self.in_index = in_index
        self.keep_assignment = False
        self.last_assignment: Optional[Tensor] = None
        self._epoch: Optional[int] = None

    def set_epoch(self, epoch: int) -> None:
        """Take note of the epoch of training, from 0."""
        self._epoch = epoch

    def loss(
        self, feats: Sequence[Tensor], data_samples: Sequence[WSLDataSample]
    ) -> Dict[str, Tensor]:
        """Return the terms as losses of a model.

        Args:
            feats: Features of the backbone or neck.
            data_samples: N samples with ``gt_score``.

        Returns:
            ``loss_discrepancy`` and ``loss_universum``, scalars.
        """
        targets = stack_gt_scores(data_samples, self.num_classes)
        terms = self(feats[self.in_index], targets)
        if self.keep_assignment:
            self.last_assignment = _by_image(terms, len(targets))
        return dict(
            loss_discrepancy=terms.discrepancy, loss_universum=terms.universum
        )

    def forward(self, feats: Tensor, targets: Tensor) -> DALTerms:
        """Return the terms of a batch.

        Args:
            feats: Features of the pixels (N, d, h, w), behind a ReLU.
            targets: Labels (N, C) in [0, 1].
        """
        images, labels = (targets > 0).nonzero(as_tuple=True)
        if self._epoch is None:
            self._epoch = 0
            if self.start_epoch > 0:
                warn_of_no_epoch('DALLoss', f'start_epoch={self.start_epoch}')
        if self._epoch < self.start_epoch:
            nothing = self._nothing(feats)
            return DALTerms(nothing, nothing, None, images)
        weights = targets[images, labels]
        image_feats = feats.mean(dim=(2, 3), dtype=torch.float32)
        # An image of one class needs no copy of its features.
        single = len(images) == len(feats) and bool((images.diff() == 1).all())
        entry_feats = feats.detach()
        found = self.assigner.assign(
            entry_feats if single else entry_feats[images],
            image_feats.detach()[images],
            labels,
        ).assignment
        discrepancy, universum = _means(
            self._discrepancy(feats, image_feats, found, images, weights),
            self._universum(feats, found, images, weights),
        )
        return DALTerms(
            self.discrepancy_weight * discrepancy,
            self.universum_weight * universum,
            found,
            images,
        )

    def _discrepancy(
        self,
        feats: Tensor,
        image_feats: Tensor,
        found: Tensor,
        images: Tensor,
        weights: Tensor,
    ) -> WeightedSum:
        """Return the sum of the entries' L_d and that of their weights."""
        most = max(self.assigner.num_source - 1, self.assigner.num_target)
        pixels = feats.flatten(2).transpose(1, 2)
        if found.numel() == 0 or pixels.shape[1] < most:
            return self._nothing(feats), weights.new_zeros(())
        samples = self.assigner.sample(found)
        own = image_feats[images][:, None]
        fake = pixels[images[:, None], samples.source].to(own.dtype)
        target = pixels[images[:, None], samples.target].to(own.dtype)
        source = torch.cat([own, fake], dim=1)
        values = self.discrepancy(source, target)
        # Entries that take no part are computed as well: their number is
        # known to the device alone.
        weights = weights * samples.enough
        return (values * weights).sum(), weights.sum()

    def _universum(
        self, feats: Tensor, found: Tensor, images: Tensor, weights: Tensor
    ) -> WeightedSum:
        """Return the sum of the pixels' L_u and that of their weights."""
        if found.numel() == 0:
            return self._nothing(feats), weights.new_zeros(())
        inside = (found == UNIVERSUM) * weights[:, None, None]
        per_pixel = inside.new_zeros((len(feats), *found.shape[1:]))
        per_pixel.index_add_(0, images, inside)
        size = feats.abs().mean(dim=1, dtype=torch.float32)
        return (size * per_pixel).sum(), per_pixel.sum()

    def _nothing(self, feats: Tensor) -> Tensor:
        """Return 0 with a graph that reaches all parameters."""
        nothing = feats[:, :, :1, :1].float().sum() * 0
        for parameter in self.parameters():
            nothing = nothing + parameter.sum() * 0
        return nothing


def _by_image(terms: DALTerms, count: int) -> Optional[Tensor]:
    """Return the assignment (N, h, w) of every image's first entry."""
    if terms.assignment is None:
        return None
    found = terms.assignment
    kept = found.new_zeros((count, *found.shape[1:]))
    images = torch.arange(count, device=found.device)
    first = torch.searchsorted(terms.images, images)
    has_one = torch.isin(images, terms.images)
    kept[has_one] = found[first[has_one]]
    return kept


def _means(*parts: WeightedSum) -> List[Tensor]:
    """Return weighted means, 0 with a graph where all weights are 0."""
    weights = torch.stack([weight.float() for _, weight in parts])
    if get_world_size() > 1:
        all_reduce(weights, op='mean')
    # Adding 1 where the sum is 0 keeps it exact elsewhere.
    weights = weights + (weights == 0)
    return [part / weight for (part, _), weight in zip(parts, weights)]


def mmd(
    source: Tensor,
    target: Tensor,
    num_kernels: int = 5,
    kernel_mul: float = 2.0,
    estimator: str = 'full',
) -> Tensor:
    """Squared maximum mean discrepancy with a sum of Gaussian kernels.

    ``k(x, y) = sum_i exp(-|x - y|^2 / b_i)`` with
    ``b_i = b / kernel_mul^(num_kernels // 2) * kernel_mul^i``; b is the mean
    squared distance of two different ones of a pair's 2 n features, so the
    divisor is ``2 n (2 n - 1)``. No gradient passes through b. (Deep
    adaptation networks, https://arxiv.org/abs/1502.02791.)

    - 'full': ``mean k(s_i, s_j) + mean k(t_i, t_j) - 2 mean k(s_i, t_j)``
      over all i and j, also equal ones. Never negative.
    - 'linear': the mean over i of
      ``k(s_i, s_j) + k(t_i, t_j) - k(s_i, t_j) - k(s_j, t_i)`` with
      ``j = i + 1 mod n``, as the released code of DA-WSOL has it.

    Args:
        source: Features s (P, n, d).
        target: Features t (P, n, d).
        num_kernels: Number of Gaussian kernels.
        kernel_mul: Ratio of successive bandwidths.
        estimator: 'full' or 'linear'.

    Returns:
        (P,), in float32 or more. 0 for pairs of equal sets.

    Raises:
        ValueError: If the shapes differ or the estimator is unknown.
    """
    if source.shape != target.shape or source.ndim != 3:
        raise ValueError(
            'mmd needs two tensors of the same shape (P, n, d), got '
            f'{tuple(source.shape)} and {tuple(target.shape)}.'
        )
    if estimator not in ESTIMATORS:
        raise ValueError(
            f"estimator must be one of {ESTIMATORS}, got '{estimator}'."
        )
    if source.numel() == 0:
        return (source + target).sum(dim=(1, 2))
    dtype = torch.promote_types(source.dtype, torch.float32)
    with torch.autocast(source.device.type, enabled=False):
        joined = torch.cat([source.to(dtype), target.to(dtype)], dim=1)
        distances, bandwidth = _distances(joined)
        scaled = distances / -bandwidth[:, None, None]
        scaled = scaled * kernel_mul ** (num_kernels // 2)
        values = torch.zeros_like(scaled)
        for index in range(num_kernels):
            values = values + (scaled / kernel_mul**index).exp()
        weights = _weights(values, estimator)
        return (values * weights).sum(dim=(1, 2))


@MODELS.register_module()
class MMDLoss(nn.Module):
    """Module of :func:`mmd`, whose arguments it has, for :class:`DALLoss`."""

    def __init__(
        self,
        num_kernels: int = 5,
        kernel_mul: float = 2.0,
        estimator: str = 'full',
    ) -> None:
        super().__init__()
        self.num_kernels = num_kernels
        self.kernel_mul = kernel_mul
        self.estimator = estimator

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the discrepancies (P,) of sets (P, n, d)."""
        return mmd(
            source, target, self.num_kernels, self.kernel_mul, self.estimator
        )


def _distances(feats: Tensor) -> Tuple[Tensor, Tensor]:
    """Return the squared distances (P, m, m) within sets (P, m, d) and b (P,).

    Taken from products of features, of which their mean is subtracted, which
    keeps digits.
    """
    count = feats.shape[1]
    mean = feats.detach().mean(dim=1, keepdim=True)
    centered = feats - mean
    # For the first derivative of symmetric uses both halves of the gradient
    # are equal, and one matrix product finds them.
    products = centered @ centered.detach().transpose(1, 2)
    products = 2 * products - products.detach()
    squares = products.diagonal(dim1=1, dim2=2)
    distances = squares[:, :, None] + squares[:, None] - 2 * products
    # The sum of |x - y|^2 over all pairs is 2 m times that of |x - mean|^2.
    spread = squares.detach().sum(dim=1)
    bandwidth = 2 * spread / (count - 1)
    # Below that, features differ by their rounding only.
    size = spread / count + mean.square().sum(dim=(1, 2))
    bandwidth = bandwidth.maximum(8 * torch.finfo(feats.dtype).eps * size)
    bandwidth = torch.where(bandwidth > 0, bandwidth, 1.0)
    return distances.clamp(min=0), bandwidth


def _weights(kernels: Tensor, estimator: str) -> Tensor:
    """Return the symmetric weights (2 n, 2 n) of kernels (P, 2 n, 2 n)."""
    count = kernels.shape[1] // 2
    pairs = kernels.new_ones(count, count)
    if estimator == 'linear':
        pairs = pairs.diag().diag().roll(1, dims=1)
        pairs = (pairs + pairs.T) * count / 2
    pairs = pairs / count**2
    return torch.cat(
        [torch.cat([pairs, -pairs], 1), torch.cat([-pairs, pairs], 1)]
    )


@MODELS.register_module()
class DANNLoss(nn.Module):
    """Domain-adversarial loss (https://arxiv.org/abs/1409.7495).

    A 1x1 discriminator (one weight a channel and a bias) tells source
    features, its label 1, from target features, its label 0, by binary cross
    entropy. The features are behind a gradient reversal of the strength
    ``2 / (1 + exp(-progress)) - 1``, so they learn to be told apart less.

    Args:
        in_channels: d.
        speed: What a training step adds to the progress, which begins at 0
            and is kept in checkpoints. The strength is 0.46 at progress 1
            and 0.99 at 5.
    """

    num_steps: Tensor

    def __init__(self, in_channels: int, speed: float = 1e-3) -> None:
        super().__init__()
        self.speed = speed
        self.discriminator = nn.Linear(in_channels, 1)
        nn.init.normal_(self.discriminator.weight, std=0.01)
        nn.init.zeros_(self.discriminator.bias)
        self.register_buffer('num_steps', torch.zeros((), dtype=torch.long))

    def forward(
        self,
        source: Tensor,
        target: Tensor,
        progress: Optional[float] = None,
    ) -> Tensor:
        """Return the losses (P,) of sets (P, n, d).

        Args:
            source: Source features.
            target: Target features.
            progress: Replaces the number of steps times ``speed``.
        """
        steps = self.num_steps * self.speed
        if progress is not None:
            steps = torch.full_like(steps, progress)
        strength = 2 / (1 + torch.exp(-steps)) - 1
        if self.training:
            self.num_steps += 1
        count = source.shape[1]
        joined = reverse_gradient(torch.cat([source, target], 1), strength)
        # Binary cross entropy is unsafe in half precision.
        logits = self.discriminator(joined)[..., 0].float()
        return (
            F.softplus(-logits[:, :count]).mean(dim=1)
            + F.softplus(logits[:, count:]).mean(dim=1)
        ) / 2


def reverse_gradient(
    x: Tensor, strength: Union[float, Tensor] = 1.0
) -> Tensor:
    """Return ``x``, whose gradient is multiplied by ``-strength``.

    What lies behind it learns to lower a loss, what lies before it to raise
    it. ``strength`` is a number >= 0 or a tensor () on the device of x.
    """
    result = x.view_as(x)
    if result.requires_grad:
        result.register_hook(lambda grad: -strength * grad)
    return result
