"""A process of its own that runs one step on this machine."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nnunet_pancext.campaign.attempt.execute import EXIT_CODES, HELD
from nnunet_pancext.campaign.local.log_follower import LogFollower
from nnunet_pancext.campaign.record import log_file
from nnunet_pancext.campaign.step import Step

MODULE = "nnunet_pancext.campaign.attempt.execute"
OUTCOMES = {**{code: outcome for outcome, code in EXIT_CODES.items()}, HELD: "held"}


class Supervisor:
    """Runs `attempt.execute` for a step, and goes on when this process dies.

    It is in a session of its own, so that Ctrl-C reaches it only through `stop`, and its output goes to an
    anonymous file, which no reader can close. `slot` is what it has for itself, and `gpu` the
    CUDA_VISIBLE_DEVICES of the step, or "".
    """

    def __init__(self, folder: Path, step: Step, *, slot: str, gpu: str) -> None:
        self.step = step
        self.slot = slot
        self.started = time.monotonic()
        self.follower = LogFollower(log_file(folder, step.name), step.progress())
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE, str(folder), step.name, *(["--gpu", gpu] if gpu else [])],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.started

    def outcome(self) -> str | None:
        """Return None while it runs, then the step's outcome, or "held" if another process has the step.

        "interrupted" if the supervisor itself was killed.
        """
        code = self._process.poll()
        return None if code is None else OUTCOMES.get(code, "interrupted" if code < 0 else "failed")

    def message(self) -> str:
        """Return what it has printed: the error, if there was one."""
        self._output.seek(0)
        return self._output.read().decode("utf-8", errors="replace").strip()

    def stop(self) -> None:
        """Ask it to end the step; `outcome` is None until it has ended."""
        self._process.terminate()

    def close(self) -> None:
        """Forget what it has printed."""
        self._output.close()
