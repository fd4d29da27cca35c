"""Every head does what models, hooks and auxiliary losses ask of it."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.runner import EpochBasedTrainLoop
from mmengine.structures import PixelData

from mmwsl.apis import inference_model
from mmwsl.models import WSLClassifier
from mmwsl.registry import HOOKS, MODELS
from mmwsl.structures import WSLDataSample

CLASSES = 3
HEADS = {
    'cam': dict(type='CAMHead'),
    'cam-single': dict(type='CAMHead', multi_label=False),
    'cam-lse': dict(type='CAMHead', pooling='lse'),
    'prm': dict(type='PRMHead'),
    'density': dict(type='DensityHead'),
    'density-batch': dict(type='DensityHead', average='batch'),
    'acol': dict(type='ACoLHead', mid_channels=4),
    'attention': dict(type='IntegralAttentionHead'),
    'attention-absent': dict(type='IntegralAttentionHead', absent=True),
}
DAL = dict(
    type='DALLoss',
    assigner=dict(
        type='TargetSampleAssigner',
        num_classes=CLASSES,
        feat_dim=128,
        num_source=2,
        num_target=2,
    ),
)
every_head = pytest.mark.parametrize('name', list(HEADS))


def make_head(name, channels=8, **kwargs):
    torch.manual_seed(0)
    config = dict(HEADS[name], num_classes=CLASSES, in_channels=channels)
    return MODELS.build({**config, **kwargs})


def make_model(name, auxiliary=()):
    torch.manual_seed(0)
    stem = dict(type='TorchvisionBackbone', arch='resnet18', out_indices=[1])
    head = dict(HEADS[name], num_classes=CLASSES, in_channels=128)
    return WSLClassifier(backbone=stem, head=head, auxiliary=auxiliary)


def make_sample(label, size=6):
    shape = (32, 32)
    meta = dict(img_id=f'i/{label}', ori_shape=shape, img_shape=shape)
    sample = WSLDataSample(metainfo=meta).set_gt_label([label], CLASSES)
    sample.set_gt_count([2 * (c == label) for c in range(CLASSES)])
    sample.attention = PixelData(data=torch.rand(1, size, size))
    return sample


@every_head
def test_loss_records_the_class_maps(name):
    head = make_head(name)
    feats = (torch.rand(2, 8, 6, 6),)
    assert head.last_class_maps is None
    head.loss(feats, [make_sample(0), make_sample(2)])
    assert not head.last_class_maps.requires_grad
    if name != 'acol':
        assert torch.allclose(head.last_class_maps, head(feats), atol=1e-6)
    assert head.last_class_maps.shape == (2, CLASSES, 6, 6)


@every_head
def test_no_images(name):
    head = make_head(name)
    feats = (torch.rand(0, 8, 6, 6, requires_grad=True),)
    losses = head.loss(feats, [])
    assert all(value.item() == 0 for value in losses.values())
    sum(losses.values()).backward()
    assert feats[0].grad is not None
    assert head.eval().predict(feats, []) == []
    head.predict_instances(head, torch.rand(0, 3, 32, 32), [])


@pytest.mark.parametrize('name', ['density', 'acol'])
def test_large_features_in_half_precision(name):
    head = make_head(name, 128)
    for parameter in head.parameters():
        if parameter.ndim == 4:
            torch.nn.init.constant_(parameter, 0.02)
            parameter.data[0] = 0.1
    feats = (1e4 * torch.rand(2, 128, 6, 6),)
    samples = [make_sample(0), make_sample(2)]
    want = head.loss(feats, samples)
    with torch.autocast('cpu', dtype=torch.float16):
        found = head.loss((feats[0].half(),), samples)
        maps = head.eval().view_maps((feats[0].half(),))
    assert maps.isfinite().all()
    for key, value in want.items():
        torch.testing.assert_close(found[key], value, rtol=1e-2, atol=1e-3)


@every_head
@pytest.mark.parametrize('auxiliary', [(), (DAL,)], ids=['', 'dal'])
def test_attention_is_heard(name, auxiliary, tmp_path):
    model = make_model(name, auxiliary).train()
    hook = HOOKS.build(
        dict(type='AttentionAccumulationHook', start_epoch=0, min_prob=0)
    )
    dataset = SimpleNamespace(pipeline=SimpleNamespace(transforms=[]))
    runner = SimpleNamespace(
        model=model,
        epoch=0,
        max_epochs=2,
        train_loop=Mock(spec=EpochBasedTrainLoop),
        train_dataloader=SimpleNamespace(dataset=dataset),
        work_dir=str(tmp_path),
        logger=Mock(),
    )
    hook.before_train(runner)
    samples = [make_sample(0, 4), make_sample(2, 4)]
    batch = dict(inputs=list(torch.rand(2, 3, 32, 32)), data_samples=samples)
    hook.before_train_iter(runner, 0, batch)
    losses = model(torch.rand(2, 3, 32, 32), samples, mode='loss')
    assert ('loss_universum' in losses) == bool(auxiliary)
    assert all(value.isfinite() for value in losses.values())
    hook.after_train_iter(runner, 0, batch)
    assert {k: list(v) for k, v in hook.attention.items()} == {
        'i/0': [0],
        'i/2': [2],
    }


def test_a_head_that_records_nothing(tmp_path):
    hook = HOOKS.build(dict(type='AttentionAccumulationHook'))
    runner = SimpleNamespace(model=make_model('cam'), epoch=0, max_epochs=2)
    hook.before_train_iter(runner, 0)
    with pytest.raises(TypeError, match='CAMHead.*record'):
        hook.after_train_iter(runner, 0, dict(data_samples=[]))


@every_head
@pytest.mark.parametrize('auxiliary', [(), (DAL,)], ids=['', 'dal'])
def test_inference_without_labels(name, auxiliary):
    model = make_model(name, auxiliary).eval()
    model.head.score_threshold = 0.0
    pipeline = [dict(type='PackWSLInputs')]
    dataset = dict(type='FolderDataset', pipeline=pipeline)
    model.cfg = ConfigDict(test_dataloader=dict(dataset=dataset))
    model.cfg.default_scope = 'mmwsl'
    model.dataset_meta = None
    image = torch.randint(0, 255, (32, 32, 3)).numpy().astype('uint8')
    sample = inference_model(model, image)
    assert len(sample.pred_maps.data) == len(sample.pred_map_labels) > 0
    assert ('pred_instances' in sample) == model.head.instances
    assert 'gt_label' not in sample
    labelled = inference_model(model, image, [1])
    assert labelled.pred_map_labels.tolist() == [1]
    assert model.head.keep == 'given'
