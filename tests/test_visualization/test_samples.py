import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mmwsl.structures import WSLDataSample
from mmwsl.visualization.drawing import BLACK, WRONG, draw_instances
from mmwsl.visualization.samples import (
    Canvas,
    class_map_tiles,
    density_tiles,
    instance_tiles,
    response_tiles,
    score_map_tiles,
)

WHITE, MAGENTA = [255, 255, 255], [255, 60, 255]
IMAGE = np.full((40, 60, 3), 100, np.uint8)
CANVAS = Canvas(IMAGE, 2.0, ('cat', 'dog', 'cow'))
ONE = CANVAS._replace(max_instances=1)
WIDE = Canvas(np.full((80, 100, 3), 90, np.uint8), 2.0, ('cat', 'dog'))
BLIND = WIDE._replace(use_truth=False)


def test_names_of_classes():
    assert [CANVAS.name(label) for label in (0, 3)] == ['cat', 'class 3']


def test_tile_names_the_instances(masks):
    plain = draw_instances(IMAGE, masks[:2])
    instances = InstanceData(
        masks=torch.from_numpy(masks[:2]), labels=torch.tensor([1, 0])
    )
    (tile,) = instance_tiles(CANVAS, instances, 'truth: ')
    assert tile.text == 'truth: 2 instances'
    named = draw_instances(IMAGE, masks[:2], ['dog', 'cat'])
    np.testing.assert_array_equal(tile.image, named)
    assert (named != plain).any()
    instances.scores = torch.tensor([0.756, 1e-4])
    instances.difficult = torch.tensor([False, True])
    (tile,) = instance_tiles(CANVAS, instances, '')
    named = draw_instances(
        IMAGE, masks[:2], ['dog 0.756', 'cat 0.0001 (difficult)']
    )
    np.testing.assert_array_equal(tile.image, named)


def test_only_the_best_instances(masks):
    instances = InstanceData(
        masks=torch.from_numpy(masks), labels=torch.zeros(6).long()
    )
    (tile,) = instance_tiles(ONE, instances, '')
    assert tile.text == '1 instance (+5 more)'
    expected = draw_instances(IMAGE, masks[:1], ['cat'])
    np.testing.assert_array_equal(tile.image, expected)


def test_no_instance_is_said_and_no_mask_is_no_tile():
    empty = InstanceData(
        masks=torch.zeros(0, 20, 30).bool(),
        labels=torch.zeros(0).long(),
        scores=torch.zeros(0),
    )
    (tile,) = instance_tiles(CANVAS, empty, 'predicted: ')
    assert tile.text == 'predicted: 0 instances'
    np.testing.assert_array_equal(tile.image, IMAGE)
    boxes = InstanceData(bboxes=torch.zeros(1, 4), labels=torch.tensor([0]))
    assert instance_tiles(CANVAS, boxes, '') == []


@pytest.mark.parametrize(
    ('score', 'text'),
    [
        (0.0, '0'),
        (0.8341, '0.834'),
        (12.345, '12.3'),
        (2e-5, '2e-05'),
    ],
)
def test_scores_in_few_letters(score, text, masks):
    one = InstanceData(
        masks=torch.from_numpy(masks[:1]),
        labels=torch.tensor([0]),
        scores=torch.tensor([score]),
    )
    (tile,) = instance_tiles(ONE, one, '')
    expected = draw_instances(IMAGE, masks[:1], [f'cat {text}'])
    np.testing.assert_array_equal(tile.image, expected)


