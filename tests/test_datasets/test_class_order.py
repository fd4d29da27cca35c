"""Tests of data sets in another order of classes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmwsl.datasets import FolderDataset, ToyDataset, renumber_classes


def test_labels_counts_boxes_and_masks_follow_their_names() -> None:
    pipeline = [dict(type='LoadEvalAnnotations', with_seg_map=True)]
    cfg = dict(num_images=6, test_mode=True, pipeline=pipeline)
    first, second = ToyDataset(**cfg), ToyDataset(**cfg)
    names = list(first.classes)
    order = [*names[::-1], 'more']
    renumber_classes(second, order)
    assert list(second.metainfo['classes']) == order
    to_new = np.array([0, *(order.index(name) + 1 for name in names)])
    for before, after in zip(first, second):
        assert after['num_classes'] == len(order)
        assert {order[i] for i in after['gt_label']} == {
            names[i] for i in before['gt_label']
        }
        for i, count in enumerate(before['gt_count']):
            assert after['gt_count'][order.index(names[i])] == count
        old, new = before['eval_gt'], after['eval_gt']
        assert (to_new[old['gt_sem_seg']] == new['gt_sem_seg']).all()
        labels = before['eval_ann']['labels']
        assert (to_new[labels + 1] - 1 == after['eval_ann']['labels']).all()
    with pytest.raises(ValueError, match=names[0]):
        renumber_classes(first, names[1:])


def test_masks_of_segmentors(tmp_path: Path) -> None:
    datasets = pytest.importorskip('mmseg.datasets')
    for suffix, value in (('jpg', 9), ('png', 2)):
        picture = np.full((4, 4), value, np.uint8)
        Image.fromarray(picture).save(tmp_path / f'a.{suffix}')
    dataset = datasets.BaseSegDataset(
        metainfo=dict(classes=['ground', 'cat', 'dog']),
        data_prefix=dict(img_path=str(tmp_path), seg_map_path=str(tmp_path)),
        pipeline=[dict(type='mmseg.LoadAnnotations')],
    )
    renumber_classes(dataset, ['ground', 'dog', 'cat'])
    assert (dataset[0]['gt_seg_map'] == 1).all()
    # And back again.
    renumber_classes(dataset, ['ground', 'cat', 'dog'])
    assert (dataset[0]['gt_seg_map'] == 2).all()


def test_folders(tmp_path: Path) -> None:
    for name in ('cat', 'dog'):
        (tmp_path / name).mkdir()
        image = Image.fromarray(np.zeros((4, 4, 3), np.uint8))
        image.save(tmp_path / name / 'a.jpg')
    dataset = FolderDataset(data_root=str(tmp_path))
    renumber_classes(dataset, ['dog', 'cat'])
    labels = {entry['img_id']: entry['gt_label'].tolist() for entry in dataset}
    assert labels == {'cat/a': [1], 'dog/a': [0]}
