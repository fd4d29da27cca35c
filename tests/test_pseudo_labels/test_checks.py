"""Tests of values that must not get into label maps."""

import numpy as np
import pytest
import torch

from mmwsl.pseudo_labels import (
    accumulate_attention,
    background_score,
    ignore_if_small,
    initial_label,
    keep_ignored,
    maps_to_label,
    mine_regions,
    non_salient_region_masking,
    potential_object_mining,
    regions_to_label,
)
from mmwsl.pseudo_labels.attention import (
    pack_attention,
    read_attention,
    unpack_attention,
    write_attention,
)
from mmwsl.pseudo_labels.checks import check_classes
from mmwsl.pseudo_labels.label_files import read_label_map
from mmwsl.pseudo_labels.regions import read_regions, write_regions

GOOD = np.array([[0.2, 0.5, 1.0]])
LABEL = np.array([[0, 1, 255]], np.uint8)


def with_value(value):
    plane = GOOD.copy()
    plane[0, 1] = value
    return plane


CALLS = {
    'initial saliency': lambda x: initial_label(x, {0: GOOD}),
    'initial map': lambda x: initial_label(GOOD, {0: x}),
    'mining': lambda x: potential_object_mining(LABEL, {0: x}),
    'masking': lambda x: non_salient_region_masking(LABEL, LABEL, x, 2),
    'regions': lambda x: regions_to_label(GOOD[None] > 0.4, np.zeros(1), x),
    'mine': mine_regions,
    'attention': lambda x: accumulate_attention(None, x, 1.0),
    'kept attention': lambda x: accumulate_attention(x, GOOD, 1.0),
    'background': lambda x: background_score(
        torch.from_numpy(GOOD[None]), 'saliency', 0.3, torch.from_numpy(x)
    ),
    'label': lambda x: maps_to_label(
        torch.from_numpy(x[None]),
        torch.tensor([3]),
        torch.from_numpy(GOOD),
    ),
}
# Maps are logits, or of any scale.
ANY_SIGN = {'initial map', 'mining', 'mine', 'attention', 'label'}


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, -0.1])
@pytest.mark.parametrize('name', CALLS)
def test_only_numbers_become_labels(name, value) -> None:
    CALLS[name](GOOD)
    if value == -0.1 and name in ANY_SIGN:
        CALLS[name](with_value(value))
        return
    with pytest.raises(ValueError, match='finite|in \\[0, 1\\]|>= 0'):
        CALLS[name](with_value(value))


@pytest.mark.parametrize('value', [256, 300, -1, 65535])
def test_labels_do_not_wrap(value) -> None:
    label = LABEL.astype(np.int64)
    label[0, 1] = value
    for call in (
        ignore_if_small,
        lambda x: keep_ignored(x, LABEL),
        lambda x: keep_ignored(LABEL, x),
        lambda x: potential_object_mining(x, {}),
    ):
        with pytest.raises(ValueError, match=str(value)):
            call(label)


@pytest.mark.parametrize(
    'labels', [[254], [-1], [0, 1], [0.5], [[0]], [np.nan], ['0']]
)
def test_classes(labels, tmp_path) -> None:
    with pytest.raises(ValueError, match='labels'):
        check_classes(np.array(labels), 'labels', 1)
    path, region = str(tmp_path / 'a.npz'), np.ones((1, 1, 3), bool)
    with pytest.raises(ValueError, match=r'a\.npz'):
        write_regions(path, region, np.array(labels))
    write_regions(path, region, np.array([253]))
    with np.load(path) as file:
        content = dict(file)
    np.savez(path, **{**content, 'labels': np.array(labels)})
    with pytest.raises(ValueError, match=r'a\.npz'):
        read_regions(path)


@pytest.mark.parametrize('dtype', [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize('value', [2, 255, 300])
def test_label_maps_of_other_types(write_picture, dtype, value) -> None:
    path = write_picture(np.array([[0, value]], dtype))
    if dtype != np.float32 and value <= 255:
        found = read_label_map(path)
        assert found.dtype == np.uint8
        assert found.tolist() == [[0, value]]
        return
    with pytest.raises(ValueError, match='label map') as error:
        read_label_map(path)
    assert str(error.value).startswith(path)


@pytest.mark.parametrize('value', [np.nan, np.inf, -0.1, 1.5])
def test_attention_on_disk(tmp_path, value) -> None:
    path = str(tmp_path / 'attention.npz')
    bad = {'a': {0: with_value(value).astype(np.float32)}}
    with pytest.raises(ValueError, match=r'attention\.npz'):
        write_attention(path, bad)
    assert not list(tmp_path.iterdir())
    np.savez(path, **pack_attention(bad))
    with pytest.raises(ValueError, match=r'attention\.npz'):
        read_attention(path)
    # As a checkpoint holds it.
    with pytest.raises(ValueError, match='attention'):
        unpack_attention(pack_attention(bad))


@pytest.mark.parametrize(
    'change',
    [
        dict(counts=np.array([2])),
        dict(counts=np.array([[1]])),
        dict(labels=np.array([-1])),
        dict(labels=np.array([0.5])),
        dict(shapes=np.array([[1, 4]])),
        dict(shapes=np.array([[-1, -3]])),
        dict(shapes=np.array([[2**62, 4]])),
        dict(values=np.array([['a', 'b', 'c']])),
        dict(values=np.array([1, 1, 1])),
        dict(ids=np.array(5)),
        dict(ids=np.array(['a', 'a']), counts=np.array([1, 0])),
    ],
)
def test_attention_that_does_not_fit_together(tmp_path, change) -> None:
    path = str(tmp_path / 'attention.npz')
    arrays = pack_attention({'a': {0: GOOD.astype(np.float32)}})
    np.savez(path, **{**arrays, **change})
    with pytest.raises(ValueError, match=r'attention\.npz'):
        read_attention(path)
