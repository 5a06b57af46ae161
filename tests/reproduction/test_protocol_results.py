"""The table of a paper's figures beside ours and stock nnU-Net's."""

import csv
import json
from pathlib import Path

import pytest

from nnunet_pancext.cli.main import main
from nnunet_pancext.reproduction.campaign import result_paths
from nnunet_pancext.reproduction.comparison import compare, score_text
from nnunet_pancext.reproduction.papers import PAPERS
from nnunet_pancext.reproduction.protocol import Column
from nnunet_pancext.reproduction.selection import Selection, planned_runs

NONE = "–"  # noqa: RUF001


def write_scores(paper: str, trainer: str, labels: dict, *, out: Path, datasets: list[str]) -> None:
    """Put the scores of a trainer where its evaluation would."""
    (run,) = planned_runs(PAPERS[paper], Selection(out=out, datasets=datasets))
    file = out / paper / result_paths(run, trainer)[1] / "summary.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"pancext": {"cases": 23, "labels": labels}}), encoding="utf-8")


def cells(paper: str, *, out: Path, datasets: list[str]) -> dict[tuple[str, str, str], tuple[str, str, str]]:
    (run,) = planned_runs(PAPERS[paper], Selection(out=out, datasets=datasets))
    return {
        (row.source, row.method, row.metric): (row.paper, row.ours, row.stock)
        for row in compare(run, folder=out / paper).rows
    }


def test_scores_per_slice_stand_beside_the_papers(tmp_path):
    ours = {
        "per_slice": {"slice_dice": 0.51234, "slice_recall": 0.6, "slice_specificity": 0.99876},
        "per_volume": {"specificity": {"mean": 0.99999}, "dice": {"mean": 0.4}},
    }
    stock = {"per_slice": {"slice_dice": 0.45}, "per_volume": {"dice": {"mean": 0.5}}}
    main_trainer = "PancreasTumorCascadeTrainer_PaperRecipe"
    write_scores("pancreas-tumor-cascade", main_trainer, {"cancer": ours}, out=tmp_path, datasets=["msd"])
    write_scores("pancreas-tumor-cascade", "nnUNetTrainer", {"cancer": stock}, out=tmp_path, datasets=["msd"])
    table = cells("pancreas-tumor-cascade", out=tmp_path, datasets=["msd"])
    assert table["Table 1", "cascade", "Dice"] == ("0.5924", "0.5123", "0.4500")
    assert table["Table 1", "cascade", "sensitivity"] == ("0.6824", "0.6000", NONE)
    assert table["Table 1", "cascade", "specificity"] == ("0.9988", "0.9988", NONE)
    assert table["Table 1", "nnU-Net", "Dice"] == ("0.5456", "0.4500", "0.4500")
    assert table["Table 3", "M-P", "Dice"] == ("0.5319", NONE, "0.4500")
    assert ("Table 1", "U-Net++", "Dice") not in table  # no trainer here stands for it
    assert (NONE, "0.4000", "0.5000") in table.values()  # Dice per volume, ours alone


def test_the_mean_of_several_labels_is_taken(tmp_path):
    names = ("right ventricle", "myocardium", "left ventricle")
    labels = {
        name: {"per_volume": {"dice": {"mean": dice}}}
        for name, dice in zip(names, (0.7, 0.8, 0.96), strict=True)
    }
    write_scores(
        "dlkunet", "DLKUNetLTrainer_PaperRecipe_DynamicLoss", labels, out=tmp_path, datasets=["acdc"]
    )
    table = cells("dlkunet", out=tmp_path, datasets=["acdc"])
    assert table["Table 3", "DLKUNet-L", "Dice, %"] == ("91.93", "82.00", NONE)
    assert table["Table 3", "DLKUNet-L", "Myo, %"] == ("90.19", "80.00", NONE)


