"""Small images with label maps, and the records of their predictions."""

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.evaluation.targets import read_targets
from nnunet_pancext.prediction.measures import measure
from nnunet_pancext.raw_cases.geometry import read_geometry

LABELS = {"background": 0, "pancreas": 1, "tumour": 2}
SHAPE, SPACING = (24, 40, 40), (2.0, 2.0, 4.0)

ORGAN = np.zeros(SHAPE, dtype=np.uint8)
ORGAN[6:18, 10:26, 12:32] = 1
WITH_TUMOUR = ORGAN.copy()
WITH_TUMOUR[8:12, 14:20, 16:24] = 2
MANY_TUMOURS = ORGAN.copy()
MANY_TUMOURS[1:24:4, 2, 2] = MANY_TUMOURS[1:24:4, 2, 8:10] = 2  # six of one voxel, six of two


def write_case(
    folder: Path, case: str, label_map: np.ndarray, *, ending: str = ".nii.gz"
) -> tuple[Path, Path]:
    """Write an image and its label map, a picture if they have one slice, and return their files."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    voxels = rng.normal(40, 30, label_map.shape)
    files = folder / f"{case}_0000{ending}", folder / f"{case}{ending}"
    for file, array in zip(files, (voxels, label_map), strict=True):
        is_flat = ending == ".png"
        image = sitk.GetImageFromArray((array[0] if is_flat else array).astype("u1" if is_flat else "i2"))
        if not is_flat:
            image.SetSpacing(SPACING)
        sitk.WriteImage(image, str(file))
    return files


def record_of(
    case: str, label_map: Path, array: np.ndarray, *, labels: dict[str, Any] = LABELS, **changed: Any
) -> dict[str, Any]:
    """Return the content of CASE.json of a label map whose heads are all sure to 0.7."""
    targets = read_targets(labels)
    measures = measure(
        array,
        geometry=read_geometry(label_map),
        targets=targets,
        lesion_labels=["tumour"],
        probabilities_at=lambda voxels: np.full((len(voxels), targets.num_channels), 0.7),
    )
    return {
        "schema_version": 1,
        "case": case,
        "label_map": label_map.name,
        "speed": "balanced",
        **measures.document(),
        "windows": {"run": 12, "left_out": 52, "coarse": 27, "forwards": 123, "whole_image_forwards": 512},
        "growths": 0,
        "fallback": None,
        "stages": [],
        "seconds": {"read": 0.5, "full pass": 60.0, "total": 61.0},
        "peak_memory_mb": 2345.6,
        "self_test": "not measured",
        "model": [
            {
                "folder": "nnUNetTrainer__nnUNetPlans__3d_fullres",
                "trainer": "nnUNetTrainer",
                "plans": "nnUNetPlans",
                "configuration": "3d_fullres",
                "folds": [0, 1],
                "checkpoint": "checkpoint_final.pth",
                "sha256": "ab" * 32,
            }
        ],
        "inputs": [],
        "options": {},
        "versions": {"nnunet_pancext": "0.1.0"},
        "notice": "For research. Not a medical device.",
        **changed,
    }
