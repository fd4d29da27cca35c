"""Tests of means over classes by hand."""

import torch

from mmwsl.models.task_modules.class_means import class_means, gather_rows


def test_means_and_numbers():
    labels = torch.tensor([2, 0, 2, 2])
    rows = torch.tensor([[1.0, 5.0], [7.0, 7.0], [2.0, 0.0], [6.0, 1.0]])
    mean, number = class_means(labels, rows)
    assert mean.tolist() == [[3, 2], [7, 7], [3, 2], [3, 2]]
    assert number.tolist() == [3, 1, 3, 3]


def test_rows_that_are_not_finite_do_not_count():
    labels = torch.tensor([1, 1, 4])
    rows = torch.tensor([[float('nan'), 1.0], [2.0, 3.0], [float('inf'), 0.0]])
    mean, number = class_means(labels, rows)
    assert mean.tolist() == [[2, 3], [2, 3], [0, 0]]
    assert number.tolist() == [1, 1, 0]


def test_entries_of_a_class_agree_to_the_bit():
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (50,))
    mean, _ = class_means(labels, torch.randn(50, 7))
    for label in range(3):
        assert len(mean[labels == label].unique(dim=0)) == 1


def test_no_entry():
    mean, number = class_means(torch.zeros(0).long(), torch.zeros(0, 3))
    assert mean.shape == (0, 3)
    assert number.shape == (0,)


def test_one_process_gathers_nothing():
    rows = torch.arange(6.0).view(3, 2)
    assert gather_rows(rows) is rows
