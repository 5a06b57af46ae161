"""Small made downloads of ACDC."""

from pathlib import Path

import numpy as np
from synthetic_msd_task import write_volume


def add_patient(folder: Path, number: int, *, ed: int = 1, es: int = 9) -> None:
    """Write a patient with two labelled frames, the whole cine and an Info.cfg."""
    patient = f"patient{number:03d}"
    (folder / patient).mkdir(parents=True)
    random = np.random.default_rng(number)
    for frame in (ed, es):
        stem = folder / patient / f"{patient}_frame{frame:02d}"
        write_volume(Path(f"{stem}.nii.gz"), random.integers(0, 900, (4, 9, 8)).astype(np.int16))
        label = np.zeros((4, 9, 8), np.uint8)
        label[1:3, 2:7, 2:7] = 1
        label[1:3, 3:6, 3:6] = 2
        label[1:3, 4, 4] = 3
        write_volume(Path(f"{stem}_gt.nii.gz"), label)
    (folder / patient / f"{patient}_4d.nii.gz").write_bytes(b"large")
    (folder / patient / "Info.cfg").write_text(
        f"ED: {ed}\nES: {es}\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\n", encoding="utf-8"
    )
