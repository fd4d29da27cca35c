import json

import pytest

from mmwsl.apis import ToolParser
from mmwsl.apis.scoring import scoring_command


def run(evaluate, *argv):
    parser = ToolParser()
    parser.option('--value', 0.0)
    return scoring_command(parser)(evaluate)(argv)


def test_prints_and_writes(tmp_path, capsys):
    out = tmp_path / 'new' / 'metrics.json'
    argv = ('--value', '2', '--out', str(out))
    assert run(lambda args: {'mAP': args.value}, *argv) == 0
    assert json.loads(capsys.readouterr().out) == {'mAP': 2.0}
    assert json.loads(out.read_text()) == {'mAP': 2.0}


def test_nothing_is_written_without_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(lambda args: {'mAP': 1.0}) == 0
    assert capsys.readouterr().out == '{"mAP": 1.0}\n'
    assert not list(tmp_path.iterdir())


def test_errors_are_one_line(capsys):
    def evaluate(args):
        raise ValueError('scores.csv: no line with scores')

    with pytest.raises(SystemExit, match='1'):
        run(evaluate)
    first = capsys.readouterr().err.splitlines()[0]
    assert first == 'error: scores.csv: no line with scores'
