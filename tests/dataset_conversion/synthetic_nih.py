"""Small made downloads of NIH Pancreas-CT: DICOM series and labels with a header of their own."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from synthetic_dicom import write_with_pydicom

SIZE_ZYX = (10, 24, 24)
SPACING = (0.8, 0.8, 1.0)
STUDY = "11-24-2015-PANCREAS0001-Pancreas-18957"
LAI = (1, 0, 0, 0, -1, 0, 0, 0, -1)


def synthetic_ct(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return HU of an organ in fat, and its mask; it lies otherwise in each patient, and nowhere central."""
    random = np.random.default_rng(number)
    grid = np.indices(SIZE_ZYX)
    centre = (3 + number % 2, 8, 14)
    distance = sum(((axis - c) / r) ** 2 for axis, c, r in zip(grid, centre, (2.5, 4, 6), strict=True))
    mask = (distance < 1) & (grid[2] + grid[1] < 26)
    hu = np.where(mask, 90, -90) + random.normal(0, 15, SIZE_ZYX)
    return hu.round().astype(np.int16), mask.astype(np.uint8)


def write_label(path: Path, mask: np.ndarray, direction=LAI) -> None:
    """Write the array of a mask under a header that says left, anterior, inferior from the origin 0."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(np.ascontiguousarray(mask))
    image.SetSpacing(SPACING)
    image.SetDirection(direction)
    sitk.WriteImage(image, str(path))


class SyntheticDownload:
    """What a user has: `images` with a folder for each patient, `labels` with a file for each."""

    def __init__(self, root: Path, *, below: str = "manifest-1599750808610/Pancreas-CT") -> None:
        self.images = root / "images"
        self.labels = root / "TCIA_pancreas_labels-02-05-2017"
        self.below = below

    def add(self, number: int, *, turn=lambda mask: mask[::-1, ::-1]) -> None:
        """Add a patient; `turn` makes the stored array of the label from the mask as it lies on the image."""
        hu, mask = synthetic_ct(number)
        write_with_pydicom(self.series(number), hu, spacing_mm=SPACING)
        write_label(self.label(number), turn(mask))

    def patient(self, number: int) -> Path:
        return self.images / self.below / f"PANCREAS_{number:04d}"

    def series(self, number: int) -> Path:
        return self.patient(number) / STUDY / "Pancreas-99667"

    def label(self, number: int) -> Path:
        return self.labels / f"label{number:04d}.nii.gz"
