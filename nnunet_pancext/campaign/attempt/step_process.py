"""One step of a campaign under its lease: a child with a log, and the record of what happened to it."""

import os
import shlex
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nnunet_pancext.campaign.attempt.child import Child, append_line, end_leftovers
from nnunet_pancext.campaign.attempt.failure import failure_text, is_asked_for
from nnunet_pancext.campaign.changes import changes_text, outdated_entries, place_of, recorded_options
from nnunet_pancext.campaign.definition import Campaign, open_campaign, present_versions
from nnunet_pancext.campaign.lease import Held, Lease
from nnunet_pancext.campaign.record import (
    Attempt,
    Begun,
    Record,
    cancel_file,
    folder_lease_file,
    lease_file,
    log_file,
    read_record,
    write_record,
)
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.errors import PancextError

GRACE_S = 60.0
LOOK_S = 1.0  # between checks of the cancel file and the leases
TICK_S = 0.25  # between checks for requests of a signal handler


class StepProcess:
    """A step's command as a child of this process, from the lease to the record.

    `start` takes the leases and starts the child, `wait` returns when it has ended, and `stop` ends it, also
    out of a signal handler that interrupts `wait`: it returns when the child is gone, the
    record is written and the leases are released. All three must be called in the main thread.

    Args:
        folder: the campaign's.
        name: the step's.
        place: "local" or "slurm".
        job: the Slurm job's id.
        restarts: how often Slurm has requeued the job.
        gpu: CUDA_VISIBLE_DEVICES of the child; "" leaves it as it is.

    Attributes:
        attempt: what is known so far; its `outcome` is None while it runs.
        unwritten: why the record or the log is not whole; "" if they are.
    """

    def __init__(
        self, folder: Path, name: str, *, place: str, job: str = "", restarts: int = 0, gpu: str = ""
    ) -> None:
        self.folder = folder.absolute()
        self.name = name
        self.attempt = Attempt(
            place=place,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=time.time(),
            job=job,
            restarts=restarts,
            gpu=gpu,
        )
        self.unwritten = ""
        self._log = log_file(self.folder, name)
        self._marks = f"{self.folder}:{name}:"  # how those of all attempts start
        self._asked: str | None = None
        self._is_ending = False
        self._child: Child | None = None
        self._leases: list[Lease] = []
        self._record = Record()
        self._campaign: Campaign
        self._step: Step
        self._program = ""

    def start(self) -> bool:
        """Start the child; False if there is none, and then `attempt.outcome` says why.

        The step may be done already, cancelled or stopped by now, or its command cannot be started.

        Raises:
            Held: another living process runs the step.
            PancextError: a need is not done, or the step was begun with other options.
        """
        self._campaign = open_campaign(self.folder)
        self._step = self._campaign.step(self.name)
        try:
            self._take(lease_file(self.folder, self.name))
            self._record = read_record(self.folder, self.name)
            if self._is_done_already() or self._is_ended_before_start():
                return False
            self._require_needs()
            self._wait_for_folder()
            # The folder's previous owner may have done the step: a campaign with the same training.
            if self._is_ended_before_start() or self._is_done_already():
                return False
            self._begin()
        finally:
            if self._child is None:
                self._release()
        return self._child is not None

    def _take(self, path: Path, *, wait_s: float = 0) -> None:
        of = self.attempt
        lease = Lease(path, job=of.job, restarts=of.restarts, gpu=of.gpu)
        lease.acquire(wait_s=wait_s)
        self._leases.append(lease)

    def _release(self) -> None:
        while self._leases:
            self._leases.pop().release()

    def _is_done_already(self) -> bool:
        self._require_unchanged(self._step, self._record)
        if not self._step.is_done(self.folder):
            return False
        self.attempt = replace(self.attempt, outcome="done")
        if self._place not in self._record.begun:
            self._record = self._with_begun(versions={})
            self._write_record()
        return True

    @property
    def _place(self) -> str:
        return place_of(self._step, self._campaign, self.folder)

    def _with_begun(self, *, versions: dict[str, str]) -> Record:
        begun = Begun(options=recorded_options(self._step, self._campaign), versions=versions)
        return self._record.with_begun(self._place, begun)

    def _require_unchanged(self, step: Step, record: Record) -> None:
        if changed := outdated_entries(step, record, self._campaign, self.folder):
            raise PancextError(
                f"Step {step.name} was made with other options: {changes_text(changed)}. "
                "Do it again with `pancext campaign run FOLDER --redo`, or change campaign.toml back."
            )

    def _require_needs(self) -> None:
        needs = [self._campaign.step(name) for name in self._step.needs]
        for step in needs:
            self._require_unchanged(step, read_record(self.folder, step.name))
        if missing := [step.name for step in needs if not step.is_done(self.folder)]:
            raise PancextError(
                f"Step {self.name} needs steps not done yet: {', '.join(missing)}. Run them first."
            )

    def _wait_for_folder(self) -> None:
        """Take the lease of the folder that the step writes; a step of another campaign may have it."""
        folder = self._step.written_folder(self.folder)
        said = False
        while folder is not None and not self._why_to_end():
            try:
                self._take(folder_lease_file(folder), wait_s=LOOK_S)
                break
            except Held as held:
                if not said:
                    self._say(f"=== waits for {folder}: {held}")
                said = True

    def _is_ended_before_start(self) -> bool:
        outcome = self._why_to_end()
        if outcome:
            self.attempt = replace(self.attempt, outcome=outcome)
        return bool(outcome)

    def _why_to_end(self) -> str | None:
        return self._asked or ("cancelled" if cancel_file(self.folder, self.name).exists() else None)

    def _begin(self) -> None:
        """Record the attempt, and start its child."""
        self.attempt = replace(self.attempt, started=time.time())
        self._record = replace(
            self._with_begun(versions=present_versions()), attempts=(*self._record.attempts, self.attempt)
        )
        self._write_record()
        try:
            end_leftovers(self._marks)  # of an attempt whose supervisor was killed
            further = self._step.prepare(self.folder)
            words = [*self._step.command(self.folder), *further]
            program = Path(words[0]).name
            self._program = f"the {self._step.kind} step" if words[0] == sys.executable else program
            self._say(self._header(words))
            gpu = {"CUDA_VISIBLE_DEVICES": self.attempt.gpu} if self.attempt.gpu else {}
            mark = f"{self._marks}{os.getpid()}-{self.attempt.started}"
            self._child = Child(words, environment={**os.environ, **gpu}, log=self._log, mark=mark)
        except (PancextError, OSError) as error:
            self._say(str(error))
            self._end_with("failed", message=str(error))
        except BaseException as error:
            self._end_with(self._asked or "failed", message=f"{type(error).__name__}: {error}")
            raise

    def _header(self, words: Sequence[str]) -> str:
        of = self.attempt
        places = (of.place, of.host, of.job and f"job {of.job}", of.gpu and f"GPU {of.gpu}")
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(of.started))
        number = len(self._record.attempts)
        command = " ".join(shlex.join(words).split("\n"))
        return f"=== attempt {number}, {moment}, {', '.join(filter(None, places))}: {command}"

    def _say(self, line: str) -> None:
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self.unwritten = f"{self._log}: {error.strerror}"
            return
        problem = append_line(self._log, line)
        self.unwritten = f"{self._log}: {problem}" if problem else self.unwritten

    def wait(self) -> Attempt:
        """Wait for the child's end, or end it when its cancel file appears or a lease is lost."""
        look_at = time.monotonic()
        while self.attempt.outcome is None and self._child is not None:
            if self._child.exit_code is not None or self._asked:
                self._end()
            elif time.monotonic() >= look_at:
                look_at = time.monotonic() + LOOK_S
                if not self._owns_leases():
                    self._end_at_once()
                elif outcome := self._why_to_end():
                    self.stop(outcome)
            self._child.ended.wait(TICK_S)
        return self.attempt

    def _owns_leases(self) -> bool:
        try:
            return all(lease.still_owned() for lease in self._leases)
        except OSError:
            return True  # the disk may be unavailable for a moment

    def ask_to_stop(self, outcome: str = "interrupted") -> None:
        """Make `wait` end the child as `stop` does, or keep `start` from starting it; returns at once."""
        self._asked = self._asked or outcome

    def stop(self, outcome: str = "interrupted") -> Attempt:
        """End the child with SIGTERM, with SIGKILL after `GRACE_S` seconds; before `start`, prevent it."""
        self.ask_to_stop(outcome)
        self._end()
        return self.attempt

    def _end(self) -> None:
        if self._child is None or self._is_ending:
            return
        self._is_ending = True
        if self._child.exit_code is None:
            self._child.end(grace_s=GRACE_S)
        self._finish()

    def _end_at_once(self) -> None:
        """End the child without grace, as another process may write its outputs already; record nothing."""
        assert self._child is not None
        self._is_ending = True
        self._child.end(grace_s=0)
        self._child.close()
        self.attempt = replace(
            self.attempt,
            ended=time.time(),
            outcome="interrupted",
            message=f"Another process has taken over step {self.name}, so this one ended its own attempt.",
        )
        self._release()

    def _finish(self) -> None:
        """Judge, record and release an attempt whose child has ended."""
        child = self._child
        assert child is not None
        child.close()
        if child.log_error:
            self.unwritten = f"{self._log}: {child.log_error}"
        code, problem = child.exit_code, ""
        try:
            is_done = self._step.is_done(self.folder)
        except (PancextError, OSError) as error:
            is_done, problem = False, str(error)
        self.attempt = replace(self.attempt, exit_code=code)
        if is_done:
            self._end_with("done")
        elif self._asked or (code and is_asked_for(code)):
            self._end_with(self._asked or "interrupted")
        else:
            result = self._step.result(self.folder)
            text = failure_text(
                self._program, code, result=result, log=self._log, tail=child.tail, problem=problem
            )
            self._end_with("failed", message=text)

    def _end_with(self, outcome: str, *, message: str = "") -> None:
        self.attempt = replace(self.attempt, ended=time.time(), outcome=outcome, message=message)
        self._record = self._record.with_last(**vars(self.attempt))
        self._write_record()
        self._release()

    def _write_record(self) -> None:
        """Write the record; a training must not be lost because it cannot be written."""
        try:
            write_record(self.folder, self.name, self._record)
        except OSError as error:
            self.unwritten = f"the record of step {self.name}: {error.strerror or error}"
