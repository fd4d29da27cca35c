"""Metrics come out the same on one and on two processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope

import mmwsl

CLASSES = ('cat', 'dog', 'cow', 'cup', 'car', 'bus')
# Odd, so that one of two processes gets a padded image.
SIZE = 7
METRICS = [
    # Without prefixes: no two metrics may share a key.
    dict(type='MultiLabelMetric'),
    dict(type='SeedIoUMetric', fixed_threshold=0.4),
    dict(type='AccuracyMetric', topk=(1, 3)),
]


def sample(index):
    rng = np.random.default_rng(index)
    count = index % 3
    shape = (1, int(rng.integers(2, 9)), 5)
    maps = rng.random((count, *shape[1:]), dtype=np.float32)
    return {
        'img_id': str(index),
        'gt_label': torch.tensor([index % 6]),
        'gt_label_difficult': torch.tensor([5] * (index % 2)),
        'pred_score': torch.from_numpy(rng.random(6)),
        'pred_map_labels': torch.from_numpy(rng.permutation(6)[:count]),
        'pred_maps': {'data': torch.from_numpy(maps)},
        'gt_sem_seg': {'data': torch.from_numpy(rng.integers(0, 7, shape))},
        'gt_body_seg': {'data': torch.from_numpy(rng.integers(0, 7, shape))},
    }


def evaluate():
    init_default_scope('mmwsl')
    evaluator = Evaluator([dict(x) for x in METRICS])
    evaluator.dataset_meta = {'classes': CLASSES}
    for index in DefaultSampler(range(SIZE), shuffle=False):
        evaluator.process([sample(index)])
    return evaluator.evaluate(SIZE)


def worker(rank, folder):
    dist.init_process_group(
        'gloo', f'file://{folder}/store', rank=rank, world_size=2
    )
    metrics = evaluate()
    (Path(folder) / f'{rank}.json').write_text(json.dumps(metrics))
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    packages = str(Path(mmwsl.__file__).parents[1])
    settings = {'PYTHONPATH': packages, 'OMP_NUM_THREADS': '1'}
    # Results are exchanged through a folder in the current one.
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(tmp_path)],
            cwd=tmp_path,
            env={**os.environ, **settings},
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in workers] == [0, 0]
    expected = evaluate()
    assert len(expected) == 5 + 6 + 2
    for rank in range(2):
        metrics = json.loads((tmp_path / f'{rank}.json').read_text())
        assert metrics == expected


if __name__ == '__main__':
    worker(int(sys.argv[1]), sys.argv[2])
