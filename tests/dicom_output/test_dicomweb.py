"""Series from a DICOMweb server: addresses, what is fetched, and what is refused."""

import os
import sys
from pathlib import Path

import pydicom
import pytest
from contracts.dicom_series import make_series
from contracts.orthanc import Orthanc
from misbehaving_server import (
    MisbehavingServer,
    another_instance,
    as_prescribed,
    closes,
    redirects,
    status,
)

from nnunet_pancext.dicom_output import dicomweb
from nnunet_pancext.dicom_output.access import Access, access_from
from nnunet_pancext.dicom_output.dicomweb import (
    DicomwebAddress,
    SeriesInfo,
    download_series,
    list_series,
    parse_address,
)
from nnunet_pancext.errors import PancextError

OPEN = Access()


@pytest.mark.parametrize(
    ("text", "service", "series"),
    [
        ("dicomweb:https://pacs/dicom-web/studies/1.2.3", "https://pacs/dicom-web", ""),
        ("dicomweb:https://pacs:8443/a/b/studies/1.2.3/", "https://pacs:8443/a/b", ""),
        ("dicomweb:https://pacs/studies/1.2.3/series/4.5", "https://pacs", "4.5"),
        ("dicomweb:https://[::1]:8042/studies/1.2.3/series/4.5/", "https://[::1]:8042", "4.5"),
        ("dicomweb:http://localhost:8042/dicom-web/studies/1.2.3", "http://localhost:8042/dicom-web", ""),
        ("dicomweb:https://pacs/studies/hospital/studies/1.2.3", "https://pacs/studies/hospital", ""),
    ],
)
def test_an_address_names_a_study_or_one_of_its_series(text, service, series):
    address = parse_address(text, access=OPEN)
    assert address == DicomwebAddress(service=service, study_uid="1.2.3", series_uid=series)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dicomweb:https://pacs/dicom-web", "names neither a study nor a series"),
        ("dicomweb:https://pacs/dicom-web/studies/", "names neither a study nor a series"),
        ("dicomweb:https://pacs/studies/1.2/series/3/instances/4", "names neither a study nor a series"),
        ("dicomweb:https://pacs/studies/Miller", "Miller in .* is not a UID"),
        ("dicomweb:https://pacs/studies/1.2/series/%2e%2e", "is not a UID"),
        ("dicomweb:ftp://pacs/studies/1.2", "is not a URL of a server"),
        ("dicomweb:HTTPS://pacs/studies/1.2", "is not a URL of a server"),
        ("dicomweb:pacs/studies/1.2", "is not a URL of a server"),
        ("dicomweb:https:///studies/1.2", "is not a URL of a server"),
        ("dicomweb:https://pacs:x/studies/1.2", "is not a URL of a server"),
        ("dicomweb:https://pa cs/studies/1.2", "is not a URL of a server"),
        ("dicomweb:https://pacs/studies/1.2\n", "is not a URL of a server"),
        ("dicomweb:https://ann:SECRET@pacs/studies/1.2", "https://pacs/studies/1.2 holds more than host"),
        ("dicomweb:https://pacs/studies/1.2?token=SECRET", "PANCEXT_DICOMWEB_TOKEN"),
        ("dicomweb:https://pacs/studies/1.2#SECRET", "holds more than host and path"),
        ("dicomweb:http://pacs/studies/1.2", "without TLS.*--allow-http"),
        ("dicomweb:http://127.0.0.1.evil.example/studies/1.2", "without TLS"),
    ],
)
def test_other_addresses_are_refused_without_showing_what_is_secret(text, message):
    with pytest.raises(PancextError, match=message) as error:
        parse_address(text, access=OPEN)
    assert "SECRET" not in str(error.value)


def test_plain_http_is_an_option():
    assert (
        parse_address("dicomweb:http://pacs/studies/1.2", access=Access(allow_http=True)).service
        == "http://pacs"
    )


def test_a_series_is_fetched_as_it_is_stored(misbehaving: MisbehavingServer, made_series, tmp_path):
    address = parse_address(misbehaving.address, access=OPEN)
    info = SeriesInfo(uid=made_series.uid, modality="CT", description="Portal?venous", instances=14)
    assert list_series(address, access=OPEN) == [info]
    seen = []
    files = download_series(
        address, made_series.uid, tmp_path, access=OPEN, progress=lambda *counts: seen.append(counts)
    )
    assert seen == [(number, 14) for number in range(1, 15)]
    assert files == [tmp_path / f"{number:05d}.dcm" for number in range(1, 15)]
    for fetched, original in zip(files, made_series.files, strict=True):
        assert pydicom.dcmread(fetched) == pydicom.dcmread(original)
    assert sorted(tmp_path.iterdir()) == files


