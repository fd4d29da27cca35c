import copy
import pickle

import pytest
import torch
from torch import nn

from mmwsl.models.backbones import TorchvisionBackbone
from mmwsl.models.backbones.graph_backbone import GraphBackbone


def source() -> nn.Sequential:
    """Stages of strides 4 and 8 with BatchNorm."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU()),
        nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU()),
        nn.Sequential(
            nn.Conv2d(6, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Dropout(0.5)
        ),
    )


def frozen_of(backbone: GraphBackbone) -> set:
    return {
        name.split('.')[1]
        for name, parameter in backbone.named_parameters()
        if not parameter.requires_grad
    }


def test_outputs_come_in_the_order_of_the_indices():
    backbone = GraphBackbone(source(), out_indices=(-1, 0)).eval()
    assert backbone.out_channels == (8, 6)
    assert backbone.out_strides == (8, 4)
    last, first = backbone(torch.zeros(2, 3, 16, 24))
    assert last.shape == (2, 8, 2, 3)
    assert first.shape == (2, 6, 4, 6)


@pytest.mark.parametrize(
    ('stages', 'frozen'),
    [(-1, set()), (0, {'0'}), (1, {'0', '1'}), (2, {'0', '1', '2'})],
)
def test_frozen_stages(stages, frozen):
    backbone = GraphBackbone(source(), frozen_stages=stages)
    for mode in (True, False, True):
        backbone.train(mode)
        assert frozen_of(backbone) == frozen
    for name, module in backbone.net.named_modules():
        if not name or isinstance(module, nn.Sequential) or '.' not in name:
            continue
        assert module.training is (name.split('.')[0] not in frozen)


def test_frozen_statistics_and_weights_do_not_move():
    backbone = GraphBackbone(source(), frozen_stages=1).train()
    before = copy.deepcopy(backbone.state_dict())
    optimizer = torch.optim.SGD(
        [p for p in backbone.parameters() if p.requires_grad], lr=1.0
    )
    backbone(torch.randn(2, 3, 16, 16))[0].sum().backward()
    optimizer.step()
    moved = {
        key.split('.')[1]
        for key, value in backbone.state_dict().items()
        if not torch.equal(value, before[key])
    }
    assert moved == {'2'}


def test_frozen_layer_scale_of_convnext():
    backbone = TorchvisionBackbone(
        'convnext_tiny', out_indices=(1,), frozen_stages=1
    )
    scales = [
        parameter.requires_grad
        for name, parameter in backbone.named_parameters()
        if name.endswith('layer_scale')
    ]
    assert scales == [False] * 3 + [True] * 3


def test_norm_eval_keeps_all_statistics():
    backbone = GraphBackbone(source(), norm_eval=True).train()
    norms = [
        module
        for module in backbone.net.modules()
        if isinstance(module, nn.BatchNorm2d)
    ]
    assert len(norms) == 3
    assert not any(norm.training for norm in norms)
    assert all(norm.weight.requires_grad for norm in norms)
    assert backbone.training


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(out_indices=(2,)), 'no stage 2, .* 2 stages .* \\[4, 8\\]'),
        (dict(out_indices=(-3,)), 'no stage -3'),
        (dict(out_indices=()), 'out_indices is empty'),
        (dict(frozen_stages=3), r'frozen_stages must be in \[-1, 2\], got 3'),
        (dict(frozen_stages=-2), 'frozen_stages must be in'),
        (dict(output_stride=16), 'output_stride 16 is larger'),
        (dict(output_stride=6), 'power of two'),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        GraphBackbone(source(), **kwargs)


def test_network_whose_output_is_no_map_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 8, 16, 16), nn.Flatten(2))
    with pytest.raises(ValueError, match='not a CNN'):
        GraphBackbone(model)


@pytest.mark.parametrize(
    ('arch', 'stride'),
    [('resnet18', 16), ('squeezenet1_1', 4), ('googlenet', 8)],
)
def test_copies_compute_the_same(arch, stride):
    backbone = TorchvisionBackbone(
        arch, output_stride=stride, out_indices=(1, -1)
    ).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = backbone(image)
        for clone in (
            copy.deepcopy(backbone),
            pickle.loads(pickle.dumps(backbone)),
        ):
            for output, reference in zip(clone(image), expected):
                assert torch.equal(output, reference)
            assert clone.out_channels == backbone.out_channels
            clone.train()
            assert clone.net.training


def test_channels_last():
    backbone = TorchvisionBackbone('resnet18', output_stride=8).eval()
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        (expected,) = backbone(image)
        backbone.to(memory_format=torch.channels_last)
        (output,) = backbone(image.to(memory_format=torch.channels_last))
    assert output.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(output, expected, atol=1e-4)


def test_autocast():
    backbone = TorchvisionBackbone('squeezenet1_1', output_stride=8).train()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        (output,) = backbone(torch.randn(1, 3, 64, 64))
    output.float().sum().backward()
    assert output.dtype == torch.bfloat16
    assert output.isfinite().all()


def test_compiles():
    backbone = GraphBackbone(source(), output_stride=4).eval()
    compiled = torch.compile(backbone, backend='eager', fullgraph=True)
    image = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(compiled(image)[0], backbone(image)[0])


def test_other_initializers_apply():
    backbone = GraphBackbone(
        source(), init_cfg=dict(type='Constant', layer='Conv2d', val=2.0)
    )
    backbone.init_weights()
    assert (backbone.net.get_submodule('0.0').weight == 2.0).all()


def test_pretrained_comes_after_other_initializers(tmp_path):
    path = tmp_path / 'source.pth'
    model = source()
    torch.save(model.state_dict(), path)
    backbone = GraphBackbone(
        source(),
        init_cfg=[
            dict(type='Pretrained', checkpoint=str(path)),
            dict(type='Constant', layer='Conv2d', val=2.0),
        ],
    )
    backbone.init_weights()
    for key, value in backbone.net.state_dict().items():
        assert torch.equal(value, model.state_dict()[key])


def test_weights_are_loaded_once_and_through_a_parent(tmp_path):
    from mmengine.model import BaseModule

    path = tmp_path / 'source.pth'
    torch.save(source().state_dict(), path)
    parent = BaseModule()
    parent.backbone = GraphBackbone(
        source(), init_cfg=dict(type='Pretrained', checkpoint=str(path))
    )
    weight = parent.backbone.net.get_submodule('0.0').weight
    expected = weight.detach().clone()
    weight.data.zero_()
    parent.init_weights()
    assert torch.equal(weight, expected)
    weight.data.zero_()
    parent.backbone.init_weights()
    assert not weight.any()
