"""`pancext evaluate`: its files and output, and its errors on bad input."""

import csv
import json
import math
import re

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.cli.main import main

LABELS = {"background": 0, "pancreas": 1, "tumour": 2}


@pytest.fixture
def root(tmp_path):
    """Three cases predicted one voxel too far, with probabilities; the third has no tumour."""
    for folder in ("predictions", "truth"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        truth = np.zeros((6, 12, 14), dtype=np.uint8)
        truth[1:5, 2:9, 2:9] = 1
        if number < 2:
            truth[2:4, 4:7, 4:7] = 2
        prediction = np.roll(truth, 1, axis=2)
        for folder, array in (("predictions", prediction), ("truth", truth)):
            sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / folder / f"case{number}.nii.gz"))
        probabilities = np.stack([prediction == value for value in range(3)]) * 0.8 + 0.2 / 3
        np.savez_compressed(
            tmp_path / "predictions" / f"case{number}.npz", probabilities=probabilities.astype(np.float16)
        )
    declared = {"labels": LABELS, "file_ending": ".nii.gz"}
    (tmp_path / "predictions" / "dataset.json").write_text(json.dumps(declared), encoding="utf-8")
    return tmp_path


def evaluate(root, *options):
    return main(
        ["evaluate", str(root / "predictions"), str(root / "truth"), "-o", str(root / "out"), *options]
    )


