"""Reading and writing files: whole, inside their folder, with named errors."""

import io
import json
import logging
import ntpath
import os
import re
import shutil
import socket
from contextlib import contextmanager, suppress
from typing import Any, Iterable, Iterator, Set

import numpy as np
from mmengine.logging import print_log

# Folders from which stale temporary files have been removed.
_tidied: Set[str] = set()
_said: Set[str] = set()


def join_inside(
    folder: str, name: str, suffix: str = '', links: bool = False
) -> str:
    """Join a name that comes from a file to a folder that it must not leave.

    Args:
        folder: The folder, which may be a link itself.
        name: Such as an image id: a relative path with slashes.
        suffix: Appended to the name.
        links: Whether links in the folder may lead out of it: for what users
            have laid there, not for what is written.

    Raises:
        ValueError: If the name is empty, absolute, climbs, holds a null
            character, or goes through a link that leaves the folder.
    """
    parts = re.split(r'[\\/]', name) if isinstance(name, str) else ['']
    if (
        parts[-1] in ('', '.')
        or not parts[0]
        or os.pardir in parts
        or ntpath.splitdrive(name)[0]
        or '\0' in name
    ):
        raise ValueError(f'{name!r} is no name of a file inside {folder}')
    path = os.path.join(folder, name + suffix)
    if not links:
        root = os.path.realpath(folder)
        if not os.path.realpath(path).startswith(os.path.join(root, '')):
            raise ValueError(f'{path}: leaves {folder} through a link')
    return path


def write_whole(path: str, content: bytes) -> None:
    """Write a file that appears whole or not at all.

    Its folder is created, and temporary files that killed processes have
    left there are removed.
    """
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    _remove_stale(folder)
    # Host and process, so that others can see whether it is still written.
    name = f'.{socket.gethostname()}-{os.getpid()}.tmp'
    temporary = os.path.join(folder, name)
    try:
        with naming(path), open(temporary, 'wb') as file:
            file.write(content)
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            os.remove(temporary)


def write_lines(path: str, lines: Iterable[Any]) -> None:
    """Write a file of lines as :func:`write_whole` does."""
    write_whole(path, ''.join(f'{line}\n' for line in lines).encode())


def check_new(path: str) -> None:
    """Raise ValueError unless a folder to write is new or empty."""
    if os.path.exists(path) and (not os.path.isdir(path) or os.listdir(path)):
        raise ValueError(
            f'{path}: is there already; remove it or name another folder'
        )


@contextmanager
def whole_folder(path: str) -> Iterator[str]:
    """Let a folder, new or empty, appear when all of it is there.

    Yields:
        The folder to write to, which is renamed at the end, or removed after
        an error. What a killed process has left there is gone.
    """
    head, tail = os.path.split(os.path.abspath(path))
    temporary = os.path.join(head, f'.{tail}.tmp')
    shutil.rmtree(temporary, ignore_errors=True)
    os.makedirs(temporary)
    try:
        yield temporary
        if os.path.isdir(path):
            os.rmdir(path)
        os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_stale(folder: str) -> None:
    """Remove temporary files of this machine's dead processes, once."""
    if folder in _tidied:
        return
    _tidied.add(folder)
    pattern = re.compile(rf'\.{re.escape(socket.gethostname())}-(\d+)\.tmp')
    for match in filter(None, map(pattern.fullmatch, os.listdir(folder))):
        try:
            # Asks whether the process is there, and does nothing to it.
            os.kill(int(match[1]), 0)
        except (ProcessLookupError, OverflowError):
            with suppress(FileNotFoundError):
                os.remove(os.path.join(folder, match[0]))
        except PermissionError:
            pass


def read_json(path: str, what: str = 'file') -> Any:
    """Read a JSON file, whose kind ``what`` is for the errors.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty, no JSON, or nested too deep.
    """
    content = read_bytes(path, what)
    if not content.strip():
        raise ValueError(f'{path}: {what} is empty')
    try:
        return json.loads(content.decode('utf-8-sig'))
    except RecursionError as error:
        raise ValueError(f'{path}: is no JSON, or nested too deep') from error
    # Numbers may have too many digits, too.
    except ValueError as error:
        raise ValueError(f'{path}: is no JSON ({error})') from error


def read_arrays(
    path: str, what: str = 'file', allow_pickle: bool = False
) -> Any:
    """Read a ``.npy`` as an array, a ``.npz`` as a dict of arrays.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is broken, or holds pickles, which could run any
            code, and they are not allowed.
    """
    need_file(path, what)
    if not os.path.getsize(path):
        raise ValueError(f'{path}: {what} is empty')
    try:
        data = np.load(path, allow_pickle=allow_pickle)
        return data if isinstance(data, np.ndarray) else dict(data)
    # Broken files raise whatever the parsers of zip and numpy stumble over.
    except Exception as error:
        why = ' '.join(str(error).split())
        if 'allow_pickle' in why:
            why = (
                'it is another kind of file, or a pickle, which can run any '
                'code when it is read'
            )
        raise ValueError(
            f'{path}: {what} holds no plain arrays: {why}'
        ) from error


def write_arrays(path: str, compressed: bool = False, **arrays: Any) -> None:
    """Write a ``.npz`` as :func:`write_whole` does."""
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    write_whole(path, buffer.getvalue())


def need_file(path: str, what: str = 'file') -> None:
    """Raise a FileNotFoundError that says ``what`` is missing, if it is."""
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: {what} does not exist')


def read_bytes(path: str, what: str = 'file') -> bytes:
    """Read a whole file; FileNotFoundError says what is missing."""
    need_file(path, what)
    with naming(path), open(path, 'rb') as file:
        return file.read()


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Name a place in whatever broken content raises.

    Args:
        place: Where the content is from: a file, maybe with the part of it.

    Raises:
        ValueError: In one line that begins with ``place``.
        OSError: Those of the machine, with ``place`` as their file if they
            name none.
    """
    try:
        yield
    # Not the content is at fault: a package or a permission is missing.
    except ImportError:
        raise
    except OSError as error:
        if error.filename is not None or place in str(error):
            raise
        if error.errno is None:
            raise type(error)(f'{place}: {error}') from error
        raise OSError(error.errno, error.strerror, place) from error
    except Exception as error:
        if isinstance(error, ValueError) and place in str(error):
            raise
        text = ' '.join(str(error).split())
        if not isinstance(error, (ValueError, TypeError)):
            text = f'{type(error).__name__}: {text}'
        raise ValueError(f'{place}: {text}') from error


def say_once(message: str, key: str = '') -> None:
    """Print a warning, but only the first time in this process.

    ``key`` says what it is about, if the message alone does not tell.
    """
    if (key or message) not in _said:
        _said.add(key or message)
        print_log(message, logger='current', level=logging.WARNING)
