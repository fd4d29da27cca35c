"""Tests of adversarial erasing inside one process."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from erasing_run import EPOCHS, IDS, SIZE, erasing_config, make_runner
from mmwsl.pseudo_labels import mine_regions, regions_to_label
from mmwsl.pseudo_labels.regions import read_regions
from mmwsl.utils.checkpoints import read_checkpoint
from mmwsl.utils.images import read_index_mask

pytestmark = pytest.mark.filterwarnings('ignore')


def regions_of(work_dir, step, img_id):
    return read_regions(str(work_dir / f'regions/step_{step}/{img_id}.npz'))


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
