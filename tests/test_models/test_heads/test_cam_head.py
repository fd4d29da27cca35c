"""Tests of the CAM head and of the way from views to scores and maps."""

import math
from typing import Any, List

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData

from mmwsl.models.heads import CAMHead
from mmwsl.models.heads.cam_head import (
    global_pool,
    merge_views,
    normalize_maps,
    score_map,
    valid_cells,
)
from mmwsl.structures import WSLDataSample

# Two channels, (1, 2, 2, 2): with weight 1 each channel is a class map.
FEATURE = torch.tensor(
    [[[[4.0, 0.0], [0.0, 0.0]], [[-1.0, -1.0], [-1.0, -5.0]]]]
)


def make_head(**kwargs: Any) -> CAMHead:
    head = CAMHead(num_classes=2, in_channels=2, **kwargs)
    with torch.no_grad():
        head.classifier.weight.copy_(torch.eye(2)[:, :, None, None])
        head.classifier.bias.zero_()
    return head


def make_sample(labels: List[int], num_classes: int = 2) -> WSLDataSample:
    sample = WSLDataSample(
        metainfo=dict(img_id='a', ori_shape=(2, 2), img_shape=(2, 2))
    )
    return sample.set_gt_label(labels, num_classes)


def test_forward_and_scores() -> None:
    head = make_head()
    maps = head((FEATURE,))
    assert torch.equal(maps, FEATURE)
    assert head.scores(maps).tolist() == [[1.0, -2.0]]
    assert make_head(pooling='max').scores(maps).tolist() == [[4.0, -1.0]]


def test_in_index() -> None:
    head = make_head(in_index=0)
    assert torch.equal(head((FEATURE, FEATURE + 1)), FEATURE)


def test_loss() -> None:
    losses = make_head().loss((FEATURE,), [make_sample([0])])
    expected = (torch.tensor([-1.0, -2.0]).exp().log1p()).mean()
    assert list(losses) == ['loss_cls']
    assert losses['loss_cls'].item() == pytest.approx(expected.item())


def test_single_label_loss() -> None:
    head = make_head(multi_label=False)
    losses = head.loss((FEATURE,), [make_sample([1])])
    expected = torch.log1p(torch.tensor(3.0).exp())
    assert losses['loss_cls'].item() == pytest.approx(expected.item())
    with pytest.raises(ValueError, match='a: the image has 2 classes'):
        head.loss((FEATURE,), [make_sample([0, 1])])


def test_prediction_of_given_classes() -> None:
    (sample,) = make_head().predict((FEATURE,), [make_sample([0])])
    assert sample.pred_score.tolist() == pytest.approx(
        [0.7310586, 0.1192029], abs=1e-6
    )
    assert sample.pred_label.tolist() == [0]
    assert sample.pred_map_labels.tolist() == [0]
    assert sample.pred_maps.data.tolist() == [[[1.0, 0.0], [0.0, 0.0]]]
    assert sample.pred_sem_seg.data.tolist() == [[[1, 0], [0, 0]]]


@pytest.mark.parametrize(
    ('keep', 'labels'), [('given', [1]), ('predicted', [0]), ('all', [0, 1])]
)
def test_which_classes_are_kept(keep: str, labels: List[int]) -> None:
    (sample,) = make_head(keep=keep).predict((FEATURE,), [make_sample([1])])
    assert sample.pred_map_labels.tolist() == labels
    assert sample.pred_maps.data.shape == (len(labels), 2, 2)


def test_no_class_kept() -> None:
    head = make_head(score_threshold=0.9999)
    (sample,) = head.predict((FEATURE,), [make_sample([])])
    assert sample.pred_maps.data.shape == (0, 2, 2)
    assert sample.pred_sem_seg.data.tolist() == [[[0, 0], [0, 0]]]


def test_thresholds_of_each_class() -> None:
    """The scores are 0.73 and 0.12; the second map is negative."""
    head = make_head(score_threshold=[0.8, 0.1], background_value=[0.3, 0.3])
    (sample,) = head.predict((FEATURE,), [make_sample([0])])
    assert sample.pred_label.tolist() == [1]
    assert sample.pred_sem_seg.data.tolist() == [[[1, 0], [0, 0]]]
    head.background_value = [1.0, 0.0]
    (sample,) = head.predict((FEATURE,), [make_sample([0])])
    # A map is nowhere above 1.
    assert not sample.pred_sem_seg.data.any()


@pytest.mark.parametrize('name', ['score_threshold', 'background_value'])
@pytest.mark.parametrize('value', [[0.5], [0.5, 'a'], 'a', None])
def test_thresholds_fit_the_classes(name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=name):
        make_head(**{name: value})


def test_images_without_labels_take_the_predicted_classes() -> None:
    (sample,) = make_head().predict((FEATURE,), [make_sample([])])
    assert sample.pred_map_labels.tolist() == sample.pred_label.tolist() != []


