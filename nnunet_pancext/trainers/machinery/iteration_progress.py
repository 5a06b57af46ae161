"""Progress within an epoch, and the remaining time."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from nnunet_pancext.io.durations import duration_text

# Time of a validation iteration relative to a training iteration, for the estimate of the first epoch.
VALIDATION_SHARE = 1 / 3


@dataclass(kw_only=True)
class IterationProgress:
    """Reports iterations and remaining time; call `start_epoch`, then `advance` after each iteration.

    Reports are at least `interval_s` seconds apart, as measured by `clock`.
    """

    num_epochs: int
    num_iterations: int
    num_val_iterations: int
    interval_s: float
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.reported_at = self.clock()
        self.started_at: float | None = None
        self.epoch = self.done = 0
        self.epoch_seconds: list[float] = []

    def start_epoch(self, epoch: int) -> None:
        """Begin `epoch`, counted from 0."""
        now = self.clock()
        if self.started_at is not None:
            self.epoch_seconds.append(now - self.started_at)
        self.started_at, self.epoch, self.done = now, epoch, 0

    def advance(self) -> str | None:
        """Count a training iteration, and return a line if one is due.

        For example "Epoch 3/20, iteration 12/50: 8.1 s to go in this epoch, 1 min 40 s in all".
        """
        self.done += 1
        now = self.clock()
        if self.started_at is None or now - self.reported_at < self.interval_s:
            return None
        self.reported_at = now
        epoch_s, rest_s = self._to_go(now - self.started_at)
        return (
            f"Epoch {self.epoch + 1}/{self.num_epochs}, iteration {self.done}/{self.num_iterations}: "
            f"{duration_text(epoch_s)} to go in this epoch, {duration_text(epoch_s + rest_s)} in all"
        )

    def _to_go(self, elapsed_s: float) -> tuple[float, float]:
        """Return the remaining seconds of this epoch, and the seconds of all later epochs."""
        iterations = self.num_iterations + VALIDATION_SHARE * self.num_val_iterations
        from_iterations_s = elapsed_s / self.done * (iterations - self.done)
        if not self.epoch_seconds:
            length_s, epoch_s = elapsed_s + from_iterations_s, from_iterations_s
        else:
            length_s = sum(self.epoch_seconds) / len(self.epoch_seconds)
            # An epoch may be longer than those before it.
            epoch_s = length_s - elapsed_s if length_s > elapsed_s else from_iterations_s
        return epoch_s, length_s * (self.num_epochs - self.epoch - 1)
