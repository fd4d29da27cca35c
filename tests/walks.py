"""Which files of the package a batch, or any call, enters.

``python tests/walks.py cam/cam_r18_toy.py [--test]`` prints those of a
training step, or of a prediction, in order. Loading the batch is not part of
it: the way begins where the model gets one.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any, Callable, Dict, List

import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import mmwsl
from mmwsl.registry import MODELS
from stage1_data import small_config, write_data

ROOT = os.path.join(os.path.dirname(mmwsl.__file__), '')


def files_entered(call: Callable[[], Any]) -> List[str]:
    """Return the files whose functions a call enters, in order."""
    found: Dict[str, None] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        path = frame.f_code.co_filename
        if event == 'call' and path.startswith(ROOT):
            found.setdefault(os.path.relpath(path, ROOT))

    previous = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(previous)
    return list(found)


def files_of_batch(
    name: str, data_root: Path, test: bool = False
) -> List[str]:
    """Return the files that one batch of a config enters.

    Args:
        name: Path below ``configs/``.
        data_root: Folder with what ``stage1_data.write_data`` writes.
        test: Whether to predict instead of training.
    """
    cfg = small_config(name, data_root)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model).train(not test)
    for part in model.modules():
        # Losses of later epochs as well.
        if hasattr(part, 'set_epoch'):
            part.set_epoch(1000)
    loader = cfg.test_dataloader if test else cfg.train_dataloader
    batch = next(iter(Runner.build_dataloader(loader, seed=0)))
    if test:
        with torch.no_grad():
            return files_entered(lambda: model.test_step(batch))
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    return files_entered(lambda: model.train_step(batch, optim_wrapper))


def main() -> None:
    """Print the files that a batch of a config enters."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument('config', help='path below configs/')
    parser.add_argument('--test', action='store_true', help='predict')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data_root = Path(folder) / 'data'
        write_data(data_root)
        files = files_of_batch(args.config, data_root, args.test)
    print('\n'.join(files))


if __name__ == '__main__':
    main()
