"""The registries of mmwsl under mmengine's root."""

import importlib
import logging

import mmengine.registry as root
import pytest
from mmengine.registry import Registry

from mmwsl import registry

NAMED = (
    'MODELS',
    'TASK_UTILS',
    'DATASETS',
    'TRANSFORMS',
    'METRICS',
    'HOOKS',
    'LOOPS',
    'OPTIM_WRAPPERS',
    'VISUALIZERS',
)


@pytest.mark.parametrize('name', NAMED)
def test_children_of_the_root(name: str) -> None:
    child = getattr(registry, name)
    assert child.scope == 'mmwsl'
    assert child.parent is getattr(root, name)
    for location in child._locations:
        importlib.import_module(location)


@pytest.mark.parametrize(
    'parent',
    [
        item
        for item in vars(root).values()
        if isinstance(item, Registry) and 'mmwsl' in item.children
    ],
    ids=lambda parent: parent.name,
)
def test_every_child_has_a_place_to_import_from(parent: Registry) -> None:
    assert parent.children['mmwsl']._locations


def test_look_up_goes_on_in_the_root_without_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warnings = []

    def record(message: str, *args: object, level: int, **kwargs: str) -> None:
        if level >= logging.WARNING:
            warnings.append(message)

    monkeypatch.setattr('mmengine.logging.print_log', record)
    child = root.MODEL_WRAPPERS.children['mmwsl']
    monkeypatch.setattr(child, '_imported', False)
    wrapper = child.get('MMDistributedDataParallel')
    assert wrapper is root.MODEL_WRAPPERS.get('MMDistributedDataParallel')
    assert warnings == []
