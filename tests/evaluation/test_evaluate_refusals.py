"""Cases that cannot be scored are refused by name."""

from pathlib import Path

import numpy as np
import pytest
from synthetic_label_maps import LABELS, write

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.folder import evaluate_folder
from nnunet_pancext.evaluation.targets import read_targets


def test_refuses_missing_predictions_by_name(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    for name in ("b", "c"):
        write(folders[1] / f"{name}.nii.gz", label_map)
    with pytest.raises(
        PancextError, match=r"No prediction for 2 of 3 cases in .*: b, c\. Predict these cases"
    ):
        evaluate_folder(*folders, labels=LABELS)


def test_refuses_a_folder_without_truths(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PancextError, match=r"No file ending in '.nii.gz' .*empty.*Check the folder"):
        evaluate_folder(folders[0], tmp_path / "empty", labels=LABELS)


@pytest.mark.parametrize(("place", "what"), [(0, "predicted"), (1, "ground-truth")])
def test_refuses_a_missing_folder(folders: tuple[Path, Path], tmp_path: Path, place: int, what: str) -> None:
    given = [tmp_path / "absent" if at == place else folder for at, folder in enumerate(folders)]
    with pytest.raises(PancextError, match=f"There is no folder of {what} label maps at .*absent. Check"):
        evaluate_folder(*given, labels=LABELS)


@pytest.mark.parametrize(
    ("geometry", "met"),
    [
        ({"spacing": (1.0, 1.0, 2.0)}, r"spacing \(1, 1, 2\) against \(1, 1, 1\) mm"),
        ({"origin": (0.0, 3.0, 0.0)}, "up to 3 mm apart"),
    ],
)
def test_refuses_another_grid(
    folders: tuple[Path, Path], label_map: np.ndarray, geometry: dict[str, tuple], met: str
) -> None:
    write(folders[0] / "a.nii.gz", label_map, **geometry)
    with pytest.raises(PancextError, match=f"Case 'a': .*differ in geometry.*{met}.*resample"):
        evaluate_folder(*folders, labels=LABELS)


def test_refuses_another_size(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    write(folders[0] / "a.nii.gz", label_map[1:])
    with pytest.raises(PancextError, match=r"Case 'a': .*size \(7, 6, 4\) against \(7, 6, 5\) voxels"):
        evaluate_folder(*folders, labels=LABELS)


@pytest.mark.parametrize("keep", [0, 20, -9])
def test_refuses_a_truncated_file(folders: tuple[Path, Path], keep: int) -> None:
    path = folders[0] / "a.nii.gz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(PancextError, match=r"Case 'a': Cannot read the image .*a\.nii\.gz.*copy it again"):
        evaluate_folder(*folders, labels=LABELS)


@pytest.mark.parametrize("keep", [0, 200, -9])
def test_refuses_a_truncated_file_that_is_not_compressed(
    folders: tuple[Path, Path], label_map: np.ndarray, keep: int
) -> None:
    for folder in folders:
        write(folder / "b.nii", label_map)
    assert evaluate_folder(*folders, labels=LABELS, file_ending=".nii")[0].labels["tumour"].dice == 1
    path = folders[0] / "b.nii"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(PancextError, match=r"Case 'b': Cannot read the image .*b\.nii .*copy it again"):
        evaluate_folder(*folders, labels=LABELS, file_ending=".nii")


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_refuses_voxels_that_are_not_finite(
    folders: tuple[Path, Path], label_map: np.ndarray, ending: str, value: float
) -> None:
    """ITK reads them as zeros from NIfTI files."""
    values = label_map.astype(np.float32)
    values[2, 2, 2] = value
    write(folders[0] / f"b{ending}", values)
    write(folders[1] / f"b{ending}", label_map)
    with pytest.raises(PancextError, match=r"Case 'b': .*b\.(nii|mha).* holds 1 voxel of NaN or infinity"):
        evaluate_folder(*folders, labels=LABELS, file_ending=ending)


def test_refuses_undeclared_values(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    label_map[0, 0, 0] = 7
    write(folders[1] / "a.nii.gz", label_map)
    with pytest.raises(
        PancextError, match=r"Case 'a': the ground truth .* holds the values \[7\].*\[0, 1, 2\]"
    ):
        evaluate_folder(*folders, labels=LABELS)


def test_refuses_probabilities(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    write(folders[0] / "a.nii.gz", label_map.astype(np.float32) / 3)
    with pytest.raises(PancextError, match=r"Case 'a': .*not whole numbers.*not probabilities"):
        evaluate_folder(*folders, labels=LABELS)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"background": 0}, "No foreground label"),
        ({"background": 0, "pancreas": "1"}, r"the label 'pancreas' as \"1\"; expected a whole number"),
        ({"background": 0, "pancreas": []}, r"the label 'pancreas' as \[\]; expected a whole number"),
        ({"background": 0, "foreground": 1, "tumour": 2}, "'foreground' = 1 has the name of the union"),
    ],
)
def test_refuses_labels_that_cannot_be_scored(labels: dict, message: str) -> None:
    with pytest.raises(PancextError, match=message):
        read_targets(labels)
