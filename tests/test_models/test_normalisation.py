"""Tests of mean and std beside weights."""

import pytest

from mmwsl.apis import load_config
from mmwsl.models.normalisation import check_normalisation
from stage1_data import CONFIG_DIR, config_files


@pytest.mark.parametrize('name', config_files())
def test_configs_normalise_as_their_weights_want(name: str) -> None:
    model = load_config(CONFIG_DIR / name).model
    check_normalisation(model.backbone, model.data_preprocessor)


def test_normalisation() -> None:
    weights = dict(checkpoint='torchvision://resnet18')
    backbone = dict(init_cfg=weights)
    good = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
    check_normalisation(backbone, good)
    for key in good:
        with pytest.raises(ValueError, match=f'{key}.*resnet18'):
            check_normalisation(backbone, {**good, key: [127.5] * 3})
    weights['checkpoint'] = 'torchvision://inception_v3'
    with pytest.raises(ValueError, match='inception_v3'):
        check_normalisation(backbone, good)
