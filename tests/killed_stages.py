"""A small method whose stages can be killed at any place.

Its stages train for real. They run in forks of this process, which spares
each of them the import of everything.
"""

import os
import signal
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional
from unittest import mock

from mmengine.fileio import LocalBackend

from forks import start
from mmwsl.engine.hooks import AttentionAccumulationHook, EpochSeedHook
from mmwsl.engine.loops import adversarial_erasing_loop
from mmwsl.pipeline import Pipeline, read_pipeline, running
from stage1_data import CONFIG_DIR
from tool_calls import call, load_tool

SIZE, IMAGES = 48, 8
STAGES = ('data', 'attention', 'erase', 'segmentor')


class Kill(NamedTuple):
    """When a stage gets SIGKILL: at a call of a function.

    Attributes:
        stage: The stage.
        owner: Class or module of the function.
        name: Of the function.
        number: Which call, counted from 1.
        half: Whether the call writes half of its content before.
    """

    stage: str
    owner: Any
    name: str
    number: int
    half: bool = False


KILLS: List[Kill] = [
    # Within the second epoch; at the end.
    Kill('attention', AttentionAccumulationHook, 'after_train_iter', 3),
    Kill('attention', AttentionAccumulationHook, 'after_train', 1),
    # While the first step mines; as the second begins; while labels are made.
    Kill('erase', adversarial_erasing_loop, 'write_regions', 3),
    Kill('erase', EpochSeedHook, 'before_train_epoch', 1),
    Kill('erase', adversarial_erasing_loop, 'write_label_map', 2),
    # While a checkpoint is written.
    Kill('segmentor', LocalBackend, 'put', 1, half=True),
]


def make_pipeline(work_dir: Path) -> Pipeline:
    """Return the pipeline: attention, erasing and a segmentor of its masks."""
    toy = {
        'data_root': '{data.dir}/toy',
        'train_dataloader.batch_size': 4,
        'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'train_cfg.val_begin': 9,
    }
    epochs = {
        'train_cfg.max_epochs': 2,
        'param_scheduler.0.total_steps': 2,
    }
    erase: Dict[str, Any] = {
        'train_cfg.num_steps': 2,
        'train_cfg.epochs': 1,
        'param_scheduler.0.total_steps': 1,
        'train_cfg.predict_dataloader.batch_size': 2,
        'train_cfg.predict_dataloader.num_workers': 0,
    }
    # Its dropout must not depend on when the workers started.
    segmentor = {
        'train_dataloader.num_workers': 1,
        'train_dataloader.persistent_workers': True,
        'labels': '{erase.dir}/labels',
        'weights': '{erase.dir}/step_1.pth',
        'model.data_preprocessor.size': [SIZE, SIZE],
    }
    numbers = [f'--train={IMAGES}', '--val=2', f'--image-size={SIZE}']
    trainings = (
        ('attention', 'nsrom/cls_r18_toy.py', {**toy, **epochs}),
        ('erase', 'ae_psl/erase_r18_toy.py', {**toy, **erase}),
        (
            'segmentor',
            'ae_psl/psl_r18_toy.py',
            {**toy, **epochs, **segmentor},
        ),
    )
    data: Dict[str, Any] = dict(
        name='data',
        run='tool',
        tool='dataset_converters/toy_to_voc.py',
        args=['{dir}/toy', *numbers, '--png', '--overwrite'],
    )
    stages = [data]
    for name, config, options in trainings:
        path = str(CONFIG_DIR / config)
        stages.append(
            dict(name=name, run='train', config=path, cfg_options=options)
        )
    path = work_dir.parent / 'pipeline.py'
    path.write_text(f'stages = {stages!r}\n')
    tools = str(CONFIG_DIR.parent / 'tools')
    return read_pipeline(path, work_dir=str(work_dir), tools=tools)


def run(work_dir: Path, kill: Optional[Kill] = None) -> None:
    """Run the pipeline up to the stage that is killed, or to its end.

    Raises:
        ChildProcessError: If a stage is killed.
    """

    def run_forked(command: List[str], log: str) -> int:
        here = kill is not None and Path(log).parent.name == kill.stage
        args = [kill if here else None, *command[1:]]
        process = start(_run_stage, *args, log=log)
        process.join()
        return process.exitcode

    last = kill.stage if kill else None
    with mock.patch.object(running, 'run_logged', run_forked):
        running.run_pipeline(make_pipeline(work_dir), last=last)


def _run_stage(kill: Optional[Kill], tool: str, *args: str) -> int:
    if kill:
        _arm(kill)
    return call(load_tool(tool), *args)


def _arm(kill: Kill) -> None:
    """Let a function end this process."""
    function: Callable = getattr(kill.owner, kill.name)
    calls = 0

    def deadly(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < kill.number:
            return function(*args, **kwargs)
        if kill.half:
            owner, content, path = args
            Path(path).write_bytes(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    setattr(kill.owner, kill.name, deadly)
