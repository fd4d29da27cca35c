"""Tests of hiding mined regions."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mmwsl.pseudo_labels.regions import write_regions
from mmwsl.registry import TRANSFORMS


def build(*folders, mean=(10.4, 20.5, 31.0)):
    folders = [str(folder) for folder in folders]
    return TRANSFORMS.build(
        dict(type='EraseRegions', folders=folders, mean=mean)
    )


def test_union_over_classes_and_steps(tmp_path):
    first = np.zeros((2, 4, 5), bool)
    first[0, 0, 0] = first[1, 1, 1] = True
    second = np.zeros((1, 4, 5), bool)
    second[0, 3] = True
    write_regions(str(tmp_path / '1/x/a.npz'), first, np.array([0, 2]))
    write_regions(str(tmp_path / '2/x/a.npz'), second, np.array([2]))
    img = np.full((4, 5, 3), 200, np.uint8)
    transform = build(tmp_path / '1', tmp_path / '2')
    erased = transform(dict(img=img, img_id='x/a'))['img']
    hidden = first.any(0) | second[0]
    assert (erased[hidden] == [10, 20, 31]).all()
    assert (erased[~hidden] == 200).all()
    assert (img == 200).all()
    # Regions of a later step are seen by the same transform.
    write_regions(str(tmp_path / '2/x/a.npz'), ~second, np.array([2]))
    again = transform(dict(img=img, img_id='x/a'))['img']
    assert (again[~second[0]] == [10, 20, 31]).all()


def test_nothing_to_erase(tmp_path):
    img = np.zeros((4, 5, 3), np.uint8)
    assert build()(dict(img=img, img_id='a'))['img'] is img
    write_regions(str(tmp_path / 'a.npz'), np.zeros((0, 4, 5), bool), [])
    assert build(tmp_path)(dict(img=img, img_id='a'))['img'] is img


class Pictures(Dataset):
    """Two grey pictures behind a transform."""

    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 2

    def __getitem__(self, index):
        img = np.full((4, 5, 3), 200, np.uint8)
        return self.transform(dict(img=img, img_id=f'{index}'))['img']


def test_workers_that_live_on_follow_the_steps(tmp_path):
    transform = TRANSFORMS.build(dict(type='EraseRegions'))
    transform.watch(str(tmp_path))
    loader = DataLoader(
        Pictures(transform), num_workers=1, persistent_workers=True
    )
    erased = []
    for step in range(3):
        transform.set_steps(step, (10.4, 20.5, 31.0))
        erased.append(torch.cat(list(loader)))
        for name in '01':
            region = np.zeros((1, 4, 5), bool)
            region[0, step] = True
            path = tmp_path / f'step_{step + 1}/{name}.npz'
            write_regions(str(path), region, [0])
    for step, images in enumerate(erased):
        assert (images[:, :step] == torch.tensor([10, 20, 31])).all()
        assert (images[:, step:] == 200).all()
    # The pixel of the config goes first.
    own = TRANSFORMS.build(dict(type='EraseRegions', mean=(1, 2, 3)))
    own.watch(str(tmp_path))
    own.set_steps(1, (10.4, 20.5, 31.0))
    assert (Pictures(own)[0][0] == [1, 2, 3]).all()


def test_bad_input(tmp_path):
    img = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(FileNotFoundError, match=r'b\.npz'):
        build(tmp_path)(dict(img=img, img_id='b'))
    write_regions(str(tmp_path / 'a.npz'), np.zeros((1, 4, 4), bool), [0])
    with pytest.raises(ValueError, match='4 x 4 pixels'):
        build(tmp_path)(dict(img=img, img_id='a'))
    with pytest.raises(ValueError, match='list'):
        TRANSFORMS.build(
            dict(type='EraseRegions', folders='step_1', mean=(0, 0, 0))
        )
    with pytest.raises(ValueError, match='mean pixel'):
        TRANSFORMS.build(dict(type='EraseRegions', folders=['step_1']))
