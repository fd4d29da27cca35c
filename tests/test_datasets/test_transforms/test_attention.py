"""Tests of loading accumulated attention."""

import numpy as np
import pytest

from mmwsl.pseudo_labels.attention import write_attention
from mmwsl.registry import TRANSFORMS
from mmwsl.structures import WSLDataSample


def load(path, img_id='x/1', labels=(2,), direction=None):
    transform = TRANSFORMS.build(dict(type='LoadAttention', path=str(path)))
    metainfo = dict(img_id=img_id, flip_direction=direction)
    sample = WSLDataSample(metainfo=metainfo).set_gt_label(list(labels), 5)
    return transform(dict(data_samples=sample))['data_samples'].attention.data


@pytest.fixture
def path(tmp_path):
    maps = {
        2: np.array([[0.0, 0.5], [0.25, 1.0]], np.float32),
        0: np.ones((2, 2), np.float32),
    }
    write_attention(str(tmp_path / 'a.npz'), {'x/1': maps})
    return tmp_path / 'a.npz'


def test_maps_in_the_order_of_the_labels(path):
    maps = load(path, labels=(2, 0))
    assert maps.tolist() == [[[0.0, 0.5], [0.25, 1.0]], [[1, 1], [1, 1]]]
    assert load(path, 'not there', ()).shape == (0, 2, 2)


@pytest.mark.parametrize(
    ('direction', 'want'),
    [
        ('horizontal', [[0.5, 0.0], [1.0, 0.25]]),
        ('vertical', [[0.25, 1.0], [0.0, 0.5]]),
        ('diagonal', [[1.0, 0.25], [0.5, 0.0]]),
    ],
)
def test_flips_follow_the_image(path, direction, want):
    assert load(path, direction=direction)[0].tolist() == want


def test_what_is_missing(path, tmp_path):
    with pytest.raises(ValueError, match='no attention of x/2'):
        load(path, 'x/2')
    with pytest.raises(ValueError, match='class 4 of x/1'):
        load(path, labels=(2, 4))
    with pytest.raises(FileNotFoundError, match='AttentionAccumulationHook'):
        load(tmp_path / 'none.npz')
    write_attention(str(tmp_path / 'empty.npz'), {})
    with pytest.raises(ValueError, match='at all'):
        load(tmp_path / 'empty.npz')
    transform = TRANSFORMS.build(dict(type='LoadAttention', path=str(path)))
    with pytest.raises(ValueError, match='after PackWSLInputs'):
        transform(dict(img=None))
