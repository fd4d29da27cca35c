"""One clear line instead of a traceback."""

import dis
import os
import pickle
import re
import sys
from contextlib import contextmanager
from typing import Iterator, Optional, Tuple

from mmwsl.compat import raise_interrupts

# What checks raise; mmengine asserts what configs say.
USER_ERRORS = (
    ValueError,
    TypeError,
    KeyError,
    ImportError,
    OSError,
    AssertionError,
    pickle.UnpicklingError,
)
_RAISE = dis.opmap['RAISE_VARARGS']
# The last call in the traceback of a data loading worker.
_CALL = re.compile(r'File "(.*)", line (\d+), in .*\n\s*(.*)')


@contextmanager
def friendly_errors(stopped: str = 'stopped') -> Iterator[None]:
    """Turn an error into one line and exit code 1, Ctrl-C into 130.

    An error that no check has raised on purpose may be a fault of ours: its
    kind and its place are printed, too. With ``MMWSL_TRACEBACK=1`` in the
    environment the traceback is shown.

    Args:
        stopped: What to say after Ctrl-C.
    """
    try:
        raise_interrupts()
        yield
    except KeyboardInterrupt as error:
        print(stopped, file=sys.stderr)
        raise SystemExit(130) from error
    except Exception as error:
        if os.environ.get('MMWSL_TRACEBACK', '0') not in ('', '0'):
            raise
        line, hint = error_line(error), 'to see where it was raised'
        place = fault_place(error)
        if place:
            line = f'{type(error).__name__}: {line} ({place})'
            hint = 'to see the whole traceback'
        print(f'error: {line}', file=sys.stderr)
        print(f'(set MMWSL_TRACEBACK=1 {hint})', file=sys.stderr)
        raise SystemExit(1) from error


def error_line(error: BaseException) -> str:
    """Return the sentence of an error, without worker tracebacks.

    An error of a data loading worker arrives as a text that holds the
    worker's whole traceback; its last line is the message.
    """
    # str(KeyError) quotes the message.
    text = str(error.args[0]) if error.args else type(error).__name__
    if isinstance(error, OSError):
        text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    if 'Original Traceback' in text:
        return re.sub(r'^[\w.]*(Error|Exception): ', '', lines[-1])
    return ' '.join(lines)


def fault_place(error: BaseException) -> Optional[str]:
    """Return the file and the line of an error that no check has raised.

    A check raises one of ``USER_ERRORS`` with a sentence, by a statement of
    its own; errors of files that name the file, and of imports, need none.
    """
    # mmengine raises what a constructor has raised again, with its name.
    while (
        type(error.__context__) is type(error)
        and error.__cause__ is None
        and error_line(error.__context__) in error_line(error)
    ):
        error = error.__context__
    path, line, on_purpose = _origin(error)
    sentence = ' ' in error_line(error).strip()
    named = isinstance(error, OSError) and error.filename is not None
    if isinstance(error, USER_ERRORS) and (
        named or isinstance(error, ImportError) or (on_purpose and sentence)
    ):
        return None
    return f'{path}, line {line}'


def _origin(error: BaseException) -> Tuple[str, int, bool]:
    """Return where an error was raised, and whether by a statement."""
    calls = _CALL.findall(str(error.args[0])) if error.args else []
    if calls and 'Original Traceback' in str(error.args[0]):
        path, line, statement = calls[-1]
        return path, int(line), statement.startswith(('raise', 'assert'))
    place = error.__traceback__
    if place is None:
        return 'nowhere', 0, True
    while place.tb_next is not None:
        place = place.tb_next
    code = place.tb_frame.f_code
    on_purpose = code.co_code[place.tb_lasti] == _RAISE
    return code.co_filename, place.tb_lineno, on_purpose
