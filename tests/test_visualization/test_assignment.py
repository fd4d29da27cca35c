import numpy as np
import pytest
import torch

from mmwsl.visualization import draw_assignment
from mmwsl.visualization.assignment import _COLORS

IMAGE = np.full((224, 300, 3), 100, np.uint8)


def test_cells_have_the_colors_of_their_subsets():
    cells = torch.tensor([[0, 1], [2, 0]])
    result = draw_assignment(IMAGE, cells, opacity=0.5)
    colors = (_COLORS.astype(int) + 100) / 2
    for y, x, kind in ((5, 5, 0), (5, 290, 1), (200, 5, 2), (200, 290, 0)):
        np.testing.assert_allclose(result[y, x], colors[kind], atol=1)
    # Borders of cells are sharp.
    assert result[5, 149].tolist() != result[5, 150].tolist()
    # The legend is below the image.
    assert result.shape[0] > 224
    assert result.shape[1] == 300
    for color in _COLORS:
        assert (result[224:] == color).all(-1).any()
    assert (IMAGE == 100).all()


def test_legend_tells_shares():
    one = draw_assignment(IMAGE, np.array([[0, 1, 2, 2]]))
    same = draw_assignment(IMAGE, np.array([[2, 2, 1, 0]]))
    other = draw_assignment(IMAGE, np.array([[0, 0, 2, 2]]))
    np.testing.assert_array_equal(one[225:], same[225:])
    assert (one[225:] != other[225:]).any()


@pytest.mark.parametrize('size', [(64, 64), (500, 60), (1, 1)])
def test_small_and_narrow_images(size):
    image = np.zeros((*size, 3), np.uint8)
    result = draw_assignment(image, np.zeros((2, 2), int))
    height, width = result.shape[:2]
    assert max(height, width) >= 224
    # The legend takes as many lines as it needs.
    assert (draw_assignment(IMAGE, [[0]]).shape[0] - 224 < height) or width > 1


@pytest.mark.parametrize(
    'wrong',
    [torch.zeros(1, 2, 2).long(), torch.tensor([[0, 3]]), np.array([[-1]])],
)
def test_no_assignment(wrong):
    with pytest.raises(ValueError, match='0 universum, 1 fake source'):
        draw_assignment(IMAGE, wrong)
