"""Tests that mmdet's metric and visualizer read the instances of peaks.

What the instances are is tested with the heads that predict them.
"""

import json
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmwsl.models.heads import PRMHead
from mmwsl.registry import METRICS, VISUALIZERS
from mmwsl.structures import WSLDataSample
from peak_stubs import stub_cfg


class Enlarge(nn.Module):
    """Class maps of images whose cells are 4 x 4 pixels of a channel."""

    def forward(self, inputs: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(inputs, 4)


@pytest.fixture
def sample() -> WSLDataSample:
    """Two instances of 4 x 4 pixels, one of each class."""
    maps = torch.full((1, 2, 4, 4), -1.0)
    maps[0, 0, 0, 1] = maps[0, 1, 3, 2] = 5.0
    image = maps.repeat_interleave(4, 2).repeat_interleave(4, 3)
    size = (16, 16)
    found = WSLDataSample(
        metainfo=dict(img_id='a/b', ori_shape=size, img_shape=size)
    ).set_gt_label([0, 1], 2)
    head = PRMHead(2, 2, peaks=dict(min_ratio=0.5), **stub_cfg())
    # Of two cells that are there, the scores are means of one peak.
    head.predict_views([maps], [found])
    head.predict_instances(Enlarge(), image, [found])
    return found


def test_coco_metric(sample: WSLDataSample, tmp_path: Path) -> None:
    pytest.importorskip('mmdet')
    instances = sample.pred_instances
    boxes = np.array([[4, 0, 8, 4], [8, 12, 12, 16]])
    assert sorted(instances.bboxes.tolist()) == boxes.tolist()
    content = dict(
        images=[dict(id='a/b', width=16, height=16)],
        categories=[dict(id=1, name='ant'), dict(id=2, name='bee')],
        annotations=[
            dict(
                id=number + 1,
                image_id='a/b',
                category_id=number + 1,
                bbox=[int(x1), int(y1), 4, 4],
                area=16,
                iscrowd=0,
                segmentation=[
                    [int(v) for v in (x1, y1, x2, y1, x2, y2, x1, y2)]
                ],
            )
            for number, (x1, y1, x2, y2) in enumerate(boxes)
        ],
    )
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(content))
    metric = METRICS.build(
        dict(
            type='mmdet.CocoMetric',
            ann_file=str(path),
            metric=['bbox', 'segm'],
            classwise=False,
        )
    )
    metric.dataset_meta = dict(classes=('ant', 'bee'))
    metric.process({}, [sample.to_dict()])
    scores = metric.evaluate(size=1)
    assert scores['coco/segm_mAP'] == pytest.approx(1)
    assert scores['coco/bbox_mAP'] == pytest.approx(1)


def test_visualizer(sample: WSLDataSample) -> None:
    pytest.importorskip('mmdet')
    visualizer = VISUALIZERS.build(
        dict(type='mmdet.DetLocalVisualizer', name='instances')
    )
    visualizer.dataset_meta = dict(
        classes=('ant', 'bee'), palette=[(255, 0, 0), (0, 255, 0)]
    )
    image = np.zeros((16, 16, 3), np.uint8)
    # mmdet keeps semantic masks in another field than mmseg.
    only = WSLDataSample(pred_instances=sample.pred_instances)
    visualizer.add_datasample(
        'a', image, only, draw_gt=False, pred_score_thr=0.0
    )
    drawn = visualizer.get_image()
    # Something of each class's colour where its instance lies.
    assert drawn[:4, 4:8, 0].max() > 0
    assert drawn[12:, 8:12, 1].max() > 0


@pytest.mark.parametrize('flip', [None, 'horizontal'])
def test_instances_of_large_images_are_scaled(flip: Optional[str]) -> None:
    def predict(side: int) -> Any:
        maps = torch.full((1, 2, 4, 4), -1.0)
        maps[0, 0, 0, 1] = maps[0, 1, 3, 2] = 5.0
        image = maps.repeat_interleave(4, 2).repeat_interleave(4, 3)
        meta = dict(ori_shape=(side, side), img_shape=(16, 16))
        if flip:
            meta.update(flip=True, flip_direction=flip)
        sample = WSLDataSample(metainfo=meta).set_gt_label([0, 1], 2)
        head = PRMHead(2, 2, peaks=dict(min_ratio=0.5), **stub_cfg())
        head.predict_views([maps], [sample])
        head.predict_instances(Enlarge(), image, [sample])
        return sample.pred_instances

    small, large = predict(128), predict(640)
    assert large.masks.shape == (len(small), 640, 640)
    sums = large.peak_response_maps.sum(dim=(1, 2))
    torch.testing.assert_close(sums, torch.ones(len(small)))
    same = large.masks[:, 2::5, 2::5] == small.masks
    assert same.float().mean() > 0.99
    torch.testing.assert_close(large.labels, small.labels)
