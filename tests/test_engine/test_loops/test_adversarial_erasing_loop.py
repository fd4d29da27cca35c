"""Tests of adversarial erasing."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from erasing_run import (
    EPOCHS,
    IDS,
    SIZE,
    FakeLoss,
    Stop,
    erasing_config,
    make_runner,
    results,
    write_saliency,
)
from mmwsl.engine.loops.adversarial_erasing_loop import ErasingState
from mmwsl.pseudo_labels import mine_regions, regions_to_label
from mmwsl.pseudo_labels.regions import read_regions
from mmwsl.utils.checkpoints import read_checkpoint
from mmwsl.utils.images import read_index_mask

pytestmark = pytest.mark.filterwarnings('ignore')


def regions_of(work_dir, step, img_id):
    return read_regions(str(work_dir / f'regions/step_{step}/{img_id}.npz'))


@pytest.mark.slow
def test_each_step_begins_anew(whole):
    recorder = whole[1]
    assert recorder.moments == [0, 0, 0]
    first = recorder.weights[0]
    for weights in recorder.weights[1:]:
        assert all(torch.equal(first[key], weights[key]) for key in first)
    rates = np.reshape(recorder.rates, (3, -1))
    assert len(set(rates[0])) > 1
    np.testing.assert_array_equal(rates, rates[:1].repeat(3, axis=0))


def test_found_regions_are_hidden(whole):
    work_dir, recorder = whole
    hidden = {img_id: np.zeros((SIZE, SIZE), bool) for img_id in IDS}
    originals = [recorder.batches[1, img_id] for img_id in IDS]
    mean = np.round(np.mean(originals, axis=(0, 2, 3)))
    for step in (1, 2, 3):
        for img_id, mask in hidden.items():
            expected = recorder.batches[1, img_id].copy()
            expected[:, mask] = mean[:, None]
            found = recorder.batches[step, img_id]
            np.testing.assert_array_equal(found, expected)
            mask |= regions_of(work_dir, step, img_id)[0].any(axis=0)
    assert np.mean(list(hidden.values())) > 0.1


def test_regions_are_those_of_the_maps(whole):
    """The third step's, by its last checkpoint, from images as it saw."""
    work_dir, recorder = whole
    model = make_runner(erasing_config(work_dir / 'other')).model.eval()
    state = read_checkpoint(work_dir / 'epoch_6.pth')['state_dict']
    model.load_state_dict(state)
    found = 0
    for img_id in IDS[:3]:
        inputs = torch.from_numpy(recorder.batches[3, img_id])
        data = model.data_preprocessor(dict(inputs=[inputs]))['inputs']
        maps = model.class_maps(data).relu()
        regions, labels = regions_of(work_dir, 3, img_id)
        maps = torch.nn.functional.interpolate(
            maps[:, labels], (SIZE, SIZE), mode='bilinear'
        )[0]
        for region, plane in zip(regions, maps.detach()):
            expected = mine_regions(plane)
            # Divided by the maximum, neighbours may change places.
            assert (region != expected).mean() < 0.01
            found += region.sum()
    assert found


def test_classifiers_are_kept(whole):
    work_dir = whole[0]
    for step in (1, 2, 3):
        kept = read_checkpoint(work_dir / f'step_{step}.pth')
        path = work_dir / f'epoch_{step * EPOCHS}.pth'
        trained = read_checkpoint(path)['state_dict']
        assert kept.keys() == trained.keys()
        assert all(torch.equal(kept[key], trained[key]) for key in kept)


