"""A reader finds the whole way of a batch in few files."""

import pytest

from erasing_run import erasing_config, make_runner, write_saliency
from stage1_data import write_data
from walks import files_entered, files_of_batch

pytestmark = [pytest.mark.filterwarnings('ignore'), pytest.mark.slow]
TRAININGS = (
    'cam/cam_r18_toy.py',
    'prm/prm_r18_toy.py',
    'lc/lc_r18_toy.py',
    'da_wsol/dal_cam_r18_toy.py',
    'da_wsol/dal_acol_r18_toy.py',
    'da_wsol/dal_adl_r18_toy.py',
    'da_wsol/dal_cutmix_r18_toy.py',
    'da_wsol/dal_has_r18_toy.py',
    'ae_psl/erase_r18_toy.py',
    'ae_psl/psl_r18_toy.py',
    'nsrom/cls_r18_toy.py',
    'nsrom/oa_r18_toy.py',
    'nsrom/seg_r18_toy.py',
)
PREDICTIONS = (
    'prm/prm_r18_toy.py',
    'prm/prm_r18_toy-proposals.py',
    'lc/lc_r18_toy.py',
)


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('data')
    write_data(root)
    return root


@pytest.mark.parametrize('name', TRAININGS)
def test_training_step(name, data_root):
    if 'psl_' in name or 'seg_' in name:
        pytest.importorskip('mmseg')
    files = files_of_batch(name, data_root)
    assert any('backbone' in path for path in files)
    assert len(files) <= 8, '\n'.join(files)


@pytest.mark.parametrize('name', PREDICTIONS)
def test_prediction_of_instances(name, data_root):
    files = files_of_batch(name, data_root, test=True)
    assert 'models/layers/peak_backprop.py' in files
    assert len(files) <= 10, '\n'.join(files)


def test_two_steps_of_erasing(tmp_path):
    """Besides what training and predicting by the same classifier enter."""
    cfg = erasing_config(tmp_path / 'plain')
    cfg.train_cfg = dict(by_epoch=True, max_epochs=1)
    del cfg.train_dataloader.dataset.pipeline[0]
    runner = make_runner(cfg)

    def train_and_predict():
        runner.train()
        runner.model.val_step(next(iter(runner.train_dataloader)))

    known = files_entered(train_and_predict)
    saliency = tmp_path / 'saliency'
    write_saliency(saliency)
    cfg = erasing_config(
        tmp_path / 'erasing', saliency_dir=str(saliency), num_steps=2
    )
    files = files_entered(make_runner(cfg).train)
    own = [path for path in files if path not in known]
    assert own[0] == 'engine/loops/adversarial_erasing_loop.py'
    assert len(own) <= 12, '\n'.join(own)
