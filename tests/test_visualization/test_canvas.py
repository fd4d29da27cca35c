import numpy as np
import pytest

from mmwsl.visualization.canvas import Canvas, instance_colors, more


def test_names_of_classes():
    canvas = Canvas(np.zeros((1, 1, 3), np.uint8), classes=('cat',))
    assert [canvas.name(label) for label in (0, 1)] == ['cat', 'class 1']


def test_colors_of_instances_are_distinct_and_always_the_same():
    colors = instance_colors(21).astype(int)
    assert colors[20].tolist() == colors[0].tolist()
    np.testing.assert_array_equal(instance_colors(3), colors[:3])
    # The first ten, what a picture shows, differ most.
    for number, least in ((10, 80), (20, 40)):
        some = colors[:number]
        distance = np.abs(some[:, None] - some).max(-1)
        assert distance[~np.eye(number, dtype=bool)].min() >= least
    assert instance_colors(0).shape == (0, 3)


@pytest.mark.parametrize(
    ('number', 'text'), [(5, ' (+5 more)'), (0, ''), (-1, '')]
)
def test_more(number, text):
    assert more(number) == text
