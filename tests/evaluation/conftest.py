"""One case with a perfect prediction."""

from pathlib import Path

import numpy as np
import pytest
from synthetic_label_maps import write


@pytest.fixture
def label_map() -> np.ndarray:
    """Pancreas of 3 x 3 x 3 voxels, one of which is tumour."""
    array = np.zeros((5, 6, 7), dtype=np.uint8)
    array[1:4, 1:4, 1:4] = 1
    array[2, 2, 2] = 2
    return array


@pytest.fixture
def folders(tmp_path: Path, label_map: np.ndarray) -> tuple[Path, Path]:
    """Predictions and ground truth of one case, 'a', which agree."""
    write(tmp_path / "predictions" / "a.nii.gz", label_map)
    write(tmp_path / "truths" / "a.nii.gz", label_map)
    return tmp_path / "predictions", tmp_path / "truths"