def test_union_and_label_maps(whole):
    work_dir = whole[0]
    plane = np.repeat([0.0, 1.0], SIZE // 2)[:, None].repeat(SIZE, axis=1)
    for img_id in IDS:
        steps = [regions_of(work_dir, step, img_id) for step in (1, 2, 3)]
        path = work_dir / f'regions/union/{img_id}.npz'
        union, labels = read_regions(str(path))
        expected = np.any([regions for regions, _ in steps], axis=0)
        np.testing.assert_array_equal(union, expected)
        label = read_index_mask(str(work_dir / f'labels/{img_id}.png'))
        np.testing.assert_array_equal(
            label, regions_to_label(union, labels, plane)
        )
    with Image.open(work_dir / f'labels/{IDS[0]}.png') as picture:
        assert picture.mode == 'P'


def test_losses_are_logged(whole):
    work_dir = whole[0]
    lines = (work_dir / 'regions/steps.csv').read_text().splitlines()
    assert lines[0] == 'step,converged_loss,merged'
    rows = [line.split(',') for line in lines[1:]]
    (path,) = work_dir.glob('2*/vis_data/scalars.json')
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    steps = [x for x in entries if 'erasing/converged_loss' in x]
    assert [x['erasing/number'] for x in steps] == [1, 2, 3]
    for row, entry in zip(rows, steps):
        assert row[2] == '1'
        loss = entry['erasing/converged_loss']
        assert float(row[1]) == pytest.approx(loss, abs=1e-6)
    last = entries[-1]
    assert last['erasing/merged_steps'] == 3
    assert 0 < last['foreground'] < last['labelled'] < 100
    # The mean over the last epoch, which has two iterations.
    epoch = read_checkpoint(work_dir / 'epoch_2.pth')['message_hub']
    history = epoch['log_scalars']['train/loss'].data[0]
    assert np.mean(history[-2:]) == pytest.approx(
        steps[0]['erasing/converged_loss']
    )


@pytest.mark.slow
def test_images_without_labels_have_no_regions(tmp_path):
    cfg = erasing_config(tmp_path)
    for loader in (cfg.train_dataloader, cfg.train_cfg.predict_dataloader):
        loader.dataset.empty_prob = 0.5
    make_runner(cfg).train()
    numbers = [
        len(read_regions(str(tmp_path / f'regions/union/{i}.npz'))[0])
        for i in IDS
    ]
    assert min(numbers) == 0 < max(numbers)


def test_mines_in_the_precision_of_the_training(tmp_path):
    cfg = erasing_config(tmp_path)
    cfg.optim_wrapper.type = 'CPUAmpOptimWrapper'
    cfg.train_cfg.update(num_steps=1, epochs=1)
    runner = make_runner(cfg)
    dtypes = []
    runner.model.head.register_forward_hook(
        lambda head, args, maps: dtypes.append((head.training, maps.dtype))
    )
    runner.train()
    assert (False, torch.bfloat16) in dtypes


def test_bad_saliency_is_told_before_training(tmp_path):
    folder = tmp_path / 'saliency'
    write_saliency(folder)
    cfg = erasing_config(tmp_path / 'run', saliency_dir=str(folder))
    (folder / f'{IDS[3]}.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'000003\.png'):
        make_runner(cfg).train()
    Image.new('L', (SIZE, SIZE + 1)).save(folder / f'{IDS[3]}.png')
    with pytest.raises(ValueError, match='48 x 49 pixels.*48 x 48'):
        make_runner(cfg).train()
    for name in ('regions', 'labels', 'initial_weights.pth', 'epoch_1.pth'):
        assert not (tmp_path / 'run' / name).exists()


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (dict(num_steps=0), 'num_steps'),
        (dict(epochs=0), 'epochs'),
        (dict(mode='bottom'), 'bottom'),
        (dict(fraction=20), 'fraction'),
        (dict(stop_factor=1), 'stop_factor'),
        (dict(saliency_dir='x/SegmentationClass'), 'folder of ground truth'),
    ],
)
def test_bad_arguments(tmp_path, change, match):
    cfg = erasing_config(tmp_path)
    cfg.train_cfg.update(change)
    with pytest.raises(ValueError, match=match):
        make_runner(cfg).train()


@pytest.mark.slow
def test_bad_configs(tmp_path):
    cfg = erasing_config(tmp_path)
    pipeline = cfg.train_cfg.predict_dataloader.dataset.pipeline
    pipeline.insert(0, dict(type='RandomFlip', prob=1.0))
    with pytest.raises(ValueError, match='RandomFlip comes before'):
        make_runner(cfg).train()
    del pipeline[:2]
    with pytest.raises(ValueError, match='need dict.*EraseRegions'):
        make_runner(cfg).train()
    cfg = erasing_config(tmp_path)
    cfg.custom_hooks.append(dict(type='EMAHook'))
    with pytest.raises(ValueError, match='EMAHook'):
        make_runner(cfg).train()
    cfg = erasing_config(tmp_path)
    cfg.train_cfg.predict_dataloader.dataset.num_images = 6
    with pytest.raises(ValueError, match='2 images.*000006'):
        make_runner(cfg).train()
    cfg = erasing_config(tmp_path)
    cfg.model.head.keep = 'all'
    with pytest.raises(ValueError, match="keep='given'"):
        make_runner(cfg).train()


