"""One clear line instead of a traceback."""

import pytest
from torch._utils import ExceptionWrapper

from mmwsl.apis.errors import error_line, friendly_errors


def test_error_of_a_worker_is_its_last_line():
    try:
        raise ValueError('a/b.jpg: truncated JPEG (no end marker)')
    except ValueError:
        sent = ExceptionWrapper(where='in DataLoader worker process 0')
    with pytest.raises(ValueError, match='Original Traceback') as error:
        sent.reraise()
    expected = 'a/b.jpg: truncated JPEG (no end marker)'
    assert error_line(error.value) == expected


@pytest.mark.parametrize(
    ('error', 'line'),
    [
        (ValueError('plain'), 'plain'),
        (ValueError('two\n   lines\n'), 'two lines'),
        (KeyError('no such key "a"'), 'no such key "a"'),
        (FileNotFoundError('a.jpg: missing'), 'a.jpg: missing'),
        (
            OSError(2, 'No such file', 'x.png'),
            "[Errno 2] No such file: 'x.png'",
        ),
        (ValueError(), 'ValueError'),
        (OSError(), 'OSError'),
        (TypeError('\n'), 'TypeError'),
    ],
)
def test_line_of_an_error(error, line):
    assert error_line(error) == line


@pytest.mark.parametrize('kind', [ValueError, KeyError, OSError, ImportError])
def test_user_errors_end_with_code_1(kind, capsys, monkeypatch):
    monkeypatch.delenv('MMWSL_TRACEBACK', raising=False)
    with pytest.raises(SystemExit) as stop, friendly_errors():
        raise kind('file.txt: wrong')
    assert stop.value.code == 1
    printed = capsys.readouterr()
    assert printed.err.splitlines()[0] == 'error: file.txt: wrong'
    assert 'MMWSL_TRACEBACK=1' in printed.err
    assert printed.out == ''


@pytest.mark.parametrize(('value', 'code'), [('0', 1), ('', 1)])
def test_traceback_is_off(value, code, monkeypatch):
    monkeypatch.setenv('MMWSL_TRACEBACK', value)
    with pytest.raises(SystemExit) as stop, friendly_errors():
        raise ValueError('wrong')
    assert stop.value.code == code


def test_traceback_on_demand(monkeypatch):
    monkeypatch.setenv('MMWSL_TRACEBACK', '1')
    with pytest.raises(ValueError, match='wrong'), friendly_errors():
        raise ValueError('wrong')


def test_other_errors_pass(monkeypatch):
    monkeypatch.delenv('MMWSL_TRACEBACK', raising=False)
    with pytest.raises(ZeroDivisionError), friendly_errors():
        raise ZeroDivisionError
    with friendly_errors():
        pass
