"""Tests of background scores."""

import pytest
import torch

from mmwsl.pseudo_labels import background_score, maps_to_label

MAPS = torch.tensor([[[0.2, 0.6, 1.0]], [[0.5, 0.1, 1.0]]])


def test_constant() -> None:
    assert background_score(MAPS, 'constant', 0.4).tolist() == [
        pytest.approx([0.4] * 3)
    ]


def test_power() -> None:
    score = background_score(MAPS, 'power', 2.0)
    assert score.tolist() == [pytest.approx([0.25, 0.16, 0.0])]
    nothing_kept = background_score(MAPS[:0], 'power', 2.0)
    assert nothing_kept.tolist() == [[1.0, 1.0, 1.0]]


def test_saliency() -> None:
    saliency = torch.tensor([[0.0, 0.3, 1.0]])
    score = background_score(MAPS, 'saliency', saliency=saliency)
    assert score.tolist() == [pytest.approx([1.0, 0.7, 0.0])]
    with pytest.raises(ValueError, match='LoadSaliency'):
        background_score(MAPS, 'saliency')


def test_unknown_mode() -> None:
    with pytest.raises(ValueError, match="'none'"):
        background_score(MAPS, 'none')


def test_label_map_takes_the_best_and_background_on_ties() -> None:
    labels = torch.tensor([7, 3])
    background = torch.tensor([[0.5, 0.5, 0.5]])
    label = maps_to_label(MAPS, labels, background)
    # Second pixel: class 7 at 0.6; third: both at 1, the first one wins.
    assert label.tolist() == [[0, 8, 8]]
    empty = maps_to_label(MAPS[:0], labels[:0], background)
    assert empty.tolist() == [[0, 0, 0]]
