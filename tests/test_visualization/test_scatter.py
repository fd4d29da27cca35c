import math

import numpy as np
import pytest
import torch

from mmwsl.structures import WSLDataSample
from mmwsl.visualization import CountScatter, scatter

PAIRS = [
    ([1, 0, 3], [1, 0, 2]),
    ([1, 2, 0], [1, 0, 0]),
    ([0, 0, 3], [1, 0, 2]),
]


def sample(truth, predicted):
    result = WSLDataSample()
    return result.set_gt_count(truth).set_pred_count(predicted)


def collect(pairs=PAIRS):
    result = CountScatter()
    for truth, predicted in pairs:
        result.add(sample(truth, predicted))
    return result


def test_pairs_are_counted_without_those_of_two_zeros():
    assert collect().table().tolist() == [
        [0, 0, 1, 1],
        [0, 1, 1, 2],
        [1, 2, 0, 1],
        [2, 3, 2, 2],
    ]
    assert CountScatter().table().shape == (0, 4)


def test_samples_without_counts_are_passed_over():
    plot = CountScatter()
    plot.add(WSLDataSample())
    plot.add(WSLDataSample().set_gt_count([1]))
    plot.add(WSLDataSample().set_pred_count([1]))
    assert not plot.numbers


def test_different_numbers_of_classes():
    with pytest.raises(ValueError, match='pred_count has 2 classes.* has 3'):
        collect([([1, 2, 3], [1, 2])])


def test_processes_are_added_up(monkeypatch):
    parts = [collect(PAIRS[0::2]), collect(PAIRS[1::2])]
    monkeypatch.setattr(
        scatter, 'all_gather_object', lambda _: [x.numbers for x in parts]
    )
    merged = parts[0].gather()
    assert merged.numbers == collect().numbers
    # What a process has collected stays its own.
    assert parts[0].numbers == collect(PAIRS[0::2]).numbers


def test_alone_gathering_changes_nothing():
    assert collect().gather().numbers == collect().numbers


def test_error_over_images_with_objects():
    table = collect([([4], [2]), ([1], [1]), ([0], [9])]).table()
    assert scatter._rmse(table) == pytest.approx(math.sqrt((4 + 0) / 2))
    assert scatter._rmse(table[:1]) is None


@pytest.fixture
def panels(monkeypatch):
    """What is drawn: title, table and colour of each panel."""
    seen = []

    def plot(panels, left_out):
        seen.append((panels, left_out))
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr(scatter, '_plot', plot)
    return seen


def test_panels_of_the_most_frequent_classes(panels):
    colors = [[1, 1, 1], [2, 2, 2], [3, 3, 3]]
    collect().draw(('cat', 'dog', 'cow'), colors, max_panels=3)
    ((all_classes, first, second), left_out) = panels[0]
    # Six cows, two cats and two dogs: mean error of 0, 2 and 1.
    assert all_classes[0] == (
        'all classes: 5 times present\nmean RMSE-nz 1.00'
    )
    assert len(all_classes[1]) == 4
    assert first[0] == 'cow: 2 times present\nRMSE-nz 1.00'
    assert first[1].tolist() == [[2, 3, 2, 2]]
    assert first[2] == (3, 3, 3)
    assert second[0].startswith('cat: 2 times')
    assert left_out == 1


def test_one_class_needs_one_panel(panels):
    collect([([2], [1])]).draw()
    assert [len(x[0]) for x in panels] == [1]
    assert panels[0][1] == 0


def test_class_that_is_never_there(panels):
    collect([([0, 1], [3, 1])]).draw()
    titles = [x[0] for x in panels[0][0]]
    assert titles[2] == 'class 0: 0 times present'


def test_picture():
    torch.manual_seed(0)
    pairs = [
        (torch.randint(0, 30, (6,)), torch.randint(0, 30, (6,)))
        for _ in range(20)
    ]
    picture = collect(pairs).draw(max_panels=6)
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[1] > picture.shape[0] > 400
    assert (picture == 255).all(-1).mean() > 0.5
    small = collect([([1], [1.5])]).draw()
    assert min(small.shape[:2]) > 300


def test_larger_bubbles_for_more_images():
    def colored(number):
        plot = CountScatter()
        plot.numbers.update({(0, 1, 1.0): 100, (0, 3, 1.0): number})
        grey = plot.draw().astype(int)
        return (grey.max(-1) - grey.min(-1) > 15).sum()

    assert 0 < colored(1) < colored(100)
