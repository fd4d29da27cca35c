"""Tests of the domain adaptive localisation loss and its discrepancies."""

import math

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.autograd import gradcheck

from forks import fork_two
from mmwsl.models.losses import (
    DALLoss,
    DANNLoss,
    MMDLoss,
    mmd,
    reverse_gradient,
)
from mmwsl.models.losses import dal_loss as module_under_test
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample

CLASSES, FEATURES = 3, 4


def make(size=4, **kwargs):
    assigner = dict(
        type='TargetSampleAssigner',
        num_classes=CLASSES,
        feat_dim=FEATURES,
        num_source=size,
        num_target=size,
    )
    loss = MODELS.build(dict(type='DALLoss', assigner=assigner, **kwargs))
    assert isinstance(loss, DALLoss)
    return loss


def draw(images=3):
    torch.manual_seed(1)
    base = torch.randn(images, FEATURES, 2, 3)
    maps = nn.functional.interpolate(base, size=(8, 9))
    maps = (maps + 0.3 * torch.randn_like(maps)).relu()
    targets = torch.eye(CLASSES)[torch.arange(images) % CLASSES]
    return maps.requires_grad_(), targets


class FirstPixels(nn.Module):
    """A discrepancy that shows what it was given."""

    def forward(self, source, target):
        self.source, self.target = source, target
        return source[:, 0, 0] + target[:, 0, 0] * 0


def test_terms_by_the_assignment():
    maps, targets = draw()
    loss = make(discrepancy_weight=0.5, universum_weight=3.0)
    loss.discrepancy = FirstPixels()
    terms = loss(maps, targets)
    found = terms.assignment
    outside = torch.cat([f[:, a == 0].T for f, a in zip(maps, found)])
    assert terms.universum.item() == pytest.approx(
        3 * outside.mean().item(), rel=1e-5
    )
    source, target = loss.discrepancy.source, loss.discrepancy.target
    feats = maps.mean((2, 3))
    assert torch.allclose(source[:, 0], feats)
    for index in range(3):
        pixels = {
            subset: {tuple(x) for x in maps[index][:, mask].T.tolist()}
            for subset in range(3)
            for mask in [found[index] == subset]
        }
        # Without repetition, and all of the right subset.
        fake = {tuple(x) for x in source[index, 1:].tolist()}
        real = {tuple(x) for x in target[index].tolist()}
        assert len(fake) == 3
        assert len(real) == 4
        assert fake <= pixels[1]
        assert real <= pixels[2]
    expected = 0.5 * feats[:, 0].mean().item()
    assert terms.discrepancy.item() == pytest.approx(expected, rel=1e-5)


def test_gradients():
    """L_d reaches all subsets but the universum, L_u the universum alone."""
    maps, targets = draw()
    terms = make(universum_weight=2.0)(maps, targets)
    (grad,) = torch.autograd.grad(terms.universum, maps, retain_graph=True)
    outside = (terms.assignment == 0)[:, None].expand_as(maps)
    count = outside[:, 0].sum() * FEATURES
    assert torch.allclose(grad, (outside & (maps > 0)) * 2 / count)
    (grad,) = torch.autograd.grad(terms.discrepancy, maps)
    assert grad.abs().sum() > 0


def test_images_with_too_few_samples_drop_out():
    maps, targets = draw()
    loss = make()
    loss.discrepancy = FirstPixels()
    shape = (3, 8, 9)
    found = torch.ones(shape, dtype=torch.long)
    found[0, :2] = 2
    # Three of the four targets that are needed.
    found[1, 0, :3] = 2
    found[2] = 2
    loss.assigner.assign = lambda *args: module_under_test.DALTerms(
        None, None, found, None
    )
    terms = loss(maps, targets)
    expected = 0.3 * maps[0, 0].mean().item()
    assert terms.discrepancy.item() == pytest.approx(expected, rel=1e-5)
    assert terms.universum.item() == 0
    found[0] = 0
    terms = loss(maps, targets)
    assert terms.discrepancy.item() == 0
    (terms.discrepancy + 0 * terms.universum).backward()
    assert maps.grad.abs().sum() == 0


