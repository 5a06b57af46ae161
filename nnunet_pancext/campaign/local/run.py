"""Runs the steps of a campaign on this machine, side by side as far as its GPUs allow."""

import signal
import socket
import threading
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nnunet_pancext.campaign.attempt.step_process import GRACE_S
from nnunet_pancext.campaign.changes import adopt
from nnunet_pancext.campaign.definition import FILE, Campaign, open_campaign
from nnunet_pancext.campaign.lease import Held, Lease, Owner, current_owner
from nnunet_pancext.campaign.local.file_watch import FileWatch
from nnunet_pancext.campaign.local.gpus import gpu_slots
from nnunet_pancext.campaign.local.others import CPU, Elsewhere, living_runs
from nnunet_pancext.campaign.local.supervisor import Supervisor
from nnunet_pancext.campaign.record import (
    cancel_file,
    lease_file,
    log_file,
    read_record,
    retry_file,
    runs_folder,
)
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.io.durations import duration_text
from nnunet_pancext.nnunet_commands.console import INDENT, Console, Status

# Between checks of the steps: a share of the time since one began or ended, within these limits.
SHORTEST_S, LONGEST_S, SHARE = 0.1, 1.0, 0.02
SHOW_S = 1.0
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
    is_alone = not living_runs(folder, forget_others=True)
    with Lease(runs_folder(folder) / f"{socket.gethostname()}-{uuid.uuid4().hex}.lease"):
        return LocalRun(folder, campaign, gpus=gpus, only=only, is_alone=is_alone).run()


