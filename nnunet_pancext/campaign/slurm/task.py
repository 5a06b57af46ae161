"""What a Slurm job of a campaign does: one step, which is requeued where it is interrupted."""

import os
import signal
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from nnunet_pancext.campaign.attempt.execute import StepProcess
from nnunet_pancext.campaign.lease import Held
from nnunet_pancext.campaign.slurm.queue import is_running
from nnunet_pancext.errors import PancextError

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

POLL_S = 5.0
# Slurm may signal the step's command as well as this process: then the command ends first.
OWN_SIGNAL_WITHIN_S = 15.0


class StepTask:
    """Runs a step in a job of submitit, which pickles this object and calls it on the node.

    submitit requeues a job at USR2, before its time limit, since there is `checkpoint`. It ignores SIGTERM,
    by which Slurm preempts and cancels: here the command ends within the grace time, and where Slurm would
    let the job end without requeueing it, it is requeued as at USR2.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self._process: StepProcess | None = None

    def __call__(self) -> None:
        """Run the step; PancextError, which fails the job, unless it is done then."""
        from submitit import JobEnvironment

        job = JobEnvironment()
        _remove_partial_files(job.paths.submitted_pickle, job.paths.result_pickle)
        signal.signal(signal.SIGTERM, self._terminated)
        process = self._start(job.job_id)
        attempt = process.wait()
        if process.unwritten:
            print(f"Cannot write {process.unwritten}. Free space on its disk.", flush=True)
        if attempt.outcome == "interrupted":
            time.sleep(OWN_SIGNAL_WITHIN_S)
        if attempt.outcome != "done":
            raise PancextError(f"Step {self.name} was not done: {attempt.outcome}. {attempt.message}")

    def checkpoint(self) -> "DelayedSubmission":
        """End the command and return what submitit calls once the job runs again."""
        from submitit.helpers import DelayedSubmission

        self._stop()
        return DelayedSubmission(StepTask(self.folder, self.name))

    def _start(self, job: str) -> StepProcess:
        """Start the command once nobody else runs the step.

        Slurm starts a job again when it loses sight of its node, where the command may be alive.
        """
        printed = ""
        while True:
            self._process = StepProcess(
                self.folder,
                self.name,
                place="slurm",
                job=job,
                restarts=int(os.environ.get("SLURM_RESTART_COUNT", "0")),
                gpu=os.environ.get("CUDA_VISIBLE_DEVICES", ""),
            )
            try:
                self._process.start()
                return self._process
            except Held as held:
                if str(held) != printed:
                    printed = str(held)
                    print(printed, flush=True)
            time.sleep(POLL_S)

    def _stop(self) -> None:
        """End the command; a second signal meanwhile changes nothing."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        before = signal.signal(_requeueing_signal(), signal.SIG_IGN)
        if self._process is not None:
            self._process.stop()
        signal.signal(_requeueing_signal(), before)

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        """Handle SIGTERM: end the command, and have the job requeued if Slurm does not see to that itself."""
        from submitit import JobEnvironment

        self._stop()
        # Slurm does not requeue a job that ends within the grace time of its preemption.
        if is_running(JobEnvironment().job_id):
            signal.raise_signal(_requeueing_signal())
        raise SystemExit(128 + number)


def _requeueing_signal() -> signal.Signals:
    """Return the signal at which submitit requeues, USR2 unless a site has set another."""
    from submitit import JobEnvironment

    return signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]


def _remove_partial_files(*paths: Path) -> None:
    """Remove what a killed run was writing: submitit refuses to write where there is such a file."""
    for path in paths:
        path.with_suffix(f"{path.suffix}.save_tmp").unlink(missing_ok=True)