def test_a_negative_map_stays_zero() -> None:
    (sample,) = make_head().predict((FEATURE,), [make_sample([1])])
    assert sample.pred_maps.data.abs().sum() == 0


def test_single_label_prediction() -> None:
    head = make_head(multi_label=False, keep='predicted')
    (sample,) = head.predict((FEATURE,), [make_sample([1])])
    assert sample.pred_score.sum().item() == pytest.approx(1)
    assert sample.pred_label.tolist() == [0]


def test_views_average_probabilities_and_rectified_maps() -> None:
    head = make_head()
    views = [FEATURE, FEATURE - 2]
    (sample,) = head.predict_views(views, [make_sample([0])])
    logits = torch.tensor([[1.0, -2.0], [-1.0, -4.0]])
    expected = logits.sigmoid().mean(0).tolist()
    assert sample.pred_score.tolist() == pytest.approx(expected, abs=1e-6)
    assert sample.pred_maps.data.tolist() == [[[1.0, 0.0], [0.0, 0.0]]]


def test_backgrounds() -> None:
    head = make_head(background='saliency')
    sample = make_sample([0])
    sample.saliency = PixelData(data=torch.tensor([[[0.1, 1.0], [0.0, 0.0]]]))
    feature = torch.tensor([[[[4.0, 1.0], [0.0, 0.0]], [[0.0] * 2] * 2]])
    (sample,) = head.predict((feature,), [sample])
    # Scores 1 and 0.25 against backgrounds 0.9 and 0.
    assert sample.pred_sem_seg.data.tolist() == [[[1, 1], [0, 0]]]
    head = make_head(background='power', background_value=1.0)
    (sample,) = head.predict((feature,), [make_sample([0])])
    assert sample.pred_sem_seg.data.tolist() == [[[1, 0], [0, 0]]]


def test_padding_takes_no_part() -> None:
    head = make_head()
    sample = make_sample([0])
    sample.set_metainfo(dict(img_shape=(2, 1), batch_input_shape=(2, 2)))
    feature = torch.tensor([[[[2.0, 9.0], [1.0, 9.0]], [[0.0] * 2] * 2]])
    (sample,) = head.predict((feature,), [sample])
    assert sample.pred_maps.data.tolist() == [[[1.0, 1.0], [0.5, 0.5]]]
    # The score is the mean of 2 and 1, whatever the padding holds.
    expected = torch.tensor(1.5).sigmoid().item()
    assert sample.pred_score[0].item() == pytest.approx(expected)


def test_a_mirrored_image_gives_maps_of_the_original() -> None:
    sample = make_sample([0])
    sample.set_metainfo(dict(flip=True, flip_direction='horizontal'))
    (sample,) = make_head().predict((FEATURE,), [sample])
    assert sample.pred_maps.data.tolist() == [[[0.0, 1.0], [0.0, 0.0]]]


@pytest.mark.parametrize(
    'kwargs',
    [dict(pooling='sum'), dict(keep='none'), dict(background='mean')],
)
def test_unknown_choices(kwargs: Any) -> None:
    (name,) = kwargs
    with pytest.raises(ValueError, match=f'^{name} must be one of'):
        make_head(**kwargs)


def test_labels_of_another_number_of_classes() -> None:
    with pytest.raises(ValueError, match='has 3 classes, .*num_classes=2'):
        make_head().loss((FEATURE,), [make_sample([0], num_classes=3)])
    with pytest.raises(ValueError, match='no image labels'):
        make_head().loss((FEATURE,), [WSLDataSample()])


def test_checkpoint_of_another_number_of_classes() -> None:
    other = CAMHead(num_classes=3, in_channels=2).state_dict()
    with pytest.raises(ValueError, match='trained for 3 classes'):
        make_head().load_state_dict(other, strict=False)


def test_dropout_only_in_training() -> None:
    head = make_head(dropout=0.999)
    assert torch.equal(head.eval()((FEATURE,)), FEATURE)
    assert head.train()((FEATURE,)).abs().sum() == 0


def test_views_are_rectified_before_they_are_averaged() -> None:
    first = torch.tensor([[[-4.0, 2.0]]])
    second = torch.tensor([[[1.0, 4.0]]])
    merged = merge_views([first, second], (1, 2), *FULL)
    assert merged.tolist() == [[[0.5, 3.0]]]


def test_padding_is_cut_off() -> None:
    view = torch.arange(16.0).reshape(1, 4, 4)
    merged = merge_views([view], (2, 3), (2, 3), (4, 4))
    assert merged.tolist() == [[[0.0, 1.0, 2.0], [4.0, 5.0, 6.0]]]


