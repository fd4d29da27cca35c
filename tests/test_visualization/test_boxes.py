import numpy as np

from mmwsl.visualization import draw_boxes


def test_box_lines_are_inside_the_box():
    image = np.zeros((10, 12, 3), np.uint8)
    boxes = np.array([[2, 3, 8, 9]])
    result = draw_boxes(image, boxes, np.array([0]), thickness=1)
    drawn = np.argwhere(result.any(-1))
    assert drawn.min(0).tolist() == [3, 2]
    assert drawn.max(0).tolist() == [8, 7]
    assert result[3, 2].tolist() == [128, 0, 0]
    assert not result[4:8, 3:7].any()
    assert not image.any()


def test_names_are_written_inside_the_picture():
    image = np.zeros((40, 60, 3), np.uint8)
    boxes = np.array([[50, 30, 90, 70]])
    plain = draw_boxes(image, boxes, np.array([1]))
    named = draw_boxes(image, boxes, np.array([1]), ['cat', 'dog'])
    assert (plain != named).any()


def test_no_boxes():
    image = np.ones((4, 4, 3), np.uint8)
    result = draw_boxes(image, np.zeros((0, 4)), np.zeros(0, int))
    np.testing.assert_array_equal(result, image)
