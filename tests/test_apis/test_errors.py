"""One clear line instead of a traceback."""

import os
import re

import pytest
from torch._utils import ExceptionWrapper

from mmwsl.apis.errors import error_line, fault_place, friendly_errors


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


def own_fault(kind):
    """Raise what no check raises."""
    faults = dict(
        key=lambda: {}['model'],
        attribute=lambda: None.shape,
        index=lambda: [][0],
        type=lambda: {[]: 1},
        value=lambda: int('seconds'),
        zero=lambda: 1 / 0,
        unpack=lambda: (lambda a, b: a)(*[1]),
        full=lambda: os.write(-1, b''),
    )
    faults[kind]()


@pytest.mark.parametrize(
    'kind',
    ['key', 'attribute', 'index', 'type', 'value', 'zero', 'unpack', 'full'],
)
def test_what_no_check_raises_says_its_place(kind, capsys, monkeypatch):
    monkeypatch.delenv('MMWSL_TRACEBACK', raising=False)
    with pytest.raises(SystemExit) as stop, friendly_errors():
        own_fault(kind)
    assert stop.value.code == 1
    line = capsys.readouterr().err.splitlines()[0]
    assert re.search(r'Error: .*test_errors.py, line \d+\)$', line)


def again(error):
    """Raise an error again as registries do."""
    try:
        raise error
    except Exception as first:
        raise type(first)(f'class `A` in a.py: {first}')  # noqa: B904


def test_places_behind_registries_and_workers():
    with pytest.raises(ValueError) as error:
        again(ValueError('batch_size must be positive'))
    assert fault_place(error.value) is None
    with pytest.raises(KeyError) as error:
        again(KeyError('model'))
    assert 'test_errors.py' in fault_place(error.value)
    for kind, fault in (('key', True), (None, False)):
        try:
            if kind:
                own_fault(kind)
            raise ValueError('a.jpg: truncated JPEG')
        except (KeyError, ValueError):
            sent = ExceptionWrapper(where='in DataLoader worker process 0')
        with pytest.raises((KeyError, ValueError)) as error:
            sent.reraise()
        place = fault_place(error.value)
        assert 'test_errors.py' in place if fault else place is None


def test_files_and_packages_that_are_missing_need_no_place():
    with pytest.raises(OSError) as error:
        open('nowhere/a')  # noqa: SIM115
    assert fault_place(error.value) is None
    with pytest.raises(ImportError) as error:
        import nowhere  # noqa: F401
    assert fault_place(error.value) is None
    with pytest.raises(AssertionError) as error:
        raise AssertionError
    assert 'test_errors.py' in fault_place(error.value)


def test_interrupts_are_one_line(capsys):
    with pytest.raises(SystemExit) as stop, friendly_errors('go on later'):
        raise KeyboardInterrupt
    assert stop.value.code == 130
    assert capsys.readouterr().err == 'go on later\n'
    with friendly_errors():
        pass
