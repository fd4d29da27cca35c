"""Every config builds, trains a step, predicts and is evaluated."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmwsl.apis import load_config
from mmwsl.registry import (
    DATASETS,
    HOOKS,
    METRICS,
    MODELS,
    TRANSFORMS,
    VISUALIZERS,
)
from stage1_data import (
    _drop_pretrained,
    config_files,
    fill,
    read_once,
    segmentor_files,
    small_config,
    write_data,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    write_data(root)
    return root


def skip_without_siblings(model):
    """Skip a config whose packages are not installed."""
    for part in ('backbone', 'neck', 'head'):
        kind = (model.get(part) or {}).get('type', '')
        if kind.startswith(('Timm', 'Transformer')):
            pytest.importorskip('timm')
        elif '.' in kind:
            pytest.importorskip(kind.split('.')[0])


def test_there_are_configs():
    assert 'cam/cam_r18_toy.py' in config_files()


@pytest.mark.parametrize('name', config_files())
def test_config(name, data_root):
    cfg = small_config(name, data_root)
    skip_without_siblings(cfg.model)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    before = {k: v.clone() for k, v in model.named_parameters()}

    train_loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    # A head that wraps another one leaves the number to it.
    head = cfg.model.head.get('head', cfg.model.head)
    assert len(train_loader.dataset.metainfo['classes']) == head.num_classes
    model.train()
    logged = model.train_step(next(iter(train_loader)), optim_wrapper)
    assert torch.isfinite(logged['loss'])
    moved = [k for k, v in model.named_parameters() if not v.equal(before[k])]
    assert any(key.startswith('head.') for key in moved)
    # A config may freeze all of its backbone.
    trained = [k for k, v in model.named_parameters() if v.requires_grad]
    assert any(key.startswith('backbone.') for key in moved) == any(
        key.startswith('backbone.') for key in trained
    )

    test_loader = Runner.build_dataloader(cfg.test_dataloader, seed=0)
    evaluator = Evaluator(cfg.test_evaluator)
    evaluator.dataset_meta = test_loader.dataset.metainfo
    for metric in evaluator.metrics:
        if hasattr(metric, 'model'):  # as MetricModelHook says
            metric.model = model
    with torch.no_grad():
        for batch in test_loader:
            samples = model.eval().test_step(batch)
            evaluator.process(samples, batch)
    metrics = evaluator.evaluate(len(test_loader.dataset))
    assert metrics
    # NaN is a mean over nothing: a network that has seen a batch may find no
    # object at all.
    values = np.array(list(metrics.values()))
    assert np.isfinite(values).any()
    assert not np.isinf(values).any()
    if cfg.test_evaluator == cfg.val_evaluator:
        hook = HOOKS.build(cfg.default_hooks.checkpoint)
        assert hook.save_best == ['auto']
        # The best checkpoint is that of the first value.
        hook._init_rule(hook.rules, [next(iter(metrics))])
        low = next(iter(metrics)).endswith('RMSE')
        assert hook.rules == ['less' if low else 'greater']


@pytest.mark.parametrize('name', config_files())
def test_hooks_and_visualizer_build(name, data_root, tmp_path):
    cfg = small_config(name, data_root)
    init_default_scope(cfg.default_scope)
    for hook in [*cfg.default_hooks.values(), *cfg.get('custom_hooks', [])]:
        assert HOOKS.build(hook) is not None
    visualizer = VISUALIZERS.build(
        dict(cfg.visualizer, name=name, save_dir=str(tmp_path))
    )
    assert visualizer is not None


def plain(node):
    """Return a part of a config without the scopes of package bases."""
    if isinstance(node, dict):
        return {k: plain(v) for k, v in node.items() if k != '_scope_'}
    if isinstance(node, (list, tuple)):
        return [plain(item) for item in node]
    return node


def knows(registry, item):
    """Whether a registry finds a type in the scope that its dict names."""
    with registry.switch_scope_and_registry(item.get('_scope_')) as inner:
        return inner.get(item['type']) is not None


@pytest.mark.parametrize('name', config_files() + segmentor_files())
def test_a_package_carries_the_same(name, tmp_path):
    """As a base in another folder it builds the same, with our scope."""
    segmentor = name in segmentor_files()
    if segmentor:
        pytest.importorskip('mmseg')
    cfg = read_once(name)
    child = tmp_path / 'child.py'
    child.write_text(f"_base_ = 'mmwsl::{name}'")
    inherited = load_config(child)
    assert plain(inherited.to_dict()) == plain(cfg.to_dict())
    if not segmentor:
        assert inherited.default_scope == 'mmwsl'
        return
    init_default_scope(inherited.default_scope)
    _drop_pretrained(inherited.model)
    fill(inherited, ['background', 'cat'])
    with torch.device('meta'):
        MODELS.build(inherited.model)
    for split in ('train', 'val', 'test'):
        loader = inherited[f'{split}_dataloader']
        if loader is None:
            continue
        dataset = loader.dataset
        assert knows(DATASETS, dataset)
        while 'dataset' in dataset:
            dataset = dataset.dataset
            assert knows(DATASETS, dataset)
        assert all(knows(TRANSFORMS, item) for item in dataset.pipeline)
    hooks = [*inherited.default_hooks.values(), *inherited.custom_hooks]
    assert all(knows(HOOKS, hook) for hook in hooks)
    for given in (inherited.val_evaluator, inherited.test_evaluator):
        metrics = given if isinstance(given, list) else [given or {}]
        assert all(knows(METRICS, metric) for metric in metrics if metric)


def test_bases_inherit_from_one_beside_them():
    folder = Path(__file__).resolve().parents[1] / 'configs' / '_base_'
    inherits = re.compile(r"^_base_ = '([\w.-]+)'$", re.MULTILINE)
    for path in sorted(folder.rglob('*.py')):
        text = path.read_text()
        names = inherits.findall(text)
        assert text.count('_base_ =') == len(names) <= 1, path
        assert all(path.with_name(name).is_file() for name in names), path
