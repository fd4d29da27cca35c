import numpy as np

from mmwsl.visualization import class_colors, draw_label_map


def test_colors_are_those_of_voc():
    colors = class_colors(count=300)
    assert colors.shape == (300, 3)
    # aeroplane, bicycle, tvmonitor.
    assert colors[[0, 1, 19]].tolist() == [
        [128, 0, 0],
        [0, 128, 0],
        [0, 64, 128],
    ]
    assert class_colors([[1, 2, 3]], 2).tolist() == [[1, 2, 3], [0, 128, 0]]


def test_known_pixels():
    image = np.full((2, 6, 3), 100, np.uint8)
    labels = np.array([[0, 1, 255]])
    result = draw_label_map(image, labels, [[200, 0, 100]], opacity=0.5)
    # The label map is half as large: two pixels for each label.
    assert result[0].tolist() == (
        [[100, 100, 100]] * 2 + [[150, 50, 100]] * 2 + [[224, 224, 192]] * 2
    )
    assert (image == 100).all()


def test_more_labels_than_colors():
    labels = np.array([[300, 1, 0]])
    image = np.zeros((1, 3, 3), np.uint8)
    result = draw_label_map(image, labels, [[9, 9, 9]], opacity=1)
    # 300 repeats VOC's 255 colours: the 45th.
    expected = class_colors()[44]
    np.testing.assert_array_equal(result[0], [expected, [9] * 3, [0] * 3])
