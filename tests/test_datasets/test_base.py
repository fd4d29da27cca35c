import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from PIL import Image
from torch.utils.data import DataLoader

from mmwsl.datasets import (
    ToyDataset,
    WSLDataset,
    base_datasets,
    image_ids,
    renumber_classes,
    set_epoch,
)
from mmwsl.registry import DATASETS


@DATASETS.register_module(force=True)
class _Numbers(WSLDataset):
    """Entries with the labels given; the pipeline sees plain numbers."""

    def __init__(self, labels=((0,), (1, 0), ()), ids=None, **kwargs):
        self.labels, self.ids = labels, ids
        kwargs.setdefault('metainfo', dict(classes=['cat', 'dog']))
        super().__init__(ann_file='list.txt', data_root='root', **kwargs)

    def load_data_list(self):
        ids = self.ids or [f'{i}' for i in range(len(self.labels))]
        return [
            self._entry(name, f'{name}.jpg', labels, eval_ann=dict(boxes=1))
            for name, labels in zip(ids, self.labels)
        ]


def draw(results):
    """Return one number from each generator, as a tensor."""
    numbers = [random.random(), np.random.rand(), torch.rand(()).item()]
    return torch.tensor([results['sample_idx'], *numbers])


@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        ([], 'classes are empty'),
        (['cat', 'dog', 'cat'], "'cat' more than once"),
        (['cat', ' '], 'no name'),
        (['cat', 3], '3, which is no name'),
        ('cat', "not 'cat'"),
        (None, 'not None'),
    ],
)
def test_wrong_class_names_are_refused(classes, message):
    with pytest.raises(ValueError, match=message):
        _Numbers(labels=((),), metainfo=dict(classes=classes))


def test_class_names_from_a_file(tmp_path):
    path = tmp_path / 'names.txt'
    path.write_text('cat\nbig dog\n')
    data = _Numbers(metainfo=dict(classes=str(path)))
    assert data.classes == ('cat', 'big dog')


@pytest.mark.parametrize('serialize', [True, False])
def test_empty_data_set_names_list_and_root(serialize):
    with pytest.raises(ValueError, match=r"root/list.txt.*'root'"):
        _Numbers(labels=(), serialize_data=serialize)


def test_entries_hold_ground_truth_in_test_mode_only():
    info = _Numbers(labels=((1, 0, 1),)).get_data_info(0)
    assert info['gt_label'].dtype == np.int64
    assert info['gt_label'].tolist() == [0, 1]
    assert set(info) == {
        'img_id',
        'img_path',
        'gt_label',
        'gt_label_difficult',
        'num_classes',
        'sample_idx',
    }
    info = _Numbers(test_mode=True).get_data_info(0)
    assert info['eval_ann'] == {'boxes': 1}


def test_double_ids_are_refused_or_collected():
    ids = ['a/1', 'b/1', 'a/1']
    with pytest.raises(ValueError, match=r"a/1.jpg: image id 'a/1'"):
        _Numbers(ids=ids)
    data = _Numbers(ids=ids, collect_problems=True)
    assert len(data) == 2
    assert data.problems[0][0] == 'a/1.jpg'


def test_indices_subsets_and_lazy_init():
    assert len(_Numbers(indices=2)) == 2
    lazy = _Numbers(lazy_init=True)
    assert not lazy._fully_initialized
    assert len(lazy) == 3
    subset = _Numbers().get_subset([2, 0])
    assert [subset[i]['img_id'] for i in range(2)] == ['2', '0']
    set_epoch(subset, 1)
    assert subset[1]['img_id'] == '0'


def test_category_ids_and_filter():
    assert _Numbers().get_cat_ids(1) == [0, 1]
    config = dict(filter_empty_gt=True)
    assert len(_Numbers(filter_cfg=config)) == 2
    assert len(_Numbers(filter_cfg=config, test_mode=True)) == 3
    with pytest.raises(ValueError, match='min_size'):
        _Numbers(filter_cfg=dict(min_size=3))


def test_wrappers_build_and_are_walked():
    data = DATASETS.build(
        dict(
            type='ConcatDataset',
            datasets=[
                dict(type='_Numbers'),
                dict(
                    type='RepeatDataset',
                    times=2,
                    dataset=dict(type='_Numbers'),
                ),
            ],
        )
    )
    assert isinstance(data, ConcatDataset)
    assert isinstance(data.datasets[1], RepeatDataset)
    assert len(data) == 9
    inner = list(base_datasets(data))
    assert [type(item) for item in inner] == [_Numbers, _Numbers]
    set_epoch(data, 4)
    assert [int(item._epoch[0]) for item in inner] == [4, 4]


