"""Tests of pipelines of images that are counted."""

from typing import Any, Dict

import pytest

from mmwsl.apis import load_config
from mmwsl.engine.hooks.run_check_hook import check_counting
from stage1_data import CONFIG_DIR, config_files


@pytest.mark.parametrize(
    'name', [name for name in config_files() if name.startswith('lc/')]
)
def test_configs_count_whole_images(name: str) -> None:
    check_counting(load_config(CONFIG_DIR / name))


def loaders(train: Dict[str, Any], test: Dict[str, Any]) -> Dict[str, Any]:
    inner = dict(pipeline=[dict(type='RandomApply', transforms=[train])])
    return dict(
        train_dataloader=dict(dataset=dict(dataset=inner)),
        test_dataloader=dict(dataset=dict(pipeline=[test])),
    )


def test_crops_and_sizes() -> None:
    resize = dict(type='Resize', scale=(32, 64))
    crop = dict(type='mmwsl.RandomResizedCrop', scale=32)
    with pytest.raises(ValueError, match='RandomResizedCrop'):
        check_counting(loaders(crop, resize))
    with pytest.raises(ValueError, match='48 x 48.*32 x 64'):
        check_counting(loaders(resize, dict(type='Resize', scale=48)))
    check_counting(loaders(resize, resize))
