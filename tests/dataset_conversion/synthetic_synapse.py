"""Small made downloads of the multi-organ CT of Synapse."""

from pathlib import Path

import numpy as np
from synthetic_msd_task import write_volume

TRAINING = (*range(1, 11), *range(21, 41))
VALUES = np.arange(14, dtype=np.uint8).repeat(30).reshape(5, 12, 7)  # each of the 13 organs, and background


def add(folder: Path, number: int, *, test: str | None = None) -> None:
    """Write a case: labelled, or below a folder `test` without a label."""
    part = folder / (test or "Training")
    (part / "img").mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(number).integers(-1024, 1500, VALUES.shape).astype(np.int16)
    write_volume(part / "img" / f"img{number:04d}.nii.gz", image)
    if test is None:
        (part / "label").mkdir(exist_ok=True)
        write_volume(part / "label" / f"label{number:04d}.nii.gz", VALUES)
