"""A reader of adversarial erasing opens few files."""

import pytest

from erasing_run import erasing_config, make_runner
from walks import files_entered

pytestmark = pytest.mark.filterwarnings('ignore')


def test_two_steps_enter_few_files(tmp_path, saliency):
    """Besides what training and predicting by the same classifier enter."""
    cfg = erasing_config(tmp_path / 'plain')
    cfg.train_cfg = dict(by_epoch=True, max_epochs=1)
    del cfg.train_dataloader.dataset.pipeline[0]
    runner = make_runner(cfg)

    def train_and_predict():
        runner.train()
        runner.model.val_step(next(iter(runner.train_dataloader)))

    known = files_entered(train_and_predict)
    cfg = erasing_config(
        tmp_path / 'erasing', saliency_dir=str(saliency), num_steps=2
    )
    files = files_entered(make_runner(cfg).train)
    own = [path for path in files if path not in known]
    print('\n'.join(own))
    assert own[0] == 'engine/loops/adversarial_erasing_loop.py'
    assert len(own) <= 12
