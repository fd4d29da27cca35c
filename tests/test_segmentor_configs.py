"""Every config of a segmentor builds, trains a step and is evaluated."""

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmwsl.registry import HOOKS, LOOPS, MODELS
from stage1_data import CONFIG_DIR, segmentor_files, small_config, write_data

pytestmark = [pytest.mark.filterwarnings('ignore'), pytest.mark.slow]


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    pytest.importorskip('mmseg')
    root = tmp_path_factory.mktemp('data')
    write_data(root)
    return root


@pytest.mark.parametrize('name', segmentor_files())
def test_config(name, data_root):
    cfg = small_config(name, data_root)
    init_default_scope(cfg.default_scope)
    assert cfg.default_scope == 'mmseg'
    model = MODELS.build(cfg.model)
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = {k: v.clone() for k, v in model.named_parameters()}
    train_loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    classes = train_loader.dataset.metainfo['classes']
    assert len(classes) == model.decode_head.out_channels
    model.train()
    logged = model.train_step(next(iter(train_loader)), optim_wrapper)
    assert torch.isfinite(logged['loss'])
    moved = [k for k, v in model.named_parameters() if not v.equal(before[k])]
    for part in ('decode_head.', 'backbone.'):
        assert any(key.startswith(part) for key in moved)

    test_loader = Runner.build_dataloader(cfg.test_dataloader, seed=0)
    settings = cfg.test_evaluator
    evaluator = Evaluator(
        settings if isinstance(settings, list) else [settings]
    )
    evaluator.dataset_meta = test_loader.dataset.metainfo
    with torch.no_grad():
        for batch in test_loader:
            samples = model.eval().test_step(batch)
            evaluator.process(samples, batch)
    metrics = evaluator.evaluate(len(test_loader.dataset))
    assert metrics
    if cfg.test_evaluator == cfg.val_evaluator:
        # The best checkpoint is that of the main value, and more than one
        # validation looks for it.
        checkpoints = HOOKS.build(cfg.default_hooks.checkpoint)
        assert checkpoints.key_indicators == ['mIoU']
        assert 'mIoU' in metrics
        assert checkpoints.rules == ['greater']
        shipped = Config.fromfile(CONFIG_DIR / name).train_cfg
        assert shipped.val_interval <= shipped.max_epochs / 2


@pytest.mark.parametrize('name', segmentor_files())
def test_runs_are_reproducible_and_guarded(name, data_root):
    cfg = small_config(name, data_root)
    init_default_scope(cfg.default_scope)
    hooks = [HOOKS.build(hook) for hook in cfg.custom_hooks]
    kinds = {type(hook).__name__ for hook in hooks}
    assert {'EpochSeedHook', 'PseudoLabelGuardHook'} <= kinds
    assert cfg.train_cfg.get('by_epoch') or LOOPS.get(cfg.train_cfg.type)
    assert cfg.train_dataloader.dataset.type == 'mmwsl.SeededDataset'
    assert cfg.randomness.seed is not None