@pytest.mark.parametrize('kind', ['MMDLoss', 'DANNLoss'])
def test_nothing_left_gives_zero_with_a_graph(kind):
    discrepancy = dict(type=kind)
    if kind == 'DANNLoss':
        discrepancy['in_channels'] = FEATURES
    maps, targets = draw()
    # A map with fewer pixels than samples, and a batch without classes.
    for size, labels in ((80, targets), (4, torch.zeros_like(targets))):
        loss = make(size, discrepancy=discrepancy)
        terms = loss(maps, labels)
        assert terms.discrepancy.item() == 0
        (terms.discrepancy + terms.universum).backward()
        for parameter in loss.parameters():
            assert parameter.grad.abs().sum() == 0


def test_several_classes_and_mixed_labels():
    maps, _ = draw(2)
    targets = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.25, 0.75]])
    loss = make(discrepancy_weight=1.0)
    terms = loss(maps, targets)
    assert terms.images.tolist() == [0, 0, 1, 1]
    # The same with the images repeated by hand.
    other = make(discrepancy_weight=1.0)
    index, labels = [0, 0, 1, 1], torch.tensor([0, 2, 1, 2])
    repeated = maps[index]
    found = other.assigner.assign(repeated, repeated.mean((2, 3)), labels)
    assert terms.assignment.equal(found.assignment)
    weights = torch.tensor([1.0, 1.0, 0.25, 0.75])
    inside = (found.assignment == 0) * weights[:, None, None]
    expected = (repeated.mean(1) * inside).sum() / inside.sum()
    assert terms.universum.item() == pytest.approx(2 * expected.item())


def test_labels_of_a_mixed_image_weigh_by_their_share():
    maps, _ = draw(1)
    values = {}
    for share in (1.0, 0.3, 0.0):
        loss = make(1)
        loss.assigner.eval()
        loss.assigner.class_counts.fill_(1)
        loss.assigner.class_anchors[0] = 0.3
        loss.assigner.class_anchors[1] = 2.0
        loss.discrepancy.forward = lambda source, target: (
            target.mean((1, 2)) * 0 + torch.arange(1.0, len(target) + 1)
        )
        targets = torch.tensor([[share, 1 - share, 0.0]])
        values[share] = loss(maps, targets).discrepancy.item()
    assert values[0.3] == pytest.approx(0.3 * (0.3 * 1 + 0.7 * 2))


def test_start_epoch(caplog):
    maps, targets = draw()
    loss = make(start_epoch=2)
    for epoch in (0, 1):
        loss.set_epoch(epoch)
        terms = loss(maps, targets)
        assert terms.assignment is None
        assert terms.discrepancy.item() == terms.universum.item() == 0
        (terms.discrepancy + terms.universum).backward()
    assert loss.assigner.class_counts.sum() == 0
    loss.set_epoch(2)
    assert loss(maps, targets).universum.item() > 0
    assert loss.assigner.class_counts.sum() > 0


def test_mixed_precision():
    maps, targets = draw()
    torch.manual_seed(0)
    expected = make()(maps, targets)
    torch.manual_seed(0)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = make()(maps, targets)
    assert found.discrepancy.item() == pytest.approx(
        expected.discrepancy.item(), rel=1e-6
    )
    assert found.universum.item() == pytest.approx(
        expected.universum.item(), rel=1e-6
    )
    half = make()(maps.bfloat16(), targets)
    assert half.universum.dtype == torch.float32


def test_default_discrepancy_is_mmd():
    maps, targets = draw(1)
    loss = make(1, discrepancy_weight=1.0)
    kept = []
    loss.discrepancy.register_forward_hook(
        lambda _, inputs, output: kept.append((inputs, output))
    )
    terms = loss(maps, targets)
    ((sets, output),) = kept
    assert output.equal(mmd(*sets))
    assert terms.discrepancy.item() == pytest.approx(output.item())


def test_sets_of_two_sizes():
    assigner = dict(
        type='TargetSampleAssigner',
        num_classes=CLASSES,
        feat_dim=FEATURES,
        num_source=4,
        num_target=5,
    )
    with pytest.raises(ValueError, match='got 4 and 5'):
        MODELS.build(dict(type='DALLoss', assigner=assigner))


