"""Epochs are seeded, numbered and ended by a validation."""

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List, Optional
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch import nn

from mmwsl.datasets import base_datasets
from mmwsl.engine.hooks import EpochSeedHook, HeadEpochHook
from mmwsl.registry import DATASETS, HOOKS


def make_runner(
    epoch=0, seed=0, rank=0, dataset=None, loop=EpochBasedTrainLoop
):
    return SimpleNamespace(
        epoch=epoch,
        seed=seed,
        rank=rank,
        train_dataloader=SimpleNamespace(dataset=dataset),
        train_loop=Mock(spec=loop),
    )


def numbers(**kwargs):
    """Draw from every generator as an epoch would after the hook."""
    EpochSeedHook().before_train_epoch(make_runner(**kwargs))
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_same_numbers_whatever_happened_before():
    expected = numbers(epoch=2)
    numbers(epoch=1)
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    assert numbers(epoch=2) == expected


def test_workers_that_start_change_nothing():
    """Those that live on draw no number; see what a loader does then."""
    dataset = torch.utils.data.TensorDataset(torch.arange(4))
    hook, drawn = EpochSeedHook(), []
    for first in (0, 1):
        loader = torch.utils.data.DataLoader(
            dataset, num_workers=1, persistent_workers=True
        )
        for epoch in range(first, 2):
            runner = make_runner(epoch=epoch)
            hook.before_train_epoch(runner)
            for number, _ in enumerate(loader):
                hook.before_train_iter(runner, number)
                drawn.append((epoch, number, float(torch.rand(()))))
    # The run that begins with the second epoch goes as the first one did.
    assert drawn[4:8] == drawn[8:]
    assert len({x[2] for x in drawn}) == 8


def test_epochs_seeds_and_ranks_differ():
    drawn = [
        numbers(epoch=epoch, seed=seed, rank=rank)
        for epoch in (0, 1)
        for seed in (0, 1)
        for rank in (0, 1)
    ]
    # A neighbouring rank with a neighbouring seed shares its numbers.
    for column in zip(*drawn):
        assert len(set(column)) == 6
    for one, two in ((0, 4), (0, 2), (0, 1)):
        assert all(a != b for a, b in zip(drawn[one], drawn[two]))


def test_large_seeds():
    numbers(seed=2**32 - 1, epoch=3, rank=7)


def test_datasets_inside_wrappers_are_told():
    toy = dict(type='ToyDataset', num_images=1, image_size=32)
    both = dict(type='ConcatDataset', datasets=[toy, toy])
    wrapped = DATASETS.build(dict(type='RepeatDataset', times=2, dataset=both))
    EpochSeedHook().before_train_epoch(
        make_runner(epoch=4, seed=9, dataset=wrapped)
    )
    found = [dataset._epoch.tolist() for dataset in base_datasets(wrapped)]
    assert found == [[4, 9], [4, 9]]


def test_iteration_based_training_is_left_alone():
    dataset = DATASETS.build(
        dict(type='ToyDataset', num_images=1, image_size=32)
    )
    torch.manual_seed(5)
    before = torch.get_rng_state()
    EpochSeedHook().before_train_epoch(
        make_runner(dataset=dataset, loop=IterBasedTrainLoop)
    )
    runner = make_runner(loop=IterBasedTrainLoop)
    EpochSeedHook().before_train_iter(runner, 0)
    assert torch.equal(torch.get_rng_state(), before)
    assert dataset._epoch[0] == -1


def test_it_is_registered():
    assert isinstance(HOOKS.build(dict(type='EpochSeedHook')), EpochSeedHook)


class Head(nn.Module):
    """A head that writes down what it is told and when."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.epoch: Optional[int] = None
        self.seen: List[Optional[int]] = []

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


class Model(BaseModel):
    """A model whose loss depends on nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.head = Head()

    def forward(self, inputs: Any, mode: str = 'loss') -> Dict:
        self.head.seen.append(self.head.epoch)
        return dict(loss=self.head.weight.square())


def run(work_dir: Path, loop: Dict, resume: bool = False) -> Model:
    """Train on four batches an epoch."""
    loader = torch.utils.data.DataLoader(
        [dict(inputs=torch.zeros(1)) for _ in range(8)], batch_size=2
    )
    model = Model()
    Runner(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=loader,
        train_cfg=loop,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[HeadEpochHook()],
        resume=resume,
        experiment_name=f'{work_dir.name}-{resume}',
    ).train()
    return model


def test_epochs(tmp_path: Path) -> None:
    model = run(tmp_path, dict(by_epoch=True, max_epochs=2))
    assert model.head.seen == [0] * 4 + [1] * 4
    resumed = run(tmp_path, dict(by_epoch=True, max_epochs=3), resume=True)
    assert resumed.head.seen == [2] * 4


def test_iterations(tmp_path: Path) -> None:
    model = run(tmp_path, dict(by_epoch=False, max_iters=6))
    assert model.head.seen == [0] * 4 + [1] * 2


def test_other_heads_are_refused() -> None:
    runner = SimpleNamespace(model=nn.Identity())
    with pytest.raises(TypeError, match='HeadEpochHook.*Identity has none'):
        HeadEpochHook().before_train(runner)  # type: ignore[arg-type]
