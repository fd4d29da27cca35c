import numpy as np
import pytest

from mmwsl.utils.masks import check_boxes

SIZE = (10, 20)


def test_boxes_up_to_the_border_are_fine():
    check_boxes(np.array([[0, 0, 20, 10], [3, 4, 3, 4]]), SIZE)
    check_boxes(np.zeros((0, 4)), SIZE)


@pytest.mark.parametrize(
    ('box', 'message'),
    [
        ([5, 1, 4, 3], r'box \(5, 1, 4, 3\) is inverted'),
        ([1, 5, 3, 4], 'is inverted'),
        ([-1, 0, 3, 4], 'outside the image, which is 20 x 10'),
        ([0, 0, 20.5, 4], r'box \(0, 0, 20.5, 4\) is outside'),
        ([0, 0, 3, 11], 'is outside'),
        ([0, np.nan, 3, 4], 'is not finite'),
    ],
)
def test_bad_boxes(box, message):
    with pytest.raises(ValueError, match=message):
        check_boxes(np.array([[0, 0, 1, 1], box]), SIZE)


def test_boxes_outside_may_be_allowed():
    check_boxes(np.array([[-1, 0, 30, 4]]), SIZE, outside=False)
    with pytest.raises(ValueError, match='is inverted'):
        check_boxes(np.array([[3, 0, -1, 4]]), SIZE, outside=False)
