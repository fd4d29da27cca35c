import numpy as np
import pytest

from mmwsl.proposals import ProposalGenerator
from mmwsl.registry import TRANSFORMS


@pytest.fixture
def image():
    """A bright square on a dark ground."""
    image = np.full((40, 60, 3), 30, np.uint8)
    image[10:30, 20:45] = (200, 180, 40)
    return image


def test_proposals_are_those_of_the_generator(image):
    transform = TRANSFORMS.build(dict(type='MakeProposals', max_proposals=20))
    results = dict(img=image, ori_shape=(40, 60), img_id='a')
    made = transform(results)['proposals']
    expected = ProposalGenerator(max_proposals=20)(image)
    assert made.size == (40, 60)
    np.testing.assert_array_equal(made.masks, expected.masks)
    square = np.zeros((40, 60), bool)
    square[10:30, 20:45] = True
    ious = [(m & square).sum() / (m | square).sum() for m in made.masks]
    assert max(ious) > 0.9


@pytest.mark.parametrize('change', [dict(flip=True), dict(ori_shape=(80, 60))])
def test_a_changed_image_is_refused(image, change):
    transform = TRANSFORMS.build(dict(type='MakeProposals'))
    results = dict(img=image, ori_shape=(40, 60), img_id='a/b')
    results.update(change)
    with pytest.raises(ValueError, match='a/b: MakeProposals must come bef'):
        transform(results)


def test_settings_are_checked():
    with pytest.raises(ValueError, match='max_proposals'):
        TRANSFORMS.build(dict(type='MakeProposals', max_proposals=0))
