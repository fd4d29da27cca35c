import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import BaseDataElement

from mmwsl.datasets import ToyDataset
from mmwsl.datasets.transforms import PackWSLInputs
from mmwsl.registry import TRANSFORMS
from mmwsl.structures import WSLDataSample


def entry(**more):
    img = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    return dict(
        img=img,
        img_id='x/a',
        img_path='x/a.jpg',
        ori_shape=(2, 4),
        img_shape=(2, 4),
        gt_label=np.array([0, 2]),
        gt_label_difficult=np.array([2]),
        num_classes=3,
        **more,
    )


def test_known_answer():
    packed = PackWSLInputs()(entry(gt_count=np.array([3, 0, 0])))
    inputs, sample = packed['inputs'], packed['data_samples']
    assert inputs.dtype == torch.uint8
    assert inputs.is_contiguous()
    assert inputs[:, 0, 1].tolist() == [3, 4, 5]
    assert inputs[0].tolist() == [[0, 3, 6, 9], [12, 15, 18, 21]]
    assert isinstance(sample, WSLDataSample)
    assert sample.gt_label.tolist() == [0, 2]
    assert sample.gt_score.tolist() == [1, 0, 1]
    assert sample.gt_count.tolist() == [3, 0, 0]
    assert sample.gt_label_difficult.tolist() == [2]
    assert sample.metainfo == dict(
        img_id='x/a', img_path='x/a.jpg', ori_shape=(2, 4), img_shape=(2, 4)
    )


def test_unknown_counts_stay_unknown():
    sample = PackWSLInputs()(entry())['data_samples']
    assert 'gt_count' not in sample


def test_flipped_and_grey_images():
    results = entry()
    results['img'] = results['img'][:, ::-1]
    inputs = PackWSLInputs()(results)['inputs']
    assert inputs[0].tolist() == [[9, 6, 3, 0], [21, 18, 15, 12]]
    results['img'] = np.ones((2, 4), dtype=np.uint8)
    assert PackWSLInputs()(results)['inputs'].shape == (1, 2, 4)


def test_meta_keys():
    pack = PackWSLInputs(meta_keys=('img_id', 'flip'))
    sample = pack(entry(flip=True))['data_samples']
    assert sample.metainfo == dict(img_id='x/a', flip=True)
    assert "'flip'" in repr(pack)


def test_unknown_evaluation_key():
    with pytest.raises(ValueError, match="eval_keys holds 'gt_bboxes', known"):
        PackWSLInputs(eval_keys=('gt_bboxes',))


def _toy(eval_keys, load=True, test_mode=True):
    loading = [dict(type='LoadEvalAnnotations', with_masks=True)]
    return ToyDataset(
        num_images=2,
        test_mode=test_mode,
        pipeline=[
            *(loading if load else []),
            dict(type='PackWSLInputs', eval_keys=eval_keys),
        ],
    )


LEAKS = ('gt_sem_seg', 'gt_body_seg', 'gt_instances')


def test_first_lock_training_sets_have_no_ground_truth():
    with pytest.raises(ValueError, match='belongs in evaluation pipelines'):
        _toy((), test_mode=False)[0]


def test_second_lock_nothing_to_pack_without_loading():
    with pytest.raises(ValueError, match='gt_sem_seg is named in eval_keys'):
        _toy(('gt_sem_seg',), load=False)[0]


def test_third_lock_loaded_ground_truth_is_packed_only_if_named():
    sample = _toy(())[0]['data_samples']
    assert not set(LEAKS) & set(sample.keys())
    sample = _toy(('gt_instances',))[0]['data_samples']
    assert set(LEAKS) & set(sample.keys()) == {'gt_instances'}
    instances = sample.gt_instances
    assert len(instances) == len(instances.masks) == len(instances.labels)
    assert instances.masks.dtype == torch.bool


def test_ground_truth_keeps_the_original_size():
    data = _toy(('gt_sem_seg',))
    data.pipeline.transforms.insert(1, lambda r: dict(r, img=r['img'][:50]))
    packed = data[0]
    assert packed['inputs'].shape == (3, 50, 112)
    assert packed['data_samples'].gt_sem_seg.data.shape == (1, 112, 112)
    assert packed['data_samples'].gt_sem_seg.data.dtype == torch.int64


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
