import numpy as np
import pytest
import torch
from mmengine.structures import PixelData

from mmwsl.structures import WSLDataSample
from mmwsl.visualization import count_text
from mmwsl.visualization.canvas import Canvas
from mmwsl.visualization.caption import BLACK, WRONG
from mmwsl.visualization.density import density_tiles

CANVAS = Canvas(np.full((40, 40, 3), 100, np.uint8), 1, ('cat', 'dog', 'cow'))


def sample(raw, counts=None, truth=None):
    """A density map of 4 x 4 cells a class, all of it in the first cell."""
    result = WSLDataSample()
    density = torch.zeros(len(raw), 4, 4)
    density[:, 0, 0] = torch.tensor(raw)
    result.pred_density = PixelData(data=density)
    if counts is not None:
        result.set_pred_count(counts)
    if truth is not None:
        result.set_gt_count(truth)
        result.set_gt_label(
            [c for c, number in enumerate(truth) if number], len(truth)
        )
    return result


@pytest.mark.parametrize(
    ('arguments', 'text'),
    [
        (('cat', 3.0, 2.7, 4), 'cat: 3 (raw 2.7), truth 4'),
        (('cat', -0.0, -0.04, None), 'cat: 0 (raw 0.0)'),
        (('cat', 2.0), 'cat: 2'),
    ],
)
def test_count_in_words(arguments, text):
    assert count_text(*arguments) == text


def test_predicted_or_given_classes_only_largest_first():
    one = sample([2.7, 0.2, 1.1], [3, 0, 1], [4, 0, 1])
    tiles = density_tiles(CANVAS, one, True, 9)
    assert [(x.text, x.color) for x in tiles] == [
        ('cat: 3 (raw 2.7), truth 4', WRONG),
        ('cow: 1 (raw 1.1), truth 1', BLACK),
    ]
    tiles = density_tiles(CANVAS, one, False, 9)
    assert [(x.text, x.color) for x in tiles] == [
        ('cat: 3 (raw 2.7)', BLACK),
        ('cow: 1 (raw 1.1)', BLACK),
    ]


def test_missed_and_difficult_classes_are_shown():
    one = sample([0.1, 0.2, 0.3], [0, 0, 0], [0, 2, 0])
    # An image may be labelled with a class of difficult objects only.
    one.set_gt_label([0, 1], 3)
    texts = [x.text for x in density_tiles(CANVAS, one, True, 9)]
    assert texts == ['dog: 0 (raw 0.2), truth 2', 'cat: 0 (raw 0.1), truth 0']


def test_without_counts_the_rounded_sums_are_them():
    texts = [
        x.text for x in density_tiles(CANVAS, sample([1.6, -3.0]), True, 9)
    ]
    assert texts == ['cat: 2 (raw 1.6)']


def test_bright_where_the_density_is_and_faint_below_one_object():
    one = sample([3.0, 1.0, 0.1], [3, 1, 1])
    cat, dog, cow = (x.image for x in density_tiles(CANVAS, one, True, 9))
    np.testing.assert_array_equal(cat, dog)
    light = [int(image[2, 2].max()) for image in (cat, cow)]
    assert light[0] > 180 > light[1]
    # The other corner shows the darkened photograph alone.
    assert cat[-1, -1].max() < 100


def test_many_classes():
    names = tuple(f'c{i}' for i in range(8))
    canvas = CANVAS._replace(classes=names)
    one = sample([float(8 - i) for i in range(8)], [8 - i for i in range(8)])
    tiles = density_tiles(canvas, one, True, 3)
    assert [x.text[:2] for x in tiles] == ['c0', 'c1', 'c2']
    (alone,) = density_tiles(canvas, sample([6.0], [6]), True, 3)
    # A note in the corner of the last one says "+5 more".
    assert (tiles[2].image[-5:, -5:] != alone.image[-5:, -5:]).any()
    np.testing.assert_array_equal(tiles[2].image[:20], alone.image[:20])


def test_nothing_to_show():
    assert density_tiles(CANVAS, WSLDataSample(), True, 9) == []
    assert density_tiles(CANVAS, sample([0.3, 0.0]), True, 9) == []
    assert density_tiles(CANVAS, sample([float('nan')], [1]), True, 9)
