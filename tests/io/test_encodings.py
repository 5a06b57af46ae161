"""Files that Windows editors and PowerShell save: byte order marks and UTF-16."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.cli.main import main
from nnunet_pancext.dataset_conversion.layouts.acdc import read_patient
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import encoding_fault, read_json
from nnunet_pancext.nnunet_files.splits_final import holds

WITHOUT_BOM = "Save it as UTF-8 without BOM (byte order mark)."
# The encoding, and how nnU-Net's refusal calls it.
FOREIGN = {
    "utf-8-sig": "UTF-8 with a byte order mark",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16-LE",
    "utf-16-be": "UTF-16-BE",
    "utf-32": "UTF-32",
}
FOLDS = [{"train": ["a", "b"], "val": ["c"]}]


@pytest.mark.parametrize("encoding", ["utf-8", *FOREIGN])
def test_json_is_read_in_any_unicode_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"name": "Bauchspeicheldrüse"}, ensure_ascii=False), encoding=encoding)
    assert read_json(path, expect=dict) == {"name": "Bauchspeicheldrüse"}
    fault = encoding_fault(path)
    if encoding == "utf-8":
        assert fault is None
        return
    assert fault == f"{path} is in {FOREIGN[encoding]}, which nnU-Net cannot read. {WITHOUT_BOM}"
    with pytest.raises(ValueError, match=r"BOM|codec|Expecting"), path.open(encoding="utf-8") as file:
        json.load(file)  # as nnU-Net does


def test_another_encoding_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes('{"name": "Drüse"}'.encode("cp1252"))
    with pytest.raises(PancextError, match=r"a\.json is not in UTF-8 .*byte 0xfc.*Save it as UTF-8"):
        read_json(path)


@pytest.mark.parametrize("encoding", FOREIGN)
def test_info_cfg_of_acdc_is_read(tmp_path: Path, encoding: str) -> None:
    patient = tmp_path / "patient001"
    patient.mkdir()
    (patient / "Info.cfg").write_text("ED: 1\r\nES: 12\r\nGroup: DCM\r\n", encoding=encoding)
    cases = read_patient(patient, root=tmp_path)
    assert [case.case_id for case in cases] == ["patient001_frame01", "patient001_frame12"]


@pytest.mark.parametrize("encoding", FOREIGN)
def test_folds_with_a_byte_order_mark_are_the_same_folds(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "splits_final.json"
    path.write_text(json.dumps(FOLDS), encoding=encoding)
    assert holds(path, FOLDS)


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A raw dataset of three cases, and a folder for its folds."""
    folder = tmp_path / "raw" / "Dataset900_Made"
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for number, case in enumerate("abc"):
        image = np.random.default_rng(number).normal(0, 50, (4, 5, 6)).astype(np.int16)
        sitk.WriteImage(sitk.GetImageFromArray(image), str(folder / "imagesTr" / f"{case}_0000.nii.gz"))
    content = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "organ": 1}, "numTraining": 3}
    (folder / "dataset.json").write_text(json.dumps({**content, "file_ending": ".nii.gz"}), encoding="utf-8")
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    (tmp_path / "preprocessed" / folder.name).mkdir(parents=True)
    return folder


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_check_reports_a_dataset_json_that_stops_nnunet(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], encoding: str
) -> None:
    file = raw / "dataset.json"
    file.write_text(file.read_text(encoding="utf-8"), encoding=encoding)
    assert main(["check", str(raw), "-o", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr().out
    assert f"dataset: error: encoding: {file} is in {FOREIGN[encoding]}, which nnU-Net cannot read. " in shown
    assert WITHOUT_BOM in shown


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_splits_check_reads_the_folds_and_warns(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], encoding: str
) -> None:
    file = tmp_path / "preprocessed" / raw.name / "splits_final.json"
    file.write_text(json.dumps(FOLDS), encoding=encoding)
    assert main(["splits", "check", str(raw)]) == 0
    out, error = capsys.readouterr()
    assert "3 training and 0 test cases of 3 patients, 1 folds" in out
    assert f"warning   {file} is in {FOREIGN[encoding]}, which nnU-Net cannot read. {WITHOUT_BOM}" in error