def test_spreads_are_shown_where_the_paper_has_them(tmp_path):
    labels = {
        "pancreas": {"per_volume": {"dice": {"mean": 0.8, "sd": 0.05}, "assd_mm": {"mean": 2.5, "sd": 1}}}
    }
    write_scores("attention-unet", "nnUNetTrainer", labels, out=tmp_path, datasets=["nih"])
    table = cells("attention-unet", out=tmp_path, datasets=["nih"])
    source, method = "Training Results", "Attention U-Net, as quoted"
    assert table[source, method, "Dice, %"] == ("81.5 ± 6.8", NONE, "80.0 ± 5.0")
    assert table[source, method, "surface distance, mm"] == ("2.33 ± 0.86", NONE, "2.50 ± 1.00")


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ({"organ": {"a": {"b": 0.12345}}}, "12.35"),
        ({"organ": {"a": {"b": float("nan")}}}, NONE),
        ({"organ": {"a": {}}}, NONE),
        ({"organ": {}}, NONE),
        ({}, NONE),
        (None, NONE),
    ],
)
def test_what_is_undefined_or_missing_is_a_dash(labels, text):
    assert score_text(labels, Column(title="", where="a.b", labels=("organ",), scale=100)) == text


def test_a_mean_over_labels_of_which_one_is_missing_is_a_dash():
    column = Column(title="", where="a", labels=("one", "other"))
    assert score_text({"one": {"a": 0.5}}, column) == NONE


def test_every_column_is_where_an_evaluation_writes_it(tmp_path):
    """Scores of a real evaluation fill every column of a table but those of probabilities."""
    import numpy as np
    import SimpleITK as sitk

    from nnunet_pancext.evaluation.folder import evaluate
    from nnunet_pancext.evaluation.summary import write_summary

    label = np.zeros((4, 6, 6), np.uint8)
    label[1:3, 2:4, 2:4] = 1
    label[1:3, 4, 4] = 2
    folders = tmp_path / "predictions", tmp_path / "truth"
    for folder in folders:
        folder.mkdir()
        for case in ("a", "b"):
            sitk.WriteImage(sitk.GetImageFromArray(label), str(folder / f"{case}.nii.gz"))
    evaluation = evaluate(*folders, labels={"background": 0, "pancreas": 1, "cancer": 2})
    write_summary(evaluation, tmp_path / "summary.json")
    labels = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["pancext"]["labels"]
    for name in ("segresnet-nl", "pancreas-tumor-cascade", "attention-unet", "cdi-nstseg"):
        for experiment in PAPERS[name].experiments:
            for column in (*(c for table in experiment.tables for c in table.columns), *experiment.further):
                # curves want probabilities, and a column without a place is the paper's alone
                absent = column.where.startswith("voxels") or not column.where
                assert (score_text(labels, column) == NONE) == absent, column


def test_the_labels_are_those_of_the_conversions():
    from nnunet_pancext.dataset_conversion.layouts import acdc, nih, synapse

    known = {
        "msd": {"pancreas", "cancer"},
        "nih": set(nih.LABELS),
        "acdc": set(acdc.LABELS),
        "synapse": set(synapse.EIGHT),
    }
    for paper in PAPERS.values():
        for experiment in paper.experiments:
            columns = (*(c for table in experiment.tables for c in table.columns), *experiment.further)
            used = {label for column in columns for label in column.labels}
            assert used <= known[experiment.dataset.layout]


def test_the_table_is_written_as_page_and_csv(tmp_path, capsys):
    write_scores(
        "segresnet-nl",
        "SegResNetNLTrainer",
        {"pancreas": {"per_slice": {"slice_dice": 0.9}}},
        out=tmp_path,
        datasets=["msd"],
    )
    assert main(["reproduce", "segresnet-nl", "--table", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "- The paper names no test patients: the 24 are drawn with a fixed seed." in shown
    page = (tmp_path / "segresnet-nl.md").read_text(encoding="utf-8")
    assert (
        f"| Table 2 | 2 blocks, the paper's model | Dice, % | 91.51 | 90.00 | {NONE} | 23 | {NONE} |" in page
    )
    assert "## What cannot be reproduced" in page
    with (tmp_path / "segresnet-nl.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    (row,) = (row for row in rows if row["ours"] == "90.00")
    assert row == {
        "dataset": "Dataset900_PancreasOrgan",
        "configuration": "2d",
        "folds": "all",
        "source": "Table 2",
        "method": "2 blocks, the paper's model",
        "trainer": "SegResNetNLTrainer",
        "metric": "Dice, %",
        "paper": "91.51",
        "ours": "90.00",
        "stock": NONE,
        "cases": "23",
        "stock_cases": NONE,
    }
