"""Tests of the PRM head, its peaks and their instances, by hand."""

import itertools
import json
import time
from pathlib import Path
from typing import Any, List, Optional, Tuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmwsl.models.heads import PRMHead
from mmwsl.models.heads.prm_head import (
    PeakChoice,
    focus_responses,
    peak_points,
    restore_responses,
    upsample_maps,
)
from mmwsl.registry import METRICS, MODELS, VISUALIZERS
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


def test_scores_of_finer_maps() -> None:
    head = make_head(upsample=8)
    finer = nn.functional.interpolate(
        FEATURE, scale_factor=8, mode='bilinear', align_corners=True
    )
    expected = make_head().scores(finer)
    assert not expected.equal(make_head().scores(FEATURE))
    assert head.scores(FEATURE).equal(expected)
    assert head.peaks.upsample == 8


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
    assert head.peaks.window == 5
    assert head.peaks.threshold is None
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
    head = make_head(peaks=dict(min_value=100.0), focus=True)
    sample = predict_instances(head, make_sample([0]), make_image(), FEATURE)
    assert sample.pred_instances.masks.shape == (0, 6, 6)
    assert sample.pred_instances.bboxes.shape == (0, 4)
    assert sample.pred_instances.peaks.shape == (0, 2)


def test_focused_responses() -> None:
    grid = torch.tensor([[[3.0, 1.0], [-5.0, 0.0]], [[-1.0, -1], [-1, -1]]])
    focused = focus_responses(np.full((2, 2, 2), 0.25, np.float32), grid)
    assert focused.tolist() == [[[0.75, 0.25], [0, 0]], [[0, 0], [0, 0]]]
    sample = make_sample([0])
    predict_instances(make_head(focus=True), sample, make_image(), FEATURE)
    # Of the cell of the peak, which all of the response is in.
    row = torch.tensor([0, 0, 0, 0, 1.5, 2])
    expected = torch.zeros(6, 6)
    expected[:2] = row * torch.tensor([[1], [0.75]])
    found = sample.pred_instances.peak_response_maps[0]
    assert torch.allclose(found, expected / expected.sum())


