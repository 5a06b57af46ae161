"""Small made datasets in the layout of MSD Task07_Pancreas, quirks included."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

SIZE_ZYX = (6, 9, 8)


def write_volume(
    path: Path,
    voxels: np.ndarray,
    *,
    spacing_mm: tuple[float, ...] = (0.8, 0.8, 2.5),
    origin_mm: tuple[float, ...] = (-170.5, 12.25, 40.0),
    direction: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1),
) -> None:
    """Write an array z, y, x as .nii.gz."""
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(spacing_mm)
    image.SetOrigin(origin_mm)
    image.SetDirection(direction)
    sitk.WriteImage(image, str(path), useCompression=True)


def read_voxels(path: Path) -> np.ndarray:
    """Return an image's array z, y, x."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def tree(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below `folder`."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@dataclass
class SyntheticTask:
    """A made Task07 folder that tests damage before converting it."""

    folder: Path

    def image(self, number: int) -> Path:
        """Return a training image's path."""
        return self.folder / "imagesTr" / f"pancreas_{number:03d}.nii.gz"

    def label(self, number: int) -> Path:
        """Return a training label's path."""
        return self.folder / "labelsTr" / f"pancreas_{number:03d}.nii.gz"

    def edit_json(self, change: Callable[[dict], object]) -> None:
        """Apply `change` to the content of dataset.json."""
        path = self.folder / "dataset.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content)
        path.write_text(json.dumps(content), encoding="utf-8")


def make_msd_task(folder: Path, *, cases: int = 6, test_images: int = 2) -> SyntheticTask:
    """Write `cases` labelled cases 001, 004, 007, … and `test_images` unlabelled ones."""
    for name in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / name).mkdir(parents=True)
    task = SyntheticTask(folder)
    rng = np.random.default_rng(7)
    training = range(1, 1 + 3 * cases, 3)
    for number in training:
        write_volume(task.image(number), rng.integers(-1024, 1500, SIZE_ZYX).astype(np.int16))
        label = np.zeros(SIZE_ZYX, np.uint8)
        label[2:4, 3:6, 2:6] = 1
        label[3, 4, 3:5] = 2
        write_volume(task.label(number), label)
        (task.image(number).parent / f"._{task.image(number).name}").write_bytes(b"\0\5\x16\7AppleDouble")
    testing = range(2, 2 + 3 * test_images, 3)
    for number in testing:
        path = folder / "imagesTs" / f"pancreas_{number:03d}.nii.gz"
        write_volume(path, rng.integers(-1024, 1500, SIZE_ZYX).astype(np.int16))
    content = {
        "name": "Pancreas",
        "description": "Pancreas and Cancer",
        "reference": "Memorial Sloan Kettering Cancer Center ",
        "licence": "CC-BY-SA 4.0",
        "relase": "1.0 04/05/2018",
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "pancreas", "2": "cancer"},
        "numTraining": cases,
        "numTest": test_images,
        "training": [
            {"image": f"./imagesTr/pancreas_{n:03d}.nii.gz", "label": f"./labelsTr/pancreas_{n:03d}.nii.gz"}
            for n in training
        ],
        "test": [f"./imagesTs/pancreas_{n:03d}.nii.gz" for n in testing],
    }
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return task
