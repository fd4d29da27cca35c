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
    check, fit = Mock(), Mock()
    monkeypatch.setattr(module, 'check_source', check)
    monkeypatch.setattr(module, 'check_label_maps', fit)
    hook = HOOKS.build(dict(type='PseudoLabelGuardHook', truth=['more']))
    hook.before_train(make_runner('x', 'y'))
    truth = ['more', 'data/masks']
    assert [call.args for call in check.call_args_list] == [
        ('x', ['x/0.png', 'x/1.png'], truth),
        ('y', ['y/0.png', 'y/1.png'], truth),
    ]
    images = ['0.jpg', '1.jpg']
    assert [call.args for call in fit.call_args_list] == [
        (images, ['x/0.png', 'x/1.png'], None),
        (images, ['y/0.png', 'y/1.png'], None),
    ]


@pytest.mark.parametrize(
    ('attributes', 'values'),
    [
        ({}, None),
        (dict(metainfo={}), None),
        (dict(metainfo=dict(classes='abc')), 3),
        (dict(metainfo=dict(classes='abc'), label_map=None), 3),
        (dict(metainfo=dict(classes='ab'), label_map={0: 0, 1: 255, 2: 1}), 3),
        (dict(metainfo=dict(classes='abc'), reduce_zero_label=True), 4),
    ],
)
def test_values_come_from_the_data_sets_classes(
    monkeypatch, attributes, values
):
    fit = Mock()
    monkeypatch.setattr(module, 'check_source', Mock())
    monkeypatch.setattr(module, 'check_label_maps', fit)
    runner = make_runner('x')
    (dataset,) = runner.train_dataloader.dataset.datasets
    dataset.__dict__.update(attributes)
    HOOKS.build(dict(type='PseudoLabelGuardHook')).before_train(runner)
    assert fit.call_args.args[2] == values


def test_training_sets_without_label_maps():
    hook = HOOKS.build(dict(type='PseudoLabelGuardHook'))
    with pytest.raises(ValueError, match='seg_map_path'):
        hook.before_train(make_runner(None))
