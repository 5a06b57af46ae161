import json
import os
import platform
import subprocess
import sys

import pytest

from nnunet_pancext.trainers.machinery import allocator as host_allocator

# Allocates, fills and frees 64 MB twenty times; prints how many pages the kernel had to bring. The module is
# run as a file: an import of it would import nnU-Net.
FAULTS = """
import ctypes, json, resource, runpy, sys
kept = runpy.run_path(sys.argv[1])["keep_freed_memory"]()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
size = 64 << 20
def once():
    block = libc.malloc(ctypes.c_size_t(size))
    ctypes.memset(block, 1, size)
    libc.free(block)
once()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    once()
print(json.dumps([kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before]))
"""


def page_faults(**environment):
    clean = {name: value for name, value in os.environ.items() if name not in host_allocator.USERS_OWN}
    output = subprocess.run(
        [sys.executable, "-c", FAULTS, host_allocator.__file__],
        env={**clean, **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return json.loads(output)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc")
def test_freed_memory_is_used_again():
    kept, few = page_faults()
    assert kept
    kept, many = page_faults(MALLOC_TRIM_THRESHOLD_="0")  # the user's own setting counts
    assert not kept
    assert few < many / 10


def test_another_system_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not host_allocator.keep_freed_memory()


def test_another_c_library_is_left_alone(monkeypatch):
    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "confstr", unknown, raising=False)
    for name in host_allocator.USERS_OWN:
        monkeypatch.delenv(name, raising=False)
    assert not host_allocator.keep_freed_memory()
