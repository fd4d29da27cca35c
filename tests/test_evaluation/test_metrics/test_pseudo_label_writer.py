"""Tests of writing pseudo labels."""

import json

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData, PixelData
from PIL import Image

from export_readers import read_coco, read_voc
from mmwsl.evaluation.files import (
    read_class_maps,
    read_class_scores,
    read_maps,
)
from mmwsl.structures import WSLDataSample
from mmwsl.utils.images import read_index_mask
from mmwsl.utils.masks import decode_mask, decode_segmentation

LABELS = [
    torch.tensor([[0, 0, 3, 255], [0, 0, 0, 0]]),
    torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1]]),
]


def make_sample(number, **metainfo):
    sample = WSLDataSample(metainfo=metainfo or dict(img_id=f'x/{number}'))
    sample.set_metainfo(dict(ori_shape=(2, 4)))
    sample.pred_sem_seg = PixelData(data=LABELS[number].clone()[None])
    sample.pred_maps = PixelData(data=torch.rand(2, 2, 4))
    sample.pred_map_labels = torch.tensor([2, 0])
    sample.set_pred_count([float(number), 2.0, 0.0])
    sample.set_pred_score([0.25, 0.5, 1.0])
    sample.set_pred_label([2])
    masks = torch.zeros(1, 2, 4, dtype=torch.bool)
    masks[0, 1, 1:3] = True
    sample.pred_instances = InstanceData(
        masks=masks, labels=torch.tensor([2]), scores=torch.tensor([0.5])
    )
    return sample


def write(folder, samples, **kwargs):
    config = dict(type='PseudoLabelWriter', out_dir=str(folder), **kwargs)
    evaluator = Evaluator([config])
    evaluator.dataset_meta = dict(classes=('ant', 'bee', 'cod'))
    evaluator.process(samples)
    return evaluator.evaluate(len(samples))


def test_label_maps(tmp_path):
    metrics = write(tmp_path, [make_sample(0), make_sample(1)])
    for number, label in enumerate(LABELS):
        found = read_index_mask(str(tmp_path / f'labels/x/{number}.png'))
        assert found.tolist() == label.tolist()
    assert metrics == dict(written=2, labelled=93.75, foreground=12.5)
    assert [p.name for p in tmp_path.iterdir()] == ['labels']


@pytest.mark.parametrize('segmentor', [False, True])
def test_label_maps_have_the_colours_of_the_data_set(tmp_path, segmentor):
    sample = make_sample(0)
    palette = [(9, 8, 7), (1, 1, 1), (3, 2, 1)]
    if segmentor:
        del sample.pred_score
        sample.seg_logits = PixelData(data=torch.randn(4, 2, 4))
        palette = [(0, 0, 0), *palette]
    config = dict(type='PseudoLabelWriter', out_dir=str(tmp_path))
    evaluator = Evaluator([config])
    evaluator.dataset_meta = dict(
        classes='abcd'[-len(palette) :], palette=palette
    )
    evaluator.process([sample])
    picture = Image.open(tmp_path / 'labels/x/0.png').convert('RGB')
    assert np.array(picture)[0].tolist() == [
        [0, 0, 0],
        [0, 0, 0],
        [3, 2, 1],
        [224, 224, 192],
    ]


@pytest.mark.parametrize('number', [0, 1])
def test_label_maps_of_nothing_are_said(tmp_path, monkeypatch, number):
    said = []
    monkeypatch.setattr(
        'mmwsl.evaluation.metrics.pseudo_label_writer.print_log',
        lambda text, **kwargs: said.append(text),
    )
    sample = make_sample(number)
    sample.pred_sem_seg.data[0, 0, 2] = 0
    write(tmp_path, [sample])
    assert len(said) == 1 - number
    assert not said or str(tmp_path) in said[0]


def test_images_with_hardly_any_object_are_ignored(tmp_path):
    sample = make_sample(0)
    metrics = write(tmp_path, [sample], min_ratio=0.2)
    found = read_index_mask(str(tmp_path / 'labels/x/0.png'))
    assert (found == 255).all()
    assert metrics == dict(written=1, labelled=0, foreground=0)


