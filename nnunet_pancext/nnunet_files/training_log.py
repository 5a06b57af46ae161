"""The record of a training, epoch by epoch, from nnU-Net's text logs.

The checkpoints hold nnU-Net's own record too, but reading it would mean to unpickle them.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path

EPOCH = re.compile(r": Epoch (\d+)\s*$")
PHASE = re.compile(r": Phase (\S+): (.*)")
PEAK = re.compile(r": Peak memory: ([\d.]+) GB")
PSEUDO_DICE = re.compile(r": Pseudo dice \[(.*)\]")
# The columns by the lines that log them; a line is searched once, as a campaign may have 100,000.
COLUMNS = re.compile(
    r": (?:train_loss (?P<train_losses>\S+)"
    r"|val_loss (?P<val_losses>\S+)"
    r"|Current learning rate: (?P<lrs>\S+)"
    r"|Epoch time: (?P<seconds>\S+) s\s*$"
    r"|Loss weights: Dice (?P<loss_weight_dice>\S+), CE (?P<loss_weight_ce>\S+))"
)
# As in [0.61, nan] or [np.float32(0.61), np.float32(nan)].
NUMBER = re.compile(r"(?<![\w.])(?:nan|-?\d+(?:\.\d+)?(?:e-?\d+)?)")
AVERAGE_DECAY = 0.9  # of nnU-Net's moving average

Epochs = dict[int, dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """Columns of numbers by epoch, named as nnU-Net's logger and our trainers do; nan if not logged."""

    fold: str
    columns: dict[str, list[float]]
    phases: list[tuple[int, str]] = field(default_factory=list)  # first epoch and name, two-stage network
    peak_gb: float | None = None  # of GPU memory

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.columns.get("train_losses", []))

    @property
    def seconds(self) -> list[float]:
        """Duration of each finished epoch."""
        return [value for value in self.columns.get("seconds", []) if not math.isnan(value)]

    @property
    def phase_spans(self) -> list[tuple[float, float, str]]:
        """Start and end of each phase on an axis of epochs; phases meet halfway between two epochs."""
        starts = [*(first for first, _ in self.phases), self.epochs]
        return [
            (start - 0.5, end - 0.5, phase)
            for (_, phase), (start, end) in zip(self.phases, pairwise(starts), strict=True)
        ]


def read_training_record(folder: Path) -> TrainingRecord | None:
    """Read the logs in a fold's folder; None without an epoch. One that was run twice counts as last run."""
    epochs: Epochs = {}
    phase_of: dict[int, str] = {}
    peaks: list[float] = []
    for path in sorted(folder.glob("training_log_*.txt")):
        number = None
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if match := EPOCH.search(line):
                number = int(match[1])
                # A training continued from an earlier epoch replaces the later ones.
                while epochs and (latest := next(reversed(epochs))) >= number:
                    del epochs[latest]
                    phase_of.pop(latest, None)
                epochs[number] = {}
            elif number is not None:
                epochs[number].update(_values(line))
                if match := PHASE.search(line):
                    phase_of[number] = match[1]
                if match := PEAK.search(line):
                    peaks.append(float(match[1]))
    if not epochs:
        return None
    average = math.nan
    for number in sorted(epochs):
        dice = epochs[number].setdefault("mean_fg_dice", math.nan)
        average = dice if math.isnan(average) else AVERAGE_DECAY * average + (1 - AVERAGE_DECAY) * dice
        epochs[number]["ema_fg_dice"] = average
    names = dict.fromkeys(name for values in epochs.values() for name in values)
    return TrainingRecord(
        fold=folder.name.removeprefix("fold_"),
        columns={name: _column(epochs, name) for name in names},
        phases=[next(epochs) for _, epochs in groupby(sorted(phase_of.items()), key=lambda item: item[1])],
        peak_gb=max(peaks, default=None),
    )


def _values(line: str) -> Iterator[tuple[str, float]]:
    """Yield the values that a line logs, by column."""
    if match := COLUMNS.search(line):
        for name, value in match.groupdict().items():
            if value is not None and NUMBER.fullmatch(value):
                yield name, float(value)
    elif match := PSEUDO_DICE.search(line):
        dice = [float(value) for value in NUMBER.findall(match[1]) if value != "nan"]
        yield "mean_fg_dice", sum(dice) / len(dice) if dice else math.nan
    elif match := PHASE.search(line):
        for part in match[2].split(", "):
            name, _, value = part.rstrip().rpartition(" ")
            if NUMBER.fullmatch(value):
                yield f"cascade {name}", float(value)


def _column(epochs: Epochs, name: str) -> list[float]:
    values = [epochs.get(number, {}).get(name, math.nan) for number in range(max(epochs) + 1)]
    while values and math.isnan(values[-1]):
        values.pop()
    return values
