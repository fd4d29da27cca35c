"""Running the command of a stage."""

import codecs
import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import Callable, Iterator, List, Optional, Tuple

# Data loading workers of a killed run need a moment to notice.
LOCK_PATIENCE = 20.0
_PR_SET_PDEATHSIG = 1


@contextmanager
def locked(folder: str) -> Iterator[Tuple[int, ...]]:
    """Let one pipeline at a time run in a folder.

    Stages inherit the lock, so that what outlives a killed pipeline keeps it.

    Args:
        folder: The folder of all stages; it is created.

    Yields:
        The file descriptors to pass on to the stages.

    Raises:
        OSError: If another one runs there.
    """
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        yield ()
        return
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, '.lock')
    with open(path, 'a', encoding='utf-8') as file:
        start = time.monotonic()
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() - start > LOCK_PATIENCE:
                    raise OSError(
                        f'{folder}: another pipeline is running there'
                    ) from None
                time.sleep(0.2)
        yield (file.fileno(),)


def run_logged(
    command: List[str], log_file: str, keep_open: Tuple[int, ...] = ()
) -> int:
    """Run a command; what it prints goes to the terminal and to a file.

    The command does not outlive this process.

    Args:
        command: Program and arguments.
        log_file: File to append to.
        keep_open: File descriptors that the command inherits.

    Returns:
        The exit code, negative for a signal.
    """
    environment = dict(os.environ, PYTHONUNBUFFERED='1')
    decode = codecs.getincrementaldecoder('utf-8')('replace').decode
    with open(log_file, 'ab') as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=keep_open,
            preexec_fn=_dying_with(os.getpid()),
        )
        assert process.stdout is not None
        try:
            source = process.stdout.fileno()
            for chunk in iter(lambda: os.read(source, 65536), b''):
                log.write(chunk)
                log.flush()
                sys.stdout.write(decode(chunk))
                sys.stdout.flush()
            return process.wait()
        finally:
            if process.poll() is None:
                process.kill()
            process.stdout.close()
            process.wait()


def _dying_with(parent: int) -> Optional[Callable[[], None]]:
    """What a child calls to be killed with its parent, where Linux can."""
    if not sys.platform.startswith('linux'):
        return None
    libc = ctypes.CDLL(None)

    def call() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return call


def last_error(log_file: str) -> str:
    """The last line of a log that tells of an error, or the last line."""
    with open(log_file, 'rb') as file:
        file.seek(max(0, os.path.getsize(log_file) - 20000))
        lines = file.read().decode('utf-8', 'replace').splitlines()
    lines = [line.strip() for line in lines if line.strip()]
    errors = [line for line in lines if line.startswith('error: ')]
    found = (errors or lines or [''])[-1]
    return found[len('error: ') :] if errors else found
