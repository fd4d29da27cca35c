"""Tests of mixed precision on CPUs."""

from pathlib import Path

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from mmwsl.engine.amp import has_bfloat16
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample


def test_a_step_in_bfloat16() -> None:
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='WSLClassifier',
            backbone=dict(type='TorchvisionBackbone', arch='resnet18'),
            head=dict(type='CAMHead', num_classes=2, in_channels=512),
        )
    ).train()
    wrapper = build_optim_wrapper(
        model,
        dict(
            type='mmwsl.CPUAmpOptimWrapper',
            optimizer=dict(type='SGD', lr=0.1),
        ),
    )
    seen = []
    model.backbone.register_forward_hook(lambda *a: seen.append(a[2][0]))
    before = {k: v.clone() for k, v in model.named_parameters()}
    sample = WSLDataSample(
        metainfo=dict(img_id='a', ori_shape=(64, 64), img_shape=(64, 64))
    ).set_gt_label([0], 2)
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    data = dict(inputs=[image, image.flip(-1)], data_samples=[sample] * 2)
    logged = model.train_step(data, wrapper)
    assert seen[0].dtype == torch.bfloat16
    assert logged['loss'].dtype == torch.float32
    assert torch.isfinite(logged['loss'])
    for name, value in model.named_parameters():
        assert value.dtype == torch.float32
        assert torch.isfinite(value).all(), name
        assert not value.equal(before[name]), name
    assert 'loss_scaler' not in wrapper.state_dict()


@pytest.mark.parametrize(
    ('flags', 'known'),
    [('avx2 avx512f', False), ('avx512_bf16', True), ('asimd bf16', True)],
)
def test_flags_of_cpus(
    monkeypatch: pytest.MonkeyPatch, flags: str, known: bool
) -> None:
    monkeypatch.setattr(Path, 'is_file', lambda *_: True)
    monkeypatch.setattr(Path, 'read_text', lambda *_, **__: flags)
    assert has_bfloat16() == known
