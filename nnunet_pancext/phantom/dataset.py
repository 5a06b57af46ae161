"""Writes phantom cases in the layout in which MSD Task07_Pancreas is downloaded."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from tqdm import tqdm

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import PARTIAL_PREFIX, write_json
from nnunet_pancext.io.images import write_compressed
from nnunet_pancext.phantom.case import DEFAULT_SIZE, PhantomCase, check_request, make_phantom_case

TASK_FOLDER = "Task07_Pancreas"
DESCRIPTION = "Phantom: synthetic abdominal CTs with pancreas and cancer, not of any patient"
# ITK counts x to the left and y to the back, the arrays the other way: the RAS affine of MSD's files.
RAS_DIRECTION = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)


def write_phantom_dataset(
    out: Path,
    *,
    cases: int,
    test_cases: int = 0,
    size: tuple[int, int, int] = DEFAULT_SIZE,
    difficulty: str = "easy",
    seed: int = 0,
    show_progress: bool = True,
) -> Path:
    """Write `cases` labelled and `test_cases` unlabelled phantoms under `out`; return the task folder.

    `size` is (Z, Y, X) in voxels. A case depends only on `seed` and its number, so more cases add files and
    change none. The folder appears complete or not at all; PancextError where it exists, cannot be written,
    or an argument is out of range.
    """
    check_request(seed=seed, size=size, difficulty=difficulty)
    if cases < 1:
        raise PancextError(f"cannot write {cases} phantom cases: ask for at least 1")
    if test_cases < 0:
        raise PancextError(f"cannot write {test_cases} phantom test cases: ask for 0 or more")
    target = Path(out) / TASK_FOLDER
    numbers = [labelled_number(place) for place in range(cases)]
    test_numbers = [3 * (place + 1) for place in range(test_cases)]  # the gaps between the labelled ones
    with _folder_in_the_making(target) as folder:
        for name in ("imagesTr", "labelsTr", "imagesTs"):
            (folder / name).mkdir()
        progress = {"desc": "phantom", "unit": "case", "file": sys.stderr, "disable": not show_progress}
        for number in tqdm(numbers + test_numbers, **progress):
            case = make_phantom_case(seed=seed, index=number, size=size, difficulty=difficulty)
            images = "imagesTs" if number in test_numbers else "imagesTr"
            _write_array(folder / images / _file_name(number), case.image, case)
            if number in numbers:
                _write_array(folder / "labelsTr" / _file_name(number), case.label, case)
        description = f"{DESCRIPTION} (difficulty {difficulty}, seed {seed})"
        write_json(folder / "dataset.json", _dataset_json(description, numbers, test_numbers))
    return target


def labelled_number(place: int) -> int:
    """Return the number of the labelled case at `place` (0, 1, ...): 1, 2, 4, 5, 7, ..., with gaps."""
    return 3 * place // 2 + 1


def _file_name(number: int) -> str:
    return f"pancreas_{number:03d}.nii.gz"


def _dataset_json(description: str, numbers: list[int], test_numbers: list[int]) -> dict[str, Any]:
    """MSD's keys in MSD's order, its misspelt `relase` included."""
    return {
        "name": "Pancreas",
        "description": description,
        "reference": "nnunet_pancext phantom, in the layout of MSD Task07_Pancreas",
        "licence": "CC0 1.0",
        "relase": "1.0",
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "pancreas", "2": "cancer"},
        "numTraining": len(numbers),
        "numTest": len(test_numbers),
        "training": [
            {"image": f"./imagesTr/{_file_name(number)}", "label": f"./labelsTr/{_file_name(number)}"}
            for number in numbers
        ],
        "test": [f"./imagesTs/{_file_name(number)}" for number in test_numbers],
    }


def _write_array(path: Path, array: np.ndarray, case: PhantomCase) -> None:
    image = sitk.GetImageFromArray(array)
    z, y, x = case.spacing_mm
    right, anterior, superior = case.origin_mm
    image.SetSpacing((x, y, z))
    image.SetOrigin((-right, -anterior, superior))
    image.SetDirection(RAS_DIRECTION)
    try:
        write_compressed(image, path)
    except RuntimeError as error:
        # SimpleITK's error for a full disk or a folder that disappeared.
        raise OSError(f"{path.name} could not be written") from error


@contextmanager
def _folder_in_the_making(target: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `target` that becomes it when the block ends without an error."""
    partial = target.with_name(f"{PARTIAL_PREFIX}{os.getpid()}-{target.name}")
    try:
        if target.exists():
            raise PancextError(f"{target} exists already: remove it or choose another output folder")
        partial.mkdir(parents=True)
        yield partial
        partial.rename(target)
    except OSError as error:
        raise PancextError(
            f"cannot write {target}: {error}; choose a folder that can be written and has free space"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
