import cv2
import numpy as np
import pytest
import torch

from mmwsl.datasets import (
    SingleLabelEntries,
    ToyDataset,
    VOCImageLevelDataset,
    set_epoch,
)

CAT, DOG, PERSON = 7, 11, 14


def source(folder, **kwargs):
    root = str(folder.root)
    return dict(type='VOCImageLevelDataset', data_root=root, **kwargs)


def infos(data):
    return [data.get_data_info(i) for i in range(len(data))]


def test_an_entry_for_each_image_and_class(voc):
    data = SingleLabelEntries(source(voc))
    found = [(i['img_id'], i['gt_label'].tolist()) for i in infos(data)]
    # The dog of b is difficult.
    assert found == [
        ('a/cat', [CAT]),
        ('a/dog', [DOG]),
        ('b/person', [PERSON]),
        ('c/person', [PERSON]),
        ('d/cat', [CAT]),
    ]
    first, second = infos(data)[:2]
    assert first['img_path'] == second['img_path']
    assert first['gt_count'].nonzero()[0].tolist() == [CAT]
    assert first['gt_count'][CAT] == 2
    assert data.get_cat_ids(1) == [DOG]
    assert data.metainfo['classes'][CAT] == 'cat'


def test_images_of_one_class(voc):
    data = SingleLabelEntries(source(voc), images='single')
    assert [i['img_id'] for i in infos(data)] == ['b', 'c', 'd']
    data = SingleLabelEntries(
        source(voc), images='single', keep_difficult=True
    )
    assert [i['img_id'] for i in infos(data)] == ['c', 'd']


def test_training_entries_hold_no_ground_truth(voc):
    built = VOCImageLevelDataset(data_root=str(voc.root), test_mode=True)
    for given in (source(voc), source(voc, test_mode=True), built):
        data = SingleLabelEntries(given)
        assert 'eval_ann' not in data.get_data_info(0)


def test_ground_truth_is_that_of_the_class(voc, write_mask):
    mask = np.zeros((12, 16), np.uint8)
    mask[:3], mask[5:8], mask[8:9] = CAT + 1, DOG + 1, 255
    write_mask(voc.root / 'SegmentationClass' / 'a.png', mask)
    data = SingleLabelEntries(
        source(voc),
        test_mode=True,
        pipeline=[
            dict(type='LoadWSLImage'),
            dict(
                type='LoadEvalAnnotations',
                with_instances=True,
                with_loc_mask=True,
                loc_mask_size=12,
            ),
            dict(
                type='PackWSLInputs',
                eval_keys=('gt_sem_seg', 'gt_instances', 'gt_loc_mask'),
            ),
        ],
    )
    cat, dog = data[0]['data_samples'], data[1]['data_samples']
    assert cat.gt_instances.labels.tolist() == [CAT, CAT]
    assert dog.gt_instances.labels.tolist() == [DOG]
    assert cat.gt_sem_seg.data.unique().tolist() == [0, CAT + 1, 255]
    column = dog.gt_loc_mask.data[0, :, 0].tolist()
    assert column == [0] * 5 + [1] * 3 + [255] + [0] * 3


def test_augmentations_are_drawn_for_each_entry(voc):
    ramp = np.add.outer(np.arange(12) * 16, np.arange(16))
    picture = np.repeat(ramp[..., None].astype(np.uint8), 3, axis=2)
    cv2.imwrite(str(voc.root / 'JPEGImages' / 'a.jpg'), picture)
    crop = dict(type='RandomCrop', size=(8, 8))
    pipeline = [dict(type='LoadWSLImage'), crop, dict(type='PackWSLInputs')]
    data = SingleLabelEntries(source(voc), pipeline=pipeline)
    set_epoch(data, 3)
    first = [data[i]['inputs'] for i in range(len(data))]
    again = [data[i]['inputs'] for i in range(len(data))]
    assert all(torch.equal(x, y) for x, y in zip(first, again))
    # The cat and the dog of one image.
    assert not torch.equal(first[0], first[1])


def test_toy_pictures_have_entries_too():
    toy = ToyDataset(num_images=3, image_size=64, seed=5, test_mode=True)
    data = SingleLabelEntries(toy, test_mode=True)
    labels = [toy.get_data_info(i)['gt_label'].tolist() for i in range(3)]
    assert [i['gt_label'][0] for i in infos(data)] == sum(labels, [])
    info = data.get_data_info(0)
    assert info['img'].shape == (64, 64, 3)
    assert info['eval_ann']['only_label'] == labels[0][0]


def test_problems_of_the_source_are_listed(voc):
    (voc.root / 'Annotations' / 'a.xml').write_text('<annotation>')
    data = SingleLabelEntries(source(voc), collect_problems=True)
    assert len(data.problems) == 1
    assert 'XML does not parse' in data.problems[0][1]
    assert len(data) == 3
    with pytest.raises(ValueError, match='a.xml: XML does not parse'):
        SingleLabelEntries(source(voc))


def test_bad_arguments(voc):
    with pytest.raises(ValueError, match="images must be 'all' or 'single'"):
        SingleLabelEntries(source(voc), images='some')
    with pytest.raises(TypeError, match='must be a data set of mmwsl, got'):
        SingleLabelEntries(['a.jpg'])
