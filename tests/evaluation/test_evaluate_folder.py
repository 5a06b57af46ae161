import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.folder import evaluate_folder, scored_labels

LABELS = {"background": 0, "pancreas": 1, "tumour": 2}


def write(
    path: Path,
    array: np.ndarray,
    *,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> None:
    path.parent.mkdir(exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    sitk.WriteImage(image, str(path))


@pytest.fixture
def label_map() -> np.ndarray:
    """Pancreas of 3 x 3 x 3 voxels, one of which is tumour."""
    array = np.zeros((5, 6, 7), dtype=np.uint8)
    array[1:4, 1:4, 1:4] = 1
    array[2, 2, 2] = 2
    return array


@pytest.fixture
def folders(tmp_path: Path, label_map: np.ndarray) -> tuple[Path, Path]:
    """Predictions and truths of one case, 'a', which agree."""
    write(tmp_path / "predictions" / "a.nii.gz", label_map)
    write(tmp_path / "truths" / "a.nii.gz", label_map)
    return tmp_path / "predictions", tmp_path / "truths"


def test_scores_each_label_and_their_union(tmp_path: Path, label_map: np.ndarray) -> None:
    prediction = np.roll(label_map, 1, axis=2)
    write(tmp_path / "predictions" / "a.nii.gz", prediction)
    write(tmp_path / "truths" / "a.nii.gz", label_map)
    (scores,) = evaluate_folder(tmp_path / "predictions", tmp_path / "truths", labels=LABELS)
    assert scores.case == "a"
    assert list(scores.labels) == ["foreground", "pancreas", "tumour"]
    assert scores.labels["foreground"].dice == pytest.approx(2 * 18 / 54)
    # Of the 18 common voxels one is tumour in the truth only and one in the prediction only.
    assert scores.labels["pancreas"].dice == pytest.approx(2 * 16 / 52)
    assert scores.labels["tumour"].dice == 0


def test_a_single_label_has_no_union(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    for folder in folders:
        write(folder / "a.nii.gz", (label_map > 0).astype(np.uint8))
    (scores,) = evaluate_folder(*folders, labels={"background": 0, "pancreas": 1})
    assert list(scores.labels) == ["pancreas"]


def test_volumes_are_in_millilitres(tmp_path: Path, label_map: np.ndarray) -> None:
    spacing = (0.5, 0.8, 5.0)
    write(tmp_path / "predictions" / "a.nii.gz", np.zeros_like(label_map), spacing=spacing)
    write(tmp_path / "truths" / "a.nii.gz", label_map, spacing=spacing)
    (scores,) = evaluate_folder(tmp_path / "predictions", tmp_path / "truths", labels=LABELS)
    # 27 voxels of 0.5 x 0.8 x 5 = 2 cubic mm each
    assert scores.labels["foreground"].truth_volume_ml == pytest.approx(0.054)
    assert scores.labels["tumour"].truth_volume_ml == pytest.approx(0.002)
    assert scores.labels["foreground"].volume_ml == 0


def test_a_label_in_neither_map_is_undefined(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    for folder in folders:
        write(folder / "a.nii.gz", np.minimum(label_map, 1))
    (scores,) = evaluate_folder(*folders, labels=LABELS)
    assert math.isnan(scores.labels["tumour"].dice)
    assert scores.labels["pancreas"].dice == 1


def test_cases_are_the_truths_in_order_of_names(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    predictions, truths = folders
    for name in ("c", "b"):
        write(predictions / f"{name}.nii.gz", label_map)
        write(truths / f"{name}.nii.gz", label_map)
    write(predictions / "without_truth.nii.gz", label_map)
    (truths / ".partial-1-d.nii.gz").write_bytes(b"")
    (truths / "notes.txt").write_text("")
    assert [scores.case for scores in evaluate_folder(*folders, labels=LABELS)] == ["a", "b", "c"]


def test_other_file_endings(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    for folder in folders:
        write(folder / "x.nrrd", label_map)
    (scores,) = evaluate_folder(*folders, labels=LABELS, file_ending=".nrrd")
    assert scores.case == "x"


def test_rounding_in_headers_is_no_mismatch(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    write(folders[0] / "a.nii.gz", label_map, origin=(1e-4, 0, 0), spacing=(1.00001, 1, 1))
    assert evaluate_folder(*folders, labels=LABELS)[0].labels["pancreas"].dice == 1


def test_refuses_missing_predictions_by_name(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    for name in ("b", "c"):
        write(folders[1] / f"{name}.nii.gz", label_map)
    with pytest.raises(
        PancextError, match=r"No prediction for 2 of 3 cases in .*: b, c\. Predict these cases"
    ):
        evaluate_folder(*folders, labels=LABELS)


@pytest.mark.parametrize("folder", ["empty", "absent"])
def test_refuses_a_folder_without_truths(folders: tuple[Path, Path], tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PancextError, match=f"No file ending in '.nii.gz' .*{folder}.*Check the folder"):
        evaluate_folder(folders[0], tmp_path / folder, labels=LABELS)


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


def test_refuses_undeclared_values(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    label_map[0, 0, 0] = 7
    write(folders[1] / "a.nii.gz", label_map)
    with pytest.raises(PancextError, match=r"Case 'a': the truth .* holds the values \[7\].*\[0, 1, 2\]"):
        evaluate_folder(*folders, labels=LABELS)


def test_refuses_probabilities(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    write(folders[0] / "a.nii.gz", label_map.astype(np.float32) / 3)
    with pytest.raises(PancextError, match=r"Case 'a': .*not whole numbers.*not probabilities"):
        evaluate_folder(*folders, labels=LABELS)


def test_takes_whole_numbers_stored_as_floats(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    write(folders[0] / "a.nii.gz", label_map.astype(np.float32))
    assert evaluate_folder(*folders, labels=LABELS)[0].labels["tumour"].dice == 1


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"background": 0}, "No foreground label"),
        ({"background": 0, "pancreas": 1, "ignore": 2}, "Label 'ignore' = 2 cannot be evaluated"),
        ({"background": 0, "whole": [1, 2], "tumour": 2}, r"Label 'whole' = \[1, 2\] cannot be evaluated"),
        ({"background": 0, "foreground": 1, "tumour": 2}, "'foreground' = 1 has the name of the union"),
    ],
)
def test_refuses_labels_that_cannot_be_scored(labels: dict, message: str) -> None:
    with pytest.raises(PancextError, match=message):
        scored_labels(labels)
