import numpy as np
import pytest

from mmwsl.visualization.labels import label_scale, write_labels

COLORS = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250]], np.uint8)


def patches(image):
    """Pixels of each label's patch, ink not counted."""
    return [(image == color).all(-1) for color in COLORS]


def test_labels_of_one_box_do_not_hide_one_another():
    boxes = np.array([[10, 40, 60, 80]] * 3)
    alone = []
    for index in range(3):
        image = np.zeros((100, 100, 3), np.uint8)
        one = slice(index, index + 1)
        write_labels(image, ['cat'], boxes[one], COLORS[one])
        alone.append(patches(image)[index].sum())
    image = np.zeros((100, 100, 3), np.uint8)
    write_labels(image, ['cat'] * 3, boxes, COLORS)
    assert [patch.sum() for patch in patches(image)] == alone
    # The first one has the best place: inside, at the upper left.
    rows, columns = np.nonzero(patches(image)[0])
    assert (rows.min(), columns.min()) == (40, 10)


def test_a_label_lies_on_its_own_object():
    mask = np.zeros((100, 200), bool)
    mask[40:80, 110:190] = True
    boxes = np.array([[10, 40, 190, 80]])
    image = np.zeros((100, 200, 3), np.uint8)
    write_labels(image, ['cat'], boxes, COLORS[:1], [mask])
    rows, columns = np.nonzero(patches(image)[0])
    assert mask[rows, columns].all()


@pytest.mark.parametrize('size', [(8, 8), (30, 60)])
def test_long_labels_and_boxes_outside_stay_in_the_picture(size):
    image = np.zeros((*size, 3), np.uint8)
    boxes = np.array([[-50.0, -9, 900, 700], [500, 500, 600, 600]])
    write_labels(image, ['a very long name 0.83'] * 2, boxes, COLORS)
    assert image.any()


def test_no_label():
    image = np.zeros((9, 9, 3), np.uint8)
    write_labels(image, [], np.zeros((0, 4)), COLORS)
    assert not image.any()


def test_scale_follows_the_picture_within_limits():
    scales = [label_scale(*size) for size in ((96, 96), (300, 400), (9, 999))]
    assert scales == pytest.approx([0.33, 0.4, 0.42])
