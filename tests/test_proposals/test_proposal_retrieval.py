import numpy as np
import pytest

from mmwsl.evaluation.functional import retrieve_instances
from mmwsl.registry import TASK_UTILS
from mmwsl.structures import Proposals


def case():
    """Two peaks, two class maps, and proposals of which the last is best."""
    prms = np.zeros((2, 20, 30), np.float32)
    prms[0, 5, 5] = prms[1, 6, 6] = prms[1, 12, 20] = 0.5
    prms[0, 12, 20] = 0.5
    masks = np.zeros((3, 20, 30), bool)
    masks[0, 3:9, 3:9] = True
    masks[1, 10:15, 18:23] = True
    masks[2, 3:15, 3:23] = True
    maps = np.random.default_rng(0).random((2, 4, 5)).astype(np.float32)
    return prms, np.array([1, 0]), maps, Proposals(masks)


def test_equals_the_function_with_maps_of_sum_one():
    prms, classes, maps, proposals = case()
    settings = dict(
        alpha=0.5, beta=1e-3, bg_factor=0.9, nms_threshold=0.9, delta=0.5
    )
    module = TASK_UTILS.build(dict(type='ProposalRetrieval', **settings))
    found = module(prms, classes, maps, proposals)
    expected = retrieve_instances(
        prms, classes, maps, proposals.masks, **settings
    )
    for key in ('scores', 'labels', 'masks', 'peak_index'):
        np.testing.assert_array_equal(found[key], expected[key])
    # Both peaks chose the whole, so one of them was merged.
    assert expected['prms'].sum() == pytest.approx(2)
    assert found['prms'].sum() == pytest.approx(1)
    np.testing.assert_allclose(found['prms'], expected['prms'] / 2)


def test_only_the_first_proposals_are_used():
    module = TASK_UTILS.build(dict(type='ProposalRetrieval', max_proposals=1))
    found = module(*case())
    assert found['masks'][0].sum() == 36


def test_density_is_passed_on():
    prms, classes, maps, proposals = case()
    module = TASK_UTILS.build(dict(type='ProposalRetrieval', gamma=5.0))
    density = np.zeros((2, 20, 30), np.float32)
    # One object of each class in the first proposal, more in the others.
    density[:, 5, 5] = 1
    density[:, 12, 20] = 9
    found = module(prms, classes, maps, proposals, density)
    assert found['proposal_index'].tolist() == [0]
    with pytest.raises(ValueError, match='density is None'):
        module(prms, classes, maps, proposals)


def test_no_peaks():
    prms, classes, maps, proposals = case()
    module = TASK_UTILS.build(dict(type='ProposalRetrieval', delta=1.0))
    found = module(prms[:0], classes[:0], maps, proposals)
    assert found['masks'].shape == found['prms'].shape == (0, 20, 30)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'max_proposals': 0}, 'max_proposals must be > 0'),
        ({'map_resize': 'cubic'}, 'map_resize must be one of'),
    ],
)
def test_rejects_settings(kwargs, message):
    with pytest.raises(ValueError, match=message):
        TASK_UTILS.build(dict(type='ProposalRetrieval', **kwargs))