def _fail(results):
    raise KeyError('crop')


def test_a_failing_pipeline_names_the_image():
    with pytest.raises(ValueError, match=r"^1.jpg: KeyError.*'crop'"):
        _Numbers(pipeline=[_fail])[1]


def test_none_is_an_error_unless_another_image_may_be_taken():
    with pytest.raises(ValueError, match=r'^0.jpg: the pipeline returned'):
        _Numbers(pipeline=[lambda results: None])[0]

    def drop_first(results):
        return results if results['sample_idx'] else None

    np.random.seed(0)
    data = _Numbers(pipeline=[drop_first], max_refetch=50)
    assert data[0]['sample_idx'] in (1, 2)


def _load(data, workers, epochs):
    """Return all numbers of the epochs, from the same worker processes."""
    loader = DataLoader(
        data, batch_size=2, num_workers=workers, persistent_workers=workers > 0
    )
    out = []
    for epoch in epochs:
        set_epoch(data, epoch)
        out.append(torch.cat(list(loader)))
    return torch.stack(out)


def test_augmentation_depends_on_seed_epoch_and_index_alone():
    labels = ((0,),) * 5
    alone = _load(_Numbers(labels, pipeline=[draw]), 0, [0, 1, 7])
    torch.rand(3)
    # Persistent workers: they were started before epochs 1 and 7 were set.
    workers = _load(_Numbers(labels, pipeline=[draw]), 2, [0, 1, 7])
    assert torch.equal(alone, workers)
    resumed = _load(_Numbers(labels, pipeline=[draw]), 0, [7])
    assert torch.equal(alone[2:], resumed)
    numbers = alone[..., 1:].reshape(-1)
    assert len(numbers.unique()) == 3 * 5 * 3
    other = _load(_Numbers(labels, pipeline=[draw], seed=1), 0, [0])
    assert not torch.equal(alone[:1], other)


def test_random_states_of_the_main_process_are_left_alone():
    data = _Numbers(pipeline=[draw])
    set_epoch(data, 3)
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = [random.random(), np.random.rand(), torch.rand(()).item()]
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    data[0]
    data.pipeline = _fail
    with pytest.raises(ValueError, match='0.jpg'):
        data[0]
    found = [random.random(), np.random.rand(), torch.rand(()).item()]
    assert found == expected


def test_without_an_epoch_nothing_is_reseeded():
    data = _Numbers(pipeline=[draw])
    assert not torch.equal(data[0], data[0])
    set_epoch(data, 0)
    assert torch.equal(data[0], data[0])
    assert torch.equal(data[-1], data[2])
    set_epoch(data, -1)
    assert not torch.equal(data[0], data[0])


class Noise(BaseDataset):
    METAINFO = dict(classes=('a',))

    def load_data_list(self):
        return [dict(number=number) for number in range(4)]


def test_any_data_set_can_be_seeded():
    noise = dict(type=Noise, ann_file='', pipeline=[draw])
    data = DATASETS.build(dict(type='SeededDataset', dataset=noise, seed=3))
    data.full_init()
    assert len(data) == 4
    assert data.metainfo == data.dataset.metainfo
    assert data.get_data_info(1)['number'] == 1
    assert list(base_datasets(data)) == [data.dataset]
    first = _load(data, 0, [0, 5])
    assert len(first[..., 1:].unique()) == 2 * 4 * 3
    assert torch.equal(first, _load(data, 2, [0, 5]))
    set_epoch(data, 5, seed=4)
    assert not torch.equal(data[3], first[1, 3])
    set_epoch(data, 5, seed=3)
    assert torch.equal(data[3], first[1, 3])


def test_labels_counts_boxes_and_masks_follow_their_names():
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


def test_masks_of_segmentors(tmp_path):
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


class _Ids:
    def __init__(self, *ids):
        self.ids = ids

    def __len__(self):
        return len(self.ids)

    def get_data_info(self, index):
        return dict(img_id=self.ids[index])


def test_image_ids():
    assert image_ids(_Ids('b', 'a', 'a')) == ['b', 'a', 'a']
    both = SimpleNamespace(datasets=[_Ids('x/1'), _Ids('y/1', 'x/2')])
    assert image_ids(both) == ['x/1', 'y/1', 'x/2']
    both = SimpleNamespace(datasets=[_Ids('a', 'b'), _Ids('b')])
    with pytest.raises(ValueError, match="'b' occurs in two of the data"):
        image_ids(both)