def test_when_it_is_over():
    state = ErasingState(epochs=2)
    assert not state.over(2)
    state.losses, state.digests = [0.4], ['a']
    assert not state.over(2)
    assert state.over(1)
    # A step without regions was refused.
    state.losses = [0.4, 0.7]
    assert state.over(3)


def test_when_the_loss_jumps():
    state = ErasingState(epochs=2)
    assert not state.loss_jumped(100, 1.5)
    state.losses = [0.4, 2.0]
    assert state.loss_jumped(0.61, 1.5)
    assert not state.loss_jumped(0.6, 1.5)
    assert not state.loss_jumped(100, None)


@pytest.mark.slow
@pytest.mark.parametrize('epoch', [1, 3, 4])
def test_resumed_run_ends_alike(tmp_path, whole, saliency, epoch):
    """Broken off inside the first and second step and behind the second."""
    cfg = erasing_config(tmp_path, saliency_dir=str(saliency))
    runner = make_runner(cfg)
    runner.register_hook(Stop(epoch))
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    cfg.resume = True
    make_runner(cfg).train()
    assert results(tmp_path) == results(whole[0])
    states = [
        read_checkpoint(folder / 'epoch_6.pth')['state_dict']
        for folder in (tmp_path, whole[0])
    ]
    assert all(torch.equal(states[1][k], v) for k, v in states[0].items())


@pytest.mark.slow
def test_later_steps_do_not_hide_in_earlier_ones(tmp_path, whole, saliency):
    """A finished run that is taken up from an early checkpoint."""
    cfg = erasing_config(tmp_path, saliency_dir=str(saliency))
    make_runner(cfg).train()
    cfg.resume, cfg.load_from = True, str(tmp_path / 'epoch_3.pth')
    make_runner(cfg).train()
    assert results(tmp_path) == results(whole[0])


@pytest.mark.slow
def test_stops_when_the_loss_jumps(tmp_path):
    cfg = erasing_config(tmp_path, stop_factor=1.5)
    runner = make_runner(cfg)
    runner.register_hook(FakeLoss([0.4, 0.61, 0.5]))
    runner.train()
    assert runner.epoch == 2 * EPOCHS
    assert not (tmp_path / 'labels').exists()
    folders = sorted(path.name for path in (tmp_path / 'regions').iterdir())
    assert folders == ['step_1', 'steps.csv', 'union']
    first, union = (
        (tmp_path / f'regions/{name}/{IDS[0]}.npz').read_bytes()
        for name in ('step_1', 'union')
    )
    assert first == union
    table = (tmp_path / 'regions/steps.csv').read_text().splitlines()
    assert table[1:] == ['1,0.400000,1', '2,0.610000,0']
    # Nothing is left to do for a run that is resumed.
    cfg.resume = True
    again = make_runner(cfg)
    again.train()
    assert again.epoch == 2 * EPOCHS


@pytest.mark.slow
def test_goes_on_below_the_factor(tmp_path):
    cfg = erasing_config(tmp_path, stop_factor=1.6)
    cfg.train_cfg.mode = 'relative'
    runner = make_runner(cfg)
    runner.register_hook(FakeLoss([0.4, 0.61, 0.63]))
    runner.train()
    assert len(list((tmp_path / 'regions').glob('step_*'))) == 3
    assert runner.train_loop.state.losses == pytest.approx([0.4, 0.61, 0.63])


def broken(tmp_path, epoch):
    """Break a run off and return its config for another one."""
    cfg = erasing_config(tmp_path)
    runner = make_runner(cfg)
    runner.register_hook(Stop(epoch))
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    cfg.resume = True
    return cfg


@pytest.mark.slow
def test_refuses_to_resume_without_its_files(tmp_path):
    cfg = broken(tmp_path, 3)
    path = tmp_path / f'regions/step_1/{IDS[2]}.npz'
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(FileNotFoundError, match='1 of 8 images.*000002'):
        make_runner(cfg).train()
    path.write_bytes((path.parent / '000001.npz').read_bytes())
    with pytest.raises(ValueError, match='step_1: these are not'):
        make_runner(cfg).train()
    path.write_bytes(content)
    (tmp_path / 'initial_weights.pth').write_bytes(b'')
    with pytest.raises(ValueError, match='initial_weights'):
        make_runner(cfg).train()
    (tmp_path / 'initial_weights.pth').unlink()
    with pytest.raises(FileNotFoundError, match='initial_weights'):
        make_runner(cfg).train()
    cfg.train_cfg.epochs = 4
    with pytest.raises(ValueError, match='epochs=4'):
        make_runner(cfg).train()
