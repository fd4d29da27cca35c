"""Adversarial erasing by killed and by several processes."""

import pytest

from erasing_run import erasing_config, results, write_saliency
from forks import kill_when, run_in_two, run_tool, start_tool
from toy_run import scalars


def write_config(path, work_dir, **loop):
    saliency = path.parent / 'saliency'
    write_saliency(saliency)
    cfg = erasing_config(
        work_dir, workers=1, saliency_dir=str(saliency), **loop
    )
    cfg.default_hooks.logger.interval = 1
    return cfg


@pytest.mark.slow
def test_kill_and_resume(tmp_path):
    """Killed inside the second step, then while regions are written."""
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    config = tmp_path / 'config.py'
    write_config(config, whole).dump(str(config))
    run_tool(tmp_path, 'train.py', config)
    line = ['train.py', config, '--work-dir', broken]
    kill_when(start_tool(*line), broken / 'last_checkpoint', 'epoch_3.pth')
    assert not (broken / 'regions/step_2').exists()
    line.append('--resume')
    regions = broken / 'regions/step_2/toy/0/000002.npz'
    kill_when(start_tool(*line), regions)
    assert not (broken / 'regions/step_3').exists()
    run_tool(tmp_path, *line)
    expected, found = results(whole), results(broken)
    assert len(expected) == 4 * 8 + 8 + 1
    assert found == expected


@pytest.mark.slow
def test_two_processes_find_the_same_regions(tmp_path):
    """Without learning, as sums in another order would round otherwise."""
    one, two = tmp_path / 'one', tmp_path / 'two'
    config = tmp_path / 'config.py'
    cfg = write_config(config, one, num_steps=2)
    cfg.optim_wrapper.optimizer.lr = 0.0
    cfg.param_scheduler = []
    cfg.model.backbone.norm_eval = True
    # An odd number of images over two processes.
    datasets = (
        cfg.train_dataloader.dataset,
        cfg.train_cfg.predict_dataloader.dataset,
    )
    for dataset in datasets:
        dataset.num_images = 7
    cfg.dump(str(config))
    run_tool(tmp_path, 'train.py', config)
    options = ['--cfg-options', 'train_dataloader.batch_size=2']
    run_in_two(tmp_path, 'train.py', config, '--work-dir', two, *options)
    expected, found = results(one), results(two)
    table = expected.pop('regions/steps.csv'), found.pop('regions/steps.csv')
    assert len(expected) == 4 * 7
    assert found == expected
    ends = [scalars(path)[-1] for path in (one, two)]
    assert ends[0]['foreground'] == ends[1]['foreground'] > 0
    assert ends[0]['labelled'] == ends[1]['labelled']
    # One of the images that fill up the last batch may be another.
    numbers = [[float(x.split(b',')[1]) for x in t.split()[1:]] for t in table]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.05)
