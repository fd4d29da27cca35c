import json

import numpy as np
import pytest

from mmwsl.evaluation.functional import (
    best_index,
    seed_summary,
    sweep_rows,
    write_sweep,
)

NAN = float('nan')


def scores(*values):
    keys = ('mIoU', 'mPrecision', 'mRecall')
    return {key: np.array(values, float) for key in keys}


def test_lowest_of_equally_good_thresholds():
    assert best_index(scores(NAN, 0.5, 0.5, 0.1)) == 1
    assert best_index(scores(NAN, NAN)) == 0
    with pytest.raises(ValueError, match='best_by'):
        best_index(scores(0.1), 'IoU')


def test_summary_has_only_what_is_known():
    body = {'recall': np.array([[NAN, 0.5, NAN, 0.25]])}
    assert seed_summary(scores(0.5), 0, 0.3, 2, body) == {
        'mIoU': 50.0,
        'mPrecision': 50.0,
        'mRecall': 50.0,
        'best_threshold': 0.3,
        'best_alpha': 2.0,
        'body_recall': 37.5,
    }
    assert set(seed_summary(scores(0.5), 0)) == set(scores())


def test_undefined_values_are_null_in_json(tmp_path):
    rows = sweep_rows(scores(NAN, 0.5), np.array([0.1, 0.2]))
    write_sweep(str(tmp_path / 'a.json'), rows)
    first, second = json.loads((tmp_path / 'a.json').read_text())
    assert first['mIoU'] is None
    assert second == {
        'threshold': 0.2,
        'mIoU': 50.0,
        'mPrecision': 50.0,
        'mRecall': 50.0,
    }


@pytest.mark.parametrize('suffix', ['json', 'csv'])
def test_sweeps_are_written_whole_or_not_at_all(tmp_path, suffix):
    path = tmp_path / f'new/a.{suffix}'
    write_sweep(str(path), sweep_rows(scores(0.5, 0.25)))
    before = path.read_bytes()
    assert b'50.0' in before
    assert b'25.0' in before
    with pytest.raises((TypeError, ValueError)):
        write_sweep(str(path), [{'mIoU': 1.0}, {'IoU': {1.0}}])
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_sweep_as_csv(tmp_path):
    rows = sweep_rows(scores(NAN, 0.5), np.array([0.1, 0.2]))
    write_sweep(str(tmp_path / 'a.csv'), rows)
    lines = (tmp_path / 'a.csv').read_bytes().split(b'\r\n')
    assert lines[0] == b'threshold,mIoU,mPrecision,mRecall'
    assert lines[1:] == [b'0.1,,,', b'0.2,50.0,50.0,50.0', b'']