class LocalRun:
    """One run of a campaign by this process; what has happened to its steps is kept in its sets."""

    def __init__(
        self,
        folder: Path,
        campaign: Campaign,
        *,
        gpus: int | None,
        only: Collection[str] | None,
        is_alone: bool,
    ) -> None:
        self.folder = folder
        self.campaign = campaign
        self.is_alone = is_alone  # then steps that run already are left over from a run that was killed
        self.steps = list(campaign.steps)
        if only is not None:  # and what runs here already, whose place nothing else may have
            here = {step.name for step in self.steps if (owner := self._owner(step)) and owner.is_here}
            self.steps = campaign.with_needs({*only, *here})
        self.numbers = {step.name: f"[{i}/{len(self.steps)}]" for i, step in enumerate(self.steps, start=1)}
        self.file = FileWatch(folder, campaign)
        self.console = Console(indent="")
        self.done: set[str] = set()
        self.failed: dict[str, str] = {}  # step -> how it ended
        self.running: dict[str, Supervisor] = {}
        self.elsewhere: dict[str, Elsewhere] = {}
        self.seconds = 0.0  # of the steps that this run has ended
        self.signals: list[int] = []
        self.started = self.looked = self.changed = time.monotonic()
        self.shown = ""
        self.said: set[str] = set()  # messages to print only once
        for step in self.steps:
            if self.done.issuperset(step.needs) and not self._owner(step):
                self._note_done(step)
        needs_gpu = any(step.uses_gpu for step in self.steps if step.name not in self.done)
        slots = gpu_slots(campaign.device, gpus) if needs_gpu or gpus is not None else []
        self.slots = [*slots, CPU]

    def _owner(self, step: Step) -> Owner | None:
        return current_owner(lease_file(self.folder, step.name))

    def _note_done(self, step: Step) -> bool:
        """Whether a step is done; the options of one that was done outside the campaign are recorded."""
        try:
            if not step.is_done(self.folder):
                return False
            with suppress(Held):  # another run does it
                adopt(step, self.campaign, self.folder)
        except (PancextError, OSError) as error:
            self._fail(step, "failed", str(error))
            return False
        self.done.add(step.name)
        return True

    def run(self) -> int:
        """Run the steps, and print what happens; the exit code."""
        self.console.say(f"{counted(len(self.steps), 'step')}, {len(self.done)} already done")
        self.note_steps_elsewhere()
        with self._signals():
            try:
                while not self.signals:
                    self._reap()
                    if not self._go_on():
                        break
                    self._show()
                    quiet_s = time.monotonic() - self.changed
                    time.sleep(min(LONGEST_S, max(SHORTEST_S, SHARE * quiet_s)))
            finally:
                self._end_running()
        return self._report()

    def note_steps_elsewhere(self) -> None:
        """Find the steps that other processes run, before anything is started beside them."""
        for step in self.steps:
            if self.done.issuperset(step.needs) and (owner := self._owner(step)):
                self._wait_for(step, owner, is_left_over=self.is_alone)

    def _go_on(self) -> bool:
        """Start what is ready; False once there is nothing left to wait for."""
        try:
            self._heed_retries()
            self._start_what_is_ready()
        except OSError as error:
            text = f"Cannot read or write the campaign in {self.folder}: {error.strerror or error}"
            if not self.running:
                raise PancextError(f"{text}. Run again once its disk is available.") from error
            self._say_once(f"{text}; running steps continue")  # the disk may be unavailable for a moment
        return bool(self.running or self.elsewhere or self.file.problem)

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
            self.changed = time.monotonic()
            seconds, step = supervisor.seconds, supervisor.step
            message = supervisor.message()
            supervisor.close()
            if outcome == "held":
                continue  # another run was faster: it is seen by its lease
            self.seconds += seconds
            if outcome == "done":
                self.done.add(name)
                self._say(step, f"done in {duration_text(seconds)}")
                for remark in [*_remarks(step, self.folder), *filter(None, [message])]:
                    self.console.say(INDENT + _indented(remark))
            elif outcome == "cancelled" and cancel_file(self.folder, name).exists():
                self._say(step, "cancelled")
            else:
                self._fail(step, outcome, message)

    def _fail(self, step: Step, outcome: str, message: str) -> None:
        self.failed[step.name] = outcome
        self._say(step, outcome + (f": {message}" if message else ""))

    def _say(self, step: Step, text: str) -> None:
        self.console.say(f"{self.numbers[step.name]} {step.name}: {_indented(text)}")

    def _say_once(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            self.console.say(text)

    def _heed_retries(self) -> None:
        for name in list(self.failed):
            with suppress(FileNotFoundError):
                retry_file(self.folder, name).unlink()
                del self.failed[name]

    def _start_what_is_ready(self) -> None:
        self.file.look()
        if self.file.problem:
            self._say_once(f"{self.file.problem}\nNo further step is started until the file is corrected.")
        for step in self.steps:
            if step.name in self.done or step.name in self.failed or step.name in self.running:
                continue
            if not self.done.issuperset(step.needs):
                continue
            if step.name in self.elsewhere and not self._has_ended_elsewhere(step):
                continue
            if (slot := self._free_slot(step)) is not None:
                self._start(step, slot)

    def _free_slot(self, step: Step) -> str | None:
        """Return the slot that a step gets; None where there is none, or the step must not be started now."""
        taken: set[str | None] = {supervisor.slot for supervisor in self.running.values()}
        taken.update(other.slot for other in self.elsewhere.values())
        free = [slot for slot in self.slots if slot not in taken and (slot == CPU) != step.uses_gpu]
        if not free or self.file.problem or cancel_file(self.folder, step.name).exists():
            return None
        if self.file.has_changed([step.name]):
            self._say_once(f"{step.name}: not started, as {FILE} has changed since this run began")
            return None
        return free[0]

    def _start(self, step: Step, slot: str) -> None:
        if owner := self._owner(step):
            self._wait_for(step, owner)
            return
        if self._note_done(step):
            self._say(step, "done already")
            return
        if step.name in self.failed:
            return
        with suppress(OSError):
            retry_file(self.folder, step.name).unlink()  # requested before: this is the new attempt
        self._say(step, "started")
        self.changed = time.monotonic()
        gpu = "" if slot == CPU else slot
        self.running[step.name] = Supervisor(self.folder, step, slot=slot, gpu=gpu)

    def _wait_for(self, step: Step, owner: Owner, *, is_left_over: bool = False) -> None:
        """Note that another process runs a step, and when to look again."""
        if step.name not in self.elsewhere:
            self.elsewhere[step.name] = Elsewhere(self.folder, step, is_left_over=is_left_over)
            self._say(step, f"waits for {owner}, which runs it")
        self.elsewhere[step.name].look(owner)

    def _has_ended_elsewhere(self, step: Step) -> bool:
        """Whether no other process is running a step any longer, so that it can be started here."""
        before = self.elsewhere[step.name]
        if time.monotonic() < before.look_at:
            return False
        if owner := self._owner(step):
            self._wait_for(step, owner)
            return False
        del self.elsewhere[step.name]
        if self._note_done(step):
            self._say(step, "done by another process")
            return False
        last = read_record(self.folder, step.name).last
        if last and last.outcome == "failed" and last != before.last:
            self._fail(step, last.outcome, last.message)
        return step.name not in self.failed

    def _show(self) -> None:
        """Show the newest line of each running step: on a terminal in one line, else below each other."""
        if time.monotonic() - self.looked < SHOW_S:
            return
        self.looked = time.monotonic()
        followers = {name: supervisor.follower for name, supervisor in self.running.items()}
        followers |= {name: other.follower for name, other in self.elsewhere.items()}
        news = {name: line for name, follower in followers.items() if (line := follower.update())}
        is_terminal = self.console.stream.isatty()
        if is_terminal:
            text = " | ".join(f"{self.numbers[name]} {line}" for name, line in news.items())
        else:
            text = "\n".join(f"{self.numbers[name]} {name}: {line}" for name, line in news.items())
        if text and (is_terminal or text != self.shown):
            before = self.console.printed_at
            self.console.say(Status(text))
            if self.console.printed_at != before:
                self.shown = text

    def _end_running(self) -> None:
        """End the running steps, each as gently as it can be."""
        for supervisor in self.running.values():
            supervisor.stop()
        with suppress(OSError):  # nobody may read this any more
            self.console.clear_status()
            for supervisor in self.running.values():
                self._say(supervisor.step, "ending; a training saves its state first …")
        until = time.monotonic() + GONE_S
        while self.running and len(self.signals) < 2 and time.monotonic() < until:
            self._reap()
            time.sleep(SHORTEST_S)

    def _report(self) -> int:
        """Print the end of the run; return the exit code."""
        say = self.console.say
        left = [step.name for step in self.steps if step.name not in self.done]
        cancelled = {name for name in left if cancel_file(self.folder, name).exists()}
        counts = [f"{len(self.done)} of {counted(len(self.steps), 'step')} done"]
        for outcome in dict.fromkeys(self.failed.values()):
            names = [name for name, ended in self.failed.items() if ended == outcome]
            counts.append(f"{len(names)} {outcome}")
            if not self.signals:
                for name in names:
                    say(f"{outcome}: {name}; see {log_file(self.folder, name)}")
        if cancelled:
            counts.append(f"{len(cancelled)} cancelled")
        if waiting := len(set(left) - cancelled - self.failed.keys()):
            counts.append(f"{waiting} waiting")
        wall = duration_text(time.monotonic() - self.started)
        say(f"{', '.join(counts)}; {wall}, sum of the steps' times {duration_text(self.seconds)}")
        if self.signals:
            say(f"Stopped. `pancext campaign run {self.folder}` resumes where it stopped.")
            return 128 + self.signals[0]
        needed = {need for step in self.steps for need in step.needs}
        for step in self.steps:
            if step.name in self.done and step.name not in needed:
                say(f"result: {step.page(self.folder)}")
        if others := len(self.campaign.steps) - len(self.steps):
            say(f"The campaign has {counted(others, 'more step')}: pancext campaign run {self.folder}")
        self.file.look()
        if self.file.problem or self.file.has_changed():
            say(f"{FILE} has changed since this run began. Run again to apply the changes.")
            return 1
        return 1 if left else 0


def _remarks(step: Step, folder: Path) -> list[str]:
    """Return the remarks about a result; where they cannot be read, why."""
    try:
        return step.remarks(folder)
    except (PancextError, OSError) as error:
        return [str(error)]


def _indented(text: str) -> str:
    """Return text whose lines after the first are indented."""
    return text.replace("\n", f"\n{INDENT}")
