"""Tests of unpacking counts; the heads' tests cover the labels."""

import pytest
import torch

from mmwsl.models.heads.label_utils import sample_absent, stack_gt_counts
from mmwsl.structures import WSLDataSample


def make_sample(labels: list, counts: list) -> WSLDataSample:
    sample = WSLDataSample(metainfo=dict(img_id='a'))
    return sample.set_gt_label(labels, len(counts)).set_gt_count(counts)


def test_counts_of_difficult_objects_are_unknown() -> None:
    samples = [make_sample([0, 2], [3, 0, 0]), make_sample([1], [0, 7, 0])]
    counts = stack_gt_counts(samples, 3)
    assert counts.tolist() == [[3, 0, -1], [0, 7, 0]]
    assert samples[0].gt_count.tolist() == [3, 0, 0]


def test_absent_pairs_of_rare_classes_are_dropped() -> None:
    counts = torch.zeros(1000, 3, dtype=torch.long)
    counts[:300, 0] = 2
    counts[:299, 1] = 2
    counts[:5, 2] = -1
    kept = sample_absent(counts, rate=0.1, share=0.3)
    assert torch.equal(kept[:, 0], counts[:, 0])
    for c, known in ((1, 299), (2, 5)):
        assert torch.equal(kept[:known, c], counts[:known, c])
        rest = kept[known:, c]
        assert set(rest.tolist()) == {0, -1}
        assert (rest == 0).float().mean().item() == pytest.approx(
            0.1, abs=0.04
        )
    assert sample_absent(counts, rate=1.0, share=0.3) is counts
    assert (sample_absent(counts, 0.0, 1.1)[300:] == -1).all()
