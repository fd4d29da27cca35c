"""Gradients that are zero outside a window of each map.

A peak depends on a part of a map only, a small one in the upper layers. Top-
down passes that know the window leave the rest out.

Shape shorthand: P peaks of one image, C channels, (H, W) the grid of a map,
(a, b) that of the windows.
"""

from typing import List, Sequence, Tuple

import torch
from torch import Tensor

from mmwsl.models.layers.peak_rules import ConvRule, Pair


class Windows:
    """The gradients of P peaks with respect to one map (1, C, H, W).

    Attributes:
        values: (P, C, a, b).
        corners: The top left cell of each window; all windows lie inside
            the map.
        size: (H, W).
        owned: Whether nothing else uses the memory of ``values``.
    """

    def __init__(
        self,
        values: Tensor,
        corners: Sequence[Pair],
        size: Pair,
        owned: bool = True,
    ) -> None:
        self.values = values
        self.corners = list(corners)
        self.size = size
        self.owned = owned

    @classmethod
    def from_dense(cls, maps: Sequence[Tensor]) -> 'Windows':
        """Cut the windows out of P maps (1, C, H, W)."""
        height, width = maps[0].shape[2:]
        alone = len(maps) == 1
        values = maps[0] if alone else torch.cat(list(maps))
        corners = [(0, 0)] * len(maps)
        whole = cls(values, corners, (height, width), owned=not alone)
        return whole.part(0, len(maps))

    @property
    def full(self) -> bool:
        """Whether each window is the whole map."""
        return tuple(self.values.shape[2:]) == tuple(self.size)

    def dense(self, index: int) -> Tensor:
        """Return the map (1, C, H, W) of one peak."""
        window = self.values[index : index + 1]
        if self.full:
            return window
        result = window.new_zeros(1, window.shape[1], *self.size)
        self._cut(result, index).copy_(window)
        return result

    def part(self, start: int, stop: int) -> 'Windows':
        """Return some of the peaks, without what is zero for all of them.

        The result may use the same memory.
        """
        rows, columns = self.values.shape[2:]
        boxes = [_bounds(window) for window in self.values[start:stop]]
        a = max(bottom - top for top, _, bottom, _ in boxes)
        b = max(right - left for _, left, _, right in boxes)
        if (a, b) == (rows, columns):
            values, corners = self.values[start:stop], self.corners[start:stop]
            return Windows(values, corners, self.size, self.owned)
        cuts = [
            (min(top, rows - a), min(left, columns - b))
            for top, left, _, _ in boxes
        ]
        values = torch.stack(
            [
                window[:, y : y + a, x : x + b]
                for window, (y, x) in zip(self.values[start:stop], cuts)
            ]
        )
        corners = [
            (top + y, left + x)
            for (top, left), (y, x) in zip(self.corners[start:stop], cuts)
        ]
        return Windows(values, corners, self.size)

    def shared(self) -> 'Windows':
        """Return the same windows for one more reader."""
        return Windows(self.values, self.corners, self.size, owned=False)

    def scale(self, factor: Tensor) -> 'Windows':
        """Multiply by the map (1, C, H, W)."""
        result = self.values if self.owned else torch.empty_like(self.values)
        if self.full:
            torch.mul(self.values, factor, out=result)
            return Windows(result, self.corners, self.size)
        for index, window in enumerate(self.values):
            torch.mul(window, self._cut(factor, index)[0], out=result[index])
        return Windows(result, self.corners, self.size)

    def add(self, other: 'Windows') -> 'Windows':
        """Sum up; either may be used up."""
        wide, narrow = self, other
        cells = wide.values[0].numel(), narrow.values[0].numel()
        if (cells[0], wide.owned) < (cells[1], narrow.owned):
            wide, narrow = narrow, wide
        if not (wide.owned and wide._covers(narrow)):
            wide = wide._widen(narrow)
        rows, columns = narrow.values.shape[2:]
        for index, (y, x) in enumerate(narrow.corners):
            top, left = wide.corners[index]
            wide.values[
                index,
                :,
                y - top : y - top + rows,
                x - left : x - left + columns,
            ].add_(narrow.values[index])
        return wide

    def spread(self, rule: ConvRule, factor: Tensor) -> 'Windows':
        """Go down a convolution: convolve transposed with W+ and multiply.

        Args:
            rule: The convolution.
            factor: (1, K, H', W') on the grid of the convolution's input.
        """
        height, width = factor.shape[2:]
        tops = _reach(self, rule, 0, height)
        lefts = _reach(self, rule, 1, width)
        # What falls off on both sides need not be computed.
        crop = (tops.crop, lefts.crop)
        raw = rule.spread(self.values, crop)
        a, b = tops.extent, lefts.extent
        corners = list(zip(tops.starts, lefts.starts))
        shape = (len(corners), factor.shape[1], a, b)
        result = raw.new_empty(shape)
        if not (tops.filled and lefts.filled):
            result.zero_()
        for index, (y, x) in enumerate(corners):
            up, down = tops.spans[index]
            near, far = lefts.spans[index]
            v, u = tops.raws[index], lefts.raws[index]
            torch.mul(
                raw[index, :, up - v : down - v, near - u : far - u],
                factor[0, :, up:down, near:far],
                out=result[index, :, up - y : down - y, near - x : far - x],
            )
        return Windows(result, corners, (height, width))

    def _cut(self, maps: Tensor, index: int) -> Tensor:
        """Return what one window shows of maps (1, C, H, W)."""
        (y, x), (a, b) = self.corners[index], self.values.shape[2:]
        return maps[:, :, y : y + a, x : x + b]

    def _covers(self, other: 'Windows') -> bool:
        return all(
            top <= y
            and left <= x
            and y + other.values.shape[2] <= top + self.values.shape[2]
            and x + other.values.shape[3] <= left + self.values.shape[3]
            for (top, left), (y, x) in zip(self.corners, other.corners)
        )

    def _widen(self, other: 'Windows') -> 'Windows':
        """Return a copy with windows that cover those of ``other``, too."""
        corners, extent = [], []
        for axis in (0, 1):
            mine, its = (
                self.values.shape[2 + axis],
                other.values.shape[2 + axis],
            )
            spans = [
                (min(p[axis], q[axis]), max(p[axis] + mine, q[axis] + its))
                for p, q in zip(self.corners, other.corners)
            ]
            extent.append(max(stop - start for start, stop in spans))
            last = self.size[axis] - extent[-1]
            corners.append([min(start, last) for start, _ in spans])
        count, channels = self.values.shape[:2]
        result = Windows(
            self.values.new_zeros(count, channels, *extent),
            list(zip(*corners)),
            self.size,
        )
        return result.add(self)


