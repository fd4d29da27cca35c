import numpy as np
import pytest
import torch

from mmwsl.structures import WSLDataSample
from mmwsl.visualization import CountScatter, counts

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
        counts, 'all_gather_object', lambda _: [x.numbers for x in parts]
    )
    merged = parts[0].gather()
    assert merged.numbers == collect().numbers
    # What a process has collected stays its own.
    assert parts[0].numbers == collect(PAIRS[0::2]).numbers


@pytest.fixture
def draw(monkeypatch):
    """Draw and return the figure instead of its picture."""
    from matplotlib.backends import backend_agg

    figures = []
    init = backend_agg.FigureCanvasAgg.__init__

    def spy(self, figure):
        figures.append(figure)
        init(self, figure)

    monkeypatch.setattr(backend_agg.FigureCanvasAgg, '__init__', spy)

    def run(plot, *args, **kwargs):
        plot.draw(*args, **kwargs)
        return figures[-1]

    return run


def titles(figure):
    return [ax.get_title() for ax in figure.axes if ax.axison]


def test_panels_of_the_most_frequent_classes(draw):
    colors = [[1, 1, 1], [2, 2, 2], [3, 3, 51]]
    figure = draw(collect(), ('cat', 'dog', 'cow'), colors, max_panels=3)
    everything, first, second = titles(figure)
    # Six cows, two cats and two dogs: mean error of 0, 2 and 1.
    assert everything == 'all classes: 5 times present\nmean RMSE-nz 1.00'
    assert first == 'cow: 2 times present\nRMSE-nz 1.00'
    assert second.startswith('cat: 2 times')
    (bubbles,) = figure.axes[1].collections
    assert bubbles.get_offsets().tolist() == [[3, 2]]
    assert bubbles.get_facecolor()[0, 2] == pytest.approx(51 / 255)
    assert '+1 more' in figure.get_suptitle()


def test_one_class_needs_one_panel(draw):
    figure = draw(collect([([2], [1])]))
    assert len(titles(figure)) == 1
    assert 'more' not in figure.get_suptitle()


def test_error_over_images_with_objects(draw):
    # Errors of 2 and 0; the third image has no object.
    (title,) = titles(draw(collect([([4], [2]), ([1], [1]), ([0], [9])])))
    assert title.endswith('1.41')
    (title,) = titles(draw(collect([([0], [9])])))
    assert title == 'all classes: 0 times present'


def test_class_that_is_never_there(draw):
    figure = draw(collect([([0, 1], [3, 1])]))
    assert titles(figure)[2] == 'class 0: 0 times present'


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
