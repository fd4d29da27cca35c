"""The train command: its options, and one clear line for bad input."""

import shutil

import numpy as np
import pytest
import torch

from mmwsl.utils.checkpoints import read_checkpoint
from stage1_data import small_config, write_data
from tool_calls import call, error, fails, load_tool, options
from toy_run import CONFIG, SMALL, scalars

SPLITS = ('train', 'val', 'test')
VOC = 'cam/cam_mobilenet-v2_voc12-2007.py'


@pytest.fixture
def voc(tmp_path):
    """A folder of four photographs and a config that trains on them."""
    root = tmp_path / 'voc'
    write_data(root)
    path = root / 'config.py'
    small_config(VOC, root).dump(path)
    return path


def config_of(tool, *args):
    return tool.build_config(tool.parser.parse_args([CONFIG, *args]))


def test_training_leaves_checkpoint_log_and_config(toy_checkpoint):
    folder = toy_checkpoint.parent
    assert (folder / 'last_checkpoint').read_text() == str(toy_checkpoint)
    assert (folder / 'cam_r18_toy.py').is_file()
    # By the main metric of the config.
    assert [path.name for path in folder.glob('best_*')] == [
        'best_mIoU_epoch_1.pth'
    ]
    logged = scalars(folder)
    assert len([entry for entry in logged if 'loss' in entry]) == 3
    assert {'mAP', 'mIoU'} <= set(logged[-1])
    meta = read_checkpoint(toy_checkpoint)['meta']
    assert len(meta['dataset_meta']['classes']) == 6


def test_the_console_begins_soon(toy_checkpoint):
    folder = toy_checkpoint.parent
    lines = (folder / 'console.txt').read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if 'Epoch(train)' in line)
    assert first < 30
    (log,) = folder.glob('2*/2*.log')
    assert (
        f'on cpu, seed 0; config, environment and hooks are in {log}'
        in (lines[0])
    )
    text = log.read_text()
    for part in ('System environment', 'Config:\n', 'Hooks will be executed'):
        assert part in text
        assert part.strip() not in '\n'.join(lines)
    assert (log.parent / 'vis_data/config.py').is_file()