class _Reach:
    """Where the windows of a convolution's output reach on its input.

    Attributes:
        crop: What can be cut off before and behind all windows.
        extent: Common size of the resulting windows.
        starts: First cell of each resulting window.
        spans: First cell, and the one past the last, that each window
            reaches.
        raws: Cell of each window's first value, maybe before the map.
        filled: Whether all windows reach all of their cells.
    """

    def __init__(
        self, starts: List[int], length: int, size: int, limit: int
    ) -> None:
        stops = [start + length for start in starts]
        outside = min(min(-a, b - size) for a, b in zip(starts, stops))
        self.crop = max(0, min(outside, limit))
        self.raws = [start + self.crop for start in starts]
        self.spans = []
        for start, stop in zip(starts, stops):
            # A window may reach nothing but padding.
            start = min(max(start, 0), size)
            self.spans.append((start, max(min(stop, size), start)))
        self.extent = max(1, *(stop - start for start, stop in self.spans))
        self.starts = [
            min(start, size - self.extent) for start, _ in self.spans
        ]
        self.filled = all(b - a == self.extent for a, b in self.spans)


def _reach(windows: Windows, rule: ConvRule, axis: int, size: int) -> _Reach:
    stride, beyond = rule.stride[axis], rule.reach[axis]
    length = (windows.values.shape[2 + axis] - 1) * stride + beyond + 1
    starts = [
        corner[axis] * stride - rule.padding[axis]
        for corner in windows.corners
    ]
    return _Reach(starts, length, size, beyond)


def _bounds(window: Tensor) -> Tuple[int, int, int, int]:
    """Return top, left, bottom, right of what is not zero, 1 x 1 at least.

    Args:
        window: (C, a, b).
    """
    # Faster than any().
    used = window.abs().amax(dim=0) != 0
    rows, columns = used.any(dim=1).tolist(), used.any(dim=0).tolist()
    if True not in rows:
        return 0, 0, 1, 1
    top, left = rows.index(True), columns.index(True)
    bottom = len(rows) - rows[::-1].index(True)
    right = len(columns) - columns[::-1].index(True)
    return top, left, bottom, right
