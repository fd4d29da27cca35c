import pytest
import torch
from torch import nn

from mmwsl.models.backbones.dilation import (
    DilatedAvgPool2d,
    check_output_stride,
    replace_stride,
)
from mmwsl.models.backbones.graph import trace


def replaced(
    output_stride: int, *layers: nn.Module, dilate: bool = True
) -> nn.Module:
    """A row of layers with strides replaced."""
    model = nn.Sequential(*layers).eval()
    net = trace(model)
    replace_stride(net, output_stride, dilate)
    net.recompile()
    return net


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, 1, 1, -1)


def test_dilated_average_by_hand():
    pool = DilatedAvgPool2d((1, 2), 2, ((0, 0), (0, 2)), False)
    # Cells x and x + 2; the last two windows hold one cell each.
    expected = row(2.0, 3.0, 4.0, 4.0, 5.0)
    assert torch.equal(pool(row(1.0, 2.0, 3.0, 4.0, 5.0)), expected)


def test_dilated_average_that_counts_padding():
    pool = DilatedAvgPool2d((1, 3), 2, ((0, 0), (2, 2)), True)
    expected = row(4.0, 6.0, 9.0, 6.0, 8.0) / 3
    assert torch.equal(pool(row(1.0, 2.0, 3.0, 4.0, 5.0)), expected)


@pytest.mark.parametrize('count_include_pad', [True, False])
def test_dilated_average_of_dilation_1_is_torchs(count_include_pad):
    maps = torch.randn(2, 3, 7, 8, dtype=torch.float64)
    pool = DilatedAvgPool2d((3, 5), 1, ((1, 1), (2, 2)), count_include_pad)
    expected = nn.functional.avg_pool2d(
        maps, (3, 5), 1, (1, 2), count_include_pad=count_include_pad
    )
    assert torch.allclose(pool(maps), expected)


def test_dilated_average_has_true_gradients():
    pool = DilatedAvgPool2d((2, 2), 2, ((0, 2), (0, 2)), False)
    maps = torch.randn(1, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pool, (maps,))


def test_max_pool_of_2_keeps_the_size_and_never_returns_padding():
    net = replaced(1, nn.MaxPool2d(2, 2))
    # The last window holds the last column only.
    output = net(row(-5.0, -1.0, -4.0, -3.0))
    assert torch.equal(output, row(-1.0, -1.0, -3.0, -3.0))


def test_average_pool_of_2_averages_what_is_there():
    net = replaced(1, nn.AvgPool2d(2, 2))
    output = net(row(1.0, 3.0, 5.0, 9.0))
    assert torch.equal(output, row(2.0, 4.0, 7.0, 9.0))


def test_second_pooling_is_dilated_by_the_stride_lost_before():
    net = replaced(1, nn.MaxPool2d(2, 2), nn.MaxPool2d(2, 2))
    # Cells x to x + 3, because two poolings of 2 see 4 cells.
    output = net(row(7.0, 1.0, 2.0, 3.0, 4.0, 0.0))
    assert torch.equal(output, row(7.0, 4.0, 4.0, 4.0, 4.0, 0.0))


def test_convolution_of_2_reads_zeros_behind_the_last_column():
    conv = nn.Conv2d(1, 1, (1, 2), (1, 2), bias=False)
    conv.weight.data = row(1.0, 10.0)
    output = replaced(1, conv)(row(1.0, 2.0, 3.0, 4.0))
    assert torch.equal(output, row(21.0, 32.0, 43.0, 4.0))
    assert isinstance(conv, nn.Conv2d)


def test_part_of_a_stride_may_stay():
    conv = nn.Conv2d(1, 1, 4, 4)
    net = replaced(2, conv, nn.Conv2d(1, 1, 3, 1, 1))
    assert conv.stride == (2, 2)
    assert conv.dilation == (1, 1)
    assert net.get_submodule('1').dilation == (2, 2)
    assert net(torch.zeros(1, 1, 8, 13)).shape[2:] == (4, 6)


def test_strides_may_go_without_dilation():
    layers = nn.Conv2d(1, 1, 3, 2, 1), nn.Conv2d(1, 1, 3, 2, 1)
    net = replaced(2, *layers, nn.MaxPool2d(2, 2), dilate=False)
    assert [layer.stride for layer in layers] == [(2, 2), (1, 1)]
    assert layers[1].dilation == (1, 1)
    assert net(torch.zeros(1, 1, 9, 12)).shape[2:] == (5, 6)


def test_padded_poolings_keep_their_ceil_mode():
    net = replaced(4, nn.MaxPool2d(3, 2, 1, ceil_mode=True))
    assert net(torch.zeros(1, 1, 8, 9)).shape[2:] == (5, 5)


def test_unpadded_odd_kernels_get_padding():
    net = replaced(
        4, nn.Conv2d(1, 1, 3, 2), nn.MaxPool2d(3, 2, ceil_mode=True)
    )
    assert net(torch.zeros(1, 1, 9, 12)).shape[2:] == (3, 3)
    assert net.get_submodule('0').padding == (1, 1)


def test_kernels_without_extent_are_not_dilated():
    net = replaced(1, nn.Conv2d(1, 1, 3, 2, 1), nn.Conv2d(1, 1, (1, 7)))
    assert net.get_submodule('1').dilation == (1, 2)
    assert net.get_submodule('1').padding == (0, 6)


def test_strides_within_the_limit_are_left_alone():
    layers = nn.Conv2d(1, 1, 3, 2, 1), nn.AvgPool2d(2, 2), nn.MaxPool2d(2, 2)
    net = replaced(8, *layers)
    assert [layer.stride for layer in layers] == [(2, 2), (2, 2), (2, 2)]
    assert [type(net.get_submodule(str(i))) for i in range(3)] == [
        nn.Conv2d,
        nn.AvgPool2d,
        nn.MaxPool2d,
    ]


def test_a_layer_used_twice_is_edited_once():
    conv = nn.Conv2d(1, 1, 3, 1, 1, bias=False)
    pool = nn.MaxPool2d(2, 1)
    net = replaced(1, nn.Conv2d(1, 1, 3, 2, 1), conv, pool, conv, pool)
    assert conv.dilation == pool.dilation == (2, 2)
    assert conv.padding == (2, 2)
    assert net(torch.zeros(1, 1, 9, 9)).shape[2:] == (5, 5)


def test_a_layer_used_at_two_strides_is_refused():
    layer = nn.MaxPool2d(2, 2)
    with pytest.raises(ValueError, match='used at strides 1 and 2'):
        replaced(1, layer, layer)


@pytest.mark.parametrize('stride', [0, -8, 12, 8.0, '8'])
def test_output_stride_must_be_a_power_of_two(stride):
    with pytest.raises(ValueError, match='must be a power of two'):
        check_output_stride(stride, 32)


def test_output_stride_is_limited_by_the_network():
    check_output_stride(16, 16)
    with pytest.raises(ValueError, match='32 is larger than .* network, 16'):
        check_output_stride(32, 16)
