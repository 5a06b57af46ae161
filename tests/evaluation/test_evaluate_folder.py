import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from scipy.ndimage import binary_erosion
from synthetic_label_maps import LABELS, write

from nnunet_pancext.evaluation.case import CaseFiles, score_case
from nnunet_pancext.evaluation.folder import evaluate_folder
from nnunet_pancext.evaluation.per_slice import e_measure, s_measure
from nnunet_pancext.evaluation.targets import read_targets


def test_scores_each_label_and_their_union(tmp_path: Path, label_map: np.ndarray) -> None:
    prediction = np.roll(label_map, 1, axis=2)
    write(tmp_path / "predictions" / "a.nii.gz", prediction)
    write(tmp_path / "truths" / "a.nii.gz", label_map)
    (scores,) = evaluate_folder(tmp_path / "predictions", tmp_path / "truths", labels=LABELS)
    assert scores.case == "a"
    assert list(scores.labels) == ["foreground", "pancreas", "tumour"]
    assert scores.labels["foreground"].dice == pytest.approx(2 * 18 / 54)
    # Of the 18 common voxels one is tumour only in the ground truth and one only in the prediction.
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
    (truths / "notes.txt").write_text("", encoding="utf-8")
    assert [scores.case for scores in evaluate_folder(*folders, labels=LABELS)] == ["a", "b", "c"]


