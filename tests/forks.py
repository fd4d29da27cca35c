"""Processes that begin with all that this one has imported."""

import gc
import multiprocessing
import os
import signal
import socket
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Callable, List, Union

import cv2
import torch

from tool_calls import call, load_tool

# After these a process is stuck.
SECONDS = 300


def start(
    function: Callable[..., Any],
    *args: Any,
    log: Union[Path, str] = os.devnull,
    **env: str,
) -> BaseProcess:
    """Call a function in a fork, whose exit code is what it returns.

    Args:
        function: What the fork does.
        args: Arguments of the function.
        log: File that what the fork prints is added to.
        env: Its environment, besides what it inherits.
    """
    # A fork lacks the threads of OpenCV and would wait for them; at one, not
    # at zero, OpenCV ends them at once.
    cv2.setNumThreads(1)

    def begin() -> None:
        os.setsid()
        os.environ.update(env)
        gc.freeze()
        torch.set_num_threads(1)
        with open(log, 'a', encoding='utf-8') as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            sys.stdout = sys.stderr = out
            sys.exit(function(*args))

    process = multiprocessing.get_context('fork').Process(target=begin)
    process.start()
    return process


def start_tool(tool: str, *args: Any, **kwargs: Any) -> BaseProcess:
    """Start one of ``tools/`` in a fork."""
    return start(lambda: call(load_tool(tool), *args), **kwargs)


def run_stage(command: List[str], log: str) -> int:
    """Run a command of a pipeline in a fork; return its exit code."""
    process = start_tool(*command[1:], log=log)
    process.join()
    return process.exitcode


def finish(processes: List[BaseProcess], log: Path) -> None:
    """Wait for processes that are to end well."""
    for process in processes:
        process.join(SECONDS)
    for process in processes:
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
    codes = [process.exitcode for process in processes]
    assert not any(codes), log.read_text()[-4000:]


def free_port() -> int:
    """Return a port of this machine that nothing listens to."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def kill_when(process: BaseProcess, path: Path, content: str = '') -> None:
    """Kill a process as soon as a file exists and holds that."""
    try:
        while not (path.is_file() and content in path.read_text('latin1')):
            assert process.is_alive()
            time.sleep(0.002)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL


def run_tool(folder: Path, tool: str, *args: Any) -> None:
    """Run one of ``tools/`` to its end; ``folder`` gets what it prints."""
    log = folder / 'fork.log'
    finish([start_tool(tool, *args, log=log)], log)


def fork_two(folder: Path, function: Callable[..., Any], *args: Any) -> None:
    """Call a function with the ranks 0 and 1 in two forks."""
    log = folder / 'fork.log'
    port = str(free_port())
    place = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=port, WORLD_SIZE='2')
    processes = [
        start(
            function,
            rank,
            *args,
            log=log,
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            **place,
        )
        for rank in range(2)
    ]
    finish(processes, log)


def run_in_two(folder: Path, tool: str, *args: Any) -> None:
    """Run one of ``tools/`` in two processes, as torchrun starts them."""
    line = [*args, '--launcher', 'pytorch']
    fork_two(folder, lambda rank: call(load_tool(tool), *line))
