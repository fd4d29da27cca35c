"""Tests of LayerCAM against its formula, written out."""

from typing import Any, List

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

from mmwsl.models import WSLClassifier
from mmwsl.models.heads import CAMHead, LayerCAMHead
from mmwsl.models.heads.layer_cam_head import layer_cams
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample


class TwoStages(nn.Module):
    """Features of strides 2 and 4."""

    def __init__(self, stages: int = 2) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.second = nn.Conv2d(4, 5, 3, stride=2, padding=1)
        self.stages = stages
        # As frozen stages are.
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Any:
        first = self.first(x).relu()
        return (first, self.second(first).relu())[-self.stages :]


@pytest.fixture(autouse=True)
def _two_stages() -> Any:
    MODELS.register_module(module=TwoStages, force=True)
    yield
    MODELS._module_dict.pop('TwoStages')


def make_model(head: str, stages: int = 2, **kwargs: Any) -> WSLClassifier:
    torch.manual_seed(1)
    options = dict(num_classes=3, in_channels=5, keep='all', init_cfg=None)
    model = WSLClassifier(
        backbone=dict(type='TwoStages', stages=stages),
        head=dict(type=head, **{**options, **kwargs}),
    )
    nn.init.normal_(model.head.classifier.weight)
    return model.eval()


def make_samples(flip: bool = False) -> List[WSLDataSample]:
    sample = WSLDataSample(
        metainfo=dict(
            img_id='a',
            ori_shape=(32, 24),
            img_shape=(16, 12),
            flip_direction='horizontal' if flip else None,
        )
    )
    return [sample.set_gt_label([2], 3) for _ in range(1)]


IMAGE = torch.randn(1, 3, 16, 12, generator=torch.Generator().manual_seed(0))


def written_out(model: WSLClassifier, stages: int) -> Tensor:
    """The maps (3, 32, 24) of the formula."""
    image = IMAGE.clone().requires_grad_()
    first = model.backbone.first(image).relu()
    second = model.backbone.second(first).relu()
    weight = model.head.classifier.weight[..., 0, 0]
    logits = second.mean(dim=(2, 3)) @ weight.T + model.head.classifier.bias
    maps = torch.zeros(3, 32, 24)
    for label in range(3):
        for index, feat in enumerate((first, second)[-stages:]):
            (gradient,) = torch.autograd.grad(
                logits[0, label], feat, retain_graph=True
            )
            cam = torch.zeros(feat.shape[2:])
            for channel in range(feat.shape[1]):
                cam += gradient[0, channel].clamp(min=0) * feat[0, channel]
            cam = F.interpolate(
                cam.detach()[None, None],
                size=(32, 24),
                mode='bilinear',
                align_corners=False,
            )[0, 0].clamp(min=0)
            cam = cam / cam.max()
            if index < stages - 1:
                cam = torch.tanh(2 * cam)
            maps[label] = torch.maximum(maps[label], cam)
    return maps / maps.amax(dim=(1, 2), keepdim=True)


@pytest.mark.parametrize('stages', [1, 2])
@pytest.mark.parametrize('mode', ['predict', 'test'])
def test_maps_are_those_of_the_formula(stages: int, mode: str) -> None:
    model = make_model('LayerCAMHead', stages)
    with torch.no_grad():
        (sample,) = model(IMAGE, make_samples(), mode=mode)
    expected = written_out(model, stages)
    torch.testing.assert_close(sample.pred_maps.data, expected)
    # The label map follows: the best class, or background below 0.3.
    best, label = expected.max(dim=0)
    seg = torch.where(best > 0.3, label + 1, 0)
    assert sample.pred_sem_seg.data[0].equal(seg)
    assert not sample.pred_maps.data.requires_grad
    if mode == 'test':
        return
    # Scores are CAM's.
    plain = make_model('CAMHead', stages)
    plain.load_state_dict(model.state_dict())
    with torch.inference_mode():
        (cam,) = plain(IMAGE, make_samples(), mode=mode)
        (again,) = model(IMAGE, make_samples(), mode=mode)
    assert sample.pred_score.equal(cam.pred_score)
    assert again.pred_maps.data.equal(sample.pred_maps.data)
    assert not cam.pred_maps.data.equal(sample.pred_maps.data)


def test_given_classes_padding_and_mirrored_images() -> None:
    model = make_model('LayerCAMHead', keep='given', score_map_size=8)
    with torch.no_grad():
        (sample,) = model(IMAGE, make_samples(), mode='test')
        (mirrored,) = model(IMAGE, make_samples(flip=True), mode='test')
    maps = sample.pred_maps.data
    assert sample.pred_map_labels.tolist() == [2]
    torch.testing.assert_close(maps[0], written_out(model, 2)[2])
    assert mirrored.pred_maps.data.flip(-1).equal(maps)
    score_map = sample.pred_score_map.data
    assert score_map.shape == (1, 8, 8)
    assert (score_map.min(), score_map.max()) == (0, 1)
    with torch.no_grad():
        padded = F.pad(IMAGE, (0, 4, 0, 4))
        (sample,) = model(padded, make_samples(), mode='test')
    assert sample.pred_maps.data.shape == (1, 32, 24)


def test_no_class_and_no_image() -> None:
    model = make_model('LayerCAMHead', keep='predicted', score_threshold=1.0)
    with torch.no_grad():
        (sample,) = model(IMAGE, make_samples(), mode='test')
    assert sample.pred_maps.data.shape == (0, 32, 24)
    assert not sample.pred_sem_seg.data.any()
    assert isinstance(model.head, CAMHead)
    assert isinstance(model.head, LayerCAMHead)


def test_maps_are_those_of_torchcam() -> None:
    """Raw maps of two stages, before anyone scales them."""
    methods = pytest.importorskip('torchcam.methods')
    torch.manual_seed(0)
    net = torchvision.models.resnet18(num_classes=4).eval()
    layers = ['layer3', 'layer4']
    image = torch.randn(2, 3, 64, 48)
    with methods.LayerCAM(net, layers) as extractor:
        scores = net(image)
        expected = extractor(class_idx=3, scores=scores, normalized=False)
    stages = create_feature_extractor(net, [*layers, 'fc'])
    *feats, scores = stages(image).values()
    maps = layer_cams(scores[:, 3].sum(), feats)
    for ours, theirs in zip(maps, expected):
        torch.testing.assert_close(ours, theirs)
        assert ours.any()
