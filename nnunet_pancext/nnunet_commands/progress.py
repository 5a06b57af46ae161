"""Condenses the output of nnU-Net's commands to a few lines of progress."""

import re
from collections.abc import Sequence

from nnunet_pancext.nnunet_commands.console import Status

# A trainer of this package prints these (`trainers.machinery.iteration_progress`).
_ITERATION = re.compile(r"^Epoch \d+/\d+, iteration \d+/\d+: .* to go in this epoch, .* in all$")
_VALIDATED = re.compile(r"predicting (\S+)\s*$")
_EPOCH = re.compile(r"Epoch (\d+)\s*$")
_LOSS = re.compile(r"train_loss (\S+)")
_DICE = re.compile(r"Pseudo dice \[(.*)\]")
_NUMBER = re.compile(r"(?<![\w.])(?:nan|\d+\.\d+)")


class TrainingProgress:
    """Condenses the training log to a line per epoch, of `num_epochs` if known, and a status within it."""

    def __init__(self, num_epochs: int | None) -> None:
        self.total = f"/{num_epochs}" if num_epochs else ""
        self.epoch = 0
        self.loss = ""

    def __call__(self, line: str) -> str | None:
        """Return a line for the console, or None."""
        if _ITERATION.match(line):
            return Status(line[0].lower() + line[1:])
        if match := _EPOCH.search(line):
            self.epoch = int(match[1]) + 1
        elif match := _LOSS.search(line):
            self.loss = match[1]
        elif match := _DICE.search(line):
            dice = " / ".join(f"{float(number):.2f}" for number in _NUMBER.findall(match[1]))
            return f"epoch {self.epoch}{self.total}   loss {self.loss}   Dice on validation patches {dice}"
        elif match := _VALIDATED.search(line):
            return f"validating on {match[1]}"
        return None


def planning_progress(line: str) -> str | None:
    """Return the names of the stages of planning and preprocessing."""
    stages = ("Fingerprint extraction", "Experiment planning", "Preprocessing...")
    return line.rstrip(".").lower() if line.startswith(stages) else None


class PredictionProgress:
    """Names the `cases` in the order of their prediction; nnU-Net does not, in a single process."""

    def __init__(self, cases: Sequence[str]) -> None:
        self.left = list(cases)

    def __call__(self, line: str) -> str | None:
        """Return the name of each case as its prediction starts."""
        if line.startswith("perform_everything_on_device") and self.left:
            return f"predicting {self.left.pop(0)}"
        return None


def postprocessing_progress(line: str) -> str | None:
    """Return what nnU-Net decided."""
    if line.startswith("Results were improved by removing all but the largest"):
        return "keep only the largest component"
    if line.startswith("Removing all but the largest"):
        return "keep all components"
    return None
