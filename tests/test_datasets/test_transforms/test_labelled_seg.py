"""Samples of segmentors with image labels."""

import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmengine.structures import BaseDataElement

from mmwsl.registry import TRANSFORMS

XML = '<annotation><object><name>{}</name></object></annotation>'


@TRANSFORMS.register_module()
class StubPacker(BaseTransform):
    def transform(self, results):
        return dict(inputs=results['img'], data_samples=BaseDataElement())


@pytest.fixture
def labels(tmp_path):
    for folder in ('JPEGImages/x', 'ImageSets'):
        (tmp_path / folder).mkdir(parents=True)
    lines = 'x/a.jpg dog cat\nx/b.jpg\n'
    (tmp_path / 'ImageSets/list.txt').write_text(lines)
    for name in 'abc':
        (tmp_path / f'JPEGImages/x/{name}.jpg').write_bytes(b'')
    return dict(
        type='mmwsl.VOCImageLevelDataset',
        data_root=str(tmp_path),
        ann_file='ImageSets/list.txt',
        allow_empty=True,
        metainfo=dict(classes=('cat', 'cow', 'dog')),
    )


def build(labels, packer=None):
    return TRANSFORMS.build(
        dict(type='PackLabelledSegInputs', labels=labels, packer=packer)
    )


def test_labels_of_the_image(tmp_path, labels, monkeypatch):
    transform = build(labels, dict(type='StubPacker'))
    monkeypatch.chdir(tmp_path)
    for path in (str(tmp_path / 'JPEGImages/x/a.jpg'), 'JPEGImages/x/a.jpg'):
        packed = transform(dict(img=7, img_path=path))
        assert packed['inputs'] == 7
        sample = packed['data_samples']
        assert sample.img_id == 'x/a'
        assert sample.gt_label.tolist() == [0, 2]
        assert sample.gt_score.tolist() == [1, 0, 1]
    # Samples do not share what they hold.
    sample.gt_score[:] = 5
    again = transform(dict(img=7, img_path=path))['data_samples']
    assert again.gt_score.tolist() == [1, 0, 1]
    empty = transform(dict(img=7, img_path='JPEGImages/x/b.jpg'))
    assert empty['data_samples'].gt_label.tolist() == []
    with pytest.raises(ValueError, match=r'c\.jpg: .*list\.txt has no labels'):
        transform(dict(img=7, img_path='JPEGImages/x/c.jpg'))


def test_behind_mmseg(labels):
    pytest.importorskip('mmseg')
    path = labels['data_root'] + '/JPEGImages/x/a.jpg'
    results = dict(
        img_path=path,
        img=np.zeros((4, 5, 3), np.uint8),
        gt_seg_map=np.full((4, 5), 1, np.uint8),
    )
    sample = build(labels)(results)['data_samples']
    # A class of the image that its label map lacks is there all the same.
    assert sample.gt_score.tolist() == [1, 0, 1]
    assert sample.gt_sem_seg.data.unique().tolist() == [1]


def test_refuses_other_data_sets():
    toy = dict(type='ToyDataset', num_images=1, image_size=32)
    with pytest.raises(ValueError, match='got SeededDataset'):
        build(dict(type='SeededDataset', dataset=toy))
