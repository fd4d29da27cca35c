"""Starting a training anew inside a run."""

import io
import os
from typing import Any, Dict

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from mmwsl.utils.checkpoints import read_checkpoint
from mmwsl.utils.files import write_whole

INITIAL_WEIGHTS = 'initial_weights.pth'


def unwrapped(model: Any) -> Any:
    """Return the model without what distributes it."""
    return model.module if is_model_wrapper(model) else model


def save_weights(runner: Runner, name: str) -> Dict[str, Tensor]:
    """Write the weights that the model has now; whole or not at all.

    Args:
        runner: The runner.
        name: File in the run's folder.

    Returns:
        A copy of the weights.
    """
    weights = {
        key: value.detach().cpu().clone()
        for key, value in unwrapped(runner.model).state_dict().items()
    }
    if is_main_process():
        buffer = io.BytesIO()
        torch.save(weights, buffer)
        path = os.path.join(runner.work_dir, name)
        write_whole(path, buffer.getvalue())
    barrier()
    return weights


def load_initial_weights(runner: Runner) -> Dict[str, Tensor]:
    """Read the weights that the run began with.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is broken.
    """
    path = os.path.join(runner.work_dir, INITIAL_WEIGHTS)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'{path}: is missing; a run of adversarial erasing is resumed in '
            'its own folder, which holds the weights that every step begins '
            'with'
        )
    weights: Dict[str, Tensor] = read_checkpoint(path)
    return weights


def restart(runner: Runner, weights: Dict[str, Tensor], iters: int) -> None:
    """Give the runner a fresh model, optimizer and schedule.

    Args:
        runner: The runner, built from a config.
        weights: The state that the model begins with.
        iters: Number of iterations of the new training.
    """
    model = unwrapped(runner.model)
    model.load_state_dict(weights)
    model.zero_grad(set_to_none=True)
    # Learning rates are scaled before schedulers note their start.
    runner.param_schedulers = None
    runner.optim_wrapper = runner.build_optim_wrapper(runner.cfg.optim_wrapper)
    runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
    schedulers = runner.cfg.get('param_scheduler')
    if schedulers is not None:
        runner.param_schedulers = runner.build_param_scheduler(schedulers)
    runner.optim_wrapper.initialize_count_status(runner.model, 0, iters)