def test_mmdet_visualizer_draws_predicted_instances(tmp_path, masks):
    visualization = pytest.importorskip('mmdet.visualization')
    sample = WSLDataSample()
    sample.pred_instances = InstanceData(
        masks=torch.from_numpy(masks[:2]),
        labels=torch.tensor([1, 0]),
        scores=torch.tensor([0.9, 0.5]),
        bboxes=torch.tensor([[4.0, 4, 12, 12], [6.0, 4, 14, 12]]),
        peaks=torch.tensor([[8.0, 8], [9.0, 8]]),
        peak_response_maps=torch.full((2, 20, 30), 1 / 600),
    )
    visualizer = visualization.DetLocalVisualizer(name=str(tmp_path))
    visualizer.dataset_meta = dict(
        classes=('cat', 'dog'), palette=[(250, 0, 0), (0, 250, 0)]
    )
    out = tmp_path / 'drawn.png'
    image = np.full((20, 30, 3), 100, np.uint8)
    for number in (2, 0):
        sample.pred_instances = sample.pred_instances[:number]
        visualizer.add_datasample(
            'x', image, sample, draw_gt=False, out_file=str(out)
        )
        drawn = visualizer.get_image()
        changed = (drawn[4:12, 4:14] != 100).any(-1).mean()
        assert changed > 0.9 if number else changed == 0


def test_tile_shows_the_first_maps_with_their_peaks(blobs):
    maps = torch.from_numpy(blobs[:, ::2, ::2].copy())
    peaks = torch.tensor([[6.0, 8.0], [20.0, 8.0]])
    instances = InstanceData(peak_response_maps=maps, peaks=peaks)
    (both,) = response_tiles(CANVAS, instances)
    assert both.text == '2 peak responses'
    assert (both.image[16, [12, 40]] == 255).all()
    (one,) = response_tiles(ONE, instances)
    assert one.text == '1 peak response (+1 more)'
    assert (one.image[16, 12] == 255).all()
    assert (one.image[16, 40] < 100).all()
    instances.pop('peaks')
    (plain,) = response_tiles(CANVAS, instances)
    assert not (plain.image == 255).all(-1).any()


def test_no_response_is_no_tile():
    assert response_tiles(CANVAS, InstanceData()) == []
    empty = InstanceData(peak_response_maps=torch.zeros(0, 40, 60))
    assert response_tiles(CANVAS, empty) == []


@pytest.fixture
def peaky():
    """Three maps of one value each, and peaks of two of their classes."""
    result = WSLDataSample().set_pred_score([0.25, 0.75, 0.5])
    result.pred_map_labels = torch.tensor([2, 0, 1])
    maps = torch.tensor([0.2, 0.0, 0.1])[:, None, None].expand(3, 20, 30)
    result.pred_maps = PixelData(data=maps)
    result.pred_peaks = InstanceData(
        labels=torch.tensor([1, 0, 1]),
        scores=torch.tensor([3.0, 2.0, 1.0]),
        points=torch.tensor([[5.0, 5.0], [20.0, 10.0], [25.0, 15.0]]),
    )
    return result


def test_peaks_are_in_the_maps_of_their_classes(peaky):
    canvas = CANVAS._replace(classes='abc')
    tiles = class_map_tiles(canvas, peaky)
    assert [x.text for x in tiles] == ['b 0.75', 'c 0.50', 'a 0.25']
    white = [(x.image == 255).all(-1) for x in tiles]
    assert [x[10, 10] for x in white] == [True, False, False]
    assert [x[30, 50] for x in white] == [True, False, False]
    assert [x[20, 40] for x in white] == [False, False, True]
    assert not white[1].any()


def test_classes_with_peaks_are_shown_without_a_kept_map(peaky):
    """As classes are that are predicted, but not given by the labels."""
    peaky.pred_map_labels = torch.tensor([2])
    peaky.pred_maps = PixelData(data=peaky.pred_maps.data[:1])
    logits = torch.full((3, 4, 6), -1.0)
    logits[1, 0, 0] = 4
    peaky.pred_class_maps = PixelData(data=logits)
    peaky.set_gt_label([2], 3)
    canvas = CANVAS._replace(classes='abc')
    tiles = class_map_tiles(canvas, peaky)
    assert [x.text for x in tiles] == ['b 0.75', 'c 0.50', 'a 0.25']
    assert [x.color == WRONG for x in tiles] == [True, False, True]
    white = [(x.image == 255).all(-1) for x in tiles]
    assert [x[10, 10] for x in white] == [True, False, False]
    # Hot in the corner, relative to its maximum, and nowhere else.
    assert tiles[0].image[0, 0, 0] > tiles[0].image[0, 0, 2]
    assert tiles[0].image[-1, -1, 2] > tiles[0].image[-1, -1, 0]
    # The class without a positive value.
    np.testing.assert_array_equal(tiles[2].image[0, 0], tiles[0].image[-1, -1])


