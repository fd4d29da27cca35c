"""Boxes that a class map picks among proposals."""

import numpy as np
import pytest

from mmwsl.proposals.pseudo_boxes import pseudo_box, read_boxes, write_boxes
from mmwsl.structures import Proposals


def slow_box(masks, plane):
    """The same pixel by pixel."""
    best, found = -np.inf, None
    y, x = divmod(int(plane.argmax()), plane.shape[1])
    boxes = []
    for mask in masks:
        rows, columns = np.nonzero(mask)
        left, top = columns.min(), rows.min()
        boxes.append((left, top, columns.max() + 1, rows.max() + 1))
    holding = [b for b in boxes if b[0] <= x < b[2] and b[1] <= y < b[3]]
    for left, top, right, bottom in holding or boxes:
        inside = np.zeros(plane.shape, bool)
        inside[top:bottom, left:right] = True
        share = inside.mean()
        rest = plane[~inside].mean() if share < 1 else 0
        gap = plane[inside].mean() - rest
        score = (share * (1 - share)) ** 0.5 * gap
        if score > best:
            best, found = score, (left, top, right, bottom)
    return found


@pytest.mark.parametrize('seed', range(5))
def test_it_is_the_best_of_a_loop(seed):
    rng = np.random.default_rng(seed)
    masks = np.zeros((12, 20, 30), bool)
    for mask in masks:
        top, left = rng.integers(0, 16), rng.integers(0, 26)
        height, width = rng.integers(2, 14, 2)
        mask[top : top + height, left : left + width] = True
    plane = rng.random((20, 30))
    plane[5:12, 8:20] += 1
    box = pseudo_box(Proposals(masks), plane)
    assert box.tolist() == list(slow_box(masks, plane))


def test_the_object_wins():
    plane = np.zeros((7, 7))
    plane[2:5, 2:6] = [0.5, 1, 0.5, 0.5]
    masks = np.zeros((4, 7, 7), bool)
    masks[0] = True
    masks[1, 2:5, 2:6] = True
    masks[2, 3, 3] = True
    masks[3, 0:2, 0:2] = True
    assert pseudo_box(Proposals(masks), plane).tolist() == [2, 2, 6, 5]
    # Without a box on the peak the others have to do.
    assert pseudo_box(Proposals(masks[3:]), plane).tolist() == [0, 0, 2, 2]


def test_files(tmp_path):
    path = tmp_path / 'a' / 'boxes.json'
    write_boxes(str(path), {'b/cat': np.array([1, 2, 3, 4], np.float32)})
    assert read_boxes(str(path))['b/cat'].tolist() == [[1, 2, 3, 4]]
    with pytest.raises(FileNotFoundError, match='none.json'):
        read_boxes(str(tmp_path / 'none.json'))
    for text in ('[]', '{}', '{"b": [1, 2, 3]}', '{"b": [1, 2, 3, "a"]}'):
        path.write_text(text)
        with pytest.raises(ValueError, match='boxes.json: '):
            read_boxes(str(path))