def test_proposals_are_retrieved() -> None:
    head = make_head()
    retrieval, growth = (
        head.retrieval,
        head.growth,
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
    retrieval = type(head.retrieval)

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
    restored = restore_responses(responses, sample, size)
    assert restored.shape == (2, *size)
    # What lies in the padding alone is gone.
    assert restored.sum(dim=(1, 2)).tolist() == pytest.approx([1, 0])
    if size == (6, 6):
        return
    plain = make_sample([], img_shape=(4, 4), ori_shape=size)
    flipped = restore_responses(responses, plain, size).flip(1)
    assert torch.equal(restored, flipped)


def test_bad_settings() -> None:
    with pytest.raises(ValueError, match='PRMHead .* has no pooling'):
        make_head(pooling='avg')
    with pytest.raises(ValueError, match='peaks.classes must'):
        make_head(peaks=dict(classes='none'))


# Peaks 9, 6 and 2 of class 0, -1 of class 1.
MAPS = torch.full((2, 5, 5), -8.0)
MAPS[0, 0, 0], MAPS[0, 2, 4], MAPS[0, 4, 1] = 9.0, 6.0, 2.0
MAPS[1, 3, 3] = -1.0
BOTH = torch.tensor([0, 1])


def choose(
    labels: Tensor = BOTH, limits: Any = None, **kwargs: Any
) -> List[float]:
    peaks = PeakChoice(**kwargs)([MAPS], labels, (5, 5), (5, 5), limits)
    return peaks.scores.tolist()


def test_peaks_are_sorted_and_named() -> None:
    peaks = PeakChoice()([MAPS], BOTH, (5, 5), (5, 5))
    assert peaks.labels.tolist() == [0, 0, 0, 1]
    assert peaks.scores.tolist() == [9.0, 6.0, 2.0, -1.0]
    assert peaks.cells.tolist() == [[0, 0], [4, 2], [1, 4], [3, 3]]


def test_classes_and_thresholds() -> None:
    assert choose(labels=torch.tensor([1])) == [-1.0]
    assert choose(labels=torch.tensor([], dtype=torch.long)) == []
    assert choose(min_value=3.0) == [9.0, 6.0]
    assert choose(min_value=10.0) == []
    # A share of a negative maximum is that maximum.
    assert choose(min_ratio=0.5) == [9.0, 6.0, -1.0]
    assert choose(min_ratio=1.0) == [9.0, -1.0]
    assert choose(threshold='max') == [9.0, -1.0]
    assert choose(window=7) == [9.0, 6.0, -1.0]


def test_how_many() -> None:
    assert choose(per_class=1) == [9.0, -1.0]
    assert choose(per_class=2) == [9.0, 6.0, -1.0]
    assert choose(per_image=2) == [9.0, 6.0]
    limits = torch.tensor([1.0, 0.0])
    assert choose(limits=limits) == [9.0]
    assert choose(limits=10 * limits, per_class=2) == [9.0, 6.0]


def test_a_class_without_positive_values_keeps_its_highest_peak() -> None:
    maps = torch.tensor([[[-3.0, -5.0, -4.0]]])
    peaks = PeakChoice()([maps], torch.tensor([0]), (1, 3), (1, 3))
    assert peaks.scores.tolist() == [-3.0]


def test_one_cell_and_zero_maps() -> None:
    for shape in ((3, 1, 1), (3, 4, 4)):
        maps = torch.zeros(shape)
        size = shape[1:]
        for upsample in (1, 4):
            choice = PeakChoice(upsample=upsample)
            peaks = choice([maps], torch.tensor([1]), size, size)
            assert peaks.labels.unique().tolist() == [1]
            assert peaks.scores.abs().sum() == 0


def test_padding_holds_no_peaks() -> None:
    maps = torch.zeros(1, 4, 4)
    maps[0, 3, 3] = 5.0
    maps[0, 1, 1] = 1.0
    label = torch.tensor([0])
    for upsample in (1, 3):
        peaks = PeakChoice(upsample=upsample)(
            [maps], label, (20, 24), (32, 32)
        )
        # Three of four columns and rows see the image: 24 and 20 of 32.
        assert peaks.scores.max() == pytest.approx(1, abs=0.2)
        assert peaks.scores.max() <= 1
        full = PeakChoice(upsample=upsample)([maps], label, (32, 32), (32, 32))
        assert full.scores[0] == 5


def test_visible_cells_of_a_finer_grid() -> None:
    """Those cells count whose values come from cells that see the image."""
    for cells, factor, image in itertools.product(
        (2, 5), (2, 8), (1, 10, 31, 32)
    ):
        maps = torch.arange(cells).float().expand(1, cells, cells)
        fine = upsample_maps(maps, factor)[0, 0]
        seen = -(-cells * image // 32)
        expected = int((fine < seen - 1 + 1e-4).sum())
        # Peaks in rising maps lie at the last cell.
        peaks = PeakChoice(upsample=factor)(
            [maps], torch.tensor([0]), (image, image), (32, 32)
        )
        assert peaks.cells[0, 0] == expected - 1, (cells, factor, image)


def test_views_are_averaged_on_the_first_grid() -> None:
    other = torch.zeros(2, 10, 10)
    peaks = PeakChoice()([MAPS, other], BOTH, (5, 5), (5, 5))
    assert peaks.scores.tolist() == [4.5, 3.0, 1.0, -0.5]


@pytest.mark.parametrize(
    ('direction', 'expected'),
    [
        (None, [[2.0, 6.0], [14.0, 2.0]]),
        ('horizontal', [[18.0, 6.0], [6.0, 2.0]]),
        ('vertical', [[2.0, 4.0], [14.0, 8.0]]),
        ('diagonal', [[18.0, 4.0], [6.0, 8.0]]),
    ],
)
def test_points(direction: Any, expected: List) -> None:
    # Cells of 16 x 16; the image is 80 x 40 in the input and 20 x 10 before.
    cells = torch.tensor([[0, 1], [3, 0]])
    points = peak_points(
        cells, (4, 6), 1, (40, 80), (64, 96), (10, 20), direction
    )
    assert points.tolist() == expected


def test_points_of_a_finer_grid_are_those_of_its_values() -> None:
    shapes = ((32, 32), (32, 32), (32, 32))
    cells = torch.tensor([[0, 0], [31, 31]])
    fine = peak_points(cells, (4, 4), 8, *shapes)
    coarse = peak_points(torch.tensor([[0, 0], [3, 3]]), (4, 4), 1, *shapes)
    assert torch.allclose(fine, coarse)


def test_points_stay_in_the_image() -> None:
    points = peak_points(
        torch.tensor([[1, 1]]), (2, 2), 1, (17, 17), (32, 32), (17, 17)
    )
    assert points.tolist() == [[16.5, 16.5]]


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(classes='some'), "peaks.classes must .* got 'some'"),
        (dict(min_ratio=1.5), 'peaks.min_ratio must be from 0 to 1, got 1.5'),
        (dict(per_class=0), 'peaks.per_class must be > 0, got 0'),
        (dict(upsample=0), 'peaks.upsample must be > 0, got 0'),
    ],
)
def test_bad_choices(kwargs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PeakChoice(**kwargs)


class EnlargeMore(nn.Module):
    """Class maps of images whose cells are 4 x 4 pixels of a channel."""

    def forward(self, inputs: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(inputs, 4)


@pytest.fixture
def sample() -> WSLDataSample:
    """Two instances of 4 x 4 pixels, one of each class."""
    maps = torch.full((1, 2, 4, 4), -1.0)
    maps[0, 0, 0, 1] = maps[0, 1, 3, 2] = 5.0
    image = maps.repeat_interleave(4, 2).repeat_interleave(4, 3)
    size = (16, 16)
    found = WSLDataSample(
        metainfo=dict(img_id='a/b', ori_shape=size, img_shape=size)
    ).set_gt_label([0, 1], 2)
    head = PRMHead(2, 2, peaks=dict(min_ratio=0.5), **stub_cfg())
    # Of two cells that are there, the scores are means of one peak.
    head.predict_views([maps], [found])
    head.predict_instances(EnlargeMore(), image, [found])
    return found


def test_coco_metric(sample: WSLDataSample, tmp_path: Path) -> None:
    pytest.importorskip('mmdet')
    instances = sample.pred_instances
    boxes = np.array([[4, 0, 8, 4], [8, 12, 12, 16]])
    assert sorted(instances.bboxes.tolist()) == boxes.tolist()
    content = dict(
        images=[dict(id='a/b', width=16, height=16)],
        categories=[dict(id=1, name='ant'), dict(id=2, name='bee')],
        annotations=[
            dict(
                id=number + 1,
                image_id='a/b',
                category_id=number + 1,
                bbox=[int(x1), int(y1), 4, 4],
                area=16,
                iscrowd=0,
                segmentation=[
                    [int(v) for v in (x1, y1, x2, y1, x2, y2, x1, y2)]
                ],
            )
            for number, (x1, y1, x2, y2) in enumerate(boxes)
        ],
    )
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(content))
    metric = METRICS.build(
        dict(
            type='mmdet.CocoMetric',
            ann_file=str(path),
            metric=['bbox', 'segm'],
            classwise=False,
        )
    )
    metric.dataset_meta = dict(classes=('ant', 'bee'))
    metric.process({}, [sample.to_dict()])
    scores = metric.evaluate(size=1)
    assert scores['coco/segm_mAP'] == pytest.approx(1)
    assert scores['coco/bbox_mAP'] == pytest.approx(1)


def test_visualizer(sample: WSLDataSample) -> None:
    pytest.importorskip('mmdet')
    visualizer = VISUALIZERS.build(
        dict(type='mmdet.DetLocalVisualizer', name='instances')
    )
    visualizer.dataset_meta = dict(
        classes=('ant', 'bee'), palette=[(255, 0, 0), (0, 255, 0)]
    )
    image = np.zeros((16, 16, 3), np.uint8)
    # mmdet keeps semantic masks in another field than mmseg.
    only = WSLDataSample(pred_instances=sample.pred_instances)
    visualizer.add_datasample(
        'a', image, only, draw_gt=False, pred_score_thr=0.0
    )
    drawn = visualizer.get_image()
    # Something of each class's colour where its instance lies.
    assert drawn[:4, 4:8, 0].max() > 0
    assert drawn[12:, 8:12, 1].max() > 0


@pytest.mark.parametrize('flip', [None, 'horizontal'])
def test_instances_of_large_images_are_scaled(flip: Optional[str]) -> None:
    def predict(side: int) -> Any:
        maps = torch.full((1, 2, 4, 4), -1.0)
        maps[0, 0, 0, 1] = maps[0, 1, 3, 2] = 5.0
        image = maps.repeat_interleave(4, 2).repeat_interleave(4, 3)
        meta = dict(ori_shape=(side, side), img_shape=(16, 16))
        if flip:
            meta.update(flip=True, flip_direction=flip)
        sample = WSLDataSample(metainfo=meta).set_gt_label([0, 1], 2)
        head = PRMHead(2, 2, peaks=dict(min_ratio=0.5), **stub_cfg())
        head.predict_views([maps], [sample])
        head.predict_instances(EnlargeMore(), image, [sample])
        return sample.pred_instances

    small, large = predict(128), predict(640)
    assert large.masks.shape == (len(small), 640, 640)
    sums = large.peak_response_maps.sum(dim=(1, 2))
    torch.testing.assert_close(sums, torch.ones(len(small)))
    same = large.masks[:, 2::5, 2::5] == small.masks
    assert same.float().mean() > 0.99
    torch.testing.assert_close(large.labels, small.labels)


@pytest.mark.slow
def test_twelve_megapixels_are_bounded() -> None:
    maps = torch.full((1, 2, 4, 4), -1.0)
    maps[0, 0, 0, 1] = maps[0, 1, 3, 2] = 5.0
    image = maps.repeat_interleave(4, 2).repeat_interleave(4, 3)
    sample = WSLDataSample(
        metainfo=dict(ori_shape=(3000, 4000), img_shape=(16, 16))
    ).set_gt_label([0, 1], 2)
    head = PRMHead(2, 2, peaks=dict(min_ratio=0.5))
    head.predict_views([maps], [sample])
    start = time.process_time()
    head.predict_instances(EnlargeMore(), image, [sample])
    assert time.process_time() - start < 10
    assert sample.pred_instances.masks.shape == (2, 3000, 4000)
