import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mmwsl.registry import VISUALIZERS
from mmwsl.structures import WSLDataSample
from mmwsl.visualization import WSLVisualizer
from mmwsl.visualization.visualizer import batch_images, input_image

META = {'classes': ('cat', 'dog'), 'palette': [[250, 0, 0], [0, 250, 0]]}
IMAGE = np.full((20, 30, 3), 100, np.uint8)


@pytest.fixture
def visualizer():
    result = WSLVisualizer(shortest=40, longest=60)
    result.dataset_meta = META
    return result


def sample(truth=True):
    result = WSLDataSample(metainfo={'img_id': 'x/1'})
    result.set_gt_label([0], 2).set_pred_score([0.25, 0.75])
    maps = torch.zeros(2, 20, 30)
    maps[0, :, :15] = 1
    result.pred_maps = PixelData(data=maps)
    result.pred_map_labels = torch.tensor([0, 1])
    result.pred_sem_seg = PixelData(data=torch.ones(1, 20, 30).long())
    if truth:
        mask = torch.zeros(1, 20, 30).long()
        mask[:, 10:] = 2
        result.gt_sem_seg = PixelData(data=mask)
        result.gt_instances = InstanceData(
            bboxes=torch.tensor([[0.0, 10.0, 30.0, 20.0]]),
            labels=torch.tensor([1]),
        )
    return result


def test_tiles_in_order(visualizer):
    tiles = visualizer.draw_tiles(IMAGE, sample())
    assert [x.text for x in tiles] == [
        'x/1',
        'truth: cat',
        'prediction',
        'dog 0.75',
        'cat 0.25',
    ]
    assert {x.image.shape for x in tiles} == {(40, 60, 3)}
    # dog is not among the given labels.
    assert tiles[3].color != tiles[4].color
    truth, prediction, cat = tiles[1].image, tiles[2].image, tiles[4].image
    assert (truth[5, 30] == 100).all()
    assert truth[30, 30, 1] > 150
    # The box is drawn at display size, its lines in the full colour.
    assert truth[20, 30].tolist() == [0, 250, 0]
    assert (prediction[..., 0] > 150).all()
    assert int(cat[20, 5, 0]) > int(cat[20, 55, 0])


def test_parts_can_be_left_out(visualizer):
    one = sample()
    texts = [
        x.text for x in visualizer.draw_tiles(IMAGE, one, draw_pred=False)
    ]
    assert texts == ['x/1', 'truth: cat']
    tiles = visualizer.draw_tiles(IMAGE, one, draw_gt=False)
    assert 'truth: cat' not in [x.text for x in tiles]
    assert len({x.color for x in tiles}) == 1


def test_without_masks_the_labels_stand_at_the_input(visualizer):
    tiles = visualizer.draw_tiles(IMAGE, sample(truth=False))
    assert [x.text for x in tiles[:2]] == ['x/1: cat', 'prediction']


def test_instances_counts_and_score_map(visualizer):
    one = sample().set_gt_count([1, 0]).set_pred_count([2, 0])
    masks = torch.zeros(3, 20, 30).bool()
    masks[:, 5:15, 5:15] = True
    one.gt_instances.masks = masks[:1]
    one.pred_instances = InstanceData(
        labels=torch.tensor([0, 1, 0]),
        scores=torch.tensor([0.9, 0.5, 0.1]),
        masks=masks,
        bboxes=torch.tensor([[5.0, 5, 15, 15]] * 3),
        peaks=torch.tensor([[10.0, 10]] * 3),
        peak_response_maps=masks / 100,
    )
    density = torch.zeros(2, 4, 6)
    density[0, 1, 1] = 1.6
    one.pred_density = PixelData(data=density)
    one.pred_score_map = PixelData(data=torch.rand(1, 20, 30))
    visualizer.max_instances = 2
    texts = [x.text for x in visualizer.draw_tiles(IMAGE, one)]
    assert texts == [
        'x/1',
        'truth: cat',
        'truth: 1 instance',
        'prediction',
        'predicted: 2 instances (+1 more)',
        '2 peak responses (+1 more)',
        'cat map, IoU 0.17',
        'dog 0.75',
        'cat 0.25',
        'cat: 2 (raw 1.6), truth 1',
    ]
    visualizer.max_classes = 1
    tiles = visualizer.draw_tiles(IMAGE, one, draw_gt=False)
    texts = [x.text for x in tiles]
    assert texts[4:] == ['cat map', 'dog 0.75', 'cat: 2 (raw 1.6)']
    assert {x.image.shape for x in tiles} == {(40, 60, 3)}