def test_all_other_kinds(tmp_path):
    samples = [make_sample(0), make_sample(1)]
    metrics = write(
        tmp_path,
        samples,
        label_maps=False,
        soft_maps=True,
        instances=True,
        counts=True,
        scores=True,
    )
    assert metrics == dict(written=2)
    maps, labels = read_maps(str(tmp_path / 'maps/x/1.npz'), 3)
    np.testing.assert_array_equal(maps, samples[1].pred_maps.data)
    assert labels.tolist() == [2, 0]
    table = read_class_scores(str(tmp_path / 'counts.csv'))
    assert table.ids == ['x/0', 'x/1']
    assert table.scores.tolist() == [[0, 2, 0], [1, 2, 0]]
    assert table.classes == ['ant', 'bee', 'cod']
    table = read_class_scores(str(tmp_path / 'scores.csv'))
    assert table.scores.tolist() == [[0.25, 0.5, 1.0]] * 2
    assert table.classes == ['ant', 'bee', 'cod']
    found = json.loads((tmp_path / 'instances.json').read_text())
    assert found[0] == dict(
        image_id='x/0',
        category_id=2,
        score=0.5,
        segmentation=dict(size=[2, 4], counts='31101'),
    )
    assert [x['image_id'] for x in found] == ['x/0', 'x/1']
    assert not (tmp_path / 'labels').exists()


@pytest.mark.parametrize('seed', range(3))
def test_instances_are_cocos_results(tmp_path, seed):
    coco = pytest.importorskip('pycocotools.coco').COCO()
    sample = make_sample(0)
    masks = torch.rand(5, 37, 23) > torch.rand(5, 1, 1)
    masks[0], masks[1] = False, True
    sample.pred_instances = InstanceData(
        masks=masks, labels=torch.arange(5), scores=torch.rand(5)
    )
    write(tmp_path, [sample], label_maps=False, instances=True)
    path = str(tmp_path / 'instances.json')
    coco.dataset = dict(
        images=[dict(id='x/0', height=37, width=23)],
        categories=[dict(id=number) for number in range(5)],
    )
    coco.createIndex()
    results = coco.loadRes(path)
    found = list(results.anns.values())
    assert [x['category_id'] for x in found] == list(range(5))
    assert [x['area'] for x in found] == masks.sum((1, 2)).tolist()
    for result, mask in zip(found, masks.numpy()):
        np.testing.assert_array_equal(results.annToMask(result), mask)
        runs = result['segmentation']
        np.testing.assert_array_equal(decode_mask(runs, path), mask)
        np.testing.assert_array_equal(
            decode_segmentation(runs, (37, 23), path, True), mask
        )


def test_soft_maps_of_segmentors(tmp_path):
    sample = make_sample(0)
    logits = torch.randn(4, 2, 4)
    sample.seg_logits = PixelData(data=logits)
    # Class maps come first.
    write(tmp_path, [sample], label_maps=False, soft_maps=True)
    maps, labels = read_class_maps(str(tmp_path / 'maps/x/0.npz'))
    np.testing.assert_array_equal(maps, sample.pred_maps.data)
    del sample.pred_maps
    write(tmp_path, [sample], label_maps=False, soft_maps=True)
    maps, labels = read_class_maps(str(tmp_path / 'maps/x/0.npz'))
    assert maps.dtype == np.float32
    assert labels.tolist() == [0, 1, 2]
    # Label c + 1 is class c.
    np.testing.assert_allclose(maps, logits.softmax(0)[1:], rtol=1e-6)
    sample.seg_logits = PixelData(data=logits[:1])
    with pytest.raises(ValueError, match='x/0: seg_logits has 1 labels'):
        write(tmp_path, [sample], label_maps=False, soft_maps=True)
    del sample.seg_logits
    with pytest.raises(ValueError, match='x/0: no pred_maps'):
        write(tmp_path, [sample], label_maps=False, soft_maps=True)


