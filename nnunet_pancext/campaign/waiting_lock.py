"""A lock for which steps of one dataset wait, because nnU-Net writes some files of it in place."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder; print a line where another process holds it, and wait.

    The operating system releases it when its process is killed.
    """
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"another step is writing {path.parent}; waiting for it", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
