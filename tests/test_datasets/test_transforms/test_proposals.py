import numpy as np
import pytest

from mmwsl.datasets.transforms import LoadProposals, PackWSLInputs
from mmwsl.proposals import write_proposal_list, write_proposals
from mmwsl.structures import Proposals

MASKS = np.array(
    [[[1, 0, 0], [0, 0, 0]], [[1, 1, 1], [0, 0, 1]], [[0, 0, 0], [0, 1, 0]]],
    dtype=bool,
)


def load(folder, shape=(2, 3), **kwargs):
    transform = LoadProposals(str(folder), **kwargs)
    return transform(dict(img_id='x/a', img_path='a.jpg', ori_shape=shape))


@pytest.fixture
def folder(tmp_path):
    proposals = Proposals(MASKS, [0.2, 0.9, 0.5])
    write_proposals(str(tmp_path / 'x' / 'a.npz'), proposals)
    return tmp_path


def test_best_first(folder):
    proposals = load(folder)['proposals']
    np.testing.assert_array_equal(proposals.masks, MASKS[[1, 2, 0]])
    proposals = load(folder, max_proposals=2)['proposals']
    np.testing.assert_array_equal(proposals.masks, MASKS[[1, 2]])
    with pytest.raises(ValueError, match='max_proposals must be at least 1'):
        LoadProposals('x', max_proposals=0)


def test_suffix_and_list(folder):
    proposals = Proposals(MASKS)
    write_proposals(str(folder / 'x' / 'a_cob.json'), proposals)
    found = load(folder, suffix='_cob.json')['proposals']
    np.testing.assert_array_equal(found.masks, MASKS)
    write_proposal_list(str(folder / 'all.json'), {'x/a': proposals[1:]})
    found = load(folder / 'all.json')['proposals']
    np.testing.assert_array_equal(found.masks, MASKS[1:])


def test_missing_and_empty_files(folder):
    with pytest.raises(FileNotFoundError, match='x/a.npy: proposal file does'):
        load(folder, suffix='.npy')
    (folder / 'x' / 'a.npz').write_bytes(b'')
    with pytest.raises(ValueError, match='x/a.npz: proposal file is empty'):
        load(folder)
    none = Proposals(MASKS[:0])
    write_proposals(str(folder / 'x' / 'a.npz'), none)
    with pytest.raises(ValueError, match='x/a.npz: .* holds no proposal'):
        load(folder)


def test_another_size_names_both(folder):
    with pytest.raises(
        ValueError, match=r'x/a.npz: proposals are 3 x 2 .* a.jpg is 2 x 3'
    ):
        load(folder, shape=(3, 2))


def test_packed_at_the_size_of_the_original(folder):
    results = load(folder)
    results.update(
        img=np.zeros((8, 8, 3), np.uint8), gt_label=[0], num_classes=1
    )
    sample = PackWSLInputs()(results)['data_samples']
    assert sample.proposals.masks.shape == (3, 2, 3)
    results.pop('proposals')
    assert 'proposals' not in PackWSLInputs()(results)['data_samples']
