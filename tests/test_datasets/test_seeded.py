"""Entries of other packages' data sets depend on seed, epoch and index."""

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from torch.utils.data import DataLoader

from mmwsl.datasets import SeededDataset, base_datasets, set_epoch
from mmwsl.registry import DATASETS


class Noise(BaseDataset):
    METAINFO = dict(classes=('a',))

    def load_data_list(self):
        return [dict(number=number) for number in range(4)]


def draw(info):
    return float(np.random.rand()), float(torch.rand(()))


def make(**kwargs):
    return SeededDataset(Noise(ann_file='', pipeline=[draw]), **kwargs)


def entries(dataset, workers=0):
    loader = DataLoader(dataset, batch_size=None, num_workers=workers)
    return [tuple(float(x) for x in entry) for entry in loader]


def test_drawn_from_seed_epoch_and_index():
    dataset = make(seed=3)
    set_epoch(dataset, 5)
    first = entries(dataset)
    assert len(set(first)) == 4
    np.random.seed(1)
    torch.manual_seed(1)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    assert entries(dataset)[::-1] == [dataset[i] for i in (3, 2, 1, 0)]
    assert (np.random.get_state()[1] == before[0]).all()
    assert entries(dataset, workers=2) == first
    set_epoch(dataset, 6)
    assert set(entries(dataset)).isdisjoint(first)
    set_epoch(dataset, 5, seed=4)
    assert set(entries(dataset)).isdisjoint(first)
    set_epoch(dataset, 5, seed=3)
    assert entries(dataset) == first


def test_workers_that_live_on_hear_of_epochs():
    dataset = make()
    loader = DataLoader(
        dataset, batch_size=None, num_workers=1, persistent_workers=True
    )
    found = []
    for epoch in (0, 1, 0):
        set_epoch(dataset, epoch)
        found.append([tuple(map(float, entry)) for entry in loader])
    assert found[0] == found[2] != found[1]


def test_without_epoch_nothing_is_seeded():
    dataset = make()
    assert dataset[0] != dataset[0]


def test_what_it_passes_on():
    toy = dict(type='ToyDataset', num_images=3, image_size=32)
    dataset = DATASETS.build(dict(type='SeededDataset', dataset=toy))
    dataset.full_init()
    assert len(dataset) == 3
    assert dataset.metainfo == dataset.dataset.metainfo
    assert dataset.get_data_info(1)['img_id'] == 'toy/0/000001'
    assert list(base_datasets(dataset)) == [dataset.dataset]
