"""Tests of the epoch that the head is told."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List, Optional

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmwsl.engine.hooks import HeadEpochHook


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