def test_samples_of_mmseg_take_their_id_from_the_folder(tmp_path):
    sample = make_sample(0, img_path='data/images/b/7.jpg')
    write(tmp_path, [sample], img_dir='data/images')
    assert (tmp_path / 'labels/b/7.png').is_file()
    with pytest.raises(ValueError, match=r'b/7\.jpg: .*img_dir'):
        write(tmp_path, [sample])


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match='writes nothing'):
        write(tmp_path, [], label_maps=False)
    sample = make_sample(0)
    sample.pred_sem_seg.data = sample.pred_sem_seg.data - 1
    with pytest.raises(ValueError, match='x/0: pred_sem_seg'):
        write(tmp_path, [sample])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', ['pred_maps', 'pred_count', 'pred_score'])
@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_predictions_that_are_no_numbers(tmp_path, name, value):
    sample = make_sample(0)
    values = sample.get(name)
    getattr(values, 'data', values)[0] = value
    with pytest.raises(ValueError, match=f'x/0: {name}'):
        write(
            tmp_path,
            [sample],
            label_maps=False,
            soft_maps=True,
            counts=True,
            scores=True,
        )


def test_more_classes_than_a_label_map_holds(tmp_path):
    config = dict(type='PseudoLabelWriter', out_dir=str(tmp_path))
    evaluator = Evaluator([config])
    evaluator.dataset_meta = dict(classes=[str(c) for c in range(255)])
    with pytest.raises(ValueError, match='255'):
        evaluator.process([make_sample(0)])


def export(folder, samples, classes, **kwargs):
    config = dict(type='LabelExportMetric', export=folder, **kwargs)
    evaluator = Evaluator([config])
    evaluator.dataset_meta = dict(classes=classes, palette=[[9, 9, 9]] * 4)
    for sample in samples:
        evaluator.process([sample])
    return evaluator.evaluate(len(samples))


def test_export_for_other_tools(tmp_path):
    folders = dict(coco=tmp_path / 'coco', voc=dict(out_dir=tmp_path / 'voc'))
    samples = [make_sample(number) for number in range(2)]
    metrics = export(folders, samples, ('ant', 'bee', 'cod'))
    assert metrics == dict(exported=2, objects=2)
    found = read_coco(tmp_path / 'coco')
    assert list(found) == ['x/0.png', 'x/1.png']
    for ((name, mask, item),) in found.values():
        assert (name, item['score']) == ('cod', 0.5)
        assert mask.tolist() == [[False] * 4, [False, True, True, False]]
    maps = read_voc(tmp_path / 'voc').values()
    for (_, plane, palette), label in zip(maps, LABELS):
        np.testing.assert_array_equal(plane, label)
        assert palette[1].tolist() == [9, 9, 9]


def test_export_of_a_segmentor(tmp_path):
    """Its samples have no ids, and its classes begin with the background."""
    samples = []
    for number, name in enumerate(('a', 'sub/b')):
        path = tmp_path / f'images/{name}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (4, 2)).save(path)
        sample = WSLDataSample(metainfo=dict(img_path=str(path)))
        sample.set_metainfo(dict(ori_shape=(2, 4)))
        sample.pred_sem_seg = PixelData(data=LABELS[number].clone()[None])
        samples.append(sample)
    classes = ('background', 'ant', 'bee', 'cod')
    folders = dict(coco=tmp_path / 'out', voc=tmp_path / 'voc')
    metrics = export(folders, samples, classes, min_area=1)
    assert metrics == dict(exported=2, objects=2)
    found = read_coco(tmp_path / 'out')
    assert list(found) == ['a.jpg', 'sub/b.jpg']
    assert [x[0][0] for x in found.values()] == ['cod', 'ant']
    assert (tmp_path / 'voc/JPEGImages/sub/b.jpg').is_file()


def test_export_asks_for_label_maps(tmp_path):
    sample = WSLDataSample(metainfo=dict(img_id='x', ori_shape=(2, 4)))
    with pytest.raises(ValueError, match='x: no pred_sem_seg'):
        export(dict(coco=tmp_path / 'out'), [sample], ('ant',))
    with pytest.raises(ValueError, match='gif: is no format'):
        export(dict(gif=tmp_path / 'out'), [sample], ('ant',))
