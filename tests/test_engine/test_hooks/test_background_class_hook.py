"""mmseg's metric scores the label maps of this package unchanged."""

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import PixelData
from torch.utils.data import Dataset

from mmwsl.structures import WSLDataSample

META = {'classes': ('cat', 'dog'), 'palette': [[1, 2, 3], [4, 5, 6]]}


class Photos(Dataset):
    """Two images whose masks have 4 pixels."""

    metainfo = META

    def __len__(self):
        return 2

    def __getitem__(self, index):
        sample = WSLDataSample(
            metainfo={'img_id': f'{index}', 'img_path': f'{index}.jpg'}
        )
        mask = torch.tensor([[[0, 1, 2, 1 if index else 255]]])
        sample.gt_sem_seg = PixelData(data=mask)
        return dict(inputs=torch.zeros(3, 1, 4), data_samples=sample)


class Model(BaseModel):
    """Predicts the same label map of every image."""

    def forward(self, inputs, data_samples, mode):
        for sample in data_samples:
            sample.pred_sem_seg = PixelData(
                data=torch.tensor([[[0, 1, 2, 2]]])
            )
        return data_samples


class Own(BaseMetric):
    """A metric of classes without background."""

    def process(self, data_batch, data_samples):
        self.results.extend(data_samples)

    def compute_metrics(self, results):
        return {'classes': len(self.dataset_meta['classes'])}


def build_runner(work_dir, repo_root, evaluator):
    runtime = Config.fromfile(repo_root / 'configs/_base_/default_runtime.py')
    loader = dict(
        dataset=Photos(),
        batch_size=1,
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    return Runner(
        Model(),
        str(work_dir),
        val_dataloader=loader,
        val_cfg=dict(),
        val_evaluator=evaluator,
        test_dataloader=loader,
        test_cfg=dict(),
        test_evaluator=evaluator,
        default_hooks=dict(background=runtime.default_hooks.background),
        default_scope='mmwsl',
        experiment_name=work_dir.name,
    )


def test_mmsegs_metric_is_used_unchanged(tmp_path, repo_root):
    pytest.importorskip('mmseg')
    metric = dict(
        type='mmseg.IoUMetric', iou_metrics=['mIoU', 'mFscore'], prefix='seg'
    )
    runner = build_runner(tmp_path, repo_root, [metric, Own()])
    # Background 2 / 2, cat 2 / 3, dog 2 / 3: one pixel is left out.
    for run in (runner.val, runner.test, runner.val):
        found = run()
        assert found['seg/mIoU'] == pytest.approx(100 * 7 / 9, abs=0.01)
        assert found['seg/mFscore'] == pytest.approx(100 * 2.6 / 3, abs=0.01)
        assert found['classes'] == 2
    metric, own = runner.val_evaluator.metrics
    assert metric.dataset_meta == {
        'classes': ('background', 'cat', 'dog'),
        'palette': [[0, 0, 0], *META['palette']],
    }
    assert own.dataset_meta == META


def test_other_metrics_are_left_alone(tmp_path, repo_root):
    runner = build_runner(tmp_path, repo_root, [Own()])
    assert runner.test()['classes'] == 2
