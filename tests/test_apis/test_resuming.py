"""Tests of going on with killed runs."""

import os

import torch

from mmwsl.apis import mend_last_checkpoint


def test_names_the_newest_checkpoint(tmp_path):
    assert not mend_last_checkpoint(tmp_path)
    assert not list(tmp_path.iterdir())
    for number, name in enumerate(('epoch_10', 'epoch_9', 'best_x_epoch_8')):
        torch.save({}, tmp_path / f'{name}.pth')
        os.utime(tmp_path / f'{name}.pth', (100 - number, 100 - number))
    path = tmp_path / 'last_checkpoint'
    newest = str(tmp_path / 'epoch_10.pth')
    # Nothing written yet, and half a name.
    for content in ('', newest[:-5]):
        path.write_text(content)
        assert mend_last_checkpoint(tmp_path)
        assert path.read_text() == newest
    # What is whole stays.
    path.write_text(str(tmp_path / 'epoch_9.pth'))
    assert mend_last_checkpoint(tmp_path)
    assert path.read_text().endswith('epoch_9.pth')


def test_iterations_and_nothing(tmp_path):
    path = tmp_path / 'last_checkpoint'
    path.write_text('')
    assert not mend_last_checkpoint(tmp_path)
    assert not path.exists()
    torch.save({}, tmp_path / 'iter_5.pth')
    path.write_text('')
    mend_last_checkpoint(tmp_path)
    assert path.read_text() == str(tmp_path / 'iter_5.pth')


def test_half_a_checkpoint(tmp_path):
    """Killed while the only checkpoint was replaced."""
    torch.save(dict(weight=torch.ones(99)), tmp_path / 'epoch_3.pth')
    content = (tmp_path / 'epoch_3.pth').read_bytes()
    (tmp_path / 'epoch_3.pth').write_bytes(content[:-30])
    path = tmp_path / 'last_checkpoint'
    path.write_text(str(tmp_path / 'epoch_2.pth'))
    mend_last_checkpoint(tmp_path)
    assert not path.exists()
    (tmp_path / 'epoch_1.pth').write_bytes(content)
    path.write_text(str(tmp_path / 'epoch_2.pth'))
    mend_last_checkpoint(tmp_path)
    assert path.read_text() == str(tmp_path / 'epoch_1.pth')
