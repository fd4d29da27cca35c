"""Attention is accumulated as by a loop over epochs and images."""

from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from mmcv.transforms import RandomApply, RandomChoice
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch import nn

from mmwsl.engine.hooks import attention_accumulation_hook as module
from mmwsl.models.heads import CAMHead
from mmwsl.pseudo_labels import accumulate_attention
from mmwsl.pseudo_labels.attention import read_attention
from mmwsl.registry import HOOKS
from mmwsl.structures import WSLDataSample
from mmwsl.utils.checkpoints import read_checkpoint

EPOCHS, CLASSES = 4, 3
TOLD = ('img_id', 'flip_direction')
LABELS = {'a/0': [0], 'a/1': [1, 2], 'b/0': [], 'b/1': [0, 2]}


class Transform:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def __call__(self, results):
        return results


def transforms(*names, **attributes):
    return [type(name, (Transform,), {})(**attributes) for name in names]


def nested(name):
    """A transform as RandomChoice and RandomApply hold theirs."""
    return [
        RandomChoice([transforms('Resize'), [RandomApply(transforms(name))]])
    ]


def make_runner(
    tmp_path=None, pipeline=(), loop=EpochBasedTrainLoop, augments=()
):
    model = nn.Module()
    # Its scores are means of its maps.
    model.head = CAMHead(CLASSES, 1)
    model.data_preprocessor = SimpleNamespace(batch_augments=list(augments))
    dataset = SimpleNamespace(
        pipeline=SimpleNamespace(transforms=list(pipeline))
    )
    return SimpleNamespace(
        model=model,
        epoch=0,
        max_epochs=EPOCHS,
        train_loop=Mock(spec=loop),
        train_dataloader=SimpleNamespace(dataset=dataset),
        work_dir=str(tmp_path),
        logger=Mock(),
        _resume=True,
    )


