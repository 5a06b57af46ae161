"""Runs the steps of a campaign on this machine, side by side as far as its GPUs allow."""

import os
import signal
import socket
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nnunet_pancext.campaign.changes import adopt
from nnunet_pancext.campaign.definition import Campaign, open_campaign
from nnunet_pancext.campaign.gpus import gpu_slots
from nnunet_pancext.campaign.lease import Held, Lease, current_owner
from nnunet_pancext.campaign.log_follower import LogFollower
from nnunet_pancext.campaign.record import (
    cancel_file,
    lease_file,
    log_file,
    read_record,
    retry_file,
    runs_folder,
)
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.campaign.step_process import GRACE_S
from nnunet_pancext.campaign.supervisor import Supervisor
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.io.durations import duration_text
from nnunet_pancext.nnunet_commands.console import INDENT, Console, Status

TICK_S = 0.2
SHOW_S = 1.0
ELSEWHERE_S = 2.0
CPU = "CPU"  # the slot of steps without a GPU
GONE_S = GRACE_S + 30  # for a step that was asked to end


def run_local(folder: Path, *, gpus: int | None = None, only: Collection[str] | None = None) -> int:
    """Do every step that is not done, and return the exit code: 0 if all are done then, else 1.

    As many steps with a GPU at a time as there are GPUs, at most `gpus`, and one without beside them. A step
    that another process runs is waited for. A failed step is not repeated, and what does not need it goes on.
    SIGTERM and SIGINT end the running steps, and give 128 + signal.

    Args:
        folder: the campaign's.
        gpus: how many GPUs to use; all that PyTorch finds if None.
        only: names of steps; these and what they need are done.

    Raises:
        PancextError: campaign.toml is wrong, the folder cannot be written, or there are too few GPUs.
    """
    folder = folder.absolute()
    campaign = open_campaign(folder)
    return LocalRun(folder, campaign, gpus=gpus, only=only).run()


