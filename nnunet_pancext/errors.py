"""The one error class for what a user can put right."""

from typing import Any

from nnunet_pancext.former_names import former_name


class PancextError(Exception):
    """A mistake in the input or the environment; the message says what, where, and what to do.

    The `pancext` command prints the message without a traceback and exits with code 1.
    """


class NNUNetCommandError(PancextError, SystemExit):
    """The same, raised while one of nnU-Net's own commands is running.

    nnU-Net's commands do not catch errors. As a `SystemExit` this one ends them with the message on
    standard error and exit code 1 and without a traceback, while `except PancextError` still works.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = message


def __getattr__(name: str) -> Any:
    return former_name(__name__, name)
