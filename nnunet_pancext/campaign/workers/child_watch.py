"""Ends a process when another one that works for it is killed: nnU-Net would wait for ever."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LOOK_S = 0.5
EXIT_CODE = 128  # plus the signal's number, as in a shell


@contextmanager
def ended_with_children() -> Iterator[None]:
    """End this process with exit code 128 + signal when a signal ends one that `multiprocessing` has started.

    A pool of Python starts another process in its place, but the work of the killed one is lost, and who
    asked for it waits. SIGTERM does not count: by it pools end their processes.
    """
    is_over = threading.Event()
    watch = threading.Thread(target=_watch, args=(is_over,), name="child watch", daemon=True)
    watch.start()
    try:
        yield
    finally:
        is_over.set()
        watch.join()


def _watch(is_over: threading.Event) -> None:
    children: dict[int | None, multiprocessing.process.BaseProcess] = {}
    while True:
        children.update({child.pid: child for child in multiprocessing.active_children()})
        for pid, child in children.items():
            code = None
            with suppress(ValueError):  # closed: its work is done
                code = child.exitcode
            if code is not None and code < 0 and code != -signal.SIGTERM:
                text = f"error: process {pid}, a worker of this one, was ended by signal {-code}\n"
                with suppress(OSError):
                    os.write(2, text.encode())
                os._exit(EXIT_CODE - code)  # without waiting for it
        if is_over.wait(LOOK_S):
            return
