from types import SimpleNamespace

import pytest

from mmwsl.datasets import image_ids


class Dataset:
    def __init__(self, *ids):
        self.ids = ids

    def __len__(self):
        return len(self.ids)

    def get_data_info(self, index):
        return dict(img_id=self.ids[index])


def test_in_order():
    assert image_ids(Dataset('b', 'a', 'a')) == ['b', 'a', 'a']
    both = SimpleNamespace(datasets=[Dataset('x/1'), Dataset('y/1', 'x/2')])
    assert image_ids(both) == ['x/1', 'y/1', 'x/2']


def test_two_images_with_one_id():
    both = SimpleNamespace(datasets=[Dataset('a', 'b'), Dataset('b')])
    with pytest.raises(ValueError, match="'b' occurs in two of the data"):
        image_ids(both)
