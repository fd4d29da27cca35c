"""Attention accumulated by two processes is that of one."""

import numpy as np
import pytest

from forks import run_in_two, run_tool
from mmwsl.apis import load_config
from mmwsl.pseudo_labels.attention import read_attention
from toy_run import CONFIG

IMAGES, SIZE, EPOCHS = 7, 48, 3


def write_config(path, work_dir):
    """Without learning, as sums in another order would round otherwise."""
    cfg = load_config(CONFIG)
    cfg.work_dir = str(work_dir)
    flip = dict(type='RandomFlip', prob=0.5, direction='horizontal')
    cfg.train_dataloader = dict(
        batch_size=4,
        num_workers=0,
        persistent_workers=False,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(
            type='ToyDataset',
            num_images=IMAGES,
            image_size=SIZE,
            pipeline=[flip, dict(type='PackWSLInputs')],
        ),
    )
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.model.backbone.update(out_indices=(1,), norm_eval=True)
    cfg.model.head.in_channels = 128
    cfg.optim_wrapper.optimizer.lr = 0.0
    cfg.param_scheduler = []
    cfg.train_cfg = dict(by_epoch=True, max_epochs=EPOCHS)
    cfg.custom_hooks.append(dict(type='AttentionAccumulationHook'))
    cfg.dump(str(path))


@pytest.mark.slow
def test_two_processes_accumulate_the_same(tmp_path):
    one, two = tmp_path / 'one', tmp_path / 'two'
    config = tmp_path / 'config.py'
    write_config(config, one)
    run_tool(tmp_path, 'train.py', config)
    # Every epoch deals the images, one of them twice, to them anew.
    options = ['--cfg-options', 'train_dataloader.batch_size=2']
    run_in_two(tmp_path, 'train.py', config, '--work-dir', two, *options)
    expected, found = (
        read_attention(str(folder / 'attention.npz')) for folder in (one, two)
    )
    assert len(expected) == IMAGES
    assert {key: set(maps) for key, maps in found.items()} == {
        key: set(maps) for key, maps in expected.items()
    }
    seen = 0
    for img_id, maps in expected.items():
        for label, plane in maps.items():
            # An untrained network sees nothing of some classes.
            seen += plane.max() > 0
            np.testing.assert_allclose(
                found[img_id][label], plane, rtol=1e-4, atol=1e-5
            )
    assert seen > IMAGES / 2
