import cv2
import numpy as np
import pytest
from PIL import Image

from mmwsl.datasets.transforms import LoadEvalAnnotations
from mmwsl.datasets.transforms.eval_annotations import (
    class_masks_of_instances,
    object_mask,
)


def results(**eval_ann):
    return dict(
        img_id='a',
        img_path='a.jpg',
        ori_shape=(4, 5),
        num_classes=2,
        eval_ann=eval_ann,
    )


@pytest.fixture
def seg_map():
    mask = np.zeros((4, 5), dtype=np.uint8)
    mask[:2, :2], mask[2:, 3:], mask[0, 0] = 1, 2, 255
    return mask


def test_training_sets_are_refused(seg_map):
    training = results()
    del training['eval_ann']
    with pytest.raises(ValueError, match='belongs in evaluation pipelines'):
        LoadEvalAnnotations()(training)


def test_image_must_come_first(seg_map):
    entry = results(seg_map=seg_map)
    del entry['ori_shape']
    with pytest.raises(ValueError, match='after the image is loaded'):
        LoadEvalAnnotations()(entry)


def test_palette_mask_keeps_its_indices(tmp_path, seg_map, write_mask):
    path = str(write_mask(tmp_path / 'a.png', seg_map))
    entry = LoadEvalAnnotations()(results(seg_map_path=path))
    found = entry['eval_gt']['gt_sem_seg']
    assert found.dtype == np.int64
    assert np.array_equal(found, seg_map)
    # mmcv's own transforms find nothing that they would resize or flip.
    assert not {'gt_seg_map', 'gt_bboxes'} & set(entry)


def test_mask_of_another_size_names_both(tmp_path, write_mask):
    path = write_mask(tmp_path / 'm.png', np.zeros((5, 4)))
    with pytest.raises(
        ValueError, match=r'm.png: mask is 4 x 5 pixels.* a.jpg is 5 x 4'
    ):
        LoadEvalAnnotations()(results(seg_map_path=str(path)))


def test_mask_of_other_classes(tmp_path, seg_map, write_mask):
    seg_map[3, 3] = 3
    path = write_mask(tmp_path / 'm.png', seg_map)
    with pytest.raises(ValueError, match='m.png: mask holds the value 3, but'):
        LoadEvalAnnotations()(results(seg_map_path=str(path)))


def test_missing_ground_truth(tmp_path):
    path = str(tmp_path / 'm.png')
    with pytest.raises(FileNotFoundError, match='m.png: mask does not exist'):
        LoadEvalAnnotations()(results(seg_map_path=path))
    for kwargs, message in (
        (dict(), 'no seg_map'),
        (dict(with_seg_map=False, with_body_seg=True), 'no body_seg_map'),
        (dict(with_seg_map=False, with_instances=True), 'no boxes'),
        (dict(with_seg_map=False, with_masks=True), 'no instance masks'),
    ):
        with pytest.raises(
            ValueError, match=f'a.jpg: the dataset has {message}'
        ):
            LoadEvalAnnotations(**kwargs)(results())


def test_boxes():
    annotation = dict(
        boxes=np.array([[0, 1, 2, 3]]),
        labels=np.array([1]),
        difficult=np.array([True]),
    )
    transform = LoadEvalAnnotations(with_seg_map=False, with_instances=True)
    found = transform(results(**annotation))['eval_gt']
    assert set(found) == {'gt_instances'}
    assert found['gt_instances']['bboxes'].dtype == np.float32
    assert set(found['gt_instances']) == {'bboxes', 'labels', 'difficult'}


def test_instances_of_a_map_of_numbers(tmp_path, seg_map, write_mask):
    numbers = np.zeros((4, 5), dtype=np.uint8)
    # Number 1 is hard and of class 0, number 2 of class 1, which the list
    # calls class 0; 3 lies on the ground and is no object.
    numbers[:2, :2], numbers[2:, 3:], numbers[3, 0] = 1, 2, 3
    numbers[0, 4] = 255
    entry = results(
        seg_map_path=str(write_mask(tmp_path / 'seg.png', seg_map)),
        instance_map_path=str(write_mask(tmp_path / 'obj.png', numbers)),
        labels=np.array([0, 0]),
        difficult=np.array([True, True]),
        boxes=np.zeros((2, 4)),
    )
    transform = LoadEvalAnnotations(with_masks=True)
    found = transform(entry)['eval_gt']['gt_instances']
    assert found['labels'].tolist() == [0, 1]
    assert found['difficult'].tolist() == [True, False]
    assert found['bboxes'].tolist() == [[0, 0, 2, 2], [3, 2, 5, 4]]
    assert found['masks'].sum(axis=(1, 2)).tolist() == [4, 4]