def test_kept_assignment_of_samples():
    feats = torch.rand(3, FEATURES, 8, 9)
    samples = [
        WSLDataSample().set_gt_label(labels, CLASSES)
        for labels in ([], [0, 2], [1])
    ]
    loss = make(in_index=0)
    losses = loss.loss((feats, feats[:, :1]), samples)
    assert list(losses) == ['loss_discrepancy', 'loss_universum']
    assert loss.last_assignment is None
    loss.keep_assignment = True
    kept = []
    loss.register_forward_hook(lambda m, i, terms: kept.append(terms))
    loss.loss((feats, feats[:, :1]), samples)
    (terms,) = kept
    assert terms.images.tolist() == [1, 1, 2]
    assert loss.last_assignment.shape == (3, 8, 9)
    assert loss.last_assignment[0].eq(0).all()
    assert loss.last_assignment[1].equal(terms.assignment[0])
    assert loss.last_assignment[2].equal(terms.assignment[2])


def share_of_a_batch(images):
    """Terms and gradient of some of five images."""
    maps, targets = draw(5)
    loss = make(discrepancy_weight=1.0)
    loss.discrepancy = FirstPixels()
    # The second image lacks target pixels, the fourth has no universum.
    found = torch.arange(72).view(1, 8, 9).repeat(5, 1, 1) % 3
    found[1] = found[1].clamp(max=1)
    found[3] = found[3].clamp(min=1)
    loss.assigner.assign = lambda *args: module_under_test.DALTerms(
        None, None, found[images], None
    )
    own = maps.detach()[images].requires_grad_()
    terms = loss(own, targets[images])
    (grad,) = torch.autograd.grad(terms.discrepancy + terms.universum, own)
    return terms.discrepancy.item(), terms.universum.item(), grad


SHARES = (slice(0, 2), slice(2, 5))


def worker(rank, folder):
    dist.init_process_group(
        'gloo', f'file://{folder}/store', rank=rank, world_size=2
    )
    # The first process has no image in the end, and then both have none.
    nothing = slice(0, 0)
    shares = (SHARES[rank], SHARES[1] if rank else nothing, nothing)
    result = [share_of_a_batch(images) for images in shares]
    torch.save(result, folder / f'{rank}.pth')
    # torch 2.1 may wait for ever for a process that has gone.
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_average_over_the_whole_batch(tmp_path):
    fork_two(tmp_path, worker, tmp_path)
    first, second = (torch.load(tmp_path / f'{rank}.pth') for rank in range(2))
    for case, images in enumerate((slice(None), SHARES[1])):
        *terms, gradient = share_of_a_batch(images)
        # What processes log is averaged, as gradients are.
        for index, term in enumerate(terms):
            mean = (first[case][index] + second[case][index]) / 2
            assert mean == pytest.approx(term, rel=1e-5)
        parts = torch.cat([first[case][2], second[case][2]]) / 2
        assert torch.allclose(parts, gradient, atol=1e-7)
    assert first[2][:2] == second[2][:2] == (0, 0)


