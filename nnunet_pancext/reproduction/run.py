"""Runs a protocol step by step and skips finished steps."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from nnunet_pancext.architectures.monai_networks import monai_networks
from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_commands.runner import CommandRunner
from nnunet_pancext.nnunet_files.folders import expand, require_all_folders_set
from nnunet_pancext.reproduction.plan import plan_steps
from nnunet_pancext.reproduction.selection import PlannedRun, Selection
from nnunet_pancext.reproduction.steps import CONVERT, Step
from nnunet_pancext.trainers import find_trainer

AGAIN = "Run the same command again to continue: finished steps are skipped, a started training continues."


def run_protocol(runs: list[PlannedRun], selection: Selection, *, log_name: str) -> None:
    """Run every step whose result does not exist; PancextError at the first that fails."""
    require_all_folders_set()
    steps = plan_steps(runs, selection)
    unfinished = [step for step in steps if not step.is_finished()]
    for step in unfinished:
        if step.words[:2] == CONVERT:
            step.further_words()  # report a missing download before the first hour, not after it
    trainers = [step.trainer for step in unfinished if step.trainer]
    _require_gpu_and_extras(trainers, device=selection.device)
    runner = CommandRunner(
        logs=_new_log_folder(selection.out / "logs", log_name),
        environment={"PYTHONUNBUFFERED": "1"},
        steps=len(steps),
    )
    with _sigterm_as_interrupt():
        for step in steps:
            _run_step(step, runner)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM, which batch systems send, end the running command too, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def needs_extra(trainer: str) -> bool:
    """Whether a trainer's network comes from an optional package."""
    return bool(trainer) and getattr(find_trainer(trainer), "extra", None) is not None


def _require_gpu_and_extras(trainers: Sequence[str], *, device: str | None) -> None:
    import torch

    if trainers and device in (None, "cuda") and not torch.cuda.is_available():
        raise PancextError(
            "PyTorch finds no GPU, and a protocol takes days on one. Run `pancext doctor` for details, "
            "--dry-run to get the commands for another machine, or --device cpu or mps to go on without."
        )
    optional = [name for name in dict.fromkeys(trainers) if needs_extra(name)]
    try:
        if optional:
            monai_networks()
    except PancextError as error:
        raise PancextError(
            f"{', '.join(optional)}: {error}. Or select other trainers with --trainers."
        ) from error


def _run_step(step: Step, runner: CommandRunner) -> None:
    if step.is_finished():
        runner.heading(step.title)
        runner.console.say(f"skipped: {step.result} exists")
    else:
        words = [*map(expand, step.words), *step.further_words()]
        try:
            runner.run(step.title, words, progress=step.progress())
        except PancextError as error:
            raise PancextError(f"{error}{AGAIN}") from error
        except OSError as error:
            raise PancextError(
                f"cannot start {words[0]}: {error.strerror}. Is it installed beside this Python? "
                "Check with `pancext doctor`."
            ) from error
        if not step.is_finished():
            raise PancextError(
                f"{words[0]} ended without an error, but {step.result} is missing or incomplete. "
                f"See {runner.logs}. {AGAIN}"
            )
    for remark in step.remarks():
        runner.console.say(remark)


def _new_log_folder(parent: Path, name: str) -> Path:
    """Create and return a new log folder NAME_1, NAME_2, …, so that earlier logs are kept."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = next(path for number in count(1) if not (path := parent / f"{name}_{number}").exists())
        folder.mkdir()
    except OSError as error:
        raise PancextError(f"cannot write to {parent}: {error.strerror}. Give another --out.") from error
    return folder