def test_known_masks_of_another_size():
    entry = results(
        masks=np.ones((1, 3, 5), dtype=bool),
        boxes=np.zeros((1, 4)),
        labels=np.zeros(1, dtype=np.int64),
        difficult=np.zeros(1, dtype=bool),
    )
    transform = LoadEvalAnnotations(with_seg_map=False, with_masks=True)
    with pytest.raises(ValueError, match=r'mask is 5 x 3 .* is 5 x 4'):
        transform(entry)


def test_mask_of_the_one_label(seg_map):
    transform = LoadEvalAnnotations(
        with_seg_map=False, with_loc_mask=True, loc_mask_size=8
    )
    entry = dict(results(seg_map=seg_map), gt_label=np.array([1]))
    found = transform(entry)['eval_gt']['gt_loc_mask']
    assert found.dtype == np.int64
    # Rows 2 and 3, columns 3 and 4, nearest to 8 of 4 and of 5.
    assert found[:, -1].tolist() == [0] * 4 + [1] * 4
    assert found[-1].tolist() == [0] * 5 + [1] * 3
    assert found[0, 0] == 255
    entry['gt_label'] = np.array([0, 1])
    with pytest.raises(ValueError, match='a.jpg: .* of its one label, but'):
        transform(entry)


def test_an_entry_of_one_class_sees_that_class_only(seg_map):
    annotation = dict(
        seg_map=seg_map,
        boxes=np.array([[0, 0, 2, 2], [3, 2, 5, 4]]),
        labels=np.array([0, 1]),
        difficult=np.array([False, True]),
        only_label=1,
    )
    entry = LoadEvalAnnotations(with_instances=True)(results(**annotation))
    truth = entry['eval_gt']
    assert np.unique(truth['gt_sem_seg']).tolist() == [0, 2, 255]
    assert truth['gt_instances']['bboxes'].tolist() == [[3, 2, 5, 4]]
    assert truth['gt_instances']['difficult'].tolist() == [True]


def test_labelled_classes_that_a_mask_does_not_show(
    tmp_path, seg_map, write_mask, monkeypatch
):
    printed = []
    monkeypatch.setattr(
        'mmwsl.datasets.transforms.eval_annotations.print_log',
        lambda message, **kwargs: printed.append(message),
    )

    def load(mask, labels, hard=(), absent='warn'):
        path = write_mask(tmp_path / 'm.png', mask)
        entry = results(seg_map_path=str(path))
        entry.update(gt_label=np.array(labels), gt_label_difficult=hard)
        return LoadEvalAnnotations(absent=absent)(entry)

    load(seg_map, [0, 1])
    load(seg_map * 0, [])
    load(seg_map % 2, [0, 1], hard=[1])
    load(seg_map * 0, [0], absent='ignore')
    assert not printed
    load(np.minimum(seg_map, 1), [0, 1])
    assert 'm.png: mask shows no pixel of the class index 1' in printed[0]
    with pytest.raises(ValueError, match=r'm\.png'):
        load(np.minimum(seg_map, 1), [0, 1], absent='error')
    # Objects stored as 255 would be left out of all scores.
    with pytest.raises(ValueError, match=r'm\.png'):
        load((seg_map > 0) * 255, [0, 1])
    with pytest.raises(ValueError, match='absent'):
        LoadEvalAnnotations(absent='no')


@pytest.mark.parametrize('orientation', [3, 6])
@pytest.mark.parametrize('stored', [False, True])
def test_objects_of_turned_images(monkeypatch, orientation, stored):
    printed = []
    monkeypatch.setattr(
        'mmwsl.datasets.transforms.eval_annotations.print_log',
        lambda message, **kwargs: printed.append(message),
    )
    none = np.zeros(0, dtype=np.int64)
    size = (5, 4) if stored else (4, 5)
    truth = dict(boxes=np.zeros((0, 4)), labels=none, difficult=none)
    entry = dict(results(size=size, **truth), exif_orientation=orientation)
    load = LoadEvalAnnotations(with_seg_map=False, with_instances=True)
    if stored:
        with pytest.raises(ValueError, match=r'a\.jpg: the image is 5 x 4'):
            load(entry)
        return
    load(entry)
    # A turn by half leaves the size as it is.
    assert len(printed) == (orientation == 3)


