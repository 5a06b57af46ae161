"""From a PACS and back: a real Orthanc, and receivers that do not answer."""

import re
import socket
from pathlib import Path

import pydicom
import pytest
from contracts.dicom_series import MadeSeries, make_series
from contracts.orthanc import Orthanc, orthanc, running_orthanc
from prediction.in_patient_coordinates import of_segmentation
from prediction.made_models import predict as predict_exact
from prediction.threshold_model import write_threshold_model

from nnunet_pancext.dicom_output import dicomweb
from nnunet_pancext.dicom_output.http_session import BadAnswer

__all__ = ["orthanc", "running_orthanc"]


@pytest.fixture(autouse=True)
def _plain_network(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "PANCEXT_DICOMWEB_TOKEN", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr("nnunet_pancext.dicom_output.http_failures.WAITS_S", (0, 0))


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def model(shared) -> Path:
    return write_threshold_model(shared / "results")


@pytest.fixture(scope="module")
def study(shared) -> MadeSeries:
    return make_series(shared / "study", "strays beside")


def predict(*words):
    return predict_exact(*words, "--disable_tta")


def dicom_of(study: MadeSeries) -> list[Path]:
    return [path for path in study.folder.iterdir() if path.name not in ("LICENSE", "DICOMDIR")]


@pytest.fixture
def address(orthanc: Orthanc, study) -> str:
    orthanc.add(*dicom_of(study))
    return f"dicomweb:{orthanc.dicomweb}/studies/{study.study_uid}"


def test_a_study_is_fetched_segmented_stored_and_fetched_back_equal(
    orthanc, address, study, model, tmp_path, capsys
):
    out = tmp_path / "out"
    options = ("--store", orthanc.dicomweb, "--send", orthanc.peer)
    assert predict(address, "-o", out, "-m", model, *options) == 0
    printed = capsys.readouterr().out
    series = f"series    {study.uid} Portal venous, 1[45] instances; passed over: CT series 1.2.* Arterial, 5"
    assert re.search(series, printed), printed
    assert f"{study.uid}: sent to {orthanc.dicomweb}\n" in printed
    assert f"{study.uid}: sent to {orthanc.peer}\n" in printed
    written = out / f"{study.uid}.seg.dcm"
    assert min(of_segmentation(written).dice()) == 1
    (stored,) = orthanc.stored(pydicom.dcmread(written).SOPInstanceUID)
    (tmp_path / "stored.dcm").write_bytes(stored)
    assert pydicom.dcmread(tmp_path / "stored.dcm") == pydicom.dcmread(written)
    assert not list(out.glob(".*"))


@pytest.mark.parametrize("way", ["--store", "--send"])
def test_each_way_stores_by_itself(orthanc, study, model, tmp_path, way):
    target = orthanc.dicomweb if way == "--store" else orthanc.peer
    assert predict(study.folder, "-o", tmp_path / "out", "-m", model, way, target) == 0
    written = pydicom.dcmread(tmp_path / "out" / f"{study.uid}.seg.dcm")
    (stored,) = orthanc.stored(written.SOPInstanceUID)
    (tmp_path / "stored.dcm").write_bytes(stored)
    assert pydicom.dcmread(tmp_path / "stored.dcm") == written


def test_a_series_is_fetched_by_its_address_and_kept_the_second_time(address, study, model, tmp_path, capsys):
    words = (f"{address}/series/{study.uid}", "-o", tmp_path / "out", "-m", model, "--name", "ct", "--report")
    assert predict(*words) == 0
    assert min(of_segmentation(tmp_path / "out" / "ct.seg.dcm").dice()) == 1
    capsys.readouterr()
    assert predict(*words) == 0
    assert "ct: kept\n" in capsys.readouterr().out


def test_the_file_and_the_server_give_the_same_label_map(address, study, model, tmp_path):
    assert predict(address, "-o", tmp_path / "web", "-m", model) == 0
    assert predict(study.folder, "-o", tmp_path / "file", "-m", model) == 0
    name = f"{study.uid}.nii.gz"
    assert (tmp_path / "web" / name).read_bytes() == (tmp_path / "file" / name).read_bytes()


def test_a_failed_sending_keeps_the_file_and_says_how_to_send_it_again(model, study, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    out = tmp_path / "out"
    words = (study.folder, "-o", out, "-m", model)
    options = ("--send", f"PACS@127.0.0.1:{port}", "--store", f"http://127.0.0.1:{port}/dicom-web")
    assert predict(*words, *options) == 1
    file = out / f"{study.uid}.seg.dcm"
    assert min(of_segmentation(file).dice()) == 1
    printed = capsys.readouterr().err
    assert f"pancext predict: {study.uid}: Cannot send to PACS@127.0.0.1:{port}: nothing listens" in printed
    assert f"To send it again: pancext send {file} --send PACS@127.0.0.1:{port}\n" in printed
    assert f"To send it again: pancext send {file} --store http://127.0.0.1:{port}/dicom-web\n" in printed
    assert printed.endswith("pancext predict: the DICOM-SEG of 1 case was not sent; it is kept\n")
    assert "failed" not in printed.splitlines()[-1]
    assert predict(*words) == 0  # the prediction itself is done
    assert f"{study.uid}: kept" in capsys.readouterr().out


def test_a_kept_case_is_sent_again(orthanc, model, study, tmp_path, capsys):
    words = (study.folder, "-o", tmp_path / "out", "-m", model)
    assert predict(*words) == 0
    assert predict(*words, "--send", orthanc.peer) == 0
    printed = capsys.readouterr().out
    assert f"{study.uid}: kept" in printed
    assert orthanc.stored(pydicom.dcmread(tmp_path / "out" / f"{study.uid}.seg.dcm").SOPInstanceUID)


def test_servers_that_do_not_have_it_leave_the_other_cases_alone(orthanc, model, study, tmp_path, capsys):
    gone = f"dicomweb:{orthanc.dicomweb}/studies/1.2.3"
    assert predict(gone, study.folder, "-o", tmp_path / "out", "-m", model) == 1
    printed = capsys.readouterr()
    assert "pancext predict: 1.2.3: There is no study 1.2.3 at http://127.0.0.1" in printed.err
    assert "1 of 2 cases failed" in printed.err
    assert (tmp_path / "out" / f"{study.uid}.seg.dcm").is_file()


def test_a_download_that_breaks_off_leaves_the_other_cases_alone(
    address, model, tmp_path, capsys, monkeypatch
):
    retrieve, calls = dicomweb._retrieve, []

    def break_off(client, uids):
        calls.append(uids)
        if len(calls) > 3:
            raise BadAnswer("it broke off", "Try again.")
        return retrieve(client, uids)

    monkeypatch.setattr(dicomweb, "_retrieve", break_off)
    other = make_series(tmp_path / "other", "prone")
    assert predict(address, other.folder, "-o", tmp_path / "out", "-m", model) == 1
    assert re.search("Cannot fetch instance 4 of 15 .*it broke off", capsys.readouterr().err)
    assert (tmp_path / "out" / f"{other.uid}.seg.dcm").is_file()
    assert not list((tmp_path / "out").glob(".*"))


def test_studies_without_ct_are_refused(orthanc, model, study, tmp_path, capsys):
    orthanc.add(*(study.folder / f"{kind}.dcm" for kind in ("SEG", "SR")))
    address = f"dicomweb:{orthanc.dicomweb}/studies/{study.study_uid}"
    assert predict(address, "-o", tmp_path / "out", "-m", model) == 1
    assert re.search("has no CT series, only 1 S(EG|R), 1 S(EG|R). Give", capsys.readouterr().err)


def test_a_server_that_does_not_say_how_many_slices(orthanc, model, tmp_path, capsys):
    large, small = (make_series(tmp_path / kind, kind) for kind in ("multi-frame", "localizer beside"))
    orthanc.add(*large.files, *sorted(small.folder.glob("1-00[1-3].dcm")))
    address = f"dicomweb:{orthanc.dicomweb}/studies/{large.study_uid}"
    assert predict(address, "-o", tmp_path / "out", "-m", model) == 1
    printed = capsys.readouterr().err
    assert "does not say how many slices its CT series have: " in printed
    assert predict(address, "-o", tmp_path / "out", "-m", model, "--series", large.uid) == 0
    assert min(of_segmentation(tmp_path / "out" / f"{large.uid}.seg.dcm").dice()) == 1


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("dicomweb:https://pacs/dicom-web/patients/1", "names neither a study nor a series"),
        ("dicomweb:http://pacs.hospital/dicom-web/studies/1.2", "is without TLS"),
        ("dicomweb:https://me:secret@pacs/dicom-web/studies/1.2", "holds more than host and path"),
    ],
)
def test_addresses_that_are_none(model, tmp_path, capsys, address, words):
    assert predict(address, "-o", tmp_path / "out", "-m", model) == 1
    printed = capsys.readouterr()
    assert re.search(words, printed.err)
    assert "secret" not in printed.err + printed.out
