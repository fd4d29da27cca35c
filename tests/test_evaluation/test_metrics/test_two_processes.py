"""Metrics come out the same on one and on two processes."""

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope

CLASSES = ('cat', 'dog', 'cow', 'cup', 'car', 'bus')
# Odd, so that one of two processes gets a padded image.
SIZE = 7
METRICS = [
    dict(type='MultiLabelMetric', prefix='cls'),
    dict(type='SeedIoUMetric', prefix='seed', fixed_threshold=0.4),
    dict(type='AccuracyMetric', topk=(1, 3), prefix='acc'),
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


def evaluate(collect_dir=None):
    init_default_scope('mmwsl')
    evaluator = Evaluator([dict(x, collect_dir=collect_dir) for x in METRICS])
    evaluator.dataset_meta = {'classes': CLASSES}
    for index in DefaultSampler(range(SIZE), shuffle=False):
        evaluator.process([sample(index)])
    return evaluator.evaluate(SIZE)


def worker(rank, folder):
    dist.init_process_group(
        'gloo', f'file://{folder}/store', rank=rank, world_size=2
    )
    torch.set_num_threads(1)
    metrics = evaluate()
    torch.save(metrics, f'{folder}/{rank}.pt')
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path, monkeypatch):
    # Results are exchanged through a folder in the current one.
    monkeypatch.chdir(tmp_path)
    mp.spawn(worker, (str(tmp_path),), nprocs=2)
    expected = evaluate()
    assert len(expected) == 7 + 6 + 2
    for rank in range(2):
        assert torch.load(tmp_path / f'{rank}.pt') == expected
