"""Why a step's command failed, and what to do about it."""

import signal
from collections.abc import Iterable
from pathlib import Path

from nnunet_pancext.nnunet_commands.command_output import with_last_lines

ASKED_FOR = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR2")
MEMORY_HINT = (
    "The GPU ran out of memory. End other programs on it (nvidia-smi), or make smaller plans and give them "
    "with -p: nnUNetv2_plan_experiment with -gpu_memory_target and -overwrite_plans_name."
)
DISK_HINT = "A disk is full. Free some space, and run the campaign again: the step resumes."
KILLED_HINT = (
    "The system mostly sends SIGKILL when main memory is full: give the job more memory, or use fewer "
    'processes, e.g. nnUNet_n_proc_DA = "4" and nnUNet_def_n_proc = "2" under [environment] in campaign.toml.'
)


def signal_of(exit_code: int) -> int:
    """Return the signal that ended a command, by the kernel or as 128 + signal; 0 if there was none."""
    number = -exit_code if exit_code < 0 else exit_code - 128
    return number if number in signal.valid_signals() else 0


def is_asked_for(exit_code: int) -> bool:
    """Whether the command was ended by a signal that requests termination."""
    return signal_of(exit_code) in {getattr(signal, name, None) for name in ASKED_FOR}


def failure_text(
    program: str, exit_code: int | None, *, result: Path, log: Path, tail: Iterable[str], problem: str = ""
) -> str:
    """Return how a command ended without whole outputs, its last lines, and a hint where there is one.

    `problem` is what its outputs say is wrong with them.
    """
    lines = list(tail)
    if problem:
        start = f"{program} ended with exit code {exit_code}. {problem}"
    elif exit_code == 0:
        start = f"{program} ended without an error, but {result} is missing or incomplete."
    elif exit_code and (number := signal_of(exit_code)):
        start = f"{program} was ended by signal {number}."
    else:
        start = f"{program} ended with exit code {exit_code}."
    hints = []
    if any("out of memory" in line.lower() for line in lines):
        hints.append(MEMORY_HINT)
    if any("No space left on device" in line for line in lines):
        hints.append(DISK_HINT)
    if exit_code and signal_of(exit_code) == 9:
        hints.append(KILLED_HINT)
    return "\n".join([with_last_lines(start, lines, log=log), *hints])