class LocalRun:
    """One run of a campaign by this process; what has happened to its steps is kept in its sets."""

    def __init__(
        self, folder: Path, campaign: Campaign, *, gpus: int | None, only: Collection[str] | None
    ) -> None:
        self.folder = folder
        self.campaign = campaign
        self.steps = _selected(campaign, only)
        self.console = Console()
        self.done: set[str] = set()
        self.failed: dict[str, str] = {}  # step -> how it ended
        self.running: dict[str, Supervisor] = {}
        self.elsewhere: dict[str, LogFollower] = {}
        self.seconds = 0.0  # of the steps that this run has ended
        self.signals: list[int] = []
        self.started = self.looked = time.monotonic()
        self.look_at = 0.0  # at what runs elsewhere
        self.shown = ""
        self._find_done()
        needs_gpu = any(step.uses_gpu for step in self.steps if step.name not in self.done)
        slots = gpu_slots(campaign.device, gpus) if needs_gpu or gpus is not None else []
        self.slots = [*slots, CPU]

    def _find_done(self) -> None:
        for step in self.steps:
            if self.done.issuperset(step.needs) and not self._owner(step):
                self._note_done(step)

    def _owner(self, step: Step) -> bool:
        return current_owner(lease_file(self.folder, step.name)) is not None

    def _note_done(self, step: Step) -> bool:
        """Whether a step is done; the options of one that was done outside the campaign are recorded."""
        try:
            if not step.is_done(self.folder):
                return False
            with suppress(Held):  # then another run does it
                adopt(step, self.folder)
        except (PancextError, OSError) as error:
            self._fail(step, "failed", str(error))
            return False
        self.done.add(step.name)
        return True

    def run(self) -> int:
        """Run the steps, and print what happens; the exit code."""
        before = len(self.done)
        self.console.say(f"{counted(len(self.steps), 'step')}, {before} done before")
        for path in runs_folder(self.folder).glob("[!.]*.lease"):
            if current_owner(path) is None:  # of a run that was killed
                path.unlink(missing_ok=True)
        lease = runs_folder(self.folder) / f"{socket.gethostname()}-{os.getpid()}.lease"
        with Lease(lease), self._signals():
            try:
                while not self.signals:
                    self._reap()
                    self._heed_retries()
                    self._start_what_is_ready()
                    if not self.running and not self.elsewhere:
                        break
                    self._show()
                    time.sleep(TICK_S)
            finally:
                self._end_running()
        return self._report()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def note(number: int, _: object) -> None:
            self.signals.append(number)

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _reap(self) -> None:
        for name, supervisor in list(self.running.items()):
            outcome = supervisor.outcome()
            if outcome is None:
                continue
            del self.running[name]
            seconds, step = supervisor.seconds, supervisor.step
            message = supervisor.message()
            supervisor.close()
            if outcome == "held":
                continue  # another run was faster: it is seen by its lease
            self.seconds += seconds
            if outcome == "done":
                self.done.add(name)
                self._say(step, f"done in {duration_text(seconds)}")
                for remark in step.remarks(self.folder):
                    self.console.say(remark)
                if message:
                    self.console.say(message)
            elif outcome == "cancelled" and cancel_file(self.folder, name).exists():
                self._say(step, "cancelled")
            else:
                self._fail(step, outcome, message)

    def _fail(self, step: Step, outcome: str, message: str) -> None:
        self.failed[step.name] = outcome
        self._say(step, outcome + (f": {message}" if message else ""))

    def _say(self, step: Step, text: str) -> None:
        lines = text.replace("\n", f"\n{INDENT}")
        self.console.say(f"{self._number(step)} {step.name}: {lines}")

    def _number(self, step: Step) -> str:
        return f"[{self.steps.index(step) + 1}/{len(self.steps)}]"

    def _heed_retries(self) -> None:
        for name in list(self.failed):
            with suppress(FileNotFoundError):
                retry_file(self.folder, name).unlink()
                del self.failed[name]

    def _start_what_is_ready(self) -> None:
        # Whether the machine of another process lives is asked of the file system, which should not be often.
        looks = time.monotonic() >= self.look_at
        if looks:
            self.look_at = time.monotonic() + ELSEWHERE_S
        for step in self.steps:
            if step.name in self.done or step.name in self.failed or step.name in self.running:
                continue
            if not self.done.issuperset(step.needs) or (step.name in self.elsewhere and not looks):
                continue
            if self._owner(step):
                self._wait_for_other(step)
            elif self.elsewhere.pop(step.name, None) and self._has_ended_elsewhere(step):
                continue
            elif not cancel_file(self.folder, step.name).exists():
                self._start(step)

    def _wait_for_other(self, step: Step) -> None:
        if step.name not in self.elsewhere:
            follower = LogFollower(log_file(self.folder, step.name), step.progress())
            self.elsewhere[step.name] = follower
            owner = current_owner(lease_file(self.folder, step.name))
            self._say(step, "waits, another process runs it" + (f": {owner}" if owner else ""))

    def _has_ended_elsewhere(self, step: Step) -> bool:
        """Note how a step ended that another process has run; False if it did not end by itself."""
        if self._note_done(step):
            self._say(step, "done by another process")
            return True
        last = read_record(self.folder, step.name).last
        if last and last.outcome == "failed":
            self._fail(step, last.outcome, last.message)
        return step.name in self.failed

    def _start(self, step: Step) -> None:
        taken = {supervisor.slot for supervisor in self.running.values()}
        free = [slot for slot in self.slots if slot not in taken and (slot == CPU) != step.uses_gpu]
        if not free or self._note_done(step) or step.name in self.failed:
            return
        with suppress(OSError):
            retry_file(self.folder, step.name).unlink()  # asked for before: this is the new attempt
        self._say(step, step.title)
        gpu = "" if free[0] == CPU else free[0]
        self.running[step.name] = Supervisor(self.folder, step, slot=free[0], gpu=gpu)

    def _show(self) -> None:
        """Show the newest line of each running step: on a terminal in one line, else below each other."""
        if time.monotonic() - self.looked < SHOW_S:
            return
        self.looked = time.monotonic()
        followers = {name: supervisor.follower for name, supervisor in self.running.items()} | self.elsewhere
        news = [f"{name}: {line}" for name, follower in followers.items() if (line := follower.update())]
        is_terminal = self.console.stream.isatty()
        text = (" | " if is_terminal else f"\n{INDENT}").join(news)
        if text and (is_terminal or text != self.shown):
            before = self.console.printed_at
            self.console.say(Status(text))
            if self.console.printed_at != before:
                self.shown = text

    def _end_running(self) -> None:
        """End the running steps, each as gently as it can be."""
        self.console.clear_status()
        if not self.running:
            return
        with suppress(OSError):  # nobody may read this any more
            self.console.say(f"ending {', '.join(self.running)}; a training saves its state first …")
        for supervisor in self.running.values():
            supervisor.stop()
        until = time.monotonic() + GONE_S
        while self.running and len(self.signals) < 2 and time.monotonic() < until:
            self._reap()
            time.sleep(TICK_S)

    def _report(self) -> int:
        """Print the end of the run; return the exit code."""
        say = self.console.say
        cancelled = [s.name for s in self.steps if cancel_file(self.folder, s.name).exists()]
        for name, outcome in self.failed.items():
            log = log_file(self.folder, name)
            say(f"{outcome}: {name}" + (f"; see {log}" if log.is_file() else ""))
        missing = [s.name for s in self.steps if s.name not in self.done and s.name not in self.failed]
        counts = [f"{len(self.done)} of {counted(len(self.steps), 'step')} done"]
        if self.failed:
            counts.append(f"{len(self.failed)} failed or interrupted")
        if cancelled:
            counts.append(f"{len(cancelled)} cancelled")
        if waiting := len(set(missing) - set(cancelled)):
            counts.append(f"{waiting} waiting")
        wall = duration_text(time.monotonic() - self.started)
        say(f"{', '.join(counts)}; {wall}, sum of the steps' times {duration_text(self.seconds)}")
        if self.signals:
            say(f"Stopped. It goes on where it was with: pancext campaign run {self.folder}")
            return 128 + self.signals[0]
        needed = {need for step in self.steps for need in step.needs}
        for step in self.steps:
            if step.name in self.done and step.name not in needed:
                say(f"result: {step.result(self.folder)}")
        return 0 if len(self.done) == len(self.steps) else 1


def _selected(campaign: Campaign, only: Collection[str] | None) -> list[Step]:
    """Return the steps of these names and all that they need, in order."""
    if only is None:
        return list(campaign.steps)
    names = set(only)
    for step in reversed(campaign.steps):
        if step.name in names:
            names.update(step.needs)
    return [step for step in campaign.steps if step.name in names]
