"""Every scheme of localisation trains with either discrepancy."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner

from mmwsl.registry import MODELS
from stage1_data import small_config

SCHEMES = ('cam', 'has', 'cutmix', 'adl', 'acol')
DISCREPANCIES = {
    'mmd': dict(type='MMDLoss', estimator='linear'),
    'dann': dict(type='DANNLoss', in_channels=128),
}


@pytest.mark.parametrize('scheme', SCHEMES)
@pytest.mark.parametrize('discrepancy', list(DISCREPANCIES))
def test_trains_on_toy(scheme, discrepancy, tmp_path):
    cfg = small_config(f'da_wsol/dal_{scheme}_r18_toy.py', tmp_path)
    if scheme == 'cutmix':
        cfg.model.data_preprocessor.batch_augments[0].prob = 1.0
    dal = cfg.model.auxiliary[0]
    dal.discrepancy = DISCREPANCIES[discrepancy]
    dal.start_epoch = 0
    # Enough samples in a map of 8 x 8.
    dal.assigner.update(num_source=2, num_target=2)
    model = MODELS.build(cfg.model).train()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    before = {k: v.clone() for k, v in model.named_parameters()}
    for _ in range(2):
        logged = model.train_step(next(iter(loader)), optim_wrapper)
        assert torch.isfinite(logged['loss'])
        assert logged['loss_universum'] > 0
    assert logged['loss_discrepancy'] != 0
    for name, parameter in model.named_parameters():
        assert not parameter.equal(before[name]), name
    assert model.auxiliary[0].assigner.class_counts.sum() > 0
