"""What a prediction prints: what is run, how long it will take, and the result of each case."""

import time
from collections.abc import Callable

from nnunet_pancext.io.durations import rough_duration
from nnunet_pancext.nnunet_commands.console import Console, Status

SHOWN_EVERY_S = 0.2  # on a terminal, where windows may take milliseconds
WORTH_A_LINE_S = 10
FIRST_WINDOWS = 2  # after which the time is known: the first alone has the start of everything in it


class Progress:
    """Measures the seconds of a forward pass of each model, and prints the time to go.

    On a terminal one line is rewritten; elsewhere a line is printed once a minute (`Console`).
    """

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.console, self.clock = console, clock
        self.case = self.model = ""
        self.measured: dict[str, tuple[float, int]] = {}  # seconds and forward passes by model
        self.planned = self.done = 0
        self.windows = 0
        self.last = self.shown = clock()
        self.is_timed = False  # whether the time of this pass was printed

    def begin_case(self, case: str, *, number: int, of: int) -> None:
        """Name the case, the `number`th `of` all."""
        self.case = f"{case} ({number} of {of})" if of > 1 else case
        self.console.say(Status(f"{self.case}: reading"))

    def begin_model(self, model: str) -> None:
        """Name the model whose windows follow."""
        self.model = model

    def announce(self, text: str, forwards: int) -> None:
        """Print what is run, its forward passes and the time it will take, where one was measured.

        The line of a pass of a few seconds does not stay: an image may have a dozen of them.
        """
        self.planned, self.done, self.windows, self.last = forwards, 0, 0, self.clock()
        seconds = self._seconds(forwards)
        self.is_timed = seconds is not None
        to_go = "" if seconds is None else f", about {rough_duration(seconds)}"
        passes = f"{forwards} forward pass{'es' * (forwards != 1)}"
        line = f"{self.case}: {text}, {passes}{to_go}"
        is_short = seconds is not None and seconds < WORTH_A_LINE_S
        self.console.say(Status(line) if is_short else line)

    def on_window(self, forwards: int) -> None:
        """Take note of a window whose forward passes are done, and show the time to go."""
        now = self.clock()
        seconds, known = self.measured.get(self.model, (0.0, 0))
        self.measured[self.model] = seconds + now - self.last, known + forwards
        self.last = now
        self.done += forwards
        self.windows += 1
        to_go = self._seconds(max(0, self.planned - self.done))
        if to_go is None or self.done > self.planned:
            return
        if not self.is_timed and self.windows == FIRST_WINDOWS and to_go >= WORTH_A_LINE_S:
            self.is_timed = True
            self.console.say(f"{self.case}: about {rough_duration(to_go)} to go")
        if now - self.shown >= SHOWN_EVERY_S:
            self.shown = now
            text = f"{self.done} of {self.planned} forward passes, {rough_duration(to_go)} to go"
            self.console.say(Status(f"{self.case}: {text}"))

    def _seconds(self, forwards: int) -> float | None:
        """Return how long so many forward passes of the model take; None before the first."""
        seconds, known = self.measured.get(self.model, (0.0, 0))
        return forwards * seconds / known if known else None
