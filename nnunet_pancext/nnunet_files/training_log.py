"""What a training logged, epoch by epoch, as nnU-Net's text logs tell it: no checkpoint is opened."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

EPOCH = re.compile(r": Epoch (\d+)\s*$")
PHASE = re.compile(r": Phase (\S+): (.*)")
WEIGHTS = re.compile(r": Loss weights: Dice (\S+), CE (\S+)")
PEAK = re.compile(r": Peak memory: ([\d.]+) GB")
PSEUDO_DICE = re.compile(r": Pseudo dice \[(.*)\]")
LINES = {
    "train_losses": re.compile(r": train_loss (\S+)"),
    "val_losses": re.compile(r": val_loss (\S+)"),
    "lrs": re.compile(r": Current learning rate: (\S+)"),
    "seconds": re.compile(r": Epoch time: (\S+) s\s*$"),
}
# As in [0.61, nan] or [np.float32(0.61), np.float32(nan)].
NUMBER = re.compile(r"(?<![\w.])(?:nan|-?\d+(?:\.\d+)?(?:e-?\d+)?)")
KEPT_OF_AVERAGE = 0.9  # nnU-Net's moving average keeps this much of the last one

Epochs = dict[int, dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """Columns of numbers by epoch, under the names of nnU-Net's logger, and ours among them.

    What a log does not tell of an epoch is nan. `phases` are the first epochs of the cascade's phases and
    their names. `peak_gb` is the highest peak of memory, where it was logged.
    """

    fold: str
    columns: dict[str, list[float]]
    phases: list[tuple[int, str]] = field(default_factory=list)
    peak_gb: float | None = None

    @property
    def epochs(self) -> int:
        """Epochs that were finished."""
        return len(self.columns.get("train_losses", []))

    @property
    def seconds(self) -> list[float]:
        """Length of each epoch that came to its end."""
        return [one for one in self.columns.get("seconds", []) if not math.isnan(one)]

    @property
    def phase_spans(self) -> list[tuple[float, float, str]]:
        """Where each phase begins and ends on an axis of epochs; phases meet half way between two."""
        ends = [first for first, _ in self.phases[1:]] + [self.epochs]
        return [
            (first - 0.5, end - 0.5, phase)
            for (first, phase), end in zip(self.phases, ends if self.phases else [], strict=True)
        ]


def read_training_record(folder: Path) -> TrainingRecord | None:
    """Read the logs in a fold's folder, several of a continued training; None where they tell no epoch.

    An epoch that was run twice counts as it was run last.
    """
    epochs: Epochs = {}
    phase_of: dict[int, str] = {}
    peaks: list[float] = []
    for path in sorted(folder.glob("training_log_*.txt")):
        _read(path, epochs, phase_of, peaks)
    if not epochs:
        return None
    average = math.nan
    for number in sorted(epochs):
        dice = epochs[number].setdefault("mean_fg_dice", math.nan)
        average = dice if math.isnan(average) else KEPT_OF_AVERAGE * average + (1 - KEPT_OF_AVERAGE) * dice
        epochs[number]["ema_fg_dice"] = average
    names = dict.fromkeys(name for values in epochs.values() for name in values)
    columns = {name: _column(epochs, name) for name in names}
    return TrainingRecord(
        fold=folder.name.removeprefix("fold_"),
        columns=columns,
        phases=_changes(phase_of),
        peak_gb=max(peaks, default=None),
    )


def _read(path: Path, epochs: Epochs, phase_of: dict[int, str], peaks: list[float]) -> None:
    number = None
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if found := EPOCH.search(line):
            number = int(found[1])
            # A training that was continued from an earlier epoch forgets the later ones.
            for later in [one for one in epochs if one >= number]:
                del epochs[later]
                phase_of.pop(later, None)
            epochs[number] = {}
        elif number is not None:
            epochs[number].update(_values(line))
            if found := PHASE.search(line):
                phase_of[number] = found[1]
            if found := PEAK.search(line):
                peaks.append(float(found[1]))


def _values(line: str) -> Iterator[tuple[str, float]]:
    """What a line tells of its epoch, by column; a line that is not nnU-Net's or ours tells nothing."""
    for name, pattern in LINES.items():
        if (found := pattern.search(line)) and NUMBER.fullmatch(found[1]):
            yield name, float(found[1])
    if found := PSEUDO_DICE.search(line):
        dice = [float(one) for one in NUMBER.findall(found[1]) if one != "nan"]
        yield "mean_fg_dice", sum(dice) / len(dice) if dice else math.nan
    if found := WEIGHTS.search(line):
        yield "loss_weight_dice", float(found[1])
        yield "loss_weight_ce", float(found[2])
    if found := PHASE.search(line):
        for part in found[2].split(", "):
            name, _, value = part.rstrip().rpartition(" ")
            if NUMBER.fullmatch(value):
                yield f"cascade {name}", float(value)


def _column(epochs: Epochs, name: str) -> list[float]:
    values = [epochs.get(number, {}).get(name, math.nan) for number in range(max(epochs) + 1)]
    while values and math.isnan(values[-1]):
        values.pop()
    return values


def _changes(phase_of: dict[int, str]) -> list[tuple[int, str]]:
    changes: list[tuple[int, str]] = []
    for epoch, phase in sorted(phase_of.items()):
        if not changes or changes[-1][1] != phase:
            changes.append((epoch, phase))
    return changes
