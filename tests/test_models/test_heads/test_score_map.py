"""Tests of the score map of localisation."""

import cv2
import numpy as np
import pytest
import torch

from mmwsl.models.heads import CAMHead
from mmwsl.models.heads.score_map import score_map
from mmwsl.structures import WSLDataSample

FULL = ((64, 64), (64, 64))


def test_equals_opencv():
    torch.manual_seed(0)
    view = torch.randn(7, 9)
    found = score_map([view], 24, *FULL)
    expected = cv2.resize(
        view.numpy(), (24, 24), interpolation=cv2.INTER_CUBIC
    )
    expected = (expected - expected.min()) / np.ptp(expected)
    assert np.allclose(found, expected, atol=1e-5)
    assert found.min() == 0
    assert found.max() == 1


def test_views_padding_and_flips():
    view = torch.tensor([[1.0, 2.0, 9.0], [3.0, 4.0, 9.0]])
    # The last column sees padding only.
    found = score_map([view, view + 2], 2, (64, 40), (64, 60))
    assert torch.allclose(found, torch.tensor([[0, 1.0], [2, 3]]) / 3)
    turned = score_map([view], 2, (64, 40), (64, 60), 'horizontal')
    assert torch.allclose(turned, found.flip(1))


@pytest.mark.parametrize('value', [0.0, 0.1, -3.3])
def test_constant_map(value):
    assert score_map([torch.full((5, 5), value)], 16, *FULL).eq(0).all()


def test_of_the_given_class_else_of_the_best():
    head = CAMHead(2, 2, multi_label=False, keep='all', score_map_size=2)
    with torch.no_grad():
        head.classifier.weight.copy_(torch.eye(2)[:, :, None, None])
        head.classifier.bias.zero_()
    maps = torch.tensor([[[[0.0, -1.0]] * 2, [[4.0, 6.0]] * 2]])

    def predict(labels):
        meta = dict(img_id='a', ori_shape=(4, 4), img_shape=(4, 4))
        sample = WSLDataSample(metainfo=meta)
        if labels is not None:
            sample.set_gt_label(labels, 2)
        (sample,) = head.predict((maps,), [sample])
        return sample.pred_score_map.data.tolist()

    assert predict([0]) == [[[1.0, 0.0]] * 2]
    assert predict([1]) == [[[0.0, 1.0]] * 2]
    assert predict(None) == predict([0, 1]) == [[[0.0, 1.0]] * 2]
    head.score_map_size = None
    with pytest.raises(AttributeError):
        predict([0])
