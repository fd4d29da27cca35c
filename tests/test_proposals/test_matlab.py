"""Tests of MATLAB files."""

import numpy as np
import pytest
from scipy.io import savemat

from mmwsl.proposals import read_proposals

SUPERPIXELS = np.array([[1, 1, 2], [3, 3, 2]], dtype=np.uint16)
# Superpixel 2; superpixels 1 and 3.
MASKS = [[[0, 0, 1], [0, 0, 1]], [[1, 1, 0], [1, 1, 0]]]


def cell(*items):
    labels = np.empty((len(items), 1), dtype=object)
    for row, item in zip(labels, items):
        row[0] = np.array(item, dtype=np.float64)
    return labels


def write(tmp_path, **content):
    path = str(tmp_path / 'a.mat')
    savemat(path, content)
    return path


@pytest.mark.parametrize(
    'labels',
    [
        cell([[2]], [[1, 3]]),
        cell([[2]], [[1], [3]]),
        # One proposal a row, filled up with zeros.
        np.array([[2, 0], [1, 3]], dtype=np.uint16),
    ],
)
def test_mcg(tmp_path, labels) -> None:
    scores = np.array([[3.0], [1.0]])
    path = write(
        tmp_path, superpixels=SUPERPIXELS, labels=labels, scores=scores
    )
    found = read_proposals(path)
    np.testing.assert_array_equal(found.masks, MASKS)
    assert found.scores.tolist() == [3, 1]


def test_scores_of_something_else_are_left_out(tmp_path) -> None:
    path = write(
        tmp_path, superpixels=SUPERPIXELS, labels=cell([2]), scores=[1, 2, 3]
    )
    assert read_proposals(path).scores is None


@pytest.mark.parametrize('name', ['proposals', 'maskmat', 'masks'])
def test_stacks_have_masks_last(tmp_path, name) -> None:
    stack = np.moveaxis(np.array(MASKS, dtype=np.uint8), 0, 2)
    found = read_proposals(write(tmp_path, **{name: stack}))
    np.testing.assert_array_equal(found.masks, MASKS)


def test_bad_files(tmp_path) -> None:
    with pytest.raises(ValueError, match='a.mat: holds neither superpixels'):
        read_proposals(write(tmp_path, superpixels=SUPERPIXELS))
    wrong = write(tmp_path, superpixels=SUPERPIXELS, labels=cell([2, 9]))
    with pytest.raises(ValueError, match='a.mat: .*not in 0 to 3'):
        read_proposals(wrong)
    # What MATLAB writes before the HDF5 part of a file of version 7.3.
    header = b'MATLAB 7.3 MAT-file'.ljust(124) + b'\x00\x02IM'
    (tmp_path / 'b.mat').write_bytes(header + b'\x89HDF' + bytes(512))
    with pytest.raises(ValueError, match='b.mat: .*7.3; .* -v7'):
        read_proposals(str(tmp_path / 'b.mat'))
