"""A small sound raw dataset, written by any function for images and labels."""

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk

SIZE_ZYX = (6, 24, 20)
CASES = 3


def volume_of(number, size=SIZE_ZYX):
    """Return HU with a bright organ that no flip leaves in place, and the organ's mask, both (z, y, x)."""
    hu = np.random.default_rng(number).normal(-100, 8, size).round().astype(np.int16)
    hu[:, :3], hu[:, -2:] = -1000, 300
    mask = np.zeros(size, np.uint8)
    mask[1:4, 6:13, 4:9] = 1
    hu[mask > 0] += 200
    return hu, mask


def write_itk(path, voxels):
    """Write through SimpleITK; the last axis of four is that of colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(
        sitk.GetImageFromArray(voxels, isVector=voxels.ndim == 4 or voxels.shape[-1] == 3), str(path)
    )


def write_dataset(
    folder: Path, *, write=write_itk, ending=".nii.gz", prepare=lambda hu, mask: (hu, mask), **changes
) -> Path:
    """Write three cases, each as `prepare` makes it, and a dataset.json with `changes`."""
    for number in range(CASES):
        image, label = prepare(*volume_of(number))
        write(folder / "imagesTr" / f"case_{number}_0000{ending}", image)
        write(folder / "labelsTr" / f"case_{number}{ending}", label)
    write_json(folder, file_ending=ending, **changes)
    return folder


def write_json(folder, **changes):
    """Write a dataset.json of a CT dataset with these keys changed; None removes one."""
    content = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "organ": 1},
        "numTraining": CASES,
        "file_ending": ".nii.gz",
        **changes,
    }
    kept = {key: value for key, value in content.items() if value is not None}
    (folder / "dataset.json").write_text(json.dumps(kept), encoding="utf-8")
