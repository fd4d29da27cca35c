"""Tests of the proposal generator as a whole."""

from typing import Tuple

import numpy as np
import pytest

from mmwsl.datasets import ToyDataset
from mmwsl.evaluation.functional import mask_iou
from mmwsl.proposals import ProposalGenerator


def scene() -> Tuple[np.ndarray, np.ndarray]:
    """A grey picture with a red disc and a blue box, with noise."""
    rng = np.random.default_rng(0)
    img = np.full((120, 160, 3), 128.0)
    y, x = np.mgrid[:120, :160]
    disc = (y - 50) ** 2 + (x - 40) ** 2 < 25**2
    box = (abs(y - 70) < 30) & (abs(x - 115) < 20)
    img[disc] = 40, 40, 200
    img[box] = 200, 60, 40
    img += rng.normal(0, 6, img.shape)
    return img.clip(0, 255).astype(np.uint8), np.stack([disc, box])


def test_finds_plain_objects_first() -> None:
    img, objects = scene()
    proposals = ProposalGenerator(max_proposals=50, num_superpixels=60)(img)
    assert proposals.size == (120, 160)
    assert 1 < len(proposals) <= 50
    assert mask_iou(objects, proposals[:10].masks).max(axis=1).min() > 0.9
    # What each adds never rises, and in all it is at most 1.
    assert (np.diff(proposals.scores) <= 0).all()
    assert 0.5 < proposals.scores.sum() <= 1 + 1e-4


def test_same_image_same_proposals() -> None:
    img, _ = scene()
    generator = ProposalGenerator(max_proposals=20, num_superpixels=40)
    first, second = generator(img), generator(img.copy())
    np.testing.assert_array_equal(first.masks, second.masks)
    np.testing.assert_array_equal(first.scores, second.scores)


def test_sizes_in_range() -> None:
    img, _ = scene()
    generator = ProposalGenerator(
        num_superpixels=60, min_share=0.05, max_share=0.5
    )
    shares = generator(img).masks.sum(axis=(1, 2)) / (120 * 160)
    # Regions are measured in the enlarged image.
    assert shares.min() > 0.045
    assert shares.max() < 0.51


@pytest.mark.parametrize('size', [(8, 8), (9, 400), (400, 9), (600, 500)])
@pytest.mark.parametrize('kind', ['flat', 'noise'])
def test_unusual_images(size, kind) -> None:
    img = np.full((*size, 3), 77, dtype=np.uint8)
    if kind == 'noise':
        img = np.random.default_rng(0).integers(0, 256, img.shape, np.uint8)
    proposals = ProposalGenerator(
        max_proposals=5, num_superpixels=30, pixels=(9000, 90000)
    )(img)
    assert proposals.size == size
    assert 1 <= len(proposals) <= 5
    assert proposals.masks.sum(axis=(1, 2)).min() > 0
    assert np.isfinite(proposals.scores).all()


@pytest.mark.parametrize('number', [100, 200, 1000])
@pytest.mark.parametrize('kind', ['black', 'white', 'halves', 'stripes'])
def test_plain_pictures_end(kind, number) -> None:
    img = np.full((60, 80, 3), 255 * (kind == 'white'), dtype=np.uint8)
    if kind == 'halves':
        img[:, 40:] = 200
    elif kind == 'stripes':
        img[:, ::8] = 200
    proposals = ProposalGenerator(number, 40, pixels=(4000, 9000))(img)
    assert 1 <= len(proposals) <= number
    assert proposals.masks.sum(axis=(1, 2)).min() > 0
    assert (np.diff(proposals.scores) <= 0).all()


@pytest.mark.parametrize('size', [(1, 1), (1, 7), (2, 2), (1500, 2000)])
def test_tiny_and_huge_pictures(size) -> None:
    img = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    proposals = ProposalGenerator(9, 40, pixels=(4000, 9000))(img)
    assert proposals.size == size
    assert 1 <= len(proposals) <= 9
    assert proposals.masks.sum(axis=(1, 2)).min() > 0


def test_toy_picture() -> None:
    info = ToyDataset(1, test_mode=True).get_data_info(0)
    found = ProposalGenerator(num_superpixels=100)(info['img']).masks
    assert mask_iou(info['eval_ann']['masks'], found).max(axis=1).mean() > 0.6


def test_bad_input() -> None:
    for wrong in (dict(max_proposals=0), dict(num_superpixels=1)):
        with pytest.raises(ValueError, match='at least 1'):
            ProposalGenerator(**wrong)
    with pytest.raises(ValueError, match='min_share and max_share'):
        ProposalGenerator(min_share=0.5, max_share=0.4)
    with pytest.raises(ValueError, match='pixels must be two'):
        ProposalGenerator(pixels=(9, 3))
    for img in (np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3))):
        with pytest.raises(ValueError, match=r'must be uint8 \(H, W, 3\)'):
            ProposalGenerator()(img)
