"""Tests of the target sample assigner against the rules written as loops."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.registry import init_default_scope

import mmwsl
from mmwsl.models.task_modules import TargetSampleAssigner
from mmwsl.models.task_modules.kmeans import k_means
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
            found.append(result.labels[0].view(maps[i].shape[1:]).numpy())
            centers[i] = result.centers[0].numpy()
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
    torch.save(result, Path(folder) / f'{rank}.pth')
    # torch 2.1 may wait for ever for a process that has gone.
    dist.barrier()
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    packages = str(Path(mmwsl.__file__).parents[1])
    settings = {'PYTHONPATH': packages, 'OMP_NUM_THREADS': '1'}
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(tmp_path)],
            env={**os.environ, **settings},
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in workers] == [0, 0]
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


if __name__ == '__main__':
    worker(int(sys.argv[1]), sys.argv[2])
