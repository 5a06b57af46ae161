"""Runs a protocol step by step; what is finished is left as it is."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_commands.runner import CommandRunner
from nnunet_pancext.reproduction.choices import Choices, Trial
from nnunet_pancext.reproduction.extras import why_it_cannot_run
from nnunet_pancext.reproduction.places import expand, require_set
from nnunet_pancext.reproduction.plan import plan_steps
from nnunet_pancext.reproduction.steps import Conversion, Prediction, Step, Training

AGAIN = "Run the same command again to continue: finished steps are skipped, a started training goes on."


def run_protocol(trials: list[Trial], choices: Choices, *, log_name: str) -> None:
    """Run every step whose result is not there.

    Raises:
        PancextError: a variable is not set, a download is missing, or a step failed; then with the last lines
            of its output.
    """
    require_set()
    steps = plan_steps(trials, choices)
    for step in steps:
        if isinstance(step, Conversion) and not step.is_finished():
            step.prepare()  # a missing download is told before the first hour, not after it
    require_gpu(steps, choices)
    require_extras(steps)
    runner = CommandRunner(
        logs=new_log_folder(choices.out / "logs", log_name),
        environment={"PYTHONUNBUFFERED": "1"},
        steps=len(steps),
    )
    with ended_like_interrupted():
        for step in steps:
            run_step(step, runner)


@contextmanager
def ended_like_interrupted() -> Iterator[None]:
    """Let SIGTERM, which batch systems send, end the running command too, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def require_gpu(steps: Sequence[Step], choices: Choices) -> None:
    """Raise PancextError where there is something to train or predict on a GPU that is not there."""
    if choices.device not in (None, "cuda"):
        return
    import torch

    wanted = any(isinstance(step, (Training, Prediction)) and not step.is_finished() for step in steps)
    if wanted and not torch.cuda.is_available():
        raise PancextError(
            "PyTorch finds no GPU here, and a protocol takes days on one. `pancext doctor` says more; "
            "--dry-run shows the commands for another machine; --device cpu or mps goes on without."
        )


def require_extras(steps: Sequence[Step]) -> None:
    """Raise PancextError where something is to be trained or predicted whose packages are not there."""
    wanted = dict.fromkeys(
        step.trainer for step in steps if isinstance(step, (Training, Prediction)) and not step.is_finished()
    )
    lacking = {name: reason for name in wanted if (reason := why_it_cannot_run(name)) is not None}
    if lacking:
        raise PancextError(
            f"{', '.join(lacking)}: {next(iter(lacking.values()))}. "
            "Or name only other trainers, with --trainers."
        )


def run_step(step: Step, runner: CommandRunner) -> None:
    """Run one step unless its result is there."""
    if step.is_finished():
        runner.heading(step.title)
        runner.console.say(f"skipped: {step.result} is there")
        tell_remarks(step, runner)
        return
    words = [expand(word) for word in step.prepare()]
    try:
        runner.run(step.title, words, progress=step.progress())
    except PancextError as error:
        raise PancextError(f"{error}{AGAIN}") from error
    except OSError as error:
        raise PancextError(
            f"cannot start {words[0]}: {error.strerror}. Is it installed beside this Python? "
            "`pancext doctor` looks."
        ) from error
    if not step.is_finished():
        raise PancextError(
            f"{words[0]} ended without an error, but {step.result} is not there or not whole. "
            f"Look into {runner.logs}. {AGAIN}"
        )
    tell_remarks(step, runner)


def tell_remarks(step: Step, runner: CommandRunner) -> None:
    """Print what must be known of a finished step's result."""
    for remark in step.remarks():
        runner.console.say(remark)


def new_log_folder(parent: Path, name: str) -> Path:
    """Make and return a folder for the logs of this run, so that those of earlier ones stay."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            folder = parent / f"{name}_{number}"
            try:
                folder.mkdir()
                return folder
            except FileExistsError:
                number += 1
    except OSError as error:
        raise PancextError(f"cannot write to {parent}: {error.strerror}. Give another --out.") from error