@pytest.mark.parametrize("kind", ["plain", "JPEG 2000", "big endian", "implicit", "multi-frame"])
def test_orthanc_gives_every_series_back_as_it_was(kind, orthanc: Orthanc, tmp_path):
    made = make_series(tmp_path / "made", kind)
    orthanc.add(*made.files)
    address = parse_address(f"dicomweb:{orthanc.dicomweb}/studies/{made.study_uid}", access=OPEN)
    (info,) = list_series(address, access=OPEN)
    assert (info.uid, info.modality, info.description) == (made.uid, "CT", "Portal venous")
    assert info.instances == len(made.files)
    (tmp_path / "fetched").mkdir()
    files = download_series(address, made.uid, tmp_path / "fetched", access=OPEN)
    fetched = {data.SOPInstanceUID: data for data in map(pydicom.dcmread, files)}
    assert len(fetched) == len(made.files)
    for original in map(pydicom.dcmread, made.files):
        assert fetched[original.SOPInstanceUID] == original
        syntax = fetched[original.SOPInstanceUID].file_meta.TransferSyntaxUID
        assert syntax == original.file_meta.TransferSyntaxUID


def test_orthanc_lists_the_series_of_a_study_and_gives_only_the_chosen_one(orthanc: Orthanc, tmp_path):
    made = make_series(tmp_path / "made", "strays beside")
    orthanc.add(*(path for path in sorted(made.folder.glob("*.dcm")) if is_storable(path)))
    text = f"dicomweb:{orthanc.dicomweb}/studies/{made.study_uid}"
    listed = list_series(parse_address(text, access=OPEN), access=OPEN)
    assert len(listed) > 2
    assert made.uid in {info.uid for info in listed}
    (chosen,) = list_series(parse_address(f"{text}/series/{made.uid}", access=OPEN), access=OPEN)
    assert chosen.uid == made.uid
    with pytest.raises(PancextError, match=r"has no series 1\.2\.3\. It has .*\((CT|SEG|SR|RTSTRUCT)\)"):
        list_series(parse_address(f"{text}/series/1.2.3", access=OPEN), access=OPEN)
    with pytest.raises(PancextError, match=r"There is no study 1\.2\.3 at http://127"):
        list_series(parse_address(f"dicomweb:{orthanc.dicomweb}/studies/1.2.3", access=OPEN), access=OPEN)


def is_storable(path: Path) -> bool:
    """Whether Orthanc takes a file: a DICOM object of the study."""
    try:
        data = pydicom.dcmread(path, stop_before_pixels=True)
    except pydicom.errors.InvalidDicomError:
        return False
    return all(data.get(name) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))


def test_the_token_is_sent_but_neither_shown_nor_given_to_another_host(
    misbehaving: MisbehavingServer, made_series, monkeypatch, tmp_path
):
    (tmp_path / "token").write_text("from-a-file\n", encoding="utf-8")
    monkeypatch.setenv("PANCEXT_DICOMWEB_TOKEN", "SECRET")
    access = access_from()
    assert "SECRET" not in repr(access)
    address = parse_address(misbehaving.address, access=access)
    list_series(address, access=access)
    assert misbehaving.asked[-1][2]["Authorization"] == "Bearer SECRET"
    list_series(address, access=access_from(token_file=tmp_path / "token"))
    assert misbehaving.asked[-1][2]["Authorization"] == "Bearer from-a-file"
    elsewhere = f"http://localhost:{misbehaving.port}/pacs/studies/{made_series.study_uid}/series"
    misbehaving.ways["series"] = [redirects(elsewhere)]
    list_series(address, access=access)
    redirected = misbehaving.asked[-2][2]
    assert redirected["Host"].startswith("localhost:")
    assert "Authorization" not in redirected


