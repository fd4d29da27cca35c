"""Which files of the package a call enters."""

import os
import sys
from types import FrameType
from typing import Any, Callable, Dict, List

import mmwsl

ROOT = os.path.join(os.path.dirname(mmwsl.__file__), '')


def files_entered(call: Callable[[], Any]) -> List[str]:
    """Return the files whose functions a call enters, in order."""
    found: Dict[str, None] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        path = frame.f_code.co_filename
        if event == 'call' and path.startswith(ROOT):
            found.setdefault(os.path.relpath(path, ROOT))

    previous = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(previous)
    return list(found)
