"""A raw dataset of a few noisy boxes, written in a second."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

DATASET = "Dataset007_Pancreas"
SHAPE = (10, 34, 36)
CASES = [f"pancreas_{number:03d}" for number in (1, 4, 5, 8, 9, 12)]
TEST_CASES = ["pancreas_020", "pancreas_021"]
DATASET_JSON = {
    "labels": {"background": 0, "pancreas": 1, "cancer": 2},
    "channel_names": {"0": "CT"},
    "file_ending": ".nii.gz",
}


def use_folders(monkeypatch: pytest.MonkeyPatch, root: Path) -> dict[str, str]:
    """Set nnU-Net's variables to folders below `root`, and return them."""
    folders = {f"nnUNet_{name}": str(root / name) for name in ("raw", "preprocessed", "results")}
    for variable, folder in folders.items():
        Path(folder).mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv(variable, folder)
    return folders


def write_raw(root: Path, *, dataset: str = DATASET, cases: Sequence[str] = CASES) -> Path:
    """Write a raw dataset below `root`/raw, with a labelled test set, and return its folder."""
    folder = root / "raw" / dataset
    for subset, names in (("Tr", cases), ("Ts", TEST_CASES)):
        for seed, case in enumerate(names):
            write_case(folder, case, subset=subset, seed=seed)
    write_dataset_json(folder, cases)
    return folder


def write_names(root: Path, *, dataset: str = DATASET, cases: Sequence[str] = CASES) -> Path:
    """Write a raw dataset whose images and label maps are empty files: enough to plan a campaign."""
    folder = root / "raw" / dataset
    for subset, names in (("Tr", cases), ("Ts", TEST_CASES)):
        for kind, tail in (("images", "_0000"), ("labels", "")):
            (folder / f"{kind}{subset}").mkdir(parents=True)
            for case in names:
                (folder / f"{kind}{subset}" / f"{case}{tail}.nii.gz").touch()
    write_dataset_json(folder, cases)
    return folder


def write_dataset_json(folder: Path, cases: Sequence[str]) -> None:
    content = {**DATASET_JSON, "numTraining": len(cases)}
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")


def write_case(folder: Path, case: str, *, subset: str = "Tr", seed: int = 0) -> None:
    """Write an image and its label map, which depend on the seed."""
    generator = np.random.default_rng(seed)
    label = np.zeros(SHAPE, np.uint8)
    label[2:8, 8:26, 8:26] = 1
    label[3:6, 10:16, 10 + seed : 17 + seed] = 2
    image = generator.normal(40, 20, SHAPE) + 60.0 * label
    for kind, name, array in (("images", f"{case}_0000", image.astype(np.int16)), ("labels", case, label)):
        volume = sitk.GetImageFromArray(array)
        volume.SetSpacing((0.8, 0.8, 2.5))
        path = folder / f"{kind}{subset}" / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(volume, str(path))