def test_an_image_that_ends_inside_a_cell_keeps_its_geometry() -> None:
    """The padded map, cut by hand, is what an unpadded one would be."""
    ramp = torch.linspace(0, 1, 320)[None, None].expand(1, 32, 320)
    cells = torch.nn.functional.avg_pool2d(ramp[None], 32)[0]
    merged = merge_views([cells], (32, 240), (32, 240), (32, 320))
    assert merged.shape == (1, 32, 240)
    # Away from the ends, where interpolation is flat, the ramp is found.
    assert torch.allclose(merged[0, :, 20:220], ramp[0, :, 20:220], atol=1e-3)


@pytest.mark.parametrize(
    ('image', 'cells'), [(320, 10), (240, 8), (224, 7), (225, 8), (1, 1)]
)
def test_cells_that_see_the_image(image: int, cells: int) -> None:
    maps = torch.zeros(3, 2, 10)
    assert valid_cells(maps, (64, image), (64, 320)).shape == (3, 2, cells)


def test_resizing_interpolates() -> None:
    view = torch.tensor([[[0.0, 1.0]]])
    merged = merge_views([view], (1, 4), *FULL)
    assert merged.flatten().tolist() == [0.0, 0.25, 0.75, 1.0]


def test_half_precision_views_give_single_precision() -> None:
    view = torch.ones(1, 2, 2).half()
    assert merge_views([view], (4, 4), *FULL).dtype == torch.float32


def test_no_class_kept_in_views() -> None:
    merged = merge_views([torch.zeros(0, 2, 2)], (4, 6), *FULL)
    assert normalize_maps(merged).shape == (0, 4, 6)


def test_normalisation() -> None:
    maps = torch.tensor([[[1.0, 4.0]], [[0.0, 0.0]], [[1e-9, 0.0]]])
    normalized = normalize_maps(maps)
    assert normalized[0].tolist() == [[0.25, 1.0]]
    assert normalized[1:].abs().sum() == 0


FULL = ((64, 64), (64, 64))


def test_equals_opencv():
    torch.manual_seed(0)
    view = torch.randn(7, 9)
    found = score_map([view], 24, *FULL)
    expected = cv2.resize(
        view.numpy(), (24, 24), interpolation=cv2.INTER_CUBIC
    )
    expected = (expected - expected.min()) / np.ptp(expected)
    assert np.allclose(found, expected, atol=1e-5)
    assert found.min() == 0
    assert found.max() == 1


def test_views_and_padding():
    view = torch.tensor([[1.0, 2.0, 9.0], [3.0, 4.0, 9.0]])
    # The last column sees padding only.
    found = score_map([view, view + 2], 2, (64, 40), (64, 60))
    assert torch.allclose(found, torch.tensor([[0, 1.0], [2, 3]]) / 3)


@pytest.mark.parametrize('value', [0.0, 0.1, -3.3])
def test_constant_map(value):
    assert score_map([torch.full((5, 5), value)], 16, *FULL).eq(0).all()


def test_of_the_given_class_else_of_the_best():
    head = CAMHead(2, 2, multi_label=False, keep='all', score_map_size=2)
    with torch.no_grad():
        head.classifier.weight.copy_(torch.eye(2)[:, :, None, None])
        head.classifier.bias.zero_()
    maps = torch.tensor([[[[0.0, -1.0]] * 2, [[4.0, 6.0]] * 2]])

    def predict(labels, **meta):
        meta.update(img_id='a', ori_shape=(4, 4), img_shape=(4, 4))
        sample = WSLDataSample(metainfo=meta)
        if labels is not None:
            sample.set_gt_label(labels, 2)
        (sample,) = head.predict((maps,), [sample])
        return sample.pred_score_map.data.tolist()

    assert predict([0]) == [[[1.0, 0.0]] * 2]
    assert predict([1]) == [[[0.0, 1.0]] * 2]
    assert predict([1], flip_direction='horizontal') == [[[1.0, 0.0]] * 2]
    assert predict(None) == predict([0, 1]) == [[[0.0, 1.0]] * 2]
    head.score_map_size = None
    with pytest.raises(AttributeError):
        predict([0])


MAPS = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [0.0, -4.0]]]])


def test_average_and_maximum() -> None:
    assert global_pool(MAPS, 'avg').tolist() == [[3.0, -1.0]]
    assert global_pool(MAPS, 'max').tolist() == [[6.0, 0.0]]


def test_log_sum_exp() -> None:
    expected = math.log(sum(math.exp(2 * v) for v in (1, 2, 3, 6)) / 4) / 2
    pooled = global_pool(MAPS, 'lse', sharpness=2.0)
    assert pooled[0, 0].item() == pytest.approx(expected, rel=1e-6)


def test_log_sum_exp_limits_and_range() -> None:
    mean = global_pool(MAPS.double(), 'lse', 1e-6)
    assert torch.allclose(mean, MAPS.double().mean((2, 3)), atol=1e-4)
    top = global_pool(1e4 * MAPS, 'lse', 50.0)
    assert torch.allclose(top, 1e4 * MAPS.amax((2, 3)), atol=1.0)
