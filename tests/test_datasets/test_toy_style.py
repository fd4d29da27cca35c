import numpy as np
import pytest

from mmwsl.datasets.toy_style import ToyStyle, _pick, draw_labels, draw_object


def test_pick_follows_the_shares():
    rng = np.random.Generator(np.random.PCG64(0))
    drawn = np.bincount([_pick(rng, (1, 0, 3)) for _ in range(2000)])
    assert drawn[1] == 0
    assert drawn[2] / 2000 == pytest.approx(0.75, abs=0.05)


def test_counts_follow_the_shares():
    style = ToyStyle(class_shares=(1.0,), count_shares=(0.5, 0.5))
    rng = np.random.Generator(np.random.PCG64(0))
    numbers = [len(draw_labels(rng, style, 6)) for _ in range(1000)]
    assert set(numbers) == {1, 2}
    assert np.mean(numbers) == pytest.approx(1.5, abs=0.06)


def test_full_evidence_gives_the_favourite_looks():
    rng = np.random.Generator(np.random.PCG64(0))
    item = draw_object(rng, ToyStyle(body_evidence=1.0), 5)
    assert tuple(item) == (5, 2, 0, 1)
