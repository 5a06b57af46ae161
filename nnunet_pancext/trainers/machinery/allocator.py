"""Makes glibc keep freed memory, which speeds up training and prediction on a CPU."""

import ctypes
import os
import sys

# From glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
NEVER = -1
USERS_OWN = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Make this process keep freed memory for its next tensors, and return whether it does.

    By default glibc maps each large tensor anew and unmaps it when it is freed, so that the kernel zeroes the
    pages of every layer's features in every step. Without glibc, or if the environment configures its
    allocator, nothing is changed.
    """
    if sys.platform != "linux" or any(name in os.environ for name in USERS_OWN):
        return False
    try:
        if not os.confstr("CS_GNU_LIBC_VERSION"):
            return False
        set_option = ctypes.CDLL(None).mallopt
    except (ValueError, OSError, AttributeError):  # another C library
        return False
    return bool(set_option(M_MMAP_MAX, 0)) and bool(set_option(M_TRIM_THRESHOLD, NEVER))