def all_maps():
    """Class maps (C, 3, 4) of each epoch and image; some are doubted."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(EPOCHS, 4, CLASSES, 3, 4, generator=generator)
    shift = 4 * torch.randn(EPOCHS, 4, CLASSES, 1, 1, generator=generator)
    return maps + shift - 2


def expected(start=1):
    """Accumulate one image and class after another."""
    result = {}
    for number, (img_id, labels) in enumerate(LABELS.items()):
        for label in labels:
            kept = None
            for epoch, maps in enumerate(all_maps()[:, number, label]):
                last = epoch == EPOCHS - 1
                if epoch >= start or last:
                    kept = accumulate_attention(kept, maps, maps.mean(), last)
            result.setdefault(img_id, {})[label] = kept.numpy()
    return result


def step(hook, runner, names, flip=False, shapes=None, maps=None):
    numbers = [list(LABELS).index(name) for name in names]
    maps = (all_maps() if maps is None else maps)[runner.epoch, numbers]
    samples = []
    for name in names:
        direction = 'horizontal' if flip else None
        metainfo = dict(img_id=name, flip_direction=direction)
        sample = WSLDataSample(metainfo=metainfo)
        samples.append(sample.set_gt_label(LABELS[name], CLASSES))
    hook.before_train_iter(runner, 0)
    runner.model.head.record(maps.flip(-1) if flip else maps)
    inputs = [torch.zeros(3, *(shapes or [(9, 9)] * 4)[n]) for n in range(4)]
    batch = dict(inputs=inputs[: len(names)], data_samples=samples)
    hook.after_train_iter(runner, 0, batch)


def train(hook, runner, epochs=range(EPOCHS), names=tuple(LABELS)):
    runner.model.train()
    hook.before_train(runner)
    for runner.epoch in epochs:
        step(hook, runner, names[:2], flip=runner.epoch % 2 == 0)
        step(hook, runner, names[2:])
        hook.after_train_epoch(runner)


def build(**kwargs):
    return HOOKS.build(dict(type='AttentionAccumulationHook', **kwargs))


def assert_equal(found, want):
    assert {i: set(m) for i, m in found.items()} == {
        i: set(m) for i, m in want.items()
    }
    for img_id, maps in want.items():
        for label, plane in maps.items():
            np.testing.assert_array_equal(found[img_id][label], plane)


@pytest.mark.parametrize('start', [1, 0, 9])
def test_equals_the_loop_over_epochs(tmp_path, start):
    hook, runner = build(start_epoch=start), make_runner(tmp_path)
    train(hook, runner)
    hook.after_train(runner)
    found = read_attention(str(tmp_path / 'attention.npz'))
    assert_equal(found, expected(start))


def test_resumed_run_ends_alike(tmp_path):
    out_file = str(tmp_path / 'x.npz')
    first, runner = build(), make_runner(tmp_path)
    train(first, runner, epochs=range(2))
    checkpoint = {}
    first.before_save_checkpoint(runner, checkpoint)
    torch.save(checkpoint, tmp_path / 'checkpoint.pth')
    # What came after the checkpoint is lost.
    train(first, runner, epochs=[2])
    second = build(out_file=out_file)
    second.after_load_checkpoint(
        runner, read_checkpoint(tmp_path / 'checkpoint.pth')
    )
    train(second, runner, epochs=range(2, EPOCHS))
    second.after_train(runner)
    assert_equal(read_attention(out_file), expected())


def test_weights_of_another_run_bring_no_attention(tmp_path):
    hook, runner = build(), make_runner(tmp_path)
    with pytest.raises(ValueError, match='without AttentionAccumulation'):
        hook.after_load_checkpoint(runner, {})
    runner._resume = False
    hook.after_load_checkpoint(runner, {})
    assert hook.attention == {}


def test_two_processes_end_as_one(tmp_path, monkeypatch):
    hooks = [build(), build()]
    runners = [make_runner(tmp_path), make_runner(tmp_path)]
    monkeypatch.setattr(module, 'get_world_size', lambda: 2)
    for hook, runner in zip(hooks, runners):
        hook.before_train(runner)
    for epoch in range(EPOCHS):
        # The processes swap their images in every epoch.
        parts = [tuple(LABELS)[:2], tuple(LABELS)[2:]]
        swapped = parts[:: 1 - epoch % 2 * 2]
        for hook, runner, names in zip(hooks, runners, swapped):
            runner.epoch = epoch
            step(hook, runner, names)
        stores = [(hook.attention, hook._doubted) for hook in hooks]
        gather = Mock(return_value=stores)
        monkeypatch.setattr(module, 'all_gather_object', gather)
        for rank, (hook, runner) in enumerate(zip(hooks, runners)):
            first = Mock(return_value=rank == 0)
            monkeypatch.setattr(module, 'is_main_process', first)
            hook.after_train_epoch(runner)
    assert_equal(hooks[0].attention, expected())
    assert hooks[1].attention == {}


@pytest.mark.parametrize(
    ('runner', 'match'),
    [
        (dict(loop=IterBasedTrainLoop), 'epoch-based'),
        (dict(pipeline=transforms('Resize', 'RandomResizedCrop')), 'Crop'),
        (dict(pipeline=transforms('Pad')), 'Pad'),
        (
            dict(pipeline=transforms('RandomFlip', meta_keys=('img_id',))),
            'RandomFlip.*undone',
        ),
        (
            dict(pipeline=transforms('Flip', 'RandomFlip', meta_keys=TOLD)),
            'RandomFlip.*flip once',
        ),
        (dict(pipeline=nested('RandomRotate')), 'RandomRotate'),
        (dict(augments=[1]), 'batch_augments'),
    ],
)
def test_refuses_what_moves_the_picture(runner, match):
    with pytest.raises(ValueError, match=match):
        build().before_train(make_runner(**runner))


def test_accepts_flips_that_are_told(tmp_path):
    pipeline = transforms('Resize', 'RandomFlip', 'ColorJitter')
    pipeline += transforms('PackWSLInputs', meta_keys=('flip_direction',))
    build().before_train(make_runner(tmp_path, pipeline))


def test_refuses_two_images_with_one_id(tmp_path):
    runner = make_runner(tmp_path)
    inner = Mock(spec=['pipeline', '__len__', 'get_data_info'])
    inner.pipeline.transforms = []
    inner.__len__ = Mock(return_value=1)
    inner.get_data_info.return_value = dict(img_id='a')
    runner.train_dataloader.dataset = SimpleNamespace(datasets=[inner] * 2)
    with pytest.raises(ValueError, match="'a' occurs in two"):
        build().before_train(runner)


def test_refuses_other_heads_and_sizes(tmp_path):
    runner = make_runner(tmp_path)
    runner.model.head = nn.Identity()
    with pytest.raises(TypeError, match='CAMHead'):
        build().before_train(runner)
    hook = build(start_epoch=0, min_prob=0)
    runner = make_runner(tmp_path)
    hook.before_train(runner)
    with pytest.raises(ValueError, match='a/1: the input is 7 x 9'):
        step(hook, runner, ['a/0', 'a/1'], shapes=[(9, 9), (9, 7)] * 2)
    step(hook, runner, ['a/0'])
    other = np.zeros((2, 2), np.float32)
    with pytest.raises(ValueError, match='2 x 2 cells'):
        module._fuse(hook.attention, 'a/0', 0, other)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_names_the_image_whose_map_is_not_finite(tmp_path, value):
    hook, runner = build(start_epoch=0), make_runner(tmp_path)
    hook.before_train(runner)
    maps = all_maps()
    # A class that its image does not show.
    maps[0, 1, 0, 0, 0] = value
    step(hook, runner, ['a/0', 'a/1'], maps=maps)
    maps[0, 1, 2, 0, 0] = value
    with pytest.raises(ValueError, match='a/1: the map of class 2 holds'):
        step(hook, runner, ['a/0', 'a/1'], maps=maps)
