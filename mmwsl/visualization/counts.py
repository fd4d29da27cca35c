"""Plot predicted against true counts of a whole test."""

from __future__ import annotations

from collections import Counter
from typing import Any, Optional, Sequence, Tuple

import numpy as np
from mmengine.dist import all_gather_object

from mmwsl.utils.arrays import array
from mmwsl.utils.tables import class_name
from mmwsl.visualization.drawing import class_colors


class CountScatter:
    """Collects counts image by image and draws them as a scatter plot.

    Only how often each (class, true count, predicted count) occurred is
    kept, in ``numbers``, so a test of any size fits. Pairs of two zeros,
    nearly all, are left out.
    """

    def __init__(self) -> None:
        self.numbers: Counter[Tuple[int, int, float]] = Counter()

    def add(self, sample: Any) -> None:
        """Add an image that has ``pred_count`` (C,) and ``gt_count`` (C,).

        Raises:
            ValueError: If they are of different numbers of classes.
        """
        predicted, truth = sample.get('pred_count'), sample.get('gt_count')
        if predicted is None or truth is None:
            return
        predicted, truth = array(predicted), array(truth)
        if len(predicted) != len(truth):
            raise ValueError(
                f'pred_count has {len(predicted)} classes, but gt_count has '
                f'{len(truth)}'
            )
        for label in np.flatnonzero((predicted != 0) | (truth != 0)).tolist():
            # Two digits are more than a plot shows.
            value = round(float(predicted[label]), 2)
            self.numbers[label, int(truth[label]), value] += 1

    def gather(self) -> CountScatter:
        """Add up the counts of all processes; every process must call it."""
        result = CountScatter()
        for numbers in all_gather_object(self.numbers):
            result.numbers.update(numbers)
        return result

    def table(self) -> np.ndarray:
        """Return all pairs as (n, 4): class, truth, prediction, number."""
        rows = [(*key, number) for key, number in self.numbers.items()]
        return np.array(sorted(rows), np.float64).reshape(-1, 4)

    def draw(
        self,
        classes: Optional[Sequence[str]] = None,
        palette: Optional[Sequence[Sequence[int]]] = None,
        max_panels: int = 12,
    ) -> np.ndarray:
        """Draw one panel of all classes and one of each frequent class.

        The area of a bubble is the number of images. RMSE-nz is the root
        mean squared error over images that show the class, and over all
        classes its mean. Of at most ``max_panels`` panels those of the classes
        with most objects go first.
        """
        # Without pyplot nothing global is touched: no backend, no open figure.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        table = self.table()
        labels = np.unique(table[:, 0]).astype(int).tolist()
        parts = {label: table[table[:, 0] == label] for label in labels}
        labels.sort(key=lambda c: -float(parts[c][:, 1] @ parts[c][:, 3]))
        errors = {label: _rmse(parts[label]) for label in labels}
        known = [error for error in errors.values() if error is not None]
        mean = float(np.mean(known)) if known else None
        panels = [('all classes', table, mean, (70, 90, 110))]
        # A single class is what the first panel shows already.
        shown = labels[: max_panels - 1] if len(labels) > 1 else []
        colors = class_colors(palette, max(labels, default=0) + 1)
        for label in shown:
            name = class_name(classes or (), label)
            error, color = errors[label], colors[label].tolist()
            panels.append((name, parts[label], error, color))
        columns = min(4, len(panels))
        rows = -(-len(panels) // columns)
        # A single panel is larger: the heading is wider than a small one.
        side = 5.0 if len(panels) == 1 else 3.2
        size = (side * columns, (side + 0.25) * rows + 0.6)
        figure = Figure(size, dpi=100, layout='constrained')
        backend = FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, (name, part, error, color) in zip(axes, panels):
            _bubbles(ax, part, color)
            kind = 'RMSE-nz' if part is not table else 'mean RMSE-nz'
            number = int(part[part[:, 1] > 0, 3].sum())
            ax.set_title(
                f'{name}: {number} times present'
                + ('' if error is None else f'\n{kind} {error:.2f}'),
                fontsize=9,
            )
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        more = len(labels) - len(shown) if shown else 0
        figure.suptitle(
            'Predicted against true counts'
            + (f' (+{more} more classes)' if more else '')
            + '\nbubble area: number of images; where both are 0 is not shown',
            fontsize=10,
        )
        figure.supxlabel('true count', fontsize=10)
        figure.supylabel('predicted count', fontsize=10)
        backend.draw()
        return np.asarray(backend.buffer_rgba())[..., :3].copy()


def _rmse(part: np.ndarray) -> Optional[float]:
    """Root mean squared error over images with objects, if there are any."""
    part = part[part[:, 1] > 0]
    if not len(part):
        return None
    squares = (part[:, 2] - part[:, 1]) ** 2
    return float(np.sqrt(np.average(squares, weights=part[:, 3])))


def _bubbles(ax: Any, part: np.ndarray, color: Sequence[int]) -> None:
    """Draw one panel: bubbles over the diagonal of right counts."""
    from matplotlib.ticker import MaxNLocator

    # Classes of one panel share bubbles.
    places, index = np.unique(part[:, 1:3], axis=0, return_inverse=True)
    numbers = np.bincount(index.ravel(), part[:, 3], len(places))
    top = max(4.0, float(places.max(initial=0))) + 0.7
    # Points squared (1 / 72 inch), as matplotlib has areas.
    areas = np.maximum(420 * numbers / numbers.max(initial=1), 12)
    ax.plot([-0.7, top], [-0.7, top], '--', color='0.6', linewidth=1)
    look = dict(alpha=0.6, linewidths=0.5, edgecolors='black', zorder=2)
    ax.scatter(*places.T, s=areas, color=np.array(color) / 255, **look)
    ax.set(xlim=(-0.7, top), ylim=(-0.7, top), aspect='equal')
    ax.grid(color='0.9')
    ax.set_axisbelow(True)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    ax.tick_params(labelsize=8)
