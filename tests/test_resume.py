"""A killed run that is resumed ends where an uninterrupted one does."""

import pytest
import torch

from forks import kill_when, run_tool, start_tool
from mmwsl.utils.checkpoints import read_checkpoint
from toy_run import CONFIG, ROOT, SMALL, metrics, scalars

pytestmark = pytest.mark.slow

DAL = str(ROOT / 'configs/da_wsol/dal_cam_r18_toy.py')
EPOCHS = ['train_cfg.max_epochs=4', 'train_dataloader.num_workers=1']


def _train(config, work_dir, *args):
    options = ['--work-dir', work_dir, '--cfg-options', *SMALL, *EPOCHS]
    return ['train.py', config, *args, *options]


def _states(config, tmp_path, metric):
    """Return the weights of an uninterrupted run and of a resumed one."""
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    run_tool(tmp_path, *_train(config, whole))
    begun = start_tool(*_train(config, broken))
    kill_when(begun, broken / 'last_checkpoint')
    assert not (broken / 'epoch_4.pth').exists()
    run_tool(tmp_path, *_train(config, broken, '--resume'))
    expected = metrics(whole, metric)[-1]
    found = metrics(broken, metric)[-1]
    assert expected['step'] == found['step'] == 4
    assert expected == found
    return [
        read_checkpoint(folder / 'epoch_4.pth')['state_dict']
        for folder in (whole, broken)
    ]


@pytest.mark.parametrize(
    ('config', 'metric'), [(CONFIG, 'mAP'), (DAL, 'MaxBoxAccV2')]
)
def test_kill_and_resume(tmp_path, config, metric):
    states = _states(config, tmp_path, metric)
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key
    if config == DAL:
        # Both the anchors and the later start had something to lose.
        assert states[0]['auxiliary.0.assigner.universum_count'] > 0
        losses = [
            entry['loss_discrepancy']
            for entry in scalars(tmp_path / 'broken')
            if 'loss_discrepancy' in entry
        ]
        assert not any(losses[:3])
        assert all(losses[3:])
