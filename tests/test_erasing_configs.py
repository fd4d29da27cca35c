"""Every config of adversarial erasing runs to its end."""

import pytest

from erasing_run import make_runner
from mmwsl.utils.images import read_index_mask
from stage1_data import config_files, small_config, write_data

CONFIGS = [name for name in config_files() if '/erase_' in name]

pytestmark = [pytest.mark.filterwarnings('ignore'), pytest.mark.slow]


def test_there_are_configs():
    assert len(CONFIGS) >= 3


@pytest.mark.parametrize('name', CONFIGS)
def test_two_steps(name, tmp_path):
    write_data(tmp_path)
    cfg = small_config(name, tmp_path)
    cfg.train_cfg.update(num_steps=2, epochs=1, stop_factor=None)
    for scheduler in cfg.param_scheduler:
        if 'total_steps' in scheduler:
            scheduler.total_steps = 1
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    if 'neck' in cfg.model:
        cfg.model.neck.channels = cfg.model.head.in_channels = 8
    make_runner(cfg).train()
    made = sorted(x.stem for x in (tmp_path / 'work/labels').glob('*.png'))
    # One of own data's images is for validation.
    assert len(made) == 4 - ('own-data' in name)
    for img_id in made:
        label = read_index_mask(str(tmp_path / f'work/labels/{img_id}.png'))
        assert label.shape == (72, 96)
        # Where nothing is salient nothing is an object.
        assert not ((label > 0) & (label < 255))[60:].any()
    assert (tmp_path / f'work/regions/step_2/{made[0]}.npz').is_file()