def test_a_netrc_login_does_not_replace_the_token(misbehaving: MisbehavingServer, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ann password SECRET\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", os.fspath(tmp_path / "netrc"))
    access = Access(token="the-token")
    list_series(parse_address(misbehaving.address, access=access), access=access)
    assert misbehaving.asked[-1][2]["Authorization"] == "Bearer the-token"


@pytest.mark.parametrize("content", ["", " \n", "Bearer abc", "abc\ndef", "naïve", "x" * 70_000])
def test_a_file_without_a_token_is_refused(content, tmp_path):
    (tmp_path / "token").write_text(content, encoding="utf-8")
    with pytest.raises(PancextError, match=r"holds no bearer token\. It is one word") as error:
        access_from(token_file=tmp_path / "token")
    assert not content.strip() or content.strip() not in str(error.value)


def test_files_that_are_missing_or_no_certificates_are_named(tmp_path):
    with pytest.raises(PancextError, match=r"--token-file .*none cannot be read: No such file"):
        access_from(token_file=tmp_path / "none")
    with pytest.raises(PancextError, match=r"--ca-bundle .*none cannot be used: No such file"):
        access_from(ca_bundle=tmp_path / "none")
    (tmp_path / "text").write_text("no certificate", encoding="utf-8")
    with pytest.raises(PancextError, match=r"--ca-bundle .*text cannot be used: .*Give a PEM file"):
        access_from(ca_bundle=tmp_path / "text")
    with pytest.raises(PancextError, match=r"--client-certificate .*text cannot be used: .*and its key"):
        access_from(client_certificate=tmp_path / "text")


@pytest.mark.parametrize("first", [status(503), closes], ids=["busy", "closed"])
def test_what_may_pass_is_tried_three_times(first, misbehaving: MisbehavingServer, made_series, tmp_path):
    misbehaving.ways["instance"] = [first, first]
    address = parse_address(misbehaving.address, access=OPEN)
    assert len(download_series(address, made_series.uid, tmp_path, access=OPEN)) == 14
    assert [step for step, *_ in misbehaving.asked].count("instance") == 16


def test_pages_of_a_list_are_put_together(misbehaving: MisbehavingServer, made_series, tmp_path, monkeypatch):
    def one_by_one(handler):
        found = handler.path.partition("offset=")[2]
        files = made_series.files[int(found or 0) :][:1]
        page = [
            {"00080018": {"vr": "UI", "Value": [str(pydicom.dcmread(path).SOPInstanceUID)]}} for path in files
        ]
        handler.send(str(page).replace("'", '"').encode())

    misbehaving.ways["instances"] = one_by_one
    address = parse_address(misbehaving.address, access=OPEN)
    assert len(download_series(address, made_series.uid, tmp_path, access=OPEN)) == 14
    monkeypatch.setattr(dicomweb, "MOST_INSTANCES", 5)
    with pytest.raises(PancextError, match=r"list the instances .* there are more than 5\. Export"):
        download_series(address, made_series.uid, tmp_path, access=OPEN)


def test_a_list_that_lacks_instances_is_refused(misbehaving: MisbehavingServer, made_series, tmp_path):
    def first_page_only(handler):
        handler.send(b'[{"00080018": {"vr": "UI", "Value": ["1.2"]}}]')

    misbehaving.ways["instances"] = first_page_only
    address = parse_address(misbehaving.address, access=OPEN)
    with pytest.raises(PancextError, match=r"lists 1 of 14 instances\. Try again later, or export"):
        download_series(address, made_series.uid, tmp_path, access=OPEN)


@pytest.mark.parametrize(
    "body", [b'{"a": 1}', b"[1]", b'[{"0020000E": {"Value": ["../x"]}}]', b"[[]]", b"null"]
)
def test_a_list_of_something_else_is_refused(body, misbehaving: MisbehavingServer):
    misbehaving.ways["series"] = lambda handler: handler.send(body)
    with pytest.raises(PancextError, match=r"Cannot list the series .*: (the answer is|the list has)"):
        list_series(parse_address(misbehaving.address, access=OPEN), access=OPEN)


def test_an_object_that_was_not_asked_for_is_refused(misbehaving: MisbehavingServer, made_series, tmp_path):
    misbehaving.ways["instance"] = another_instance
    address = parse_address(misbehaving.address, access=OPEN)
    with pytest.raises(
        PancextError, match=r"fetch instance 1 of 14 .* sent another object: its SOPInstanceUID"
    ):
        download_series(address, made_series.uid, tmp_path, access=OPEN)
    assert not list(tmp_path.iterdir())


def test_what_was_fetched_before_a_failure_is_whole(misbehaving: MisbehavingServer, made_series, tmp_path):
    misbehaving.ways["instance"] = [as_prescribed] * 5 + [status(500)]
    address = parse_address(misbehaving.address, access=OPEN)
    with pytest.raises(PancextError, match=r"fetch instance 6 of 14 .*the server failed \(500\)"):
        download_series(address, made_series.uid, tmp_path, access=OPEN)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        f"{number:05d}.dcm" for number in range(1, 6)
    ]


def test_a_folder_that_cannot_be_written_is_named(misbehaving: MisbehavingServer, made_series, tmp_path):
    address = parse_address(misbehaving.address, access=OPEN)
    with pytest.raises(PancextError, match=r"Cannot write .*none/00001\.dcm: No such file"):
        download_series(address, made_series.uid, tmp_path / "none", access=OPEN)


def test_the_extra_is_named_where_it_is_missing(misbehaving: MisbehavingServer, monkeypatch):
    monkeypatch.setitem(sys.modules, "dicomweb_client.api", None)
    with pytest.raises(PancextError, match=r'needs dicomweb-client, .*pip install "nnunet-pancext\[dicom\]"'):
        list_series(parse_address(misbehaving.address, access=OPEN), access=OPEN)


def test_clients_wait_only_for_so_long():
    client = dicomweb.open_client("https://pacs", access=OPEN)
    adapter = client._session.get_adapter("https://pacs")
    assert adapter.timeouts_s == (10, 60)
    assert client._max_attempts == 1
