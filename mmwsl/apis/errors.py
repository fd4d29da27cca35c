"""One clear line instead of a traceback."""

import os
import pickle
import re
import sys
from contextlib import contextmanager
from typing import Iterator

# mmengine asserts what configs say.
USER_ERRORS = (
    ValueError,
    TypeError,
    KeyError,
    ImportError,
    OSError,
    AssertionError,
    pickle.UnpicklingError,
)


@contextmanager
def friendly_errors() -> Iterator[None]:
    """Turn an error that the user can mend into one line and exit code 1.

    With ``MMWSL_TRACEBACK=1`` in the environment the traceback is shown.
    """
    try:
        yield
    except USER_ERRORS as error:
        if os.environ.get('MMWSL_TRACEBACK', '0') not in ('', '0'):
            raise
        print(f'error: {error_line(error)}', file=sys.stderr)
        print(
            '(set MMWSL_TRACEBACK=1 to see where it was raised)',
            file=sys.stderr,
        )
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
