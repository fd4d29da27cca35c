"""Metrics come out the same on one and on two processes."""

import json
import os

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope

from forks import fork_two

CLASSES = ('cat', 'dog', 'cow', 'cup', 'car', 'bus')
# Odd, so that one of two processes gets a padded image.
SIZE = 7
METRICS = [
    # Without prefixes: no two metrics may share a key.
    dict(type='MultiLabelMetric'),
    dict(type='SeedIoUMetric', fixed_threshold=0.4),
    dict(type='AccuracyMetric', topk=(1, 3)),
    dict(type='MaxBoxAccMetric', size=None),
    dict(type='PxAPMetric', size=None, average='image'),
    dict(type='CountMetric'),
    dict(type='InstanceAPMetric'),
    dict(type='PRMQualityMetric', match='best'),
]


def instances(rng, shape, index, **fields):
    """Three objects, two of them of the image's class."""
    masks = rng.random((3, *shape[1:])) < 0.5
    labels = torch.tensor([0, index % 6, 1])
    return {'labels': labels, 'masks': torch.from_numpy(masks), **fields}


def sample(index):
    rng = np.random.default_rng(index)
    count = index % 3
    shape = (1, int(rng.integers(2, 9)), 5)
    maps = rng.random((count, *shape[1:]), dtype=np.float32)
    box = torch.tensor([[1, 0, 3, shape[1] - 1]])
    score_map = rng.random(shape, dtype=np.float32)
    return {
        'img_id': str(index),
        'ori_shape': shape[1:],
        'pred_score_map': {'data': torch.from_numpy(score_map)},
        'gt_instances': instances(rng, shape, index, bboxes=box.repeat(3, 1)),
        'pred_instances': instances(
            rng,
            shape,
            index,
            scores=torch.from_numpy(rng.random(3)),
            peaks=torch.zeros(3, 2),
            peak_response_maps=torch.from_numpy(rng.random((3, *shape[1:]))),
        ),
        'pred_count': torch.from_numpy(rng.random(6) * 5),
        'gt_count': torch.from_numpy(rng.integers(0, 7, 6)),
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
    # Results are exchanged through a folder in the current one.
    os.chdir(folder)
    metrics = evaluate()
    (folder / f'{rank}.json').write_text(json.dumps(metrics))
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    fork_two(tmp_path, worker, tmp_path)
    expected = evaluate()
    assert len(expected) == 5 + 6 + 2 + 9 + 3 + 9 + 4 + 4
    for rank in range(2):
        metrics = json.loads((tmp_path / f'{rank}.json').read_text())
        assert metrics == expected
