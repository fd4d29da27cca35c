"""Errors that say which file is broken."""

from contextlib import contextmanager
from typing import Iterator


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Turn whatever broken content raises into an error that names it.

    Args:
        place (str): Where the content is from.

    Raises:
        ValueError: In one line that begins with ``place``.
    """
    try:
        yield
    # Not the content is at fault: a package or a permission is missing.
    except (ImportError, OSError):
        raise
    except Exception as error:
        if isinstance(error, ValueError) and place in str(error):
            raise
        text = ' '.join(str(error).split())
        if not isinstance(error, (ValueError, TypeError)):
            text = f'{type(error).__name__}: {text}'
        raise ValueError(f'{place}: {text}') from error
