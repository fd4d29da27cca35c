"""Tests of the CAM head on features that can be followed by hand."""

from typing import Any, List

import pytest
import torch
from mmengine.structures import PixelData

from mmwsl.models.heads import CAMHead
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
