"""Tests of the stage-1 model with a backbone that can be followed by hand."""

from typing import Any, Dict, List, Sequence, Tuple

import pytest
import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmwsl.models.classifiers import WSLClassifier
from mmwsl.models.heads import CAMHead, PRMHead
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample
from peak_stubs import stub_cfg


@MODELS.register_module(force=True)
class PoolBackbone(BaseModule):
    """Average pooling of stride 2, and a count of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(2)
        self.sizes: list = []

    def forward(self, inputs: Tensor) -> Tuple[Tensor, ...]:
        self.sizes.append(tuple(inputs.shape[-2:]))
        return (self.pool(inputs),)


def make_model(**kwargs: Any) -> WSLClassifier:
    model = WSLClassifier(
        backbone=dict(type='PoolBackbone'),
        head=dict(type='CAMHead', num_classes=3, in_channels=3),
        **kwargs,
    )
    with torch.no_grad():
        model.head.classifier.weight.copy_(torch.eye(3)[:, :, None, None])
        model.head.classifier.bias.zero_()
    return model


def make_batch(size: int = 8) -> Dict[str, Any]:
    sample = WSLDataSample(
        metainfo=dict(
            img_id='a', ori_shape=(size, size), img_shape=(size, size)
        )
    )
    image = torch.randint(0, 256, (3, size, size), dtype=torch.uint8)
    return dict(inputs=[image], data_samples=[sample.set_gt_label([1], 3)])


def test_modes() -> None:
    model = make_model()
    inputs = torch.rand(2, 3, 8, 8)
    maps = model(inputs)
    assert torch.allclose(maps, nn.functional.avg_pool2d(inputs, 2))
    assert torch.equal(maps, model.class_maps(inputs))
    batch = model.data_preprocessor(make_batch())
    losses = model(**batch, mode='loss')
    assert losses['loss_cls'].requires_grad
    (sample,) = model(**batch, mode='predict')
    assert sample.pred_maps.data.shape == (1, 8, 8)
    with pytest.raises(ValueError, match="got 'infer'"):
        model(**batch, mode='infer')
    with pytest.raises(ValueError, match='needs data_samples'):
        model(batch['inputs'], mode='loss')


def test_validation_has_one_view_and_testing_all() -> None:
    model = make_model(test_cfg=dict(scales=(0.5, 1.0, 2.0), flip=True))
    model.val_step(make_batch())
    assert model.backbone.sizes == [(8, 8)]
    model.backbone.sizes.clear()
    model.test_step(make_batch())
    assert model.backbone.sizes == [
        (4, 4),
        (4, 4),
        (8, 8),
        (8, 8),
        (16, 16),
        (16, 16),
    ]


def test_flipped_view_is_flipped_back() -> None:
    # The pooling commutes with mirroring, so both views are one.
    batch = make_batch()
    (plain,) = make_model().test_step(batch)
    plain_maps = plain.pred_maps.data.clone()
    (flipped,) = make_model(test_cfg=dict(flip=True)).test_step(batch)
    assert torch.allclose(plain_maps, flipped.pred_maps.data, atol=1e-6)


@MODELS.register_module(force=True)
class GradientHead(CAMHead):
    """A head that follows its first class map back to the image."""

    instances = True

    def view_maps(self, feats: Sequence[Tensor]) -> Tensor:
        return self(feats) + 1

    def predict_instances(
        self, model: nn.Module, inputs: Tensor, data_samples: List
    ) -> None:
        inputs = inputs.clone().requires_grad_()
        maps = model(inputs)
        (grad,) = torch.autograd.grad(maps[:, 0].sum(), inputs)
        for sample, part in zip(data_samples, grad):
            sample.slope = part
        data_samples[0].image = inputs[0].detach()
        if data_samples[0].get('broken'):
            raise RuntimeError('broken')


@pytest.mark.parametrize('guard', [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize('step', ['val_step', 'test_step'])
def test_heads_get_gradients_and_the_whole_model(
    guard: Any, step: str
) -> None:
    model = make_model()
    head = GradientHead(num_classes=3, in_channels=3)
    head.load_state_dict(model.head.state_dict())
    model.head = head
    batch = make_batch()
    with guard():
        (sample,) = getattr(model, step)(batch)
        # The maps of a view are what the head says they are.
        logits = nn.functional.avg_pool2d(sample.image, 2) + 1
        score = logits.mean(dim=(1, 2)).sigmoid()
        assert torch.allclose(sample.pred_score, score)
        assert not torch.is_grad_enabled()
    expected = torch.zeros(3, 8, 8)
    expected[0] = 0.25
    assert torch.allclose(sample.slope, expected)
    assert all(p.grad is None for p in model.parameters())
    batch['data_samples'][0].set_metainfo(dict(broken=True))
    with guard(), pytest.raises(RuntimeError, match='broken'):
        getattr(model, step)(batch)
    assert torch.is_grad_enabled()
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize('step', ['val_step', 'test_step'])
@pytest.mark.parametrize(
    'scales', [(1.0,), (0.5, 1.0), (1.0, 0.5), (2.0, 1.0)]
)
def test_responses_lie_under_their_peaks_at_all_scales(
    scales: Tuple[float, ...], step: str
) -> None:
    model = make_model(test_cfg=dict(scales=scales))
    model.head = PRMHead(3, 3, peaks=dict(per_class=1), **stub_cfg())
    with torch.no_grad():
        model.head.classifier.weight.copy_(torch.eye(3)[:, :, None, None])
        model.head.classifier.bias.zero_()
    batch = make_batch(32)
    image = torch.rand(3, 32, 32)
    # Four cells at every scale, so a peak is far from other cells.
    image[1, 20:28, 4:12] = 50
    batch['inputs'] = [image.to(torch.uint8)]
    with torch.no_grad():
        (sample,) = getattr(model, step)(batch)
    (x, y) = sample.pred_peaks.points[0].tolist()
    assert 4 <= x < 12
    assert 20 <= y < 28
    response = sample.pred_instances.peak_response_maps[0]
    assert response.sum() == pytest.approx(1)
    assert response[18:30, 2:14].sum() == pytest.approx(1)


def test_neck() -> None:
    @MODELS.register_module(force=True)
    class Doubling(BaseModule):
        def forward(self, feats: Tuple[Tensor, ...]) -> Tensor:
            return 2 * feats[0]

    model = make_model(neck=dict(type='Doubling'))
    inputs = torch.rand(1, 3, 4, 4)
    expected = 2 * nn.functional.avg_pool2d(inputs, 2)
    assert torch.allclose(model(inputs), expected)


def test_channels_last_gives_the_same() -> None:
    torch.manual_seed(1)
    config = dict(type='TorchvisionBackbone', arch='resnet18')
    head = dict(type='CAMHead', num_classes=3, in_channels=512)
    last = WSLClassifier(backbone=config, head=head).eval()
    first = WSLClassifier(
        backbone=config, head=head, channels_last=False
    ).eval()
    first.load_state_dict(last.state_dict())
    weight = next(p for p in last.parameters() if p.shape[-1] == 3)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    weight = next(p for p in first.parameters() if p.shape[-1] == 3)
    assert weight.is_contiguous()
    inputs = torch.rand(1, 3, 64, 64)
    assert torch.allclose(last(inputs), first(inputs), atol=1e-4)


@pytest.mark.parametrize(
    ('test_cfg', 'message'),
    [
        (dict(scale=(1.0,)), r"unknown keys \['scale'\]"),
        (dict(scales=()), 'positive numbers'),
        (dict(scales=(0.0, 1.0)), 'positive numbers'),
    ],
)
def test_bad_test_cfg(test_cfg: Dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_model(test_cfg=test_cfg)


@pytest.mark.parametrize('pooling', ['avg', 'max', 'lse'])
def test_mixed_precision(pooling: str) -> None:
    """Features in bfloat16; losses, scores and maps in single precision."""
    model = WSLClassifier(
        backbone=dict(type='TorchvisionBackbone', arch='resnet18'),
        head=dict(
            type='CAMHead',
            num_classes=3,
            in_channels=512,
            pooling=pooling,
            keep='all',
        ),
        test_cfg=dict(scales=(1.0, 1.5), flip=True),
    )
    model.init_weights()
    batch = make_batch(64)
    data = model.data_preprocessor(batch)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert model(data['inputs']).dtype == torch.bfloat16
        loss = model(**data, mode='loss')['loss_cls']
        loss.backward()
        model.eval()
        with torch.no_grad():
            samples = [model.val_step(batch)[0].clone()]
            samples.append(model.test_step(batch)[0].clone())
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    (expected,) = model.test_step(batch)
    for sample in samples:
        for tensor in (sample.pred_score, sample.pred_maps.data):
            assert tensor.dtype == torch.float32
            assert tensor.isfinite().all()
            assert 0 <= tensor.min() <= tensor.max() <= 1
    score = samples[1].pred_score
    assert torch.allclose(score, expected.pred_score, atol=0.05)


def dal_config(**kwargs: Any) -> Dict:
    assigner = dict(
        type='TargetSampleAssigner',
        num_classes=3,
        feat_dim=3,
        num_source=3,
        num_target=3,
    )
    return dict(type='DALLoss', assigner={**assigner, **kwargs})


def dal_batch() -> Dict[str, Any]:
    torch.manual_seed(0)
    samples = [
        WSLDataSample(metainfo=dict(img_id='a')).set_gt_label(labels, 3)
        for labels in ([0], [2])
    ]
    return dict(inputs=torch.rand(2, 3, 12, 12), data_samples=samples)


def test_auxiliary_losses() -> None:
    model = make_model(auxiliary=[dal_config()]).train()
    losses = model(**dal_batch(), mode='loss')
    names = ['loss_cls', 'loss_discrepancy', 'loss_universum']
    assert list(losses) == names
    alone = make_model().train()(**dal_batch(), mode='loss')
    assert losses['loss_cls'].equal(alone['loss_cls'])
    assert model.auxiliary[0].assigner.class_counts.tolist() == [2, 0, 2]
    assert 'auxiliary.0.assigner.universum_count' in model.state_dict()
    assert 'auxiliary.0.assigner.class_anchors' in model.state_dict()


def test_auxiliary_losses_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r'auxiliary\[0\].*DALLoss'):
        make_model(auxiliary=[dal_config(num_classes=4)])
    model = make_model(auxiliary=[dal_config(), dal_config()])
    with pytest.raises(ValueError, match='loss_discrepancy'):
        model(**dal_batch(), mode='loss')


def test_configs_with_a_dal_head() -> None:
    """Those of the version before, whole or as changes of a base."""
    inner = dict(type='CAMHead', num_classes=3, in_channels=3, keep='all')
    old = dict(type='mmwsl.DALHead', head=inner, dal=dal_config(), in_index=0)
    with pytest.warns(FutureWarning, match='auxiliary'):
        model = WSLClassifier(backbone=dict(type='PoolBackbone'), head=old)
    assert type(model.head) is CAMHead
    assert model.head.keep == 'all'
    assert model.auxiliary[0].in_index == 0
    changes = dict(
        inner, head=dict(keep='given'), dal=dict(universum_weight=7.0)
    )
    with pytest.warns(FutureWarning):
        model = WSLClassifier(
            backbone=dict(type='PoolBackbone'),
            head=changes,
            auxiliary=[dal_config()],
        )
    assert model.head.keep == 'given'
    assert model.auxiliary[0].universum_weight == 7
    assert len(model.auxiliary) == 1


def test_checkpoints_with_a_dal_head() -> None:
    model = make_model(auxiliary=[dal_config()]).train()
    model(**dal_batch(), mode='loss')
    state = model.state_dict()
    names = (('auxiliary.0.', 'head.dal.'), ('head.', 'head.head.'))
    old = {}
    for key, value in state.items():
        for new, name in names:
            if key.startswith(new):
                key = name + key[len(new) :]
                break
        old[key] = value
    assert 'head.head.classifier.weight' in old
    other = make_model(auxiliary=[dal_config()])
    other.head.classifier.weight.data.zero_()
    other.load_state_dict(old)
    for key, value in other.state_dict().items():
        assert value.equal(state[key]), key
