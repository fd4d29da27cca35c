import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData

from mmwsl.structures import WSLDataSample
from mmwsl.visualization import draw_score_map, heatmap_overlay
from mmwsl.visualization.canvas import Canvas
from mmwsl.visualization.score_map import score_map_tiles

IMAGE = np.full((80, 100, 3), 90, np.uint8)
WHITE, MAGENTA = [255, 255, 255], [255, 60, 255]


def sample():
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


def test_boxes_lie_over_the_heat_map():
    heat = np.ones((4, 5), np.float32)
    result = draw_score_map(
        IMAGE, heat, np.array([[10, 10, 90, 40]]), np.array([[5, 50, 95, 70]])
    )
    assert result[39, 50].tolist() == WHITE
    assert result[69, 50].tolist() == MAGENTA
    np.testing.assert_array_equal(result[45], heatmap_overlay(IMAGE, heat)[45])
    plain = draw_score_map(IMAGE, heat)
    np.testing.assert_array_equal(plain, heatmap_overlay(IMAGE, heat))


def test_tile_with_a_predicted_box():
    canvas = Canvas(IMAGE, 2.0, ('cat', 'dog'))
    (tile,) = score_map_tiles(canvas, sample(), True)
    # Last pixels belong to boxes: 21 x 11 of 21 x 21.
    assert tile.text == 'dog map, IoU 0.52'
    assert tile.image[39, 58].tolist() == WHITE
    assert tile.image[59, 30].tolist() == MAGENTA
    (tile,) = score_map_tiles(canvas, sample(), False)
    assert tile.text == 'dog map'
    assert not (tile.image == MAGENTA).all(-1).any()


def plateaus():
    """A map of half the image's size; its best box is that of 0.8."""
    result = sample()
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
    canvas = Canvas(IMAGE, 2.0, ('cat', 'dog'))
    (tile,) = score_map_tiles(canvas, plateaus(), True)
    # 0.5 becomes the byte 127, above which the box of 0.8 is left: x from 4
    # to 13 and y from 4 to 9. The metric counts the last ones, 10 x 6
    # pixels, so the truth, 4 to 12 and 4 to 8, covers 45 of 60.
    assert tile.text == 'dog map, best IoU 0.75 at 0.50'
    top, left, bottom, right = 16, 16, 36, 52
    for y, x in ((top, 36), (bottom - 1, 36), (30, left), (30, right - 1)):
        assert tile.image[y, x].tolist() == WHITE
    (tile,) = score_map_tiles(canvas, plateaus(), False)
    assert tile.text == 'dog map'
    assert not (tile.image == WHITE).all(-1).any()


def test_box_at_a_given_threshold():
    canvas = Canvas(IMAGE, 2.0, ('cat', 'dog'))
    (tile,) = score_map_tiles(canvas, plateaus(), True, 0.9)
    # 2 x 2 pixels of 9 x 5.
    assert tile.text == 'dog map, IoU 0.09 at 0.90'
    (tile,) = score_map_tiles(canvas, plateaus(), False, 0.2)
    assert tile.text == 'dog map at 0.20'
    assert tile.image[8, 40].tolist() == WHITE


def test_map_alone_and_none():
    canvas = Canvas(IMAGE, 2.0)
    one = sample()
    for name in ('pred_instances', 'gt_instances', 'gt_label'):
        one.pop(name)
    (tile,) = score_map_tiles(canvas, one, True)
    assert tile.text == 'score map'
    one.set_pred_score([0.1, 0.2, 0.7])
    one.pred_instances = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0).long()
    )
    (tile,) = score_map_tiles(canvas, one, True)
    assert tile.text == 'class 2 map'
    assert score_map_tiles(canvas, WSLDataSample(), True) == []


def test_outline_of_a_true_mask():
    canvas = Canvas(IMAGE, 2.0, ('cat', 'dog'))
    one = sample()
    for name in ('pred_instances', 'gt_instances'):
        one.pop(name)
    mask = torch.zeros(1, 20, 20).long()
    mask[:, 5:15, 5:15] = 1
    mask[:, :3] = 255
    one.gt_loc_mask = PixelData(data=mask)
    (tile,) = score_map_tiles(canvas, one, True)
    magenta = (tile.image == MAGENTA).all(-1)
    # Four and five pixels of the image for one of the mask.
    assert magenta[20, 50]
    assert magenta[59, 50]
    assert magenta[50, 25]
    assert not magenta[25:55, 30:70].any()
    assert not magenta[:18].any()
    (tile,) = score_map_tiles(canvas, one, False)
    assert not (tile.image == MAGENTA).all(-1).any()
