from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk


@pytest.fixture
def labels() -> dict[str, int]:
    return {"background": 0, "pancreas": 1, "tumour": 2}


def write_lps(
    path: Path, array: np.ndarray, *, spacing: tuple[float, float, float], stored: str = "LPS"
) -> Path:
    """Write `array` (slice, row, column), given in LPS orientation, as a file of orientation `stored`."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    sitk.WriteImage(sitk.DICOMOrient(image, stored), str(path))
    return path


@pytest.fixture
def write_volume():
    return write_lps