def test_only_the_best_classes(peaky):
    canvas = CANVAS._replace(classes='abc', max_classes=2)
    peaky.pop('pred_peaks')
    tiles = class_map_tiles(canvas, peaky)
    assert [x.text for x in tiles] == ['b 0.75', 'c 0.50']
    # "+1 more" stands in the corner of the last one.
    white = [(x.image == 255).all(-1).any() for x in tiles]
    assert white == [False, True]


def score_sample():
    result = WSLDataSample(metainfo=dict(ori_shape=(40, 50)))
    result.set_gt_label([1], 2)
    heat = torch.zeros(1, 40, 50)
    heat[:, 10:20, 10:30] = 1
    result.pred_score_map = PixelData(data=heat)
    result.pred_instances = InstanceData(
        bboxes=torch.tensor([[10.0, 10, 30, 20]]), labels=torch.tensor([1])
    )
    result.gt_instances = InstanceData(
        bboxes=torch.tensor([[40.0, 30, 50, 40], [10.0, 10, 30, 30]]),
        labels=torch.tensor([1, 1]),
    )
    return result


def test_tile_with_a_predicted_box():
    (tile,) = score_map_tiles(WIDE, score_sample())
    # Last pixels belong to boxes: 21 x 11 of 21 x 21.
    assert tile.text == 'dog map, IoU 0.52'
    assert tile.image[39, 58].tolist() == WHITE
    assert tile.image[59, 30].tolist() == MAGENTA
    (tile,) = score_map_tiles(BLIND, score_sample())
    assert tile.text == 'dog map'
    assert not (tile.image == MAGENTA).all(-1).any()


def plateaus():
    """A map of half the image's size; its best box is that of 0.8."""
    result = score_sample()
    result.pop('pred_instances')
    result.gt_instances = InstanceData(
        bboxes=torch.tensor([[8.0, 8, 24, 16]]), labels=torch.tensor([1])
    )
    heat = torch.zeros(1, 20, 25)
    heat[0, 2:12, 2:20] = 0.5
    heat[0, 4:9, 4:13] = 0.8
    heat[0, 5:6, 5:6] = 1
    result.pred_score_map = PixelData(data=heat)
    return result


def test_box_at_the_best_threshold():
    (tile,) = score_map_tiles(WIDE, plateaus())
    # 0.5 becomes the byte 127, above which the box of 0.8 is left: x from 4
    # to 13 and y from 4 to 9. The metric counts the last ones, 10 x 6
    # pixels, so the truth, 4 to 12 and 4 to 8, covers 45 of 60.
    assert tile.text == 'dog map, best IoU 0.75 at 0.50'
    top, left, right = 16, 16, 52
    for y, x in ((top, 36), (30, left), (30, right - 1)):
        assert tile.image[y, x].tolist() == WHITE
    (tile,) = score_map_tiles(BLIND, plateaus())
    assert tile.text == 'dog map'
    assert not (tile.image == WHITE).all(-1).any()


def test_box_at_a_given_threshold():
    (tile,) = score_map_tiles(WIDE._replace(box_threshold=0.9), plateaus())
    # 2 x 2 pixels of 9 x 5.
    assert tile.text == 'dog map, IoU 0.09 at 0.90'
    (tile,) = score_map_tiles(BLIND._replace(box_threshold=0.2), plateaus())
    assert tile.text == 'dog map at 0.20'
    assert tile.image[8, 40].tolist() == WHITE


def test_map_alone_and_none():
    canvas = WIDE._replace(classes=())
    one = score_sample()
    for name in ('pred_instances', 'gt_instances', 'gt_label'):
        one.pop(name)
    (tile,) = score_map_tiles(canvas, one)
    assert tile.text == 'score map'
    one.set_pred_score([0.1, 0.2, 0.7])
    one.pred_instances = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0).long()
    )
    (tile,) = score_map_tiles(canvas, one)
    assert tile.text == 'class 2 map'
    assert score_map_tiles(canvas, WSLDataSample()) == []


