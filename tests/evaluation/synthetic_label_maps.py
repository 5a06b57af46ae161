"""Small label maps as files."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

LABELS = {"background": 0, "pancreas": 1, "tumour": 2}


def write(
    path: Path,
    array: np.ndarray,
    *,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> None:
    """Write an array (slice, row, column) as an image; spacing and origin are in mm (x, y, z)."""
    path.parent.mkdir(exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    sitk.WriteImage(image, str(path))