def test_true_instances_need_no_label_map(visualizer):
    one = sample()
    one.pop('gt_sem_seg')
    one.gt_instances.masks = torch.ones(1, 20, 30).bool()
    texts = [
        x.text for x in visualizer.draw_tiles(IMAGE, one, draw_pred=False)
    ]
    assert texts == ['x/1', 'truth: 1 instance']


def test_image_alone_and_no_kept_map(visualizer):
    assert len(visualizer.draw_tiles(IMAGE)) == 1
    empty = WSLDataSample()
    empty.pred_maps = PixelData(data=torch.zeros(0, 20, 30))
    empty.pred_map_labels = torch.zeros(0).long()
    assert len(visualizer.draw_tiles(IMAGE, empty)) == 1


def test_unknown_class_names():
    plain = WSLVisualizer()
    texts = [x.text for x in plain.draw_tiles(IMAGE, sample())]
    assert 'class 1 0.75' in texts


def test_panel_is_written(visualizer, tmp_path):
    path = tmp_path / 'x' / '1.png'
    visualizer.add_datasample('x/1', IMAGE, sample(), out_file=str(path))
    picture = cv2.imread(str(path))
    assert picture.shape[1] == 5 * 60 + 6 * 4
    # The first tile is the input.
    assert (picture[-44:-4, 4:64] == 100).all()


def test_without_file_the_backends_get_the_panel(tmp_path):
    visualizer = VISUALIZERS.build(
        dict(
            type='WSLVisualizer',
            name='local',
            vis_backends=[dict(type='LocalVisBackend')],
            save_dir=str(tmp_path),
        )
    )
    visualizer.add_datasample('x/1', IMAGE, sample(), step=3)
    assert (tmp_path / 'vis_data/vis_image/x_1_3.png').is_file()


def test_show_without_display_is_an_error(visualizer, monkeypatch):
    monkeypatch.setattr('matplotlib.pyplot.get_backend', lambda: 'agg')
    with pytest.raises(ValueError, match='no display.*--show-dir'):
        visualizer.add_datasample('x', IMAGE, sample(), show=True)


def packed(**meta):
    return WSLDataSample(metainfo=meta)


def image_tensor(height=4, width=6):
    """Blue in the left half, red in the right one, as BGR."""
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    image[0, :, : width // 2] = 250
    image[2, :, width // 2 :] = 250
    return image


def is_blue_left(image):
    return image[0, 0].tolist() == [0, 0, 250] and (
        image[0, -1].tolist() == [250, 0, 0]
    )


@pytest.mark.parametrize('stacked', [False, True])
def test_bgr_inputs_become_rgb_images(stacked):
    inputs = [image_tensor(), image_tensor()]
    inputs = torch.stack(inputs) if stacked else inputs
    outputs = [packed(ori_shape=(4, 6)), packed(ori_shape=(8, 12))]
    images = batch_images({'inputs': inputs}, outputs)
    assert [x.shape for x in images] == [(4, 6, 3), (8, 12, 3)]
    assert all(x.dtype == np.uint8 and is_blue_left(x) for x in images)


def test_padding_is_cut_and_flip_undone():
    padded = torch.zeros(3, 8, 8, dtype=torch.uint8)
    padded[:, :4, :6] = image_tensor().flip(-1)
    one = packed(
        ori_shape=(4, 6),
        img_shape=(4, 6),
        flip=True,
        flip_direction='horizontal',
    )
    image = batch_images({'inputs': [padded], 'data_samples': [one]}, [one])[0]
    assert image.shape == (4, 6, 3)
    assert is_blue_left(image)


def test_unflipped_view_of_augmented_inputs():
    views = [[image_tensor().flip(-1)], [image_tensor(8, 12)]]
    samples = [
        [packed(flip=True, flip_direction='horizontal', img_shape=(4, 6))],
        [packed(flip=False, img_shape=(8, 12))],
    ]
    batch = {'inputs': views, 'data_samples': samples}
    image = batch_images(batch, [packed(ori_shape=(4, 6))])[0]
    assert image.shape == (4, 6, 3)
    assert is_blue_left(image)


def test_grey_and_float_inputs():
    grey = torch.full((1, 2, 2), 300.0)
    image = batch_images({'inputs': [grey]}, [packed()])[0]
    assert image.tolist() == [[[255] * 3] * 2] * 2


def test_input_as_the_network_sees_it():
    padded = torch.zeros(3, 8, 8, dtype=torch.uint8)
    padded[:, :4, :6] = image_tensor().flip(-1)
    one = packed(
        ori_shape=(40, 60),
        img_shape=(4, 6),
        flip=True,
        flip_direction='horizontal',
    )
    image = input_image(padded, one)
    assert image.shape == (4, 6, 3)
    assert is_blue_left(image[:, ::-1])