def test_outline_of_a_true_mask():
    one = score_sample()
    for name in ('pred_instances', 'gt_instances'):
        one.pop(name)
    mask = torch.zeros(1, 20, 20).long()
    mask[:, 5:15, 5:15] = 1
    mask[:, :3] = 255
    one.gt_loc_mask = PixelData(data=mask)
    (tile,) = score_map_tiles(WIDE, one)
    magenta = (tile.image == MAGENTA).all(-1)
    # Four and five pixels of the image for one of the mask.
    assert magenta[20, 50]
    assert magenta[59, 50]
    assert magenta[50, 25]
    assert not magenta[25:55, 30:70].any()
    assert not magenta[:18].any()
    (tile,) = score_map_tiles(BLIND, one)
    assert not (tile.image == MAGENTA).all(-1).any()


def density_sample(raw, counts=None, truth=None):
    """A density map of 4 x 4 cells a class, all of it in the first cell."""
    result = WSLDataSample()
    density = torch.zeros(len(raw), 4, 4)
    density[:, 0, 0] = torch.tensor(raw)
    result.pred_density = PixelData(data=density)
    if counts is not None:
        result.set_pred_count(counts)
    if truth is not None:
        result.set_gt_count(truth)
        result.set_gt_label(
            [c for c, number in enumerate(truth) if number], len(truth)
        )
    return result


def test_predicted_or_given_classes_only_largest_first():
    one = density_sample([2.7, 0.2, 1.1], [3, 0, 1], [4, 0, 1])
    tiles = density_tiles(CANVAS, one)
    assert [(x.text, x.color) for x in tiles] == [
        ('cat: 3 (raw 2.7), truth 4', WRONG),
        ('cow: 1 (raw 1.1), truth 1', BLACK),
    ]
    tiles = density_tiles(CANVAS._replace(use_truth=False), one)
    assert [(x.text, x.color) for x in tiles] == [
        ('cat: 3 (raw 2.7)', BLACK),
        ('cow: 1 (raw 1.1)', BLACK),
    ]


def test_missed_and_difficult_classes_are_shown():
    one = density_sample([0.1, 0.2, 0.3], [0, 0, 0], [0, 2, 0])
    # An image may be labelled with a class of difficult objects only.
    one.set_gt_label([0, 1], 3)
    texts = [x.text for x in density_tiles(CANVAS, one)]
    assert texts == ['dog: 0 (raw 0.2), truth 2', 'cat: 0 (raw 0.1), truth 0']


def test_without_counts_the_rounded_sums_are_them():
    texts = [
        x.text for x in density_tiles(CANVAS, density_sample([1.6, -3.0]))
    ]
    assert texts == ['cat: 2 (raw 1.6)']


def test_bright_where_the_density_is_and_faint_below_one_object():
    one = density_sample([3.0, 1.0, 0.1], [3, 1, 1])
    cat, dog, cow = (x.image for x in density_tiles(CANVAS, one))
    np.testing.assert_array_equal(cat, dog)
    light = [int(image[2, 2].max()) for image in (cat, cow)]
    assert light[0] > 180 > light[1]
    # The other corner shows the darkened photograph alone.
    assert cat[-1, -1].max() < 100


def test_many_classes():
    names = tuple(f'c{i}' for i in range(8))
    canvas = CANVAS._replace(classes=names, max_classes=3)
    one = density_sample(
        [float(8 - i) for i in range(8)], [8 - i for i in range(8)]
    )
    tiles = density_tiles(canvas, one)
    assert [x.text[:2] for x in tiles] == ['c0', 'c1', 'c2']
    (alone,) = density_tiles(canvas, density_sample([6.0], [6]))
    # A note in the corner of the last one says "+5 more".
    assert (tiles[2].image[-5:, -5:] != alone.image[-5:, -5:]).any()
    np.testing.assert_array_equal(tiles[2].image[:20], alone.image[:20])


def test_nothing_to_show():
    assert density_tiles(CANVAS, WSLDataSample()) == []
    assert density_tiles(CANVAS, density_sample([0.3, 0.0])) == []
    assert density_tiles(CANVAS, density_sample([float('nan')], [1]))
