"""Tests of what adversarial erasing refuses before it trains."""

import pytest
from PIL import Image

from erasing_run import (
    IDS,
    SIZE,
    erasing_config,
    make_runner,
    write_saliency,
)

pytestmark = pytest.mark.filterwarnings('ignore')


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
