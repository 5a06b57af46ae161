"""How a worker ends: with an exit code, and a user's mistake in a line of the step's log."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from nnunet_pancext.errors import PancextError

P = ParamSpec("P")


def with_exit_code(main: Callable[P, None]) -> Callable[P, int]:
    """Let `main` return an exit code: 0, or 1 after a PancextError, which is printed."""

    @wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            main(*args, **kwargs)
        except PancextError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            return 1
        return 0

    return run
