"""Small toy runs through the commands that users type."""

import json
from pathlib import Path
from typing import Any, Dict, List

ROOT = Path(__file__).resolve().parents[1]
CONFIG = str(ROOT / 'configs/cam/cam_r18_toy.py')
# 24 pictures of 48 pixels, three steps an epoch.
SMALL = [
    'train_dataloader.dataset.num_images=24',
    'train_dataloader.dataset.image_size=48',
    'val_dataloader.dataset.num_images=10',
    'val_dataloader.dataset.image_size=48',
    'test_dataloader.dataset.num_images=10',
    'test_dataloader.dataset.image_size=48',
    'train_dataloader.batch_size=8',
    'default_hooks.logger.interval=1',
    'train_cfg.val_interval=1',
]


def scalars(work_dir: Path) -> List[Dict[str, Any]]:
    """Return all that the runs in a folder logged, in order."""
    entries: List[Dict[str, Any]] = []
    for path in sorted(work_dir.glob('2*/vis_data/scalars.json')):
        entries += [json.loads(line) for line in path.read_text().splitlines()]
    return entries


def metrics(work_dir: Path, key: str = 'mAP') -> List[Dict[str, Any]]:
    """Return the logged evaluations that hold ``key``, without times."""
    return [
        {k: v for k, v in entry.items() if 'time' not in k}
        for entry in scalars(work_dir)
        if key in entry
    ]


def test_metrics(work_dir: Path) -> Dict[str, Any]:
    """Return what the last test command wrote."""
    path = sorted(work_dir.glob('2*/2*.json'))[-1]
    entries = json.loads(path.read_text())
    return {k: v for k, v in entries.items() if 'time' not in k}


test_metrics.__test__ = False  # type: ignore[attr-defined]
