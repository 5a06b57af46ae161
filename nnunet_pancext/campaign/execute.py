"""Runs one step of a campaign under its lease, as a child with a log, and records what happened to it."""

from pathlib import Path

from nnunet_pancext.campaign.record import Attempt

GRACE_S = 60.0


class StepProcess:
    """A step's command as a child of this process, from the lease to the record.

    `start` takes the leases and starts the child, `wait` returns when it has ended, and `stop` ends it, also
    out of a signal handler that interrupts `wait` (no lock is held): it returns when the child is gone, the
    record is written and the leases are released. All three must be called in the main thread.

    Args:
        folder: the campaign's.
        name: the step's.
        place: "local" or "slurm".
        job: the Slurm job's id.
        restarts: how often Slurm has requeued the job.
        gpu: CUDA_VISIBLE_DEVICES of the child; "" leaves it as it is.
    """

    def __init__(
        self, folder: Path, name: str, *, place: str, job: str = "", restarts: int = 0, gpu: str = ""
    ) -> None:
        raise NotImplementedError

    @property
    def attempt(self) -> Attempt:
        """What is known of the attempt so far; its `outcome` is None while it runs."""
        raise NotImplementedError

    def start(self) -> bool:
        """Start the child; False if there is nothing to do, since the step is done already.

        Raises:
            Held: another living process runs the step.
            PancextError: a need is not done, or the step was begun with other options.
        """
        raise NotImplementedError

    def wait(self) -> Attempt:
        """Wait for the child's end, or end it when its cancel file appears or its lease is lost."""
        raise NotImplementedError

    def stop(self, outcome: str = "interrupted") -> Attempt:
        """End the child with SIGTERM, and with SIGKILL after `GRACE_S` seconds; without one, prevent it."""
        raise NotImplementedError


def run_step(
    folder: Path, name: str, *, place: str, job: str = "", restarts: int = 0, gpu: str = ""
) -> Attempt:
    """Run a step to its end and return what happened; `outcome` "done" at once if it is done already.

    SIGTERM, SIGINT and SIGUSR2 end it as "interrupted", its cancel file as "cancelled". The parameters are
    those of `StepProcess`, which is for a caller with signal handlers of its own.

    Raises:
        Held: another living process runs the step.
        PancextError: a need is not done, or the step was begun with other options.
    """
    raise NotImplementedError
