"""Small runs of adversarial erasing."""

import itertools
from pathlib import Path
from typing import Any, Dict

import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.runner import Runner
from PIL import Image

from mmwsl.apis import load_config
from mmwsl.visualization import WSLVisualizer
from toy_run import CONFIG

IMAGES, SIZE, EPOCHS = 8, 48, 2
IDS = [f'toy/0/{number:06d}' for number in range(IMAGES)]
_NUMBERS = itertools.count()


def write_saliency(folder: Path) -> None:
    """Write a map for each image: its lower half is salient."""
    plane = np.zeros((SIZE, SIZE), np.uint8)
    plane[SIZE // 2 :] = 255
    for img_id in IDS:
        path = folder / f'{img_id}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(plane).save(path)


def erasing_config(work_dir: Path, workers: int = 0, **loop: Any) -> Config:
    """Return the config of a run of three steps with two epochs each."""
    cfg = load_config(CONFIG)
    cfg.work_dir = str(work_dir)
    loader: Dict[str, Any] = dict(
        batch_size=4,
        num_workers=workers,
        persistent_workers=workers > 0,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(
            type='ToyDataset',
            num_images=IMAGES,
            image_size=SIZE,
            pipeline=[dict(type='EraseRegions'), dict(type='PackWSLInputs')],
        ),
    )
    cfg.train_dataloader = loader
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.model.backbone.update(out_indices=(0,))
    cfg.model.head.in_channels = 64
    cfg.default_hooks.checkpoint.max_keep_ckpts = -1
    cfg.param_scheduler[0].total_steps = EPOCHS
    settings: Dict[str, Any] = dict(
        type='AdversarialErasingLoop',
        num_steps=3,
        epochs=EPOCHS,
        predict_dataloader=dict(
            loader, sampler=dict(type='DefaultSampler', shuffle=False)
        ),
    )
    cfg.train_cfg = {**settings, **loop}
    return cfg


def make_runner(cfg: Config) -> Runner:
    """Build the runner; each has its own logs."""
    for kind in (MMLogger, MessageHub, WSLVisualizer):
        kind._instance_dict.clear()
    cfg = Config(cfg.to_dict())
    cfg.experiment_name = f'erasing_{next(_NUMBERS)}'
    return Runner.from_cfg(cfg)


def results(work_dir: Path) -> Dict[str, bytes]:
    """Return the content of all files that a run is for."""
    return {
        path.relative_to(work_dir).as_posix(): path.read_bytes()
        for folder in ('regions', 'labels')
        for path in sorted((work_dir / folder).rglob('*.*'))
    }


class Recorder(Hook):
    """Keeps what each step begins with, and its last images."""

    def __init__(self):
        self.weights, self.rates, self.moments, self.batches = [], [], [], {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        step = runner.epoch // EPOCHS + 1
        if runner.epoch % EPOCHS == 0 and batch_idx == 0:
            state = runner.model.state_dict()
            self.weights.append({k: v.clone() for k, v in state.items()})
            self.moments.append(len(runner.optim_wrapper.optimizer.state))
        self.rates.append(runner.optim_wrapper.get_lr()['lr'][0])
        for image, sample in zip(
            data_batch['inputs'], data_batch['data_samples']
        ):
            self.batches[step, sample.img_id] = image.numpy()


class FakeLoss(Hook):
    """Puts the losses of steps into the history."""

    priority = 'LOWEST'

    def __init__(self, losses):
        self.losses = losses

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        history = runner.message_hub.get_scalar('train/loss')
        step = runner.epoch // EPOCHS
        # Only the last epoch counts.
        last = runner.epoch % EPOCHS == EPOCHS - 1
        history._log_history[-1] = self.losses[step] if last else 1000


class Stop(Hook):
    """Ends a run in the middle of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.epoch == self.epoch and batch_idx == 1:
            raise KeyboardInterrupt
