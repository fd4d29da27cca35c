import subprocess
import sys

import pytest

from mmwsl.apis import keep_freed_memory

# Prints the page faults of allocating and freeing 64 MB nine times, before
# and after the call; the first time after it fills the heap.
PROGRAM = """
import ctypes, resource
from mmwsl.apis import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]

def faults():
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(9):
        block = libc.malloc(ctypes.c_size_t(64 << 20))
        ctypes.memset(block, 1, 64 << 20)
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start

before = faults()
assert keep_freed_memory()
faults()
print(before, faults())
"""


@pytest.mark.skipif(
    not sys.platform.startswith('linux'), reason='for glibc only'
)
def test_freed_memory_is_reused():
    line = [sys.executable, '-c', PROGRAM]
    before, after = subprocess.check_output(line, text=True).split()[-2:]
    assert int(after) * 10 < int(before)


def test_nothing_happens_with_an_accelerator(monkeypatch):
    monkeypatch.setattr('mmwsl.apis.memory.get_device', lambda: 'cuda')
    assert keep_freed_memory() is False