def slow_mmd(source, target, num_kernels, kernel_mul, estimator):
    """One pair of sets as lists of lists."""
    joined = source + target
    count = len(source)

    def gap(x, y):
        return sum((a - b) ** 2 for a, b in zip(x, y))

    gaps = [gap(x, y) for x in joined for y in joined]
    base = sum(gaps) / (2 * count * (2 * count - 1))
    base /= kernel_mul ** (num_kernels // 2)

    def kernel(x, y):
        return sum(
            math.exp(-gap(x, y) / (base * kernel_mul**i))
            for i in range(num_kernels)
        )

    total = 0.0
    for i in range(count):
        others = [(i + 1) % count] if estimator == 'linear' else range(count)
        for j in others:
            total += kernel(source[i], source[j])
            total += kernel(target[i], target[j])
            total -= kernel(source[i], target[j])
            total -= kernel(source[j], target[i])
    return total / (count if estimator == 'linear' else count**2)


def draw_mmd(pairs, count, features):
    torch.manual_seed(0)
    source = torch.randn(pairs, count, features, dtype=torch.double)
    target = torch.randn(pairs, count, features, dtype=torch.double) * 2 + 1
    return source, target


@pytest.mark.parametrize('estimator', ['full', 'linear'])
@pytest.mark.parametrize('kernels', [(5, 2.0), (1, 2.0), (4, 3.0)])
@pytest.mark.parametrize('shape', [(3, 6, 4), (2, 1, 3), (2, 2, 1)])
def test_equals_the_formula(estimator, kernels, shape):
    source, target = draw_mmd(*shape)
    values = mmd(source, target, *kernels, estimator)
    expected = [
        slow_mmd(s, t, *kernels, estimator)
        for s, t in zip(source.tolist(), target.tolist())
    ]
    assert values.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    single = mmd(source.float(), target.float(), *kernels, estimator)
    assert single.dtype == torch.float32
    assert single.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize('estimator', ['full', 'linear'])
def test_gradient(estimator):
    source, target = draw_mmd(2, 4, 3)
    source.requires_grad_()
    target.requires_grad_()
    # The bandwidth is detached, so it must not move with the features.
    bandwidth = []

    def fixed(s, t):
        joined = torch.cat([s, t], dim=1)
        gaps = (joined[:, :, None] - joined[:, None]).square().sum(3)
        if not bandwidth:
            bandwidth.append(gaps.detach().sum((1, 2)) / (8 * 7) / 4)
        scaled = -gaps / bandwidth[0][:, None, None]
        values = sum((scaled / 2**i).exp() for i in range(5))
        ss, tt, st = values[:, :4, :4], values[:, 4:, 4:], values[:, :4, 4:]
        if estimator == 'full':
            return (ss + tt - st - st.transpose(1, 2)).mean((1, 2))
        i, j = range(4), [1, 2, 3, 0]
        parts = ss[:, i, j] + tt[:, i, j] - st[:, i, j] - st[:, j, i]
        return parts.mean(1)

    assert gradcheck(fixed, (source, target))
    expected = torch.autograd.grad(fixed(source, target).sum(), source)[0]
    found = torch.autograd.grad(
        mmd(source, target, estimator=estimator).sum(), source
    )[0]
    assert torch.allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize('estimator', ['full', 'linear'])
def test_gradcheck_at_fixed_bandwidth(estimator):
    """Far pairs that nothing pulls on hold the bandwidth in place."""
    source, target = draw_mmd(1, 3, 2)
    anchor = torch.tensor([[[1e4, 0.0]]], dtype=torch.double)

    def loss(s, t):
        return mmd(
            torch.cat([s, anchor], dim=1),
            torch.cat([t, -anchor], dim=1),
            estimator=estimator,
            num_kernels=3,
        )

    inputs = (source.requires_grad_() * 1e3, target.requires_grad_() * 1e3)
    leaves = tuple(x.detach().requires_grad_() for x in inputs)
    assert gradcheck(loss, leaves, eps=1e-2, atol=1e-7, rtol=0.3)


@pytest.mark.parametrize('estimator', ['full', 'linear'])
@pytest.mark.parametrize('offset', [0.0, 30.0])
def test_equal_sets(estimator, offset):
    source, _ = draw_mmd(2, 5, 7)
    source = (source.float() + offset).requires_grad_()
    values = mmd(source, source.detach().clone(), estimator=estimator)
    assert values.abs().max() < 1e-5
    values.sum().backward()
    assert source.grad.isfinite().all()


@pytest.mark.parametrize('value', [0.0, 0.1, 17.0])
@pytest.mark.parametrize('estimator', ['full', 'linear'])
def test_all_features_equal(value, estimator):
    """The bandwidth is 0 there, and its rounding must not blow up."""
    source = torch.full((1, 4, 9), value, requires_grad=True)
    values = mmd(source, torch.full((1, 4, 9), value), estimator=estimator)
    assert values.tolist() == pytest.approx([0], abs=1e-5)
    values.sum().backward()
    assert source.grad.abs().max() < 1


def test_no_pairs():
    empty = torch.zeros(0, 4, 3, requires_grad=True)
    values = mmd(empty, empty)
    assert values.shape == (0,)
    values.sum().backward()


def test_mixed_precision_mmd():
    source, target = (x.float() for x in draw_mmd(2, 6, 40))
    expected = mmd(source, target)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert mmd(source, target).equal(expected)
    halved = mmd(source.bfloat16(), target.bfloat16())
    assert halved.dtype == torch.float32
    assert torch.allclose(halved, expected, rtol=0.05)


def test_module():
    source, target = draw_mmd(2, 4, 3)
    module = MODELS.build(
        dict(type='MMDLoss', num_kernels=3, kernel_mul=1.5, estimator='linear')
    )
    assert isinstance(module, MMDLoss)
    assert module(source, target).equal(mmd(source, target, 3, 1.5, 'linear'))


def test_bad_input():
    with pytest.raises(ValueError, match=r'same shape .*\(1, 2, 3\)'):
        mmd(torch.zeros(1, 2, 3), torch.zeros(1, 4, 3))
    with pytest.raises(ValueError, match="estimator must be .* got 'fast'"):
        mmd(torch.zeros(1, 2, 3), torch.zeros(1, 2, 3), estimator='fast')


def make_dann(**kwargs):
    module = DANNLoss(2, **kwargs)
    with torch.no_grad():
        module.discriminator.weight.copy_(torch.tensor([[1.0, -2.0]]))
        module.discriminator.bias.fill_(0.5)
    return module


SOURCE = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
TARGET = torch.tensor([[[2.0, 1.0], [3.0, 0.0]]])
# Logits 1.5, -1.5 and 0.5, 3.5.
EXPECTED = (
    math.log1p(math.exp(-1.5))
    + math.log1p(math.exp(1.5))
    + math.log1p(math.exp(0.5))
    + math.log1p(math.exp(3.5))
) / 4


def test_by_hand():
    values = make_dann()(SOURCE, TARGET)
    assert values.tolist() == pytest.approx([EXPECTED], rel=1e-6)


def test_reversal_and_its_strength():
    grads = {}
    for progress in (0.0, 1.0, 1e3):
        module = make_dann()
        source = SOURCE.clone().requires_grad_()
        module(source, TARGET, progress=progress).sum().backward()
        grads[progress] = source.grad
        weight = module.discriminator.weight.grad
        # The discriminator itself learns at full strength.
        assert weight.abs().sum() > 0.1
    plain = -torch.tensor([[1.0, -2.0], [1.0, -2.0]]) / 4
    plain *= torch.sigmoid(-torch.tensor([[1.5], [-1.5]]))
    assert grads[0.0].abs().sum() == 0
    assert torch.allclose(grads[1e3][0], -plain, atol=1e-6)
    strength = 2 / (1 + math.exp(-1)) - 1
    assert torch.allclose(grads[1.0], strength * grads[1e3], atol=1e-6)


def test_progress_is_counted_and_resumed():
    module = make_dann(speed=0.5)
    for _ in range(3):
        module(SOURCE, TARGET)
    module.eval()(SOURCE, TARGET)
    assert module.num_steps == 3
    resumed = make_dann(speed=0.5)
    resumed.load_state_dict(module.state_dict())
    source, again = SOURCE.clone().requires_grad_(), SOURCE.clone()
    resumed(source, TARGET).sum().backward()
    again.requires_grad_()
    make_dann()(again, TARGET, progress=1.5).sum().backward()
    assert source.grad.equal(again.grad)


def test_no_pairs_dann():
    empty = torch.zeros(0, 3, 2, requires_grad=True)
    make_dann()(empty, empty).sum().backward()


def test_values_stay_and_gradients_turn():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    for strength in (0.25, torch.tensor(0.25)):
        x.grad = None
        y = reverse_gradient(x, strength)
        assert y.equal(x)
        (y * torch.tensor([1.0, 4.0])).sum().backward()
        assert x.grad.tolist() == [-0.25, -1.0]


def test_under_autocast():
    x = torch.ones(2, 2, requires_grad=True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        (reverse_gradient(x @ torch.eye(2), 0.5)).sum().backward()
    assert x.grad.tolist() == [[-0.5] * 2] * 2
