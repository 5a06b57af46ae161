"""Label maps of two dimensions, and volumes of one slice, are scored within the slice."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.cli.main import main
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.case import CaseFiles, score_case
from nnunet_pancext.evaluation.scores import LabelScores
from nnunet_pancext.evaluation.targets import read_targets

TARGETS = read_targets({"background": 0, "organ": 1})
MM = {"hd95_mm", "assd_mm", "nsd_1mm", "nsd_2mm"}
ML = {"volume_ml", "truth_volume_ml", "volume_error_ml"}
SPACING = (0.5, 2.0, 10.0)  # of columns, rows and slices


def square(first_column: int) -> np.ndarray:
    """A square of 4 x 4 pixels in a slice of 10 x 12."""
    array = np.zeros((10, 12), np.uint8)
    array[2:6, first_column : first_column + 4] = 1
    return array


def write(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING[: array.ndim])
    sitk.WriteImage(image, str(path))
    return path


def scores_of(folder: Path, ending: str, truth: np.ndarray, prediction: np.ndarray) -> LabelScores:
    """Score one array against another, written as files of this format."""
    files = CaseFiles(
        case="a",
        prediction=write(folder / f"prediction{ending}", prediction),
        truth=write(folder / f"truth{ending}", truth),
    )
    return score_case(files, targets=TARGETS).labels["organ"]


def require_outline_of_a_shift_by_three_columns(scores: LabelScores) -> None:
    """Each outline of 12 pixels is 0 (4 pixels), 0.5 (2), 1 (2) and 1.5 mm (4) from the other."""
    assert scores.hd95_mm == pytest.approx(1.5)
    assert scores.assd_mm == pytest.approx((2 * 0.5 + 2 * 1 + 4 * 1.5) / 12)
    assert scores.nsd_1mm == pytest.approx(8 / 12)
    assert scores.nsd_2mm == 1


def require_overlap_of_four_pixels(scores: LabelScores) -> None:
    """4 of 16 pixels are common, and 28 of 120 are in one of the squares."""
    assert (scores.dice, scores.iou) == (pytest.approx(4 / 16), pytest.approx(4 / 28))
    assert scores.specificity == pytest.approx((120 - 28) / (120 - 16))
    assert (scores.slices, scores.slice_dice) == (1, scores.dice)
    assert (scores.lesions, scores.lesions_found, scores.false_positives) == (1, 1, 0)
    assert math.isfinite(scores.s_measure)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_two_dimensions_have_distances_and_no_volume(tmp_path, ending):
    scores = scores_of(tmp_path, ending, square(2), square(5))
    require_overlap_of_four_pixels(scores)
    require_outline_of_a_shift_by_three_columns(scores)
    assert all(math.isnan(getattr(scores, name)) for name in ML)


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif"])
def test_a_picture_has_neither_distances_nor_a_volume(tmp_path, ending):
    scores = scores_of(tmp_path, ending, square(2), square(5))
    require_overlap_of_four_pixels(scores)
    assert all(math.isnan(getattr(scores, name)) for name in MM | ML)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_volume_of_one_slice_has_the_distances_within_it(tmp_path, axis):
    """Whatever its orientation; the spacing is moved with the axes."""
    truth, prediction = (np.expand_dims(square(first), axis) for first in (2, 5))
    across, down, along = SPACING
    spacing = [down, across]
    spacing.insert(axis, along)
    for name, array in (("truth", truth), ("prediction", prediction)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(spacing[::-1])
        sitk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
    files = CaseFiles(case="a", prediction=tmp_path / "prediction.nii.gz", truth=tmp_path / "truth.nii.gz")
    scores = score_case(files, targets=TARGETS).labels["organ"]
    require_overlap_of_four_pixels(scores)
    require_outline_of_a_shift_by_three_columns(scores)
    assert scores.volume_ml == pytest.approx(16 * 0.5 * 2 * 10 / 1000)


def test_an_empty_slice_is_undefined_or_infinite(tmp_path):
    empty = np.zeros((10, 12), np.uint8)
    assert math.isnan(scores_of(tmp_path, ".nii.gz", empty, empty).hd95_mm)
    assert math.isinf(scores_of(tmp_path, ".nii.gz", square(2), empty).hd95_mm)
    assert math.isnan(scores_of(tmp_path, ".png", empty, empty).dice)
    assert scores_of(tmp_path, ".png", square(2), empty).dice == 0


def test_one_label_map_cut_to_a_slice_of_a_volume_keeps_its_surface(tmp_path):
    """In a volume of several slices a label in one of them is surface all over: 0, 0.5, 1 and 1.5 mm."""
    truth, prediction = (np.stack([np.zeros_like(square(2)), square(first)]) for first in (2, 5))
    assert scores_of(tmp_path, ".nii.gz", truth, prediction).nsd_1mm == pytest.approx(12 / 16)


def test_colours_are_no_labels(tmp_path):
    colours = np.stack([square(2), square(3), square(2)], axis=-1)
    sitk.WriteImage(sitk.GetImageFromArray(colours, isVector=True), str(tmp_path / "truth.png"))
    prediction = write(tmp_path / "prediction.png", square(2))
    files = CaseFiles(case="a", prediction=prediction, truth=tmp_path / "truth.png")
    with pytest.raises(PancextError, match=r"truth.png has 2 dimensions and 3 values per voxel.*Give one"):
        score_case(files, targets=TARGETS)


def test_a_slice_is_not_compared_with_a_volume(tmp_path):
    files = CaseFiles(
        case="a",
        prediction=write(tmp_path / "prediction.nii.gz", square(2)),
        truth=write(tmp_path / "truth.nii.gz", square(2)[None]),
    )
    with pytest.raises(PancextError, match=r"differ in geometry: 2 against 3 dimensions\. Predict from"):
        score_case(files, targets=TARGETS)


@pytest.fixture
def folders(tmp_path):
    """Return a function that writes two cases in a format, and dataset.json."""

    def make(ending: str) -> tuple[Path, Path]:
        for case, shift in (("a", 0), ("b", 3)):
            write(tmp_path / "predictions" / f"{case}{ending}", square(2 + shift))
            write(tmp_path / "truth" / f"{case}{ending}", square(2))
        declared = {"labels": {"background": 0, "organ": 1}, "file_ending": ending}
        (tmp_path / "predictions" / "dataset.json").write_text(json.dumps(declared), encoding="utf-8")
        return tmp_path / "predictions", tmp_path / "truth"

    return make


@pytest.mark.parametrize(
    ("ending", "without", "reason"),
    [
        (".png", MM | ML, "There are no distances, NSD or volumes: the format of these files stores no spac"),
        (".tif", MM | ML, "There are no distances, NSD or volumes: the format of these files stores no spac"),
        (".nii.gz", ML, "There are no volumes in mL: these files have two dimensions, and a slice has no"),
    ],
)
def test_the_command_leaves_out_what_it_cannot_measure(folders, tmp_path, capsys, ending, without, reason):
    out = tmp_path / "out"
    assert main(["evaluate", *map(str, folders(ending)), "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.count(reason) == 1
    assert ("HD95, mm" in printed) == ("hd95_mm" not in without)
    assert "true volume, mL" not in printed
    assert "0.625 ± 0.530" in printed  # Dice 1 and 0.25
    with (out / "metrics.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        assert {name for name, text in row.items() if not text} == without
    if "hd95_mm" not in without:
        assert [float(row["hd95_mm"]) for row in rows] == [0, 1.5]
    totals = json.loads((out / "summary.json").read_text(encoding="utf-8"))["pancext"]
    assert totals["not_measured"].startswith(reason)
    per_volume = totals["labels"]["organ"]["per_volume"]
    assert {name for name, statistics in per_volume.items() if statistics is None} == without
    assert totals["labels"]["organ"]["per_slice"]["slice_dice"] == pytest.approx(0.625)


def test_a_volume_is_measured_in_every_unit(folders, tmp_path):
    predictions, truth = folders(".nii.gz")
    for path in (*predictions.glob("*.nii.gz"), *truth.glob("*.nii.gz")):
        write(path, np.stack([square(2)] * 2))
    out = tmp_path / "out"
    assert main(["evaluate", str(predictions), str(truth), "-o", str(out)]) == 0
    totals = json.loads((out / "summary.json").read_text(encoding="utf-8"))["pancext"]
    assert totals["not_measured"] == ""
    assert None not in totals["labels"]["organ"]["per_volume"].values()


@pytest.mark.parametrize("option", [[], ["--keep-going"]])
def test_slices_and_volumes_are_not_scored_together(folders, tmp_path, capsys, option):
    predictions, truth = folders(".nii.gz")
    for folder in (predictions, truth):
        write(folder / "b.nii.gz", square(2)[None])
    assert main(["evaluate", str(predictions), str(truth), "-o", str(tmp_path / "out"), *option]) == 1
    error = capsys.readouterr().err
    assert (
        f"{truth / 'a.nii.gz'} has 2 dimensions and {truth / 'b.nii.gz'} has 3. Slices and volumes" in error
    )
    assert "keep them in folders of their own" in error
    assert not (tmp_path / "out").exists()


def test_probabilities_of_slices_rank_patients(folders, tmp_path):
    """nnU-Net stores them with an axis of one slice. The organ is in one of the two patients."""
    predictions, truth = folders(".png")
    write(truth / "b.png", 0 * square(2))
    for case, highest in (("a", 0.9), ("b", 0.4)):
        organ = highest * sitk.GetArrayFromImage(sitk.ReadImage(str(predictions / f"{case}.png")))[None]
        np.savez(predictions / f"{case}.npz", probabilities=np.stack([1 - organ, organ]))
    out = tmp_path / "out"
    assert main(["evaluate", str(predictions), str(truth), "-o", str(out), "--probabilities"]) == 0
    organ = json.loads((out / "summary.json").read_text(encoding="utf-8"))["pancext"]["labels"]["organ"]
    assert organ["patients"]["auroc"] == 1
    assert organ["voxels"]["average_precision"] == pytest.approx(1)
