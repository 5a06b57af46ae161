"""How often a training reports its progress: `PANCEXT_PROGRESS_SECONDS`, by default once a minute."""

import os

from nnunet_pancext.errors import NNUNetCommandError

VARIABLE = "PANCEXT_PROGRESS_SECONDS"
DEFAULT_INTERVAL_S = 60.0


def interval_from_environment() -> float:
    """Return the minimum number of seconds between two lines: `PANCEXT_PROGRESS_SECONDS`, or 60.

    Raises:
        NNUNetCommandError: it is not a number above 0.
    """
    text = os.environ.get(VARIABLE) or str(DEFAULT_INTERVAL_S)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise NNUNetCommandError(
            f"{VARIABLE} is {text!r}; set it to a number of seconds above 0, or unset it."
        )
    return seconds