def test_other_file_endings(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    for folder in folders:
        write(folder / "x.nrrd", label_map)
    (scores,) = evaluate_folder(*folders, labels=LABELS, file_ending=".nrrd")
    assert scores.case == "x"


def test_rounding_in_headers_is_no_mismatch(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    write(folders[0] / "a.nii.gz", label_map, origin=(1e-4, 0, 0), spacing=(1.00001, 1, 1))
    assert evaluate_folder(*folders, labels=LABELS)[0].labels["pancreas"].dice == 1


def test_takes_whole_numbers_stored_as_floats(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    write(folders[0] / "a.nii.gz", label_map.astype(np.float32))
    assert evaluate_folder(*folders, labels=LABELS)[0].labels["tumour"].dice == 1


def test_regions_are_scored_as_declared(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    prediction = label_map.copy()
    prediction[2, 2, 2] = 1
    write(folders[0] / "a.nii.gz", prediction)
    (scores,) = evaluate_folder(*folders, labels={"background": 0, "whole": [1, 2], "tumour": 2})
    assert list(scores.labels) == ["whole", "tumour"]
    assert scores.labels["whole"].dice == 1
    assert scores.labels["tumour"].recall == 0


def test_ignored_voxels_are_left_out(folders: tuple[Path, Path], label_map: np.ndarray) -> None:
    """Of the 27 voxels 9 are ignored; the prediction misses 9 others and has 2 false ones, 1 ignored."""
    truth, prediction = label_map > 0, label_map > 0
    prediction[2, 1:4, 1:4] = False
    prediction[0, 0, :2] = True
    truth = truth.astype(np.uint8)
    truth[1, 1:4, 1:4] = truth[0, 0, 0] = 3
    write(folders[0] / "a.nii.gz", prediction.astype(np.uint8))
    write(folders[1] / "a.nii.gz", truth)
    (scores,) = evaluate_folder(*folders, labels={"background": 0, "pancreas": 1, "ignore": 3})
    overlap = scores.overlaps["pancreas"]
    assert (overlap.tp, overlap.fp, overlap.fn) == (9, 1, 9)
    assert overlap.tn == 5 * 6 * 7 - 10 - 19
    assert scores.labels["pancreas"].precision == pytest.approx(9 / 10)
    # Slice 1 is ignored in part, which leaves no target in it; slice 2 is missed and slice 3 detected.
    assert scores.labels["pancreas"].slices == 2
    assert scores.labels["pancreas"].slice_specificity == 1
    assert scores.labels["pancreas"].slice_accuracy == pytest.approx((33 / 42 + 1) / 2)


def test_voxels_ignored_in_a_slice_with_target_are_not_among_its_voxels(
    folders: tuple[Path, Path], label_map: np.ndarray
) -> None:
    """Of the 42 voxels of slice 2, of which 9 are target, 12 are ignored; 2 others are false, 1 ignored."""
    truth = (label_map > 0).astype(np.uint8)
    prediction = truth.copy()
    prediction[2, 5, :2] = prediction[2, 4, 6] = 1
    truth[2, 4:, 2:] = truth[2, 0, 0] = truth[2, 0, 6] = 3
    write(folders[0] / "a.nii.gz", prediction)
    write(folders[1] / "a.nii.gz", truth)
    (scores,) = evaluate_folder(*folders, labels={"background": 0, "pancreas": 1, "ignore": 3})
    measured = scores.labels["pancreas"]
    assert measured.slice_specificity == pytest.approx((1 + 19 / 21 + 1) / 3)
    assert measured.slice_accuracy == pytest.approx((1 + 28 / 30 + 1) / 3)


def test_every_score_of_a_case_worked_by_hand(folders: tuple[Path, Path]) -> None:
    """A cube of 3 x 3 x 3 voxels predicted 1 voxel too far along x, of 2 mm; other voxels 1 mm."""
    truth = np.zeros((5, 8, 9), dtype=np.uint8)
    truth[1:4, 1:4, 1:4] = 1
    write(folders[0] / "a.nii.gz", np.roll(truth, 1, axis=2), spacing=(2, 1, 1))
    write(folders[1] / "a.nii.gz", truth, spacing=(2, 1, 1))
    (scores,) = evaluate_folder(*folders, labels={"background": 0, "pancreas": 1})
    measured = scores.labels["pancreas"]
    assert measured.dice == measured.f1 == measured.precision == measured.recall == pytest.approx(18 / 27)
    assert measured.iou == pytest.approx(18 / 36)
    assert measured.specificity == pytest.approx((360 - 36) / (360 - 27))
    assert measured.accuracy == pytest.approx((360 - 18) / 360)
    assert measured.volume_ml == measured.truth_volume_ml == pytest.approx(0.054)
    assert measured.volume_error_ml == 0
    # Of the 26 surface voxels 9 are beside the other cube: 8 of them 2 mm away and the one in the middle of
    # the face too; the middle of the shared hollow is 1 mm from the surface. The rest coincide.
    assert measured.hd95_mm == pytest.approx(2)
    assert measured.assd_mm == pytest.approx((9 * 2 + 1) / 26)
    assert measured.nsd_1mm == pytest.approx(17 / 26)
    assert measured.nsd_2mm == 1
    assert (measured.lesions, measured.lesions_found, measured.false_positives) == (1, 1, 0)
    assert (measured.slices, measured.slice_dice) == (3, pytest.approx(6 / 9))


def directed_distances_mm(mask: np.ndarray, other: np.ndarray, spacing_mm: tuple[float, ...]) -> np.ndarray:
    surfaces = [np.argwhere(region & ~binary_erosion(region)) * spacing_mm for region in (mask, other)]
    return np.linalg.norm(surfaces[0][:, None] - surfaces[1], axis=-1).min(axis=1)


def test_every_score_is_in_its_own_column(tmp_path: Path) -> None:
    """Of a cube of 3 x 3 x 3 voxels slice 1 is predicted, slice 2 with six voxels too many and three too few.

    Slice 3 is missed, and slice 4 has a false voxel. Voxels have 1 x 1 x 2 mm.
    """
    truth = np.zeros((5, 8, 9), dtype=np.uint8)
    prediction = truth.copy()
    truth[1:4, 1:4, 1:4] = 1
    prediction[1, 1:4, 1:4] = prediction[2, 1:4, 2:6] = prediction[4, 7, 8] = 1
    files = CaseFiles(
        case="a",
        prediction=tmp_path / "predictions" / "a.nii.gz",
        truth=tmp_path / "truths" / "a.nii.gz",
        probabilities=tmp_path / "a.npz",
    )
    write(files.prediction, prediction, spacing=(2, 1, 1))
    write(files.truth, truth, spacing=(2, 1, 1))
    np.savez_compressed(tmp_path / "a.npz", probabilities=np.stack([1 - prediction, prediction]) * 0.5 + 0.25)
    masks = prediction == 1, truth == 1
    distances_mm = [directed_distances_mm(*pair, (1, 1, 2)) for pair in (masks, masks[::-1])]
    every_mm = np.concatenate(distances_mm)
    slices = [(masks[0][number], masks[1][number]) for number in (1, 2, 3)]
    measured = score_case(files, targets=read_targets({"background": 0, "pancreas": 1})).labels["pancreas"]
    assert asdict(measured) == pytest.approx(
        {
            "dice": 30 / 49,
            "iou": 15 / 34,
            "precision": 15 / 22,
            "recall": 15 / 27,
            "specificity": 326 / 333,
            "accuracy": 341 / 360,
            "f1": 30 / 49,
            "hd95_mm": max(np.percentile(of_surface, 95) for of_surface in distances_mm),
            "assd_mm": every_mm.mean(),
            "nsd_1mm": np.mean(every_mm <= 1),
            "nsd_2mm": np.mean(every_mm <= 2),
            "volume_ml": 0.044,
            "truth_volume_ml": 0.054,
            "volume_error_ml": -0.01,
            "s_measure": np.mean([s_measure(*pair) for pair in slices]),
            "e_measure": np.mean([e_measure(*pair) for pair in slices]),
            "lesions": 1,
            "lesions_found": 1,
            "false_positives": 1,
            "slices": 3,
            "slice_dice": (1 + 12 / 21 + 0) / 3,
            "slice_iou": (1 + 6 / 15 + 0) / 3,
            "slice_precision": (1 + 6 / 12 + 0) / 3,
            "slice_recall": (1 + 6 / 9 + 0) / 3,
            "slice_specificity": (1 + 57 / 63 + 1) / 3,
            "slice_accuracy": (1 + 63 / 72 + 63 / 72) / 3,
            "probability": 0.75,
            "average_precision": 15 / 27 * 15 / 22 + 12 / 27 * 27 / 360,
        },
        abs=1e-6,
    )


def test_a_region_has_the_probabilities_of_its_own_channel(tmp_path: Path, label_map: np.ndarray) -> None:
    files = CaseFiles(
        case="a",
        prediction=tmp_path / "predictions" / "a.nii.gz",
        truth=tmp_path / "truths" / "a.nii.gz",
        probabilities=tmp_path / "a.npz",
    )
    for path in (files.prediction, files.truth):
        write(path, label_map)
    whole, tumour = label_map > 0, label_map == 2
    channels = np.stack([np.where(whole, 0.9, 0.1), np.where(tumour, 0.3, 0.6)])
    np.savez_compressed(tmp_path / "a.npz", probabilities=channels)
    labels = {"background": 0, "whole": [1, 2], "tumour": [2]}
    measured = score_case(files, targets=read_targets(labels)).labels
    assert measured["whole"].probability == pytest.approx(0.9)
    assert measured["whole"].average_precision == 1
    assert measured["tumour"].probability == pytest.approx(0.6)
    assert measured["tumour"].average_precision == pytest.approx(1 / label_map.size)


def test_slices_are_axial_however_the_image_is_stored(tmp_path: Path) -> None:
    """The patient's height runs along the first axis of the file instead of the third."""
    truth = np.zeros((6, 7, 8), dtype=np.uint8)
    truth[1:5, 2:6, 3] = 1
    scores = {}
    for name, direction in (
        ("axial", (1, 0, 0, 0, 1, 0, 0, 0, 1)),
        ("sagittal", (0, 0, 1, 0, 1, 0, 1, 0, 0)),
    ):
        for folder in ("predictions", "truths"):
            (tmp_path / folder).mkdir(exist_ok=True)
            image = sitk.GetImageFromArray(truth)
            image.SetDirection(direction)
            sitk.WriteImage(image, str(tmp_path / folder / f"{name}.nii.gz"))
    for case in evaluate_folder(tmp_path / "predictions", tmp_path / "truths", labels={"pancreas": 1}):
        scores[case.case] = case.labels["pancreas"].slices
    assert scores == {"axial": 4, "sagittal": 1}


@pytest.mark.parametrize(
    ("network", "case", "dice"),
    [
        ("pred_Dice", "pancreas_021", 0.884),
        ("pred_DiceCE", "pancreas_021", 0.900),
        ("pred_Dice", "pancreas_051", 0.867),
        ("pred_DiceCE", "pancreas_051", 0.856),
        ("pred_Dice", "pancreas_067", 0.928),
        ("pred_DiceCE", "pancreas_067", 0.935),  # 0.93548
    ],
)
def test_real_pancreata(shared_data: Path, network: str, case: str, dice: float) -> None:
    """Dice known beforehand to three decimals; all scores equal those of SimpleITK and MONAI."""
    masks = shared_data / "msd_task07_masks"
    files = CaseFiles(
        case=case, prediction=masks / network / f"{case}.nii.gz", truth=masks / "gt" / f"{case}.nii.gz"
    )
    measured = score_case(files, targets=read_targets({"pancreas": 1})).labels["pancreas"]
    assert round(measured.dice, 3) == dice
    prediction, truth = (
        sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkUInt8) for path in (files.prediction, files.truth)
    )
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(truth, prediction)
    assert measured.dice == pytest.approx(overlap.GetDiceCoefficient(1))
    assert measured.iou == pytest.approx(overlap.GetJaccardCoefficient(1))
    spacing_mm = truth.GetSpacing()[::-1]
    masks = [
        torch.from_numpy(sitk.GetArrayFromImage(image))[None, None] == 1 for image in (prediction, truth)
    ]
    masks = [mask.float() for mask in masks]
    options = {"include_background": True, "spacing": list(spacing_mm)}
    hd95 = compute_hausdorff_distance(*masks, percentile=95, **options).item()
    assert measured.hd95_mm == pytest.approx(hd95, abs=1e-4)
    nsd = compute_surface_dice(*masks, class_thresholds=[2.0], **options).item()
    assert measured.nsd_2mm == pytest.approx(nsd, abs=1e-4)