def test_resume_options(tool, tmp_path):
    begin = ['--work-dir', str(tmp_path), *options('load_from=first.pth')]
    cfg = config_of(tool)
    assert (cfg.resume, cfg.load_from) == (False, None)
    cfg = config_of(tool, *begin)
    assert (cfg.resume, cfg.load_from) == (False, 'first.pth')
    # Nothing to resume yet.
    cfg = config_of(tool, *begin, '--resume')
    assert (cfg.resume, cfg.load_from) == (False, 'first.pth')
    torch.save({}, tmp_path / 'epoch_1.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    cfg = config_of(tool, *begin, '--resume')
    assert (cfg.resume, cfg.load_from) == (True, None)
    cfg = config_of(tool, *begin, '--resume', 'a.pth')
    assert (cfg.resume, cfg.load_from) == (True, 'a.pth')


def test_amp(tool, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    wrapper = config_of(tool, '--amp').optim_wrapper
    assert wrapper.type == 'AmpOptimWrapper'
    assert wrapper.loss_scale == 'dynamic'
    assert wrapper.optimizer.type == 'AdamW'


@pytest.mark.parametrize('known', [True, False])
def test_amp_without_accelerator(tool, monkeypatch, capsys, tmp_path, known):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(tool, 'has_bfloat16', lambda: known)
    if known:
        wrapper = config_of(tool, '--amp').optim_wrapper
        assert wrapper.type == 'mmwsl.CPUAmpOptimWrapper'
        return
    args = [CONFIG, '--amp', '--work-dir', tmp_path / 'work']
    assert '--amp needs an accelerator or a CPU' in fails(tool, capsys, *args)
    assert not (tmp_path / 'work').exists()


@pytest.mark.slow
def test_fine_tuning_for_other_classes(tool, toy_checkpoint, tmp_path, capfd):
    other = [
        'model.head.num_classes=5',
        *(f'{s}_dataloader.dataset.num_classes=5' for s in SPLITS),
    ]
    small = [*SMALL, 'train_cfg.max_epochs=1', f'load_from={toy_checkpoint}']
    args = ['--work-dir', tmp_path, *options(*small, *other)]
    assert call(tool, CONFIG, *args) == 0
    printed = capfd.readouterr()
    text = printed.out + printed.err
    assert 'head.classifier.weight ([6, 256, 1, 1] there, [5, 256' in text
    assert 'do not match exactly' not in text
    # A test takes all of a checkpoint or nothing.
    test = [CONFIG, toy_checkpoint, *args]
    assert call(load_tool('test.py'), *test) == 1
    assert 'trained for 6 classes' in error(capfd.readouterr())


def test_auto_scale_lr(tool, capsys):
    option = '--auto-scale-lr'
    base = 'auto_scale_lr.base_batch_size=64'
    cfg = config_of(tool, option, '--cfg-options', base)
    assert cfg.auto_scale_lr.enable is True
    message = fails(tool, capsys, CONFIG, option)
    assert 'cam_r18_toy.py' in message
    assert 'auto_scale_lr.base_batch_size' in message


def test_missing_config(tool, capsys, tmp_path):
    path = tmp_path / 'none.py'
    assert f'{path}: there is no such config' in fails(tool, capsys, path)


def test_unknown_arch(tool, capsys, tmp_path):
    arch = options('model.backbone.arch=resnet19')
    message = fails(tool, capsys, CONFIG, '--work-dir', tmp_path, *arch)
    assert "'resnet19'" in message
    assert 'resnet18' in message


def test_resume_from_a_missing_checkpoint(tool, capsys, tmp_path):
    args = ['--resume', 'none.pth', '--work-dir', tmp_path]
    assert 'none.pth' in fails(tool, capsys, CONFIG, *args, *options(*SMALL))


@pytest.mark.slow
def test_validation_that_a_killed_run_did_not_get_to(
    tool, toy_checkpoint, tmp_path
):
    folder = tmp_path / 'killed'
    folder.mkdir()
    shutil.copy(toy_checkpoint, folder)
    name = str(folder / toy_checkpoint.name)
    (folder / 'last_checkpoint').write_text(name)
    small = options(*SMALL, 'train_cfg.max_epochs=1')
    args = [CONFIG, '--work-dir', folder, '--resume']
    assert call(tool, *args, *small) == 0
    (logged,) = scalars(folder)
    expected = scalars(toy_checkpoint.parent)[-1]
    times = {'time', 'data_time'}
    assert 'mAP' in logged
    assert {k: v for k, v in logged.items() if k not in times} == {
        k: v for k, v in expected.items() if k not in times
    }
    # No run validates before val_begin.
    late = [*small, 'train_cfg.val_begin=2']
    assert call(tool, *args, *late) == 0
    assert len([e for e in scalars(folder) if 'mAP' in e]) == 1
    # A run that has something left to train validates as it always does.
    small[-1] = 'train_cfg.max_epochs=2'
    assert call(tool, *args, *small) == 0
    assert len([e for e in scalars(folder) if 'mAP' in e]) == 2


@pytest.mark.parametrize('worker', [0, 1])
def test_bad_data(tool, voc, capsys, worker):
    path = voc.parent / 'JPEGImages/b.jpg'
    path.write_bytes(path.read_bytes()[:-100])
    workers = f'train_dataloader.num_workers={worker}'
    message = fails(tool, capsys, voc, *options(workers))
    assert message == f'error: {path}: truncated JPEG (no end marker)'


@pytest.mark.slow
def test_compile(tool, tmp_path):
    # compile=True, the default backend, spends a minute and a half of CPU
    # time in the compiler here; this one traces the same graph through the
    # same switch.
    compiled = options(
        *SMALL,
        'model.backbone.out_indices=[0]',
        'model.head.in_channels=64',
        'train_dataloader.dataset.num_images=16',
        'train_cfg.max_epochs=1',
        'train_cfg.val_interval=9',
        'compile.backend=eager',
    )
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    assert call(tool, CONFIG, '--work-dir', tmp_path, *compiled) == 0
    losses = [e['loss'] for e in scalars(tmp_path) if 'loss' in e]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert torch._dynamo.utils.counters['stats']['calls_captured'] > 0
    torch._dynamo.reset()