def test_boxes_beyond_the_image():
    none = np.zeros(1, dtype=np.int64)
    truth = dict(labels=none, difficult=none, box_margin=1, place='a.json')
    load = LoadEvalAnnotations(with_seg_map=False, with_instances=True)
    entry = results(boxes=np.array([[-0.9, 0, 5.5, 4]]), **truth)
    found = load(entry)['eval_gt']['gt_instances']['bboxes']
    assert found.tolist() == [[0, 0, 5, 4]]
    with pytest.raises(ValueError, match=r'a\.json: .* 5 x 4 \(a\.jpg\)'):
        load(results(boxes=np.array([[0, 0, 9, 4]]), **truth))


def test_masks_of_any_size_are_joined_one_by_one(tmp_path, write_mask):
    rng = np.random.default_rng(0)
    planes = {
        'object': rng.random((9, 7)) > 0.7,
        'other': rng.random((31, 40)) > 0.8,
        'ignore': rng.random((20, 13)) > 0.4,
    }
    paths = {
        name: str(write_mask(tmp_path / f'{name}.png', plane * 255))
        for name, plane in planes.items()
    }
    annotation = dict(
        object_masks=[paths['object'], paths['other']],
        ignore_masks=[paths['ignore']],
    )
    found = object_mask(annotation, (16, 24))
    near = {
        name: cv2.resize(plane.astype(np.float32), (24, 16), interpolation=0)
        for name, plane in planes.items()
    }
    inside = (near['object'] > 0.5) | (near['other'] > 0.5)
    expected = np.where(inside, 1, np.where(near['ignore'] > 0.5, 255, 0))
    assert np.array_equal(found, expected)
    assert set(np.unique(found)) == {0, 1, 255}


@pytest.mark.parametrize('mode', ['1', 'L', 'P', 'RGB', 'RGBA'])
def test_masks_in_colour_channels(tmp_path, mode):
    """The published ignore regions of OpenImages are such pictures."""
    ignored = np.zeros((6, 8), np.uint8)
    ignored[1:3, 2:5] = 255
    inside = np.zeros((6, 8), np.uint8)
    inside[4] = 255
    paths = [str(tmp_path / f'{name}.png') for name in 'ab']
    for path, plane in zip(paths, (inside, ignored)):
        Image.fromarray(plane).convert(mode).save(path)
    annotation = dict(object_masks=paths[:1], ignore_masks=paths[1:])
    found = object_mask(annotation, (6, 8))
    assert np.array_equal(found, np.where(inside > 0, 1, ignored))


def test_small_objects_lie_on_large_ones():
    masks = np.zeros((2, 4, 5), bool)
    masks[0, :2, :2] = True
    masks[1, :, :4] = True
    seg_map = class_masks_of_instances(masks, np.array([0, 1]), 'a')
    assert seg_map[:2, :2].tolist() == [[1, 1], [1, 1]]
    assert (seg_map == 2).sum() == 12
    assert (seg_map[:, 4] == 0).all()
    with pytest.raises(ValueError, match='a: class masks hold at most 254'):
        class_masks_of_instances(masks, np.array([0, 254]), 'a')


def test_boxes_instead_of_masks():
    """Pixel by pixel: one class, or ignored where classes disagree."""
    rng = np.random.default_rng(0)
    start = rng.integers(0, 12, (7, 2))
    boxes = np.concatenate([start, start + rng.integers(1, 8, (7, 2))], 1)
    labels = rng.integers(0, 2, 7)
    difficult = np.arange(7) < 2
    entry = results(
        boxes=boxes.astype(np.float32), labels=labels, difficult=difficult
    )
    entry['ori_shape'] = (16, 18)
    loading = LoadEvalAnnotations(seg_map_from='boxes')
    found = loading(entry)['eval_gt']['gt_sem_seg']
    for y, x in np.ndindex(16, 18):
        inside = (boxes[:, :2] <= (x, y)).all(1) & (boxes[:, 2:] > (x, y)).all(
            1
        )
        classes = set(labels[inside & ~difficult].tolist())
        if len(classes) == 1:
            assert found[y, x] == classes.pop() + 1
        elif classes or inside.any():
            assert found[y, x] == 255
        else:
            assert found[y, x] == 0
    assert {0, 1, 2, 255} == set(found.ravel().tolist())
    with pytest.raises(ValueError, match='seg_map_from'):
        LoadEvalAnnotations(seg_map_from='points')
