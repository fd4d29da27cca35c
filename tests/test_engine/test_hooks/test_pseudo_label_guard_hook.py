"""The guard finds the label maps and the masks of a run."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from mmengine.config import Config

from mmwsl.engine.hooks import pseudo_label_guard_hook as module
from mmwsl.registry import HOOKS


class Dataset:
    def __init__(self, folder):
        self.data_prefix = dict(seg_map_path=folder) if folder else {}

    def __len__(self):
        return 2

    def get_data_info(self, index):
        folder = self.data_prefix['seg_map_path']
        return dict(
            img_path=f'{index}.jpg', seg_map_path=f'{folder}/{index}.png'
        )


def make_runner(*folders):
    wrapped = SimpleNamespace(datasets=[Dataset(f) for f in folders])
    masks = dict(img_path='images', seg_map_path='masks')
    inner = dict(type='A', data_root='data', data_prefix=masks)
    cfg = Config(
        dict(
            val_dataloader=dict(dataset=dict(type='B', dataset=inner)),
            test_dataloader=None,
        )
    )
    loader = SimpleNamespace(dataset=wrapped)
    return SimpleNamespace(train_dataloader=loader, cfg=cfg)


def test_every_data_set_is_checked(monkeypatch):
    check, sizes = Mock(), Mock()
    monkeypatch.setattr(module, 'check_source', check)
    monkeypatch.setattr(module, 'check_sizes', sizes)
    hook = HOOKS.build(dict(type='PseudoLabelGuardHook', truth=['more']))
    hook.before_train(make_runner('x', 'y'))
    truth = ['more', 'data/masks']
    assert [call.args for call in check.call_args_list] == [
        ('x', ['x/0.png', 'x/1.png'], truth),
        ('y', ['y/0.png', 'y/1.png'], truth),
    ]
    images = ['0.jpg', '1.jpg']
    assert [call.args for call in sizes.call_args_list] == [
        (images, ['x/0.png', 'x/1.png']),
        (images, ['y/0.png', 'y/1.png']),
    ]


def test_training_sets_without_label_maps():
    hook = HOOKS.build(dict(type='PseudoLabelGuardHook'))
    with pytest.raises(ValueError, match='seg_map_path'):
        hook.before_train(make_runner(None))
