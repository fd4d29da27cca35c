"""Trainings that are killed inside a pipeline end as if they were not."""

import json
import sys

import numpy as np
import pytest
import torch

from killed_stages import IMAGES, KILLS, STAGES, run
from mmwsl.utils.checkpoints import read_checkpoint

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings('ignore'),
    pytest.mark.skipif(
        not sys.platform.startswith('linux'), reason='stages are forked'
    ),
]
CHECKPOINTS = {
    'attention': ['epoch_2.pth'],
    'erase': ['initial_weights.pth', 'step_1.pth', 'step_2.pth'],
    'segmentor': ['epoch_2.pth'],
}


def made(folder):
    """Attention, regions and label maps, as they lie on disk."""
    paths = [folder / 'attention/attention.npz']
    for name in ('regions', 'labels'):
        paths += (folder / 'erase' / name).rglob('*.*')
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(paths)
    }


def tensors(folder):
    """All that the stages learned, and the state of their optimizers."""
    found = {}
    for stage, names in CHECKPOINTS.items():
        for name in names:
            content = read_checkpoint(folder / stage / name)
            parts = [('', content)]
            while parts:
                key, value = parts.pop()
                if isinstance(value, dict):
                    parts += [(f'{key}.{k}', v) for k, v in value.items()]
                elif isinstance(value, torch.Tensor):
                    found[f'{stage}/{name}{key}'] = value.numpy()
    return found


def metrics(folder, stage):
    record = json.loads((folder / stage / 'stage.json').read_text())
    return record['metrics'], record['attempts']


def test_any_stage_may_be_killed(tmp_path):
    # Once, not in every fork.
    for name in ('datasets', 'evaluation', 'models', 'visualization'):
        pytest.importorskip(f'mmseg.{name}')
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    run(whole)
    for kill in KILLS:
        with pytest.raises(ChildProcessError, match='SIGKILL') as error:
            run(killed, kill)
        assert f"stage '{kill.stage}' was killed" in str(error.value)
    run(killed)
    expected, found = made(whole), made(killed)
    # Two steps, their union and the label maps, a table, and attention.
    assert len(expected) == 4 * IMAGES + 2
    assert found == expected
    expected, found = tensors(whole), tensors(killed)
    assert found.keys() == expected.keys()
    assert any('.optimizer.' in key for key in found)
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)
    for stage in STAGES[1:]:
        number = sum(kill.stage == stage for kill in KILLS)
        assert metrics(whole, stage)[1] == 1
        assert metrics(killed, stage)[1] == 1 + number
        assert metrics(whole, stage)[0] == metrics(killed, stage)[0]
