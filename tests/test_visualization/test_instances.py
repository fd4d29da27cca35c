import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmwsl.visualization import draw_instances
from mmwsl.visualization.canvas import Canvas, instance_colors
from mmwsl.visualization.instances import (
    instance_tiles,
    resize_mask,
    score_text,
)

IMAGE = np.full((40, 60, 3), 100, np.uint8)
CANVAS = Canvas(IMAGE, 2.0, ('cat', 'dog'))


def masks(count=2):
    """Squares of 8 pixels at half the size of the picture."""
    result = np.zeros((count, 20, 30), bool)
    for index in range(count):
        result[index, 4:12, 4 + 2 * index : 12 + 2 * index] = True
    return result


def test_fill_outline_and_order():
    result = draw_instances(IMAGE, masks(), opacity=0.5)
    first, second = instance_colors(2).astype(int)
    # Inside both masks the better one lies on top of the other.
    below = (100 + second) // 2
    np.testing.assert_allclose(result[16, 18], (below + first) / 2, atol=1)
    np.testing.assert_allclose(result[16, 10], (100 + first) / 2, atol=1)
    assert result[16, 8].tolist() == first.tolist()
    assert result[16, 27].tolist() == second.tolist()
    assert (result[:7] == 100).all()
    assert (result[:, 30:] == 100).all()
    assert (IMAGE == 100).all()


def test_holes_are_outlined_and_stay_open():
    mask = np.ones((1, 40, 60), bool)
    mask[:, 15:25, 20:40] = False
    result = draw_instances(IMAGE, mask)
    color = instance_colors(1)[0].tolist()
    assert result[14, 30].tolist() == color
    assert (result[20, 30] == 100).all()


def test_no_instance_and_empty_mask():
    for none in (masks(0), np.zeros((1, 20, 30), bool)):
        result = draw_instances(IMAGE, none)
        np.testing.assert_array_equal(result, IMAGE)
    labelled = draw_instances(IMAGE, np.zeros((1, 20, 30), bool), ['cat'])
    assert (labelled != IMAGE).any()


@pytest.mark.parametrize('size', [(4, 4), (5, 5), (10, 10), (17, 23)])
def test_resized_mask_keeps_its_area(size):
    mask = np.zeros((10, 10), bool)
    mask[:, :5] = True
    resized = resize_mask(mask, *size)
    assert resized.shape == size
    assert abs(resized.mean() - 0.5) <= 0.5 / size[1]


def test_tile_names_the_instances():
    plain = draw_instances(IMAGE, masks())
    instances = InstanceData(
        masks=torch.from_numpy(masks()), labels=torch.tensor([1, 0])
    )
    (tile,) = instance_tiles(CANVAS, instances, 'truth: ', 10)
    assert tile.text == 'truth: 2 instances'
    named = draw_instances(IMAGE, masks(), ['dog', 'cat'])
    np.testing.assert_array_equal(tile.image, named)
    assert (named != plain).any()
    instances.scores = torch.tensor([0.756, 1e-4])
    instances.difficult = torch.tensor([False, True])
    (tile,) = instance_tiles(CANVAS, instances, '', 10)
    named = draw_instances(
        IMAGE, masks(), ['dog 0.76', 'cat 1e-04 (difficult)']
    )
    np.testing.assert_array_equal(tile.image, named)


def test_only_the_best_instances():
    instances = InstanceData(
        masks=torch.from_numpy(masks(6)), labels=torch.zeros(6).long()
    )
    (tile,) = instance_tiles(CANVAS, instances, '', 1)
    assert tile.text == '1 instance (+5 more)'
    expected = draw_instances(IMAGE, masks(1), ['cat'])
    np.testing.assert_array_equal(tile.image, expected)


def test_no_instance_is_said_and_no_mask_is_no_tile():
    empty = InstanceData(
        masks=torch.zeros(0, 20, 30).bool(),
        labels=torch.zeros(0).long(),
        scores=torch.zeros(0),
    )
    (tile,) = instance_tiles(CANVAS, empty, 'predicted: ', 10)
    assert tile.text == 'predicted: 0 instances'
    np.testing.assert_array_equal(tile.image, IMAGE)
    boxes = InstanceData(bboxes=torch.zeros(1, 4), labels=torch.tensor([0]))
    assert instance_tiles(CANVAS, boxes, '', 10) == []


@pytest.mark.parametrize(
    ('score', 'text'),
    [
        (0.0, '0.00'),
        (0.834, '0.83'),
        (-1.5, '-1.50'),
        (0.01, '0.01'),
        (0.004, '4e-03'),
        (12.345, '12.3'),
        (2e-5, '2e-05'),
    ],
)
def test_scores_in_few_letters(score, text):
    assert score_text(score) == text


def test_mmdet_visualizer_draws_predicted_instances(tmp_path):
    visualization = pytest.importorskip('mmdet.visualization')
    from mmwsl.structures import WSLDataSample

    sample = WSLDataSample()
    sample.pred_instances = InstanceData(
        masks=torch.from_numpy(masks()),
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
