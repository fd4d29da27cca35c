"""Tests of the file of accumulated attention."""

import numpy as np
import pytest

from mmwsl.pseudo_labels.attention_file import read_attention, write_attention

MAPS = {
    'b/1': {3: np.array([[0.1, 1.0]], np.float32)},
    'a/2': {
        7: np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
        0: np.zeros((1, 1), np.float32),
    },
    'none': {},
}


def test_round_trip_keeps_every_digit(tmp_path):
    path = tmp_path / 'new' / 'attention.npz'
    write_attention(str(path), MAPS)
    found = read_attention(str(path))
    assert {i: sorted(maps) for i, maps in found.items()} == {
        'a/2': [0, 7],
        'b/1': [3],
        'none': [],
    }
    for img_id, maps in MAPS.items():
        for label, plane in maps.items():
            np.testing.assert_array_equal(found[img_id][label], plane)
    write_attention(str(path), {})
    assert read_attention(str(path)) == {}
    assert [p.name for p in path.parent.iterdir()] == ['attention.npz']


def test_bad_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'missing\.npz'):
        read_attention(str(tmp_path / 'missing.npz'))
    (tmp_path / 'text.npz').write_text('no')
    with pytest.raises(ValueError, match='cannot be read'):
        read_attention(str(tmp_path / 'text.npz'))
    np.savez(tmp_path / 'other.npz', maps=np.zeros(3))
    with pytest.raises(ValueError, match='expected the arrays'):
        read_attention(str(tmp_path / 'other.npz'))
