"""How far the steps are that tell it themselves."""

import json
import os
import zipfile
from pathlib import Path

import pytest
from campaign.small_raw import CASES, DATASET, use_folders, write_dataset_json, write_names
from contracts.made_campaign import write_training_log
from contracts.predict_step import MODEL, PREDICT

from nnunet_pancext.campaign.kinds.preprocess import Preprocess
from nnunet_pancext.campaign.kinds.train import Train


@pytest.mark.parametrize(
    ("cases", "text"),
    [
        (CASES[:0], "0 of 6 cases preprocessed"),
        (CASES[:2], "2 of 6 cases preprocessed"),
        (CASES, "6 of 6 cases preprocessed"),
    ],
)
def test_preprocessing_counts_whole_cases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cases: list[str], text: str
) -> None:
    folders = use_folders(monkeypatch, tmp_path)
    write_names(tmp_path)
    data = Path(folders["nnUNet_preprocessed"], DATASET, "nnUNetPlans_2d")
    data.mkdir(parents=True)
    (data / f"{CASES[2]}.b2nd").write_bytes(b"half of it")
    for case in cases:
        with zipfile.ZipFile(data / f"{case}.npz", "w"):
            (data / f"{case}.pkl").write_bytes(b".")
    step = Preprocess(name="preprocess", dataset=DATASET, configuration="2d")

    assert step.measured(tmp_path).text == text


def test_a_training_counts_its_validated_cases_after_the_last_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = use_folders(monkeypatch, tmp_path)
    step = Train(name="train", dataset=DATASET, configuration="2d", fold="0", trainer="A", plans="P")
    fold = Path(folders["nnUNet_results"], DATASET, "A__P__2d", "fold_0")
    preprocessed = Path(folders["nnUNet_preprocessed"], DATASET)
    preprocessed.mkdir()
    write_dataset_json(preprocessed, CASES)
    splits = [{"train": CASES[3:], "val": CASES[:3]}]
    (preprocessed / "splits_final.json").write_text(json.dumps(splits), encoding="utf-8")
    assert step.measured(tmp_path) is None

    write_training_log(fold, epochs=3, planned=3, dice=0.0)
    assert text_of(step, tmp_path) == "epoch 3 of 3, pseudo Dice 0.000"

    (fold / "validation").mkdir()
    (fold / "validation" / f"{CASES[0]}.nii.gz").touch()
    with zipfile.ZipFile(fold / "checkpoint_final.pth", "w"):
        pass
    assert text_of(step, tmp_path) == "epoch 3 of 3, pseudo Dice 0.000, 1 of 3 cases validated"


def text_of(step: Train, folder: Path) -> str:
    measured = step.measured(folder)
    assert measured is not None
    return measured.text


def test_prediction_counts_the_cases_that_are_younger_than_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Path(use_folders(monkeypatch, tmp_path)["nnUNet_results"])
    for case in "ab":
        write(tmp_path / "images" / f"{case}_0000.nii.gz", modified=1)
    assert PREDICT.measured(tmp_path).text == "0 of 2 cases predicted"

    for fold in PREDICT.folds:
        write(results / DATASET / MODEL / f"fold_{fold}" / "checkpoint_final.pth", modified=5)
    for case, modified in (("a", 6), ("b", 4)):
        write(tmp_path / "predictions" / f"{case}.nii.gz", modified=modified)
        record = f'{{"label_map": "{case}.nii.gz"}}'
        write(tmp_path / "predictions" / f"{case}.json", record, modified=modified)
    assert PREDICT.measured(tmp_path).text == "1 of 2 cases predicted"


def write(path: Path, text: str = "x", *, modified: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (modified, modified))
