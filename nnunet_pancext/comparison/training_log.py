"""What nnU-Net's log of a fold tells of the cost of its training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.comparison.models import Model, read_json
from nnunet_pancext.errors import PancextError

EPOCH = re.compile(r": Epoch (\d+)\s*$")
SECONDS = re.compile(r": Epoch time: ([\d.]+) s\s*$")
PEAK = re.compile(r": Peak memory: ([\d.]+) GB")


@dataclass(frozen=True, kw_only=True)
class TrainingLog:
    """Seconds of each epoch by its number, the highest peak of memory where it was logged, and the device.

    A training that was continued may have run an epoch twice: its last run counts. `device` is empty where
    nothing tells it.
    """

    seconds: dict[int, float]
    peak_gb: float | None
    device: str


def read_training_log(model: Model, fold: int) -> TrainingLog:
    """Read the logs of a fold, in the order in which they were begun, and nnU-Net's debug.json.

    A log that is not there tells nothing; nor does a line that is not nnU-Net's.
    """
    folder = model.folder / f"fold_{fold}"
    seconds: dict[int, float] = {}
    peaks: list[float] = []
    for path in sorted(folder.glob("training_log_*.txt")):
        epoch = None
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if found := EPOCH.search(line):
                epoch = int(found[1])
            elif epoch is not None and (found := SECONDS.search(line)):
                seconds[epoch] = float(found[1])
            elif found := PEAK.search(line):
                peaks.append(float(found[1]))
    return TrainingLog(seconds=seconds, peak_gb=max(peaks, default=None), device=_device(folder))


def shared_device(logs: Sequence[TrainingLog]) -> str:
    """Return the device of the logs; all of them where they differ, empty where none tells it."""
    return ", ".join(dict.fromkeys(log.device for log in logs if log.device))


def _device(folder: Path) -> str:
    try:
        debug: Any = read_json(folder / "debug.json")
    except PancextError:
        return ""
    return str(debug.get("gpu_name") or debug.get("device") or "") if isinstance(debug, dict) else ""
