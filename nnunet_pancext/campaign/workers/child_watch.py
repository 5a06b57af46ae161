"""Ends a process when another one that works for it is killed: nnU-Net would wait for ever."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess

LOOK_S = 0.5
EXIT_CODE = 128  # plus the signal's number, as in a shell


@contextmanager
def ended_with_children() -> Iterator[None]:
    """End this process with exit code 128 + signal when a signal ends one that `multiprocessing` has started.

    A pool of Python starts another process in its place, but the work of the killed one is lost, and who
    asked for it waits. SIGTERM does not count: by it pools end their processes.
    """
    children = multiprocessing.active_children()
    is_over = threading.Event()
    watch = threading.Thread(target=_watch, args=(children, is_over), name="child watch", daemon=True)
    start = BaseProcess.start

    def start_and_note(child: BaseProcess) -> None:
        start(child)
        children.append(child)  # at once: it may be killed before anybody looks

    watch.start()
    setattr(BaseProcess, "start", start_and_note)  # noqa: B010
    try:
        yield
    finally:
        setattr(BaseProcess, "start", start)  # noqa: B010
        is_over.set()
        watch.join()


def _watch(children: list[BaseProcess], is_over: threading.Event) -> None:
    while True:
        for child in [*children]:
            try:
                code = child.exitcode
            except ValueError:  # closed: its work is done
                code = 0
            if code is not None:
                children.remove(child)
            if code is not None and code < 0 and code != -signal.SIGTERM:
                text = f"error: process {child.pid}, a worker of this one, was ended by signal {-code}\n"
                with suppress(OSError):
                    os.write(2, text.encode())
                os._exit(EXIT_CODE - code)  # without waiting for it
        if is_over.wait(LOOK_S):
            return
