"""`pancext compare`, the whole of it, on a made tree of nnU-Net's results."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from made_results import add_model, truth_array, write_map

from nnunet_pancext.cli.main import main
from nnunet_pancext.evaluation.scores import METRICS

FILES = {"comparison.csv", "statistics.csv", "strata.csv", "cost.csv", "comparison.tex", "comparison.html"}
OURS, THEIRS = "SegResNetNL0Trainer", "SomebodysTrainer"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def trained(tree):
    """nnU-Net's trainer, ours that is better, and one that nobody here knows, equal to the first."""
    shifts = [2, 3, 2, 4, 3, 2, 5, 3]
    add_model(tree, "nnUNetTrainer", shift=shifts)
    add_model(tree, OURS, shift=[step - 1 for step in shifts], seconds=12.0)
    add_model(tree, THEIRS, shift=shifts)
    return tree


def compare(out: Path, *arguments: str) -> int:
    return main(["compare", "7", "--trainers", "nnUNetTrainer", OURS, THEIRS, "-o", str(out), *arguments])


def test_the_whole_command(trained, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    assert compare(out) == 0
    assert {path.name for path in out.iterdir()} == FILES
    printed, progress = capsys.readouterr()
    assert "scoring: 100%" in progress
    assert (
        "Dataset007_Pancreas, nnUNetPlans 3d_fullres, 8 cases, folds 0, 1\nreference nnUNetTrainer" in printed
    )
    assert f"report    {out / 'comparison.html'}" in printed
    assert "nnU-Net finds no trainer SomebodysTrainer here" in printed

    cases = rows_of(out / "comparison.csv")
    assert len(cases) == 3 * 8 * 3  # trainers, cases, labels with their union
    assert set(METRICS) < set(cases[0])
    [row] = [
        row
        for row in cases
        if (row["trainer"], row["case"], row["label"]) == (OURS, "pancreas_003", "tumour")
    ]
    # a lesion of 4 columns moved by 3: one of them is common
    assert (row["fold"], float(row["dice"])) == ("1", pytest.approx(0.25))

    found = {
        (row["trainer"], row["label"], row["metric"], row["fold"]): row
        for row in rows_of(out / "statistics.csv")
    }
    for (trainer, label, metric, fold), row in found.items():
        if fold == "all" and metric in ("dice", "hd95_mm"):
            own = [row for row in cases if (row["trainer"], row["label"]) == (trainer, label)]
            finite = [float(row[metric]) for row in own if math.isfinite(float(row[metric]))]
            assert float(row["mean"]) == pytest.approx(np.mean(finite), rel=1e-9)
    better = found[OURS, "tumour", "dice", "all"]
    # overlap in columns falls by one with each voxel of shift: 2, 1, 2, 0, 1, 2, 0, 1 of 4, and one more
    assert float(found["nnUNetTrainer", "tumour", "dice", "all"]["mean"]) == pytest.approx(9 / 32)
    assert float(better["mean"]) == pytest.approx(16 / 32)
    assert float(better["difference"]) == pytest.approx(7 / 32, abs=1e-5)
    # seven gains of one size and a zero: p = 2 / 2**7
    assert float(better["p"]) == pytest.approx(2 / 128)
    assert (better["wins"], better["ties"], better["losses"], better["rank_biserial"]) == ("7", "1", "0", "1")
    copy = found[THEIRS, "tumour", "dice", "all"]
    assert (float(copy["p"]), float(copy["p_holm"]), float(copy["difference"])) == (1, 1, 0)
    assert found["nnUNetTrainer", "tumour", "dice", "all"]["p"] == ""
    assert found[OURS, "tumour", "dice", "0"]["n"] == "4"

    assert {row["size"] for row in rows_of(out / "strata.csv") if row["label"] == "tumour"} == {
        "up to 20 mm (T1)",
        "over 20 to 40 mm (T2)",
        "over 40 mm (T3)",
    }
    costs = {row["trainer"]: row for row in rows_of(out / "cost.csv")}
    assert costs[OURS]["seconds_per_epoch"] == "12"
    assert int(costs[OURS]["parameters"]) > 10**6
    assert costs[THEIRS]["parameters"] == "nnU-Net finds no trainer SomebodysTrainer here"


def test_reference_folds_metrics_and_strata_are_the_users(trained, tmp_path, capsys):
    chosen = ["--reference", OURS, "--folds", "1", "--metrics", "iou", "--strata", "pancreas=0.5,0.9mL"]
    assert compare(tmp_path / "out", *chosen) == 0
    printed = capsys.readouterr().out
    assert f"4 cases, fold 1\nreference {OURS}" in printed
    assert "tumour: IoU" in printed
    assert "tumour: Dice" not in printed
    assert "With 4 patients the smallest p" in printed
    assert "1 of 2 folds compared (1)" in printed
    rows = rows_of(tmp_path / "out" / "statistics.csv")
    assert {row["reference"] for row in rows} == {"", OURS}
    assert {row["size"] for row in rows_of(tmp_path / "out" / "strata.csv")} == {
        "up to 0.5 mL",
        "over 0.5 to 0.9 mL",
        "over 0.9 mL",
    }


def test_models_of_other_plans_are_named_in_full(trained, tmp_path, capsys):
    other = "nnUNetTrainer__nnUNetResEncUNetMPlans__3d_fullres"
    add_model(trained, other, shift=1)
    arguments = ["--trainers", "nnUNetTrainer", other, "-o", str(tmp_path / "out")]
    assert main(["compare", "Dataset007_Pancreas", *arguments]) == 0
    names = {row["trainer"] for row in rows_of(tmp_path / "out" / "cost.csv")}
    assert names == {"nnUNetTrainer__nnUNetPlans", "nnUNetTrainer__nnUNetResEncUNetMPlans"}


def test_a_missed_lesion_is_infinitely_far_and_counted(trained, tmp_path, capsys):
    array = truth_array(0)
    array[array == 2] = 1
    write_map(trained.prediction(OURS, "pancreas_000"), array)
    assert compare(tmp_path / "out") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "(+1 \N{INFINITY})" in printed
    assert "There are some in tumour (HD95, mm and ASSD, mm)." in printed
    rows = {
        (row["trainer"], row["label"], row["metric"]): row
        for row in rows_of(tmp_path / "out" / "statistics.csv")
        if row["fold"] == "all"
    }
    row = rows[OURS, "tumour", "hd95_mm"]
    assert (row["n"], row["infinite"]) == ("8", "1")
    assert math.isfinite(float(row["mean"]))
    assert int(row["losses"]) >= 1
    [case] = [
        row
        for row in rows_of(tmp_path / "out" / "comparison.csv")
        if (row["trainer"], row["case"], row["label"]) == (OURS, "pancreas_000", "tumour")
    ]
    assert (case["hd95_mm"], case["precision"]) == ("inf", "nan")


def test_regions_are_compared(trained, tmp_path, capsys):
    for path in [trained.preprocessed / "dataset.json", *trained.results.rglob("dataset.json")]:
        labels = '"whole": [1, 2], "tumour": [2]'
        path.write_text(
            path.read_text(encoding="utf-8").replace('"pancreas": 1, "tumour": 2', labels), encoding="utf-8"
        )
    for path in trained.results.rglob("summary.json"):
        path.write_text(path.read_text(encoding="utf-8").replace('"2"', '"(2,)"'), encoding="utf-8")
    changed = truth_array(3)
    changed[changed == 2] = 1
    write_map(trained.truths / "pancreas_003.nii.gz", changed)
    assert compare(tmp_path / "out") == 1
    assert "label 'tumour' had 32 voxels, now it has 0" in capsys.readouterr().err
    write_map(trained.truths / "pancreas_003.nii.gz", truth_array(3))
    assert compare(tmp_path / "out") == 0
    assert {row["label"] for row in rows_of(tmp_path / "out" / "comparison.csv")} == {"whole", "tumour"}


def test_a_refusal_has_no_traceback_and_writes_nothing(trained, tmp_path, capsys):
    trained.prediction(OURS, "pancreas_003").unlink()
    assert compare(tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert f"pancext compare: error: {OURS}, fold 1 is not finished" in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_an_output_that_cannot_be_written_is_reported_before_the_work(trained, tmp_path, capsys, place):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    assert compare(tmp_path / place) == 1
    stderr = capsys.readouterr().err
    assert f"Cannot write to {tmp_path / place}" in stderr
    assert "scoring" not in stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strata", "tumor=20,40mm"], "names no label; there are: foreground, pancreas, tumour"),
        (["--seed", "-1"], "--seed must be 0 or above, got -1"),
        (["--jobs", "0"], "--jobs must be at least 1, got 0"),
        (["--metrics", "dise"], "There is no metric 'dise'. Choose from: dice, iou"),
        (
            ["--metrics", "dice", "average_precision"],
            "average_precision cannot be compared. No trainer has probabilities: nnUNetv2_train with --val",
        ),
    ],
)
def test_mistakes_in_the_arguments_are_reported_before_the_work(
    trained, tmp_path, capsys, arguments, message
):
    assert compare(tmp_path / "deep" / "out", *arguments) == 1
    stderr = capsys.readouterr().err
    assert message in stderr
    assert "Traceback" not in stderr
    assert "scoring" not in stderr
    assert not (tmp_path / "deep").exists()


def test_a_metric_given_twice_counts_once(trained, tmp_path):
    assert compare(tmp_path / "out", "--metrics", "dice", "iou", "dice") == 0
    found = {
        row["metric"]: float(row["p_holm"])
        for row in rows_of(tmp_path / "out" / "statistics.csv")
        if (row["trainer"], row["label"], row["fold"]) == (OURS, "tumour", "all")
        and row["metric"] in ("dice", "iou", "recall")
    }
    # two trainers, three labels and two metrics are twelve tests; p is 2 / 2**7 for the tumour
    assert found["dice"] <= 12 * 2 / 128
    assert math.isnan(found["recall"])


def test_the_same_comparison_writes_the_same_bytes(trained, tmp_path):
    for name in ("one", "two"):
        assert compare(tmp_path / name) == 0
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
