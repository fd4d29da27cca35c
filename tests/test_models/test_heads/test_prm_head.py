"""Tests of the PRM head on features that can be followed by hand."""

from typing import Any, List, Tuple

import pytest
import torch
from torch import Tensor, nn

from mmwsl.models.heads import PRMHead
from mmwsl.models.heads.peak_instances import restore_responses
from mmwsl.registry import MODELS
from mmwsl.structures import Proposals, WSLDataSample
from peak_stubs import HalfMaximum, stub_cfg

# Two channels, (1, 2, 3, 3): with weight 1 each channel is a class map.
FEATURE = torch.tensor(
    [
        [
            [[4.0, 0.0, 2.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
            [[-1.0, -2.0, -2.0], [-2.0, -2.0, -2.0], [-2.0, -2.0, -2.0]],
        ]
    ]
)


def make_head(**kwargs: Any) -> PRMHead:
    head = PRMHead(num_classes=2, in_channels=2, **{**stub_cfg(), **kwargs})
    with torch.no_grad():
        head.classifier.weight.copy_(torch.eye(2)[:, :, None, None])
        head.classifier.bias.zero_()
    return head


def make_sample(labels: List[int], **metainfo: Any) -> WSLDataSample:
    metainfo = dict(dict(ori_shape=(6, 6), img_shape=(6, 6)), **metainfo)
    sample = WSLDataSample(metainfo=dict(img_id='a', **metainfo))
    return sample.set_gt_label(labels, 2)


class Enlarge(nn.Module):
    """Class maps of images whose cells are 2 x 2 pixels of a channel."""

    def forward(self, inputs: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(inputs[:, :2], 2)


def make_image(feature: Tensor = FEATURE) -> Tensor:
    image = feature.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return torch.cat([image, image[:, :1] * 0], dim=1)


def test_it_is_registered() -> None:
    cfg = dict(type='PRMHead', num_classes=2, in_channels=2, **stub_cfg())
    assert isinstance(MODELS.build(cfg), PRMHead)


def test_scores_are_means_of_peaks() -> None:
    head = make_head()
    assert head.scores(FEATURE).tolist() == [[3.0, -1.0]]
    assert make_head(threshold='max').scores(FEATURE).tolist() == [[4.0, -1.0]]
    assert make_head(window=5).scores(FEATURE).tolist() == [[4.0, -1.0]]


@pytest.mark.parametrize('average_gradient', [True, False])
def test_the_loss_reaches_peaks_only(average_gradient: bool) -> None:
    head = make_head(average_gradient=average_gradient)
    feature = FEATURE.clone().requires_grad_()
    losses = head.loss((feature,), [make_sample([0])])
    logits = torch.tensor([3.0, -1.0])
    expected = nn.functional.binary_cross_entropy_with_logits(
        logits, torch.tensor([1.0, 0.0])
    )
    assert list(losses) == ['loss_cls']
    assert losses['loss_cls'].item() == pytest.approx(expected.item())
    losses['loss_cls'].backward()
    assert feature.grad is not None
    weight = 0.5 if average_gradient else 1.0
    slope = weight * (torch.sigmoid(logits[0]) - 1) / 2
    expected_grad = torch.zeros(3, 3)
    expected_grad[0, 0] = expected_grad[0, 2] = slope
    assert torch.allclose(feature.grad[0, 0], expected_grad)


@pytest.mark.parametrize('labels', [[], [0], [0, 1]])
@pytest.mark.parametrize('threshold', ['median', 1e9], ids=['', 'no_peaks'])
def test_losses_are_finite_with_a_graph(
    labels: List[int], threshold: Any
) -> None:
    for feature in (FEATURE, 0 * FEATURE, FEATURE[..., :1, :1]):
        head = make_head(threshold=threshold)
        loss = head.loss((feature,), [make_sample(labels)])['loss_cls']
        assert loss.isfinite()
        loss.backward()
        for parameter in head.classifier.parameters():
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()


def test_prediction_adds_peaks_and_class_maps() -> None:
    (sample,) = make_head().predict((FEATURE,), [make_sample([1])])
    assert sample.pred_score.tolist() == pytest.approx(
        [0.9525741, 0.2689414], abs=1e-6
    )
    # Maps are those of the given class, peaks of the predicted one.
    assert sample.pred_map_labels.tolist() == [1]
    assert torch.equal(sample.pred_class_maps.data, FEATURE[0])
    assert sample.pred_peaks.labels.tolist() == [0, 0]
    assert sample.pred_peaks.scores.tolist() == [4.0, 2.0]
    assert sample.pred_peaks.points.tolist() == [[1.0, 1.0], [5.0, 1.0]]


@pytest.mark.parametrize(
    ('classes', 'labels'),
    [('given', [1]), ('predicted', [0, 0]), ('all', [0, 0, 1])],
)
def test_classes_of_peaks(classes: str, labels: List[int]) -> None:
    head = make_head(peaks=dict(classes=classes))
    (sample,) = head.predict((FEATURE,), [make_sample([1])])
    assert sample.pred_peaks.labels.tolist() == labels


def test_peaks_have_their_own_window() -> None:
    head = make_head(peaks=dict(window=5), threshold=None)
    assert head.peak_instances.choice.window == 5
    assert head.peak_instances.choice.threshold is None
    (sample,) = head.predict((FEATURE,), [make_sample([1])])
    assert sample.pred_peaks.scores.tolist() == [4.0]
    assert head.scores(FEATURE)[0, 0] < 4


def test_views_are_averaged() -> None:
    finer = nn.functional.interpolate(FEATURE, scale_factor=3) - 2
    (sample,) = make_head().predict_views([FEATURE, finer], [make_sample([0])])
    assert sample.pred_peaks.scores.tolist() == [3.0, 1.0]
    assert sample.pred_class_maps.data.shape == (2, 3, 3)


def predict_instances(
    head: PRMHead, sample: WSLDataSample, image: Tensor, feature: Tensor
) -> WSLDataSample:
    sample.set_metainfo(dict(batch_input_shape=tuple(image.shape[-2:])))
    head.predict((feature,), [sample])
    head.predict_instances(Enlarge(), image, [sample])
    return sample


def test_instances() -> None:
    sample = predict_instances(
        make_head(), make_sample([0]), make_image(), FEATURE
    )
    found = sample.pred_instances
    assert found.labels.tolist() == [0, 0]
    assert found.scores.tolist() == [1.0, 0.5]
    # The stub turns the order around.
    assert found.peaks.tolist() == [[5.0, 1.0], [1.0, 1.0]]
    assert found.bboxes.tolist() == [[4.0, 0, 6, 2], [0, 0, 2, 2]]
    expected = torch.zeros(2, 6, 6)
    expected[0, :2, 4:] = expected[1, :2, :2] = 1
    assert torch.equal(found.masks, expected.bool())
    assert torch.allclose(found.peak_response_maps, expected / 4)


def test_instances_of_several_padded_and_mirrored_images() -> None:
    feature = torch.cat([FEATURE, FEATURE.flip(3)])
    image = make_image(feature)
    samples = [
        # The last column of cells is padding.
        make_sample([0], img_shape=(6, 4), ori_shape=(12, 8)),
        make_sample([0], flip=True, flip_direction='horizontal'),
    ]
    for sample in samples:
        sample.set_metainfo(dict(batch_input_shape=(6, 6)))
    head = make_head()
    head.predict((feature,), samples)
    head.predict_instances(Enlarge(), image, samples)
    assert samples[0].pred_instances.bboxes.tolist() == [[0, 0, 4, 4]]
    assert samples[0].pred_instances.peaks.tolist() == [[2.0, 2.0]]
    assert samples[0].pred_instances.masks.shape == (1, 12, 8)
    assert samples[1].pred_instances.bboxes.tolist() == [
        [4.0, 0, 6, 2],
        [0, 0, 2, 2],
    ]
    assert torch.equal(samples[1].pred_class_maps.data, FEATURE[0])
    for sample in samples:
        total = sample.pred_instances.peak_response_maps.sum(dim=(1, 2))
        assert torch.allclose(total, torch.ones_like(total))


def test_instances_on_a_finer_grid() -> None:
    head = make_head(peaks=dict(upsample=8))
    sample = predict_instances(head, make_sample([0]), make_image(), FEATURE)
    assert sample.pred_peaks.cells.tolist() == [[0, 0], [23, 0]]
    assert sample.pred_instances.bboxes.tolist() == [
        [4.0, 0, 6, 2],
        [0, 0, 2, 2],
    ]


def test_no_peaks_give_no_instances() -> None:
    head = make_head(peaks=dict(min_value=100.0))
    sample = predict_instances(head, make_sample([0]), make_image(), FEATURE)
    assert sample.pred_instances.masks.shape == (0, 6, 6)
    assert sample.pred_instances.bboxes.shape == (0, 4)
    assert sample.pred_instances.peaks.shape == (0, 2)


def test_proposals_are_retrieved() -> None:
    head = make_head()
    retrieval, growth = (
        head.peak_instances.retrieval,
        head.peak_instances.growth,
    )
    assert isinstance(retrieval, HalfMaximum)
    assert isinstance(growth, HalfMaximum)
    sample = make_sample([0])
    sample.proposals = Proposals(torch.ones(1, 6, 6).numpy() > 0)
    predict_instances(head, sample, make_image(), FEATURE)
    assert len(retrieval.calls) == 1
    assert retrieval.calls[0]['proposals'] is sample.proposals
    assert retrieval.calls[0]['class_maps'].shape == (2, 3, 3)
    predict_instances(head, make_sample([0]), make_image(), FEATURE)
    assert len(retrieval.calls) == len(growth.calls) == 1
    assert growth.calls[0]['proposals'] is None


@pytest.mark.parametrize('map_resize', ['bilinear', 'released'])
def test_released_background_is_of_the_finer_maps(
    map_resize: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = make_head(
        peaks=dict(upsample=8),
        retrieval=dict(type='ProposalRetrieval', map_resize=map_resize),
    )
    taken: List[Any] = []
    retrieval = type(head.peak_instances.retrieval)

    def call(self: Any, prms: Any, classes: Any, maps: Any, *args: Any, **_):
        taken.append(torch.as_tensor(maps))
        return HalfMaximum()(prms, classes, maps)

    monkeypatch.setattr(retrieval, '__call__', call)
    sample = make_sample([0])
    sample.proposals = Proposals(torch.ones(1, 6, 6).numpy() > 0)
    predict_instances(head, sample, make_image(), FEATURE)
    maps = sample.pred_class_maps.data
    assert maps.shape == (2, 3, 3)
    if map_resize == 'released':
        maps = nn.functional.interpolate(
            maps[None], scale_factor=8, mode='bilinear', align_corners=True
        )[0]
    assert torch.equal(taken[0], maps)


def test_instances_can_be_left_out() -> None:
    assert make_head().instances
    assert not make_head(instances=False).instances


@pytest.mark.parametrize('size', [(6, 6), (9, 12)])
def test_responses_of_the_original_image(size: Tuple[int, int]) -> None:
    responses = torch.rand(2, 6, 6)
    responses[1, :4, :4] = 0
    sample = make_sample(
        [], img_shape=(4, 4), ori_shape=size, flip_direction='vertical'
    )
    restored = restore_responses(responses, sample)
    assert restored.shape == (2, *size)
    # What lies in the padding alone is gone.
    assert restored.sum(dim=(1, 2)).tolist() == pytest.approx([1, 0])
    if size == (6, 6):
        return
    plain = make_sample([], img_shape=(4, 4), ori_shape=size)
    flipped = restore_responses(responses, plain).flip(1)
    assert torch.equal(restored, flipped)


def test_bad_settings() -> None:
    with pytest.raises(ValueError, match='PRMHead .* has no pooling'):
        make_head(pooling='avg')
    with pytest.raises(ValueError, match='peaks.classes must'):
        make_head(peaks=dict(classes='none'))
