"""How a training's process ends: by a signal once its checkpoints are written, and with its children."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

# SIGTERM comes from schedulers and from `kill`; SIGUSR2 from submitit before Slurm's time limit.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR2") if hasattr(signal, name))
EXIT_CODE = 128  # plus the signal's number, as in a shell
PR_SET_PDEATHSIG = 1  # from Linux's prctl.h

_children_are_bound = False


@contextmanager
def ended_by_signals(finish: Callable[[], None]) -> Iterator[None]:
    """Let SIGTERM and SIGUSR2 end this process with exit code 128 + signal, after `finish`.

    Only in the main thread, and only where a signal has its default effect. Forked processes inherit the
    handlers; in them a signal keeps its default effect.
    """
    trainer_pid = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != trainer_pid:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        with suppress(Exception):
            finish()
        for child in multiprocessing.active_children():
            child.kill()
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # the signal may have come while it was written to
                stream.flush()
        name = signal.Signals(number).name
        os.write(2, f"Training ended by {name}. It can be continued with --c.\n".encode())
        os._exit(EXIT_CODE + number)  # without waiting for threads that wait for the children

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [number for number in SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def bind_children() -> None:
    """Let processes that this one forks from now on end with it, even if it is killed (Linux only).

    Linux watches the thread that forks, not the process, so only forks of the main thread are bound.
    """
    global _children_are_bound
    if sys.platform != "linux" or _children_are_bound:
        return
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):  # another C library
        return
    main_thread = threading.main_thread().ident  # a forked thread keeps its number
    parents: list[int] = [0]

    def remember_parent() -> None:
        parents[0] = os.getpid()

    def bind() -> None:
        if threading.get_ident() == main_thread:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parents[0]:  # it has ended meanwhile
                os._exit(EXIT_CODE + signal.SIGKILL)

    os.register_at_fork(before=remember_parent, after_in_child=bind)
    _children_are_bound = True
