"""The progress of a step, measured from the files that it writes."""

import math
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.nnunet_files.training_log import TrainingRecord, read_training_record

RECENT_EPOCHS = 20  # the time to go follows from their median duration
Stamp = tuple[tuple[str, int, int], ...]
_records: dict[Path, tuple[Stamp, TrainingRecord | None]] = {}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a step has done so far, in words, and the seconds to go and in all, None where unknown.

    `pseudo_dice` is the moving average of a training after each epoch, of `epochs` if known.
    """

    text: str
    seconds_left: float | None = None
    seconds_in_all: float | None = None
    pseudo_dice: Sequence[float] = ()
    epochs: int | None = None


def measured_training(fold: Path) -> Measured | None:
    """Measure a training by the log in its fold's folder; None before the end of the first epoch.

    The seconds are those of the epochs alone, without the validation after the last.
    """
    record = _record(fold)
    if record is None:
        return None
    epochs, dice = planned_epochs(fold), record.columns.get("ema_fg_dice", [])
    done = min(record.epochs, epochs or record.epochs)
    words = [f"epoch {done}" if epochs is None else f"epoch {done} of {epochs}"]
    if dice and not math.isnan(dice[-1]):
        words.append(f"pseudo Dice {dice[-1]:.3f}")
    seconds_left = seconds_in_all = None
    if record.seconds and epochs is not None:
        seconds_left = (epochs - done) * statistics.median(record.seconds[-RECENT_EPOCHS:])
        seconds_in_all = epochs * statistics.median(record.seconds)
    return Measured(
        text=", ".join(words),
        seconds_left=seconds_left,
        seconds_in_all=seconds_in_all,
        pseudo_dice=dice,
        epochs=epochs,
    )


def planned_epochs(fold: Path) -> int | None:
    """Return how many epochs a training that has begun will have, from nnU-Net's debug.json; else None.

    The trainer's class knows it too, but its import takes seconds.
    """
    with suppress(PancextError, KeyError, TypeError, ValueError):
        return int(read_json(fold / "debug.json", expect=dict)["num_epochs"])
    return None


def _record(fold: Path) -> TrainingRecord | None:
    """Return the record, read anew only after a change: a campaign is looked at every ten seconds."""
    logs = [(path.name, path.stat()) for path in sorted(fold.glob("training_log_*.txt"))]
    stamp = tuple((name, status.st_size, status.st_mtime_ns) for name, status in logs)
    if fold not in _records or _records[fold][0] != stamp:
        _records[fold] = stamp, read_training_record(fold)
    return _records[fold][1]
