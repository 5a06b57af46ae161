"""How far the steps are that tell it themselves."""

import zipfile
from pathlib import Path

import pytest
from campaign.small_raw import CASES, DATASET, use_folders, write_names

from nnunet_pancext.campaign.kinds.preprocess import Preprocess


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
