"""Tests of how toy pictures are drawn."""

import numpy as np
import pytest

from mmwsl.datasets.toy_drawing import (
    Placed,
    ToyObject,
    ToyScene,
    ToyStyle,
    draw_labels,
    draw_scene,
)


def test_counts_follow_the_shares():
    style = ToyStyle(class_shares=(1.0,), count_shares=(0.5, 0.5))
    rng = np.random.Generator(np.random.PCG64(0))
    numbers = [len(draw_labels(rng, style, 6)) for _ in range(1000)]
    assert set(numbers) == {1, 2}
    assert np.mean(numbers) == pytest.approx(1.5, abs=0.06)


def square(top, left, side=4, head_rows=1):
    """A square object whose head is its first rows."""
    mask = np.ones((side, side), dtype=bool)
    head = np.zeros((side, side), dtype=bool)
    head[:head_rows] = True
    box = (top, top + side, left, left + side)
    return Placed(ToyObject(0, 0, 0, 0), box, mask, head)


def test_put_keeps_what_must_stay_visible():
    style = ToyStyle(min_visible=0.5, min_head_visible=0.5)
    scene = ToyScene(12)
    assert scene.put(square(4, 4), style)
    # Covers 12 of 16 pixels: too many.
    assert not scene.put(square(5, 4), style)
    assert scene.owner.max() == 1
    # Covers the lower half: 8 of 16 remain, and the whole head.
    assert scene.put(square(6, 4), style)
    assert (scene.owner == 1).sum() == 8
    assert (scene.owner == 2).sum() == 16
    # Another two pixels of the first one are too many now.
    assert not scene.put(square(2, 7), style)
    assert len(scene.objects) == 2


def test_put_watches_heads_too():
    style = ToyStyle(min_visible=0.0, min_head_visible=0.75)
    scene = ToyScene(12)
    assert scene.put(square(4, 4), style)
    # One of four head pixels is covered, then one more.
    assert scene.put(square(1, 1), style)
    assert (scene.part == 1).sum() == 3
    assert not scene.put(square(4, 7), style)
    # Bodies may be hidden by as much as style says: here wholly.
    assert scene.put(square(5, 4), style)
    assert (scene.part[5] == [0, 0, 0, 0, 3, 3, 3, 3, 0, 0, 0, 0]).all()


def test_visible_shares_of_drawn_scenes():
    style = ToyStyle()
    for seed in range(30):
        rng = np.random.Generator(np.random.PCG64(seed))
        scene = draw_scene(rng, style, 6, 112)
        for number, placed in enumerate(scene.objects, 1):
            visible = (scene.owner == number).sum()
            head = (scene.part == number).sum()
            assert visible >= style.min_visible * placed.mask.sum()
            assert head >= style.min_head_visible * placed.head.sum()
            assert not (placed.head & ~placed.mask).any()


def test_nearly_every_drawn_object_finds_a_place():
    style = ToyStyle()
    wanted = placed = 0
    for seed in range(60):
        rng = np.random.Generator(np.random.PCG64(seed))
        wanted += len(draw_labels(rng, style, 6))
        rng = np.random.Generator(np.random.PCG64(seed))
        placed += len(draw_scene(rng, style, 6, 112).objects)
    assert 0.97 * wanted < placed <= wanted


def test_labels_respect_the_limit_and_keep_all_classes():
    style = ToyStyle(
        class_shares=(0, 0, 1), count_shares=(0, 0, 0, 0, 0, 0, 0, 1)
    )
    for seed in range(10):
        rng = np.random.Generator(np.random.PCG64(seed))
        counts = np.bincount(draw_labels(rng, style, 6), minlength=6)
        assert sorted(counts) == [0, 0, 0, 1, 1, 8]
