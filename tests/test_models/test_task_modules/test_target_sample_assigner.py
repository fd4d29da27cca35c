"""Tests of the target sample assigner, its clusters and its means."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.registry import init_default_scope

from forks import fork_two
from mmwsl.models.task_modules import TargetSampleAssigner
from mmwsl.models.task_modules.target_sample_assigner import (
    class_means,
    gather_rows,
    k_means,
)
from mmwsl.registry import TASK_UTILS

CLASSES, FEATURES = 5, 6


class SlowAssigner:
    """Images and anchors one by one, in double precision."""

    def __init__(self, update):
        self.update = update
        self.anchors, self.counts = {}, {}
        self.universum, self.number = np.zeros(FEATURES), 0

    def assign(self, maps, feats, labels):
        turns = [list(range(len(labels)))]
        if self.update == 'sequential':
            turns = [[index] for index in turns[0]]
        return np.concatenate(
            [self._turn(maps, feats, labels, turn) for turn in turns]
        )

    def _turn(self, maps, feats, labels, turn):
        for label in {labels[i] for i in turn} - set(self.anchors):
            own = [feats[i] for i in turn if labels[i] == label]
            self.anchors[label], self.counts[label] = np.mean(own, 0), 1
        found, centers = [], {}
        for i in turn:
            start = [self.universum, feats[i], self.anchors[labels[i]]]
            result = k_means(
                torch.tensor(maps[i]).double().flatten(1)[None],
                torch.tensor(np.stack(start)).double()[None],
            )
            found.append(result[0][0].view(maps[i].shape[1:]).numpy())
            centers[i] = result[1][0].numpy()
        for i in turn:
            label, count = labels[i], self.counts[labels[i]]
            total = count * self.anchors[label] + centers[i][1]
            self.anchors[label] = total / (count + 1)
            self.counts[label] += 1
            total = self.number * self.universum + centers[i][0]
            self.universum = total / (self.number + 1)
            self.number += 1
        return np.stack(found)


def batches():
    """Three batches in which classes repeat and appear later."""
    torch.manual_seed(3)
    result = []
    for labels in ([0, 1, 0, 4], [1, 1, 2], [0, 2, 3, 4]):
        base = torch.randn(len(labels), FEATURES, 2, 3)
        maps = torch.nn.functional.interpolate(base, size=(6, 7))
        maps = (maps + 0.4 * torch.randn_like(maps)).relu()
        result.append((maps, maps.mean((2, 3)), torch.tensor(labels)))
    return result


def state(assigner):
    return {k: v.clone() for k, v in assigner.state_dict().items()}


def make(update='batch', **kwargs):
    return TargetSampleAssigner(CLASSES, FEATURES, update=update, **kwargs)


@pytest.mark.parametrize('update', ['batch', 'sequential'])
def test_equals_the_loop_over_several_batches(update):
    assigner, slow = make(update), SlowAssigner(update)
    for maps, feats, labels in batches():
        found = assigner.assign(maps, feats, labels)
        expected = slow.assign(maps.numpy(), feats.numpy(), labels.tolist())
        assert found.assignment.dtype == torch.long
        assert found.assignment.tolist() == expected.tolist()
        for index, part in enumerate(found.assignment):
            for subset in range(3):
                mean = maps[index][:, part == subset].mean(1)
                center = found.centers[index, subset]
                # The tolerance may stop it a little before.
                assert torch.allclose(mean, center, atol=0.05)
        for label, anchor in slow.anchors.items():
            ours = assigner.class_anchors[label].numpy()
            assert np.allclose(ours, anchor, atol=1e-5)
            assert assigner.class_counts[label] == slow.counts[label]
        assert np.allclose(
            assigner.universum_anchor.numpy(), slow.universum, atol=1e-5
        )
        assert assigner.universum_count == slow.number
    assert assigner.class_counts.tolist() == [4, 4, 3, 2, 3]


def test_modes_agree_for_one_image_and_differ_for_two():
    maps, feats, labels = batches()[0]
    one, other = make('batch'), make('sequential')
    for assigner in (one, other):
        assigner.assign(maps[:1], feats[:1], labels[:1])
    assert all(state(one)[k].equal(state(other)[k]) for k in state(one))
    for assigner in (one, other):
        assigner.assign(maps, feats, labels)
    assert not one.class_anchors.allclose(other.class_anchors)


def test_first_sight_by_hand():
    """A new class starts at s, so the farthest pixel is all its target."""
    maps = torch.tensor([[[[0.0, 0.1, 4.0, 4.1, 7.0]]]])
    assigner = TargetSampleAssigner(2, 1)
    found = assigner.assign(maps, torch.tensor([[3.0]]), torch.tensor([1]))
    assert found.assignment.tolist() == [[[0, 0, 1, 1, 2]]]
    assert found.centers.flatten().tolist() == pytest.approx([0.05, 4.05, 7])
    assert assigner.class_anchors.flatten().tolist() == pytest.approx(
        [0, (3 + 4.05) / 2]
    )
    assert assigner.class_counts.tolist() == [0, 2]
    assert assigner.universum_anchor.tolist() == pytest.approx([0.05])
    assert assigner.universum_count == 1


@pytest.mark.parametrize('update', ['batch', 'sequential'])
def test_resuming_changes_nothing(update):
    first, *rest = batches()
    whole = make(update)
    whole.assign(*first)
    resumed = make(update)
    resumed.load_state_dict(whole.state_dict())
    for batch in rest:
        expected = whole.assign(*batch).assignment
        assert resumed.assign(*batch).assignment.equal(expected)
    assert all(state(whole)[k].equal(v) for k, v in state(resumed).items())


def test_anchors_stay_in_eval_mode():
    first, second, _ = batches()
    assigner = make()
    assigner.assign(*first)
    before = state(assigner)
    assigner.eval()
    found = assigner.assign(*second)
    assert all(before[k].equal(v) for k, v in state(assigner).items())
    # As a first batch of training would be, for a class that is new.
    assigner.train()
    maps, feats, labels = second
    again = assigner.assign(maps[2:], feats[2:], labels[2:])
    assert again.assignment[0].equal(found.assignment[2])


def test_no_gradient_and_single_precision():
    maps, feats, labels = batches()[0]
    maps.requires_grad_()
    plain, mixed = make(), make()
    expected = plain.assign(maps, feats, labels)
    assert not expected.centers.requires_grad
    assert not plain.class_anchors.requires_grad
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = mixed.assign(maps, feats, labels)
    assert found.centers.equal(expected.centers)
    halved = make().assign(maps.bfloat16(), feats, labels)
    assert halved.centers.dtype == torch.float32


@pytest.mark.parametrize('update', ['batch', 'sequential'])
def test_values_that_are_not_finite_leave_the_anchors_alone(update):
    maps, feats, labels = batches()[0]
    good, mixed = make(update), make(update)
    good.assign(maps[1:], feats[1:], labels[1:])
    broken = maps.clone()
    broken[0, 0, 0, 0] = float('inf')
    mixed.assign(broken, broken.mean((2, 3)), labels)
    assert all(state(good)[k].equal(v) for k, v in state(mixed).items())


def test_no_image():
    assigner = make()
    before = state(assigner)
    found = assigner.assign(
        torch.zeros(0, FEATURES, 4, 4),
        torch.zeros(0, FEATURES),
        torch.zeros(0, dtype=torch.long),
    )
    assert found.assignment.shape == (0, 4, 4)
    assert all(before[k].equal(v) for k, v in state(assigner).items())


def test_samples():
    assignment = torch.tensor([[[0, 1, 1, 1, 2, 2]], [[0, 0, 0, 1, 1, 2]]])
    assigner = make(num_source=3, num_target=2)
    seen = set()
    for _ in range(50):
        samples = assigner.sample(assignment)
        assert samples.enough.tolist() == [True, False]
        source, target = samples.source[0].tolist(), samples.target[0].tolist()
        assert len(set(source)) == 2
        assert set(source) <= {1, 2, 3}
        assert set(target) == {4, 5}
        seen |= {tuple(source)}
    assert len(seen) == 6
    # One short of the three that num_source = 4 takes next to s.
    few = make(num_source=5, num_target=2).sample(assignment)
    assert few.enough.tolist() == [False, False]


def test_builds_by_name():
    init_default_scope('mmwsl')
    config = dict(type='TargetSampleAssigner', num_classes=2, feat_dim=3)
    assert isinstance(TASK_UTILS.build(config), TargetSampleAssigner)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(pixel_feats=torch.zeros(2, 3, 4, 4)), r'pixel_feats must .* 6'),
        (dict(image_feats=torch.zeros(1, 6)), r'image_feats must .*\(2, 6\)'),
        (dict(labels=torch.zeros(2, 5)), 'labels must have the shape'),
        (dict(labels=torch.tensor([0, 5])), 'from 0 to 4, got 5'),
        (dict(labels=torch.tensor([0, -1])), 'from 0 to 4, got -1'),
        (dict(labels=torch.zeros(2)), 'must be long, got torch.float32'),
        (dict(labels=torch.ones(2) > 0), 'must be long, got torch.bool'),
    ],
)
def test_bad_input(changes, message):
    good = dict(
        pixel_feats=torch.zeros(2, 6, 4, 4),
        image_feats=torch.zeros(2, 6),
        labels=torch.zeros(2, dtype=torch.long),
    )
    with pytest.raises((TypeError, ValueError), match=message):
        make().assign(**{**good, **changes})


def test_bad_settings():
    with pytest.raises(ValueError, match="update must be .* got 'image'"):
        make('image')
    with pytest.raises(ValueError, match='at least 1, got 0 and 32'):
        make(num_source=0)


def run_batches(update, rank, world):
    """Let a rank see its share of every batch; return the final state."""
    assigner = make(update)
    assignments = []
    for maps, feats, labels in batches():
        # Uneven shares, in the order of the ranks.
        cut = {(0, 2): slice(0, 1), (1, 2): slice(1, None)}
        own = cut.get((rank, world), slice(None))
        found = assigner.assign(maps[own], feats[own], labels[own])
        assignments.append(found.assignment)
    return dict(state(assigner), assignment=torch.cat(assignments))


def worker(rank, folder):
    dist.init_process_group(
        'gloo', f'file://{folder}/store', rank=rank, world_size=2
    )
    result = [run_batches(u, rank, 2) for u in ('batch', 'sequential')]
    torch.save(result, folder / f'{rank}.pth')
    # torch 2.1 may wait for ever for a process that has gone.
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    fork_two(tmp_path, worker, tmp_path)
    for index, update in enumerate(('batch', 'sequential')):
        expected = run_batches(update, 0, 1)
        found = [
            torch.load(tmp_path / f'{rank}.pth')[index] for rank in range(2)
        ]
        for key in state(make()):
            assert found[0][key].equal(found[1][key])
            assert found[0][key].allclose(expected[key], atol=1e-6)
        sizes = [len(labels) for _, _, labels in batches()]
        whole = expected['assignment'].split(sizes)
        assert found[0]['assignment'].equal(torch.cat([x[:1] for x in whole]))
        assert found[1]['assignment'].equal(torch.cat([x[1:] for x in whole]))


def slow_k_means(points, centers, max_rounds=300, tolerance=1e-4):
    """One image, pixel by pixel: points (P, d), centers (K, d)."""
    points = np.asarray(points, np.float64)
    centers = np.asarray(centers, np.float64).copy()
    limit = tolerance * points.var(axis=0).mean()
    labels = None
    for _ in range(max_rounds):
        new_labels = _nearest(points, centers)
        members = [list(np.flatnonzero(new_labels == k)) for k in range(3)]
        gaps = [
            ((x - centers[k]) ** 2).sum() for x, k in zip(points, new_labels)
        ]
        for k in range(3):
            if not (new_labels == k).any() and max(gaps) > 1e-20:
                far = int(np.argmax(gaps))
                members[new_labels[far]].remove(far)
                members[k] = [far]
                gaps[far] = -1
        new_centers = np.stack(
            [
                points[rows].mean(axis=0) if rows else center
                for rows, center in zip(members, centers)
            ]
        )
        shift = ((new_centers - centers) ** 2).sum()
        centers = new_centers
        if labels is not None and (new_labels == labels).all():
            return labels, centers
        labels = new_labels
        if shift <= limit:
            break
    return _nearest(points, centers), centers


def _nearest(points, centers):
    return np.array(
        [((x - centers) ** 2).sum(axis=1).argmin() for x in points]
    )


def draw(images, pixels, features, dtype=torch.float32):
    torch.manual_seed(images + pixels + features)
    points = torch.randn(images, features, pixels, dtype=dtype).relu()
    start = torch.randn(images, 3, features, dtype=dtype).relu()
    # As at first sight of a class, and as at the very beginning.
    start[::2, 2] = start[::2, 1]
    start[0, 0] = 0
    return points, start


@pytest.mark.parametrize('shape', [(5, 49, 4), (3, 60, 16), (7, 30, 2)])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_equals_the_loop(shape, dtype):
    points, start = draw(*shape, dtype)
    found = k_means(points, start)
    assert found[0].dtype == torch.long
    assert found[1].dtype == dtype
    for index in range(shape[0]):
        labels, centers = slow_k_means(points[index].T, start[index])
        assert found[0][index].tolist() == labels.tolist()
        assert np.allclose(found[1][index], centers, atol=1e-6)
        assert len(set(labels)) == 3


@pytest.mark.parametrize('tolerance', [1e-4, 0.05])
def test_equals_scikit_learn(tolerance):
    module = pytest.importorskip('sklearn.cluster')
    points, start = draw(4, 100, 24)
    found = k_means(points, start, tolerance=tolerance)
    for index in range(4):
        centers, labels, _ = module.k_means(
            points[index].T.numpy(),
            3,
            init=start[index].numpy(),
            n_init=1,
            tol=tolerance,
        )
        assert found[0][index].tolist() == labels.tolist()
        assert np.allclose(found[1][index], centers, atol=1e-5)


def test_stops_at_the_limit_of_rounds():
    points, start = draw(3, 60, 4)
    found = k_means(points, start, max_rounds=2)
    for index in range(3):
        labels, centers = slow_k_means(points[index].T, start[index], 2)
        assert found[0][index].tolist() == labels.tolist()
        assert np.allclose(found[1][index], centers, atol=1e-6)


def test_ties_go_to_the_first():
    # 0 is as far from 1 as from -1, and 3 as from 3 twice.
    points = torch.tensor([[[0.0, 3.0, 1.0, -1.0]]])
    start = torch.tensor([[[1.0], [-1.0], [3.0]]])
    found = k_means(points, start, max_rounds=1)
    assert found[1].flatten().tolist() == [0.5, -1.0, 3.0]
    assert found[0].tolist() == [[0, 2, 0, 1]]
    start = torch.tensor([[[3.0], [3.0], [-1.0]]])
    found = k_means(points, start, max_rounds=1, tolerance=1e9)
    # Cluster 1 is empty and takes the first of the two pixels at distance
    # 2 and 1 from their centres: 1, which leaves cluster 0.
    assert found[1].flatten().tolist() == [3.0, 1.0, -0.5]
    assert found[0].tolist() == [[2, 0, 1, 2]]


def assert_equals_loop(points, start):
    found = k_means(points, start)
    for index in range(len(points)):
        labels, centers = slow_k_means(points[index].T, start[index])
        assert found[0][index].tolist() == labels.tolist()
        assert np.allclose(found[1][index], centers, atol=1e-4)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('offset', [0, 64])
def test_whole_numbers_tie_as_in_the_loop(dtype, offset):
    torch.manual_seed(offset)
    points = torch.randint(-2, 3, (60, 3, 25)).to(dtype) / 4 + offset
    start = points[:, :, torch.randperm(25)[:3]].transpose(1, 2)
    # Means are rounded, and with them ties of later rounds.
    found = k_means(points, start, max_rounds=1)
    for index in range(60):
        centers = slow_k_means(points[index].T, start[index], 1)[1]
        assert np.allclose(found[1][index], centers, atol=1e-5)


def test_nearly_the_same_distance_is_no_tie():
    # The neighbours of 20.5 in single precision.
    middle = torch.tensor(20.5)
    below = torch.nextafter(middle, torch.tensor(20.0))
    above = torch.nextafter(middle, torch.tensor(21.0))
    points = torch.stack([below, middle, above])[None, None]
    start = torch.tensor([[[20.0], [21.0], [90.0]]])
    found = k_means(points, start, max_rounds=1, tolerance=0)
    expected = [slow_k_means(points[0].T, start[0], 1)[1]]
    assert np.allclose(found[1], expected, atol=1e-7)
    assert found[1].flatten().tolist()[1] == above


def test_far_pixels_of_the_same_distance():
    # Four corners are as far from the only centre that has pixels; rounding
    # of the mean pixel, which is no whole number, may not choose.
    corners = torch.tensor([[3.0, 3], [-3, 3], [3, -3], [-3, -3]])
    inside = torch.tensor([[1.0, 0], [0, 1], [1, 1]])
    points = torch.cat([inside, corners]).T[None]
    start = torch.tensor([[[0.0, 0], [50, 50], [50, 50]]])
    found = k_means(points, start, max_rounds=1)
    assert found[1][0, 1:].tolist() == [[3, 3], [-3, 3]]
    assert_equals_loop(points, start)


@pytest.mark.parametrize('value', [0.1, 0.7717722654342651])
def test_means_of_equal_pixels_are_rounded(value):
    torch.manual_seed(0)
    points = torch.full((20, 4, 23), value)
    # Two kinds of pixels for three clusters.
    points[10:, :, ::2] = torch.rand(10, 4, 1)
    assert_equals_loop(points, torch.rand(20, 3, 4))


def test_two_empty_clusters():
    points = torch.tensor([[[0.0, 5.0, -5.0, 1.0]]])
    start = torch.full((1, 3, 1), 0.0)
    found = k_means(points, start, max_rounds=1)
    # Both are 5 away: the first goes to cluster 1, the other to 2.
    assert found[1].flatten().tolist() == [0.5, 5.0, -5.0]
    assert found[0].tolist() == [[0, 1, 2, 0]]


@pytest.mark.parametrize('value', [0.0, 0.1, 7.3])
def test_a_constant_map_leaves_empty_clusters_alone(value):
    points = torch.full((2, 5, 9), value)
    start = torch.stack([torch.full((3, 5), 9.0), torch.zeros(3, 5)])
    start[:, 1:] = value
    found = k_means(points, start)
    assert found[0][0].unique().tolist() == [1]
    assert torch.allclose(found[1], start)


def test_fewer_values_than_clusters():
    points = torch.tensor([[[0.1, 0.7] * 7, [0.3, 0.9] * 7]])
    start = torch.tensor([[[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]])
    found = k_means(points, start)
    assert found[0].tolist() == [[0, 1] * 7]


def test_single_pixel_and_no_image():
    points = torch.ones(1, 2, 1)
    found = k_means(points, torch.zeros(1, 3, 2))
    assert found[0].shape == (1, 1)
    assert found[1].isfinite().all()
    none = k_means(torch.ones(0, 2, 4), torch.zeros(0, 3, 2))
    assert none[0].shape == (0, 4)
    assert none[1].shape == (0, 3, 2)


def test_memory_layout_changes_nothing():
    points, start = draw(3, 60, 16)
    rows = points.transpose(1, 2).contiguous().transpose(1, 2)
    for one, other in zip(k_means(points, start), k_means(rows, start)):
        assert torch.allclose(one, other, atol=1e-6)


def test_far_from_the_origin():
    """Digits are not lost where features have a large mean."""
    points, start = draw(3, 60, 16, torch.float64)
    found = k_means((points + 100).float(), (start + 100).float())
    assert torch.equal(found[0], k_means(points, start)[0])


def test_means_and_numbers():
    labels = torch.tensor([2, 0, 2, 2])
    rows = torch.tensor([[1.0, 5.0], [7.0, 7.0], [2.0, 0.0], [6.0, 1.0]])
    mean, number = class_means(labels, rows)
    assert mean.tolist() == [[3, 2], [7, 7], [3, 2], [3, 2]]
    assert number.tolist() == [3, 1, 3, 3]


def test_rows_that_are_not_finite_do_not_count():
    labels = torch.tensor([1, 1, 4])
    rows = torch.tensor([[float('nan'), 1.0], [2.0, 3.0], [float('inf'), 0.0]])
    mean, number = class_means(labels, rows)
    assert mean.tolist() == [[2, 3], [2, 3], [0, 0]]
    assert number.tolist() == [1, 1, 0]


def test_entries_of_a_class_agree_to_the_bit():
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (50,))
    mean, _ = class_means(labels, torch.randn(50, 7))
    for label in range(3):
        assert len(mean[labels == label].unique(dim=0)) == 1


def test_no_entry():
    mean, number = class_means(torch.zeros(0).long(), torch.zeros(0, 3))
    assert mean.shape == (0, 3)
    assert number.shape == (0,)


def test_one_process_gathers_nothing():
    rows = torch.arange(6.0).view(3, 2)
    assert gather_rows(rows) is rows
