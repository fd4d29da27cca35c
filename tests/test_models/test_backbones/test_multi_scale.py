import pytest
import torch
import torch.nn.functional as F

from mmwsl.models import MultiScaleBackbone

SMALL = dict(type='TorchvisionBackbone', arch='resnet18', out_indices=(0, 1))


@pytest.fixture(scope='module')
def backbone():
    torch.manual_seed(0)
    return MultiScaleBackbone(SMALL, scales=(1.0, 0.5)).eval()


def test_outputs_are_those_of_resized_images(backbone):
    x = torch.rand(2, 3, 32, 48)
    small = F.interpolate(x, (16, 24), mode='bilinear', align_corners=False)
    with torch.no_grad():
        found = backbone(x)
        expected = [*backbone.backbone(x), *backbone.backbone(small)]
    assert len(found) == 4
    for one, other in zip(found, expected):
        torch.testing.assert_close(one, other)
    assert found[2].shape[2:] == (4, 6)


def test_tiny_images_keep_a_pixel(backbone):
    with torch.no_grad():
        assert len(backbone(torch.rand(1, 3, 1, 1))) == 4


def test_all_scales_train_one_network(backbone):
    backbone.zero_grad()
    backbone(torch.rand(1, 3, 32, 32))[2].sum().backward()
    weight = backbone.backbone.net.conv1.weight
    assert weight.grad.abs().sum() > 0


@pytest.mark.parametrize('scales', [(), (1.0, 0.0)])
def test_bad_scales(scales):
    with pytest.raises(ValueError, match='positive'):
        MultiScaleBackbone(SMALL, scales=scales)
