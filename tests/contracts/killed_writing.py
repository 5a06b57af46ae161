"""A function in a forked process that kills itself where a finished file gets its name."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

only_with_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork processes")


def kill_while_writing(function: Callable[[], object]) -> Iterator[str]:
    """Call a function again and again, killed at each `os.replace` in turn: before it, and after it.

    Yields where, after each kill; the last call, which is not killed, must succeed.
    """
    number = 1
    while True:
        for is_before in (True, False):
            if not _is_killed(function, number=number, is_before=is_before):
                return
            yield f"{'before' if is_before else 'after'} replacement {number}"
        number += 1


def _is_killed(function: Callable[[], object], *, number: int, is_before: bool) -> bool:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _kill_at(number, is_before=is_before)
            function()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, (number, is_before, status)
    return os.WIFSIGNALED(status)


def _kill_at(number: int, *, is_before: bool) -> None:
    replace, calls = os.replace, 0

    def counted(*arguments: str) -> None:
        nonlocal calls
        calls += 1
        if calls == number and is_before:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*arguments)
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = counted