def rows(root):
    with (root / "out" / "metrics.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_writes_a_row_per_case_and_label(root, capsys):
    assert evaluate(root, "--probabilities", "--jobs", "2") == 0
    table = rows(root)
    assert [(row["case"], row["label"]) for row in table] == [
        (f"case{number}", label) for number in range(3) for label in ("foreground", "pancreas", "tumour")
    ]
    assert float(table[0]["dice"]) == pytest.approx(6 / 7, abs=1e-5)
    assert float(table[0]["probability"]) == pytest.approx(2 * 0.2 / 3 + 0.8, abs=1e-3)
    assert math.isnan(float(table[-1]["dice"]))
    summary = json.loads((root / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["mean"]["2"]["Dice"] == pytest.approx(2 / 3)
    assert summary["pancext"]["labels"]["tumour"]["lesions"] == {
        "lesions": 2,
        "recall": 1.0,
        "false_positives_per_scan": 0.0,
    }
    assert summary["pancext"]["labels"]["tumour"]["patients"]["auroc"] == 1
    with (root / "out" / "pr_curve.csv").open(newline="", encoding="utf-8") as stream:
        curve = [row for row in csv.DictReader(stream) if row["label"] == "tumour"]
    # 36 voxels of 3024 are tumour, and 24 of the 36 that are predicted
    assert [list(map(float, list(row.values())[1:])) for row in curve] == [
        pytest.approx([0.2 / 3 + 0.8, 24 / 36, 24 / 36], abs=1e-3),
        pytest.approx([0.2 / 3, 36 / 3024, 1], abs=1e-3),
    ]
    assert list(curve[0]) == ["label", "threshold", "precision", "recall"]
    printed = capsys.readouterr().out
    assert "per volume, 3 cases" in printed
    assert "0.857 ± 0.000" in printed
    assert "2 of 2" in printed
    assert {path.name for path in (root / "out").iterdir()} == {"metrics.csv", "summary.json", "pr_curve.csv"}


def auroc_of_tumour(root, *options):
    assert evaluate(root, "--probabilities", *options) == 0
    summary = json.loads((root / "out" / "summary.json").read_text(encoding="utf-8"))
    return summary["pancext"]["labels"]["tumour"]["patients"]["auroc"]


def test_a_patient_is_ranked_once(root, capsys):
    """If all cases are of one patient, there is no patient without a tumour to compare with."""
    assert auroc_of_tumour(root) == 1
    assert math.isnan(auroc_of_tumour(root, "--patient-regex", "^(case)"))
    (root / "split.json").write_text(
        json.dumps({"patients": {f"case{number}": "a" for number in range(3)}}), encoding="utf-8"
    )
    assert math.isnan(auroc_of_tumour(root))
    assert auroc_of_tumour(root, "--patient-regex", "^case(.)") == 1


def test_an_expression_that_matches_no_patient_is_refused(root, capsys):
    assert evaluate(root, "--patient-regex", "(patient)") == 1
    assert "finds no patient in the case 'case0'" in capsys.readouterr().err


def test_a_case_that_is_ignored_altogether_takes_no_part(root, capsys):
    labels = {**LABELS, "ignore": 3}
    declared = {"labels": labels, "file_ending": ".nii.gz"}
    (root / "predictions" / "dataset.json").write_text(json.dumps(declared), encoding="utf-8")
    path = root / "truth" / "case0.nii.gz"
    image = sitk.ReadImage(path)
    sitk.WriteImage(image * 0 + 3, path)
    assert evaluate(root, "--probabilities") == 0
    tumour = json.loads((root / "out" / "summary.json").read_text(encoding="utf-8"))["pancext"]["labels"][
        "tumour"
    ]
    assert tumour["patients"] == {"auroc": 1, "average_precision": 1}
    assert {row["probability"] for row in rows(root) if row["case"] == "case0"} == {"nan"}


def test_without_probabilities_no_curve(root, capsys):
    assert evaluate(root) == 0
    assert "AUROC" not in capsys.readouterr().out
    assert not (root / "out" / "pr_curve.csv").exists()


def remove_prediction(root):
    (root / "predictions" / "case1.nii.gz").unlink()


def remove_truth(root):
    (root / "truth" / "case1.nii.gz").unlink()


def truncate(root):
    path = root / "predictions" / "case1.nii.gz"
    path.write_bytes(path.read_bytes()[:-30])


def other_size(root):
    sitk.WriteImage(
        sitk.GetImageFromArray(np.zeros((2, 3, 4), dtype=np.uint8)),
        str(root / "predictions" / "case1.nii.gz"),
    )


def other_geometry(root):
    path = str(root / "predictions" / "case1.nii.gz")
    image = sitk.ReadImage(path)
    image.SetSpacing((1, 1, 3))
    sitk.WriteImage(image, path)


def not_finite(root):
    path = str(root / "predictions" / "case1.nii.gz")
    image = sitk.ReadImage(path)
    values = sitk.GetArrayFromImage(image).astype(np.float32)
    values[values == 2], values[0, 0, 0] = np.nan, np.inf
    damaged = sitk.GetImageFromArray(values)
    damaged.CopyInformation(image)
    sitk.WriteImage(damaged, path)


def unknown_label(root):
    path = str(root / "truth" / "case1.nii.gz")
    sitk.WriteImage(sitk.ReadImage(path) + 4, path)


def other_probabilities(root):
    np.savez_compressed(root / "predictions" / "case1.npz", probabilities=np.zeros((3, 2, 2, 2)))


def nan_probabilities(root):
    np.savez_compressed(root / "predictions" / "case1.npz", probabilities=np.full((3, 6, 12, 14), np.nan))


def npy_for_npz(root):
    with (root / "predictions" / "case1.npz").open("wb") as stream:
        np.save(stream, np.zeros((3, 6, 12, 14)))


def no_probabilities(root):
    (root / "predictions" / "case1.npz").unlink()


BAD_CASES = [
    (remove_prediction, r"No prediction for 1 of 3 cases in .*case1.*With --keep-going the other cases"),
    (remove_truth, r"No ground truth for 1 predictions in .*case1"),
    (truncate, r"Case 'case1': Cannot read the image"),
    (other_size, r"Case 'case1': .*size \(4, 3, 2\) against"),
    (other_geometry, r"Case 'case1': .*differ in geometry"),
    (not_finite, r"Case 'case1': The label map .*case1.* holds 19 voxels of NaN or infinity"),
    (unknown_label, r"Case 'case1': the ground truth .* holds the values \[4, 5, 6\]"),
    (other_probabilities, r"Case 'case1': The probabilities .*shape \(3, 2, 2, 2\), expected"),
    (nan_probabilities, r"Case 'case1': The probabilities .*not finite"),
    (npy_for_npz, r"Case 'case1': Cannot read the probabilities"),
    (no_probabilities, r"Case 'case1': Cannot read the probabilities"),
]


@pytest.mark.parametrize(("damage", "message"), BAD_CASES, ids=[damage.__name__ for damage, _ in BAD_CASES])
def test_a_bad_case_is_named_and_the_rest_scored_on_demand(root, capsys, damage, message):
    damage(root)
    assert evaluate(root, "--probabilities") == 1
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert "Traceback" not in error
    assert not (root / "out").exists()

    assert evaluate(root, "--probabilities", "--keep-going") == 1
    printed = capsys.readouterr()
    assert "case1" in printed.err.splitlines()[-1]
    assert "per volume, 2 cases" in printed.out
    assert {row["case"] for row in rows(root)} == {"case0", "case2"}
    summary = json.loads((root / "out" / "summary.json").read_text(encoding="utf-8"))
    assert list(summary["pancext"]["not_scored"]) == ["case1"]


def test_no_case_to_score_is_an_error_even_with_keep_going(root, capsys):
    for number in range(3):
        (root / "predictions" / f"case{number}.nii.gz").write_bytes(b"no image")
    assert evaluate(root, "--keep-going") == 1
    error = capsys.readouterr().err
    assert "No case could be scored" in error
    for number in range(3):
        assert error.count(f"Case 'case{number}': Cannot read the image") == 1
    assert not (root / "out").exists()


def test_all_predictions_missing_are_named_case_by_case(root, capsys):
    for number in range(3):
        (root / "predictions" / f"case{number}.nii.gz").unlink()
    assert evaluate(root, "--keep-going") == 1
    error = capsys.readouterr().err
    for number in range(3):
        assert re.search(f"Case 'case{number}': No prediction in .*predictions. Predict this case", error)


@pytest.mark.parametrize("place", ["truth", "."])
def test_finds_dataset_json_beside_the_truth_too(root, place):
    (root / "predictions" / "dataset.json").rename(root / place / "dataset.json")
    assert evaluate(root) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No dataset.json names the labels; tried .*--dataset-json"),
        ("{", "dataset.json is not JSON"),
        ("{}", "dataset.json declares no labels"),
        ('{"labels": {"background": 0}}', "No foreground label"),
        ('{"labels": {"pancreas": 1, "tumour": 2}, "file_ending": ".nrrd"}', "No file ending in '.nrrd'"),
    ],
)
def test_refuses_a_dataset_json_without_labels(root, capsys, content, message):
    path = root / "predictions" / "dataset.json"
    path.unlink() if content is None else path.write_text(content, encoding="utf-8")
    assert evaluate(root) == 1
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize(("folder", "what"), [("predictions", "predicted"), ("truth", "ground-truth")])
def test_a_missing_folder_is_named_before_dataset_json_is_looked_for(root, capsys, folder, what):
    (root / "predictions" / "dataset.json").unlink()
    (root / folder).rename(root / "elsewhere")
    assert evaluate(root) == 1
    error = capsys.readouterr().err
    assert re.search(f"There is no folder of {what} label maps at .*{folder}. Check", error)
    assert "dataset.json" not in error


def test_refuses_no_jobs(root, capsys):
    assert evaluate(root, "--jobs", "0") == 1
    assert "--jobs must be at least 1" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_refused_before_the_work(root, capsys):
    (root / "out").write_text("a file", encoding="utf-8")
    assert evaluate(root) == 1
    error = capsys.readouterr().err
    assert re.search(r"Cannot write to .*out: .*Give another folder with -o", error)
    assert "evaluating" not in error


def test_a_full_disk_at_the_end_is_reported(root, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nnunet_pancext.evaluation.summary.write_json", full)
    assert evaluate(root) == 1
    assert re.search(r"Cannot write to .*out: No space left on device", capsys.readouterr().err)
