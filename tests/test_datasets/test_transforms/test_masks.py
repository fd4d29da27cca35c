import numpy as np
import pytest
from PIL import Image

from mmwsl.datasets.transforms.eval_annotations import (
    class_masks_of_instances,
)
from mmwsl.utils.images import read_index_mask


def test_small_objects_lie_on_large_ones():
    masks = np.zeros((2, 4, 5), bool)
    masks[0, :2, :2] = True
    masks[1, :, :4] = True
    seg_map = class_masks_of_instances(masks, np.array([0, 1]), 'a')
    assert seg_map[:2, :2].tolist() == [[1, 1], [1, 1]]
    assert (seg_map == 2).sum() == 12
    assert (seg_map[:, 4] == 0).all()
    with pytest.raises(ValueError, match='a: class masks hold at most 254'):
        class_masks_of_instances(masks, np.array([0, 254]), 'a')


def test_read_index_mask(tmp_path):
    path = str(tmp_path / 'm.png')
    Image.fromarray(np.eye(3, dtype=bool)).save(path)
    assert read_index_mask(path).tolist() == np.eye(3).tolist()
    colours = np.eye(3, dtype=np.uint8)[..., None] * np.uint8([1, 2, 3])
    Image.fromarray(colours).save(path)
    with pytest.raises(ValueError, match=r'm.png: mask is a colour picture'):
        read_index_mask(path)
    with open(path, 'wb') as file:
        file.write(b'nothing')
    with pytest.raises(ValueError, match='m.png: '):
        read_index_mask(path)


def test_truncated_mask(tmp_path):
    path = tmp_path / 'm.png'
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (40, 40), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ValueError, match='m.png: '):
        read_index_mask(str(path))


@pytest.mark.parametrize(
    'values',
    [
        np.full((3, 4), 0.5, np.float32),
        np.full((3, 4), np.nan, np.float32),
        np.full((3, 4), -1, np.int32),
        np.full((3, 4), 2**30, np.int32),
    ],
)
def test_values_that_are_no_indices(tmp_path, values):
    path = str(tmp_path / 'm.tif')
    Image.fromarray(values).save(path)
    with pytest.raises(ValueError, match=r'm\.tif: '):
        read_index_mask(path)
