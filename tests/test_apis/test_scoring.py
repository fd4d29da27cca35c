import argparse
import json

import pytest

from mmwsl.apis.scoring import run_scoring


def test_prints_and_writes(tmp_path, capsys):
    out = tmp_path / 'new' / 'metrics.json'
    args = argparse.Namespace(out=str(out), value=2.0)
    assert run_scoring(lambda args: {'mAP': args.value}, args) == 0
    assert json.loads(capsys.readouterr().out) == {'mAP': 2.0}
    assert json.loads(out.read_text()) == {'mAP': 2.0}


def test_nothing_is_written_without_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    args = argparse.Namespace(out=None)
    assert run_scoring(lambda args: {'mAP': 1.0}, args) == 0
    assert capsys.readouterr().out == '{"mAP": 1.0}\n'
    assert not list(tmp_path.iterdir())


def test_errors_are_one_line(capsys):
    def evaluate(args):
        raise ValueError('scores.csv: no line with scores')

    with pytest.raises(SystemExit, match='1'):
        run_scoring(evaluate, argparse.Namespace(out=None))
    first = capsys.readouterr().err.splitlines()[0]
    assert first == 'error: scores.csv: no line with scores'
