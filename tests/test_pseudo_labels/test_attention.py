"""Tests of accumulated attention."""

import math

import numpy as np
import pytest
import torch

from mmwsl.pseudo_labels import accumulate_attention
from mmwsl.pseudo_labels.attention import (
    attention_maps,
    pack_attention,
    read_attention,
    unpack_attention,
    write_attention,
)


def slow_epochs(maps, scores, min_prob=0.1):
    """Accumulate pixel by pixel over all epochs."""
    kept = None
    for epoch, (values, score) in enumerate(zip(maps, scores)):
        peak = max(0, max(max(row) for row in values))
        new = [
            [max(value, 0) / peak if peak else 0.0 for value in row]
            for row in values
        ]
        if 1 / (1 + math.exp(-score)) >= min_prob:
            if kept is None:
                kept = new
            else:
                kept = [
                    [max(pair) for pair in zip(*rows)]
                    for rows in zip(kept, new)
                ]
        elif epoch == len(maps) - 1 and kept is None:
            kept = new
    return kept


@pytest.mark.parametrize('seed', range(20))
def test_equals_the_loop_over_epochs(seed):
    rng = np.random.default_rng(seed)
    maps = rng.normal(-0.5, 1, (4, 5, 6))
    scores = rng.normal(-3, 2, 4)
    accumulated = None
    for epoch, (values, score) in enumerate(zip(maps, scores)):
        accumulated = accumulate_attention(
            accumulated, values, score, last_epoch=epoch == 3
        )
    want = slow_epochs(maps.tolist(), scores.tolist())
    np.testing.assert_allclose(accumulated, want, rtol=1e-12)


def test_by_hand():
    first = accumulate_attention(None, torch.tensor([[2.0, -1.0, 1.0]]), 0.0)
    assert first.tolist() == [[1.0, 0.0, 0.5]]
    second = accumulate_attention(first, torch.tensor([[0.0, 4.0, 3.0]]), -2.1)
    assert second.tolist() == [[1.0, 1.0, 0.75]]
    # sigma(-2.2) = 0.0997: not believed, so what was kept stays.
    third = accumulate_attention(second, torch.tensor([[0.0, 0.0, 9.0]]), -2.2)
    assert third is second
    assert first.tolist() == [[1.0, 0.0, 0.5]]


def test_doubted_maps_are_stored_in_the_last_epoch_only():
    values = np.array([[1.0, 2.0]], np.float32)
    assert accumulate_attention(None, values, -1e4) is None
    last = accumulate_attention(None, values, -1e4, last_epoch=True)
    assert isinstance(last, np.ndarray)
    assert last.tolist() == [[0.5, 1.0]]


def test_maps_without_a_positive_value_are_zero():
    kept = accumulate_attention(None, torch.full((2, 2), -3.0), 5.0)
    assert kept.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    maps = torch.tensor([[[0.0, -1.0]], [[1e-30, 5e-31]]])
    assert attention_maps(maps).tolist() == [[[0, 0]], [[1, 0.5]]]
    assert attention_maps(maps[:0]).shape == (0, 1, 2)
    assert attention_maps(maps.bfloat16()).dtype == torch.float32


def test_bad_shapes():
    with pytest.raises(ValueError, match='shape'):
        accumulate_attention(None, torch.zeros(1, 2, 2), 0.0)
    with pytest.raises(ValueError, match=r'\(2, 3\).*\(2, 2\)'):
        accumulate_attention(torch.zeros(2, 3), torch.zeros(2, 2), 0.0)


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('kind', [np.array, torch.tensor])
def test_refuses_what_is_not_finite(value, kind):
    values = kind([[value, 1.0], [2.0, 3.0]])
    for score in (2.0, -1e4):
        with pytest.raises(ValueError, match='map holds values that are not'):
            accumulate_attention(None, values, score)
    with pytest.raises(ValueError, match='score is NaN'):
        accumulate_attention(None, kind([[1.0]]), math.nan)


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
    with pytest.raises(ValueError, match=r'text\.npz'):
        read_attention(str(tmp_path / 'text.npz'))
    np.savez(tmp_path / 'other.npz', maps=np.zeros(3))
    with pytest.raises(ValueError, match='expected the arrays'):
        read_attention(str(tmp_path / 'other.npz'))


@pytest.mark.parametrize('value', [np.nan, np.inf, -0.1, 1.5])
def test_values_out_of_range(tmp_path, value):
    path = str(tmp_path / 'attention.npz')
    plane = np.array([[0.2, value, 1.0]], np.float32)
    bad = {'a': {0: plane}}
    with pytest.raises(ValueError, match=r'attention\.npz'):
        write_attention(path, bad)
    assert not list(tmp_path.iterdir())
    np.savez(path, **pack_attention(bad))
    with pytest.raises(ValueError, match=r'attention\.npz'):
        read_attention(path)
    # As a checkpoint holds it.
    with pytest.raises(ValueError, match='attention'):
        unpack_attention(pack_attention(bad))
    with pytest.raises(ValueError, match=r'in \[0, 1\]'):
        accumulate_attention(plane, np.ones((1, 3)), 1.0)


@pytest.mark.parametrize(
    'change',
    [
        dict(counts=np.array([2])),
        dict(counts=np.array([1.5])),
        dict(counts=np.array([[1]])),
        dict(labels=np.int64(3)),
        dict(labels=np.array([-1])),
        dict(labels=np.array([0.5])),
        dict(shapes=np.zeros(3, np.int64)),
        dict(shapes=np.array([[1, 4]])),
        dict(shapes=np.array([[-1, -3]])),
        dict(shapes=np.array([[2**62, 4]])),
        dict(values=np.zeros((2, 2), np.float32)),
        dict(values=np.array([['a', 'b', 'c']])),
        dict(values=np.array([1, 1, 1])),
        dict(ids=np.array(5)),
        dict(ids=np.array('a')),
        dict(ids=np.zeros((2, 2))),
        dict(ids=np.array(['a', 'a']), counts=np.array([1, 0])),
    ],
)
def test_inconsistent_arrays_name_the_file(tmp_path, change):
    path = tmp_path / 'a.npz'
    arrays = pack_attention({'a': {0: np.ones((1, 3), np.float32)}})
    np.savez(path, **{**arrays, **change})
    with pytest.raises(ValueError, match=f'^{path}: '):
        read_attention(str(path))
