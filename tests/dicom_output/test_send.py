"""Sending files by C-STORE, and the command that sends: what arrives, and what is said where it does not."""

import json
import shlex
import socket
import subprocess
import sys

import pydicom
import pytest
from contracts.orthanc import Orthanc
from misbehaving_server import MisbehavingServer, store_answer
from pydicom.uid import (
    CTImageStorage,
    ImplicitVRLittleEndian,
)
from sent_files import OPEN, receiving, uid_of

from nnunet_pancext.cli.main import main
from nnunet_pancext.dicom_output import c_store
from nnunet_pancext.dicom_output.access import Access
from nnunet_pancext.dicom_output.c_store import parse_peer
from nnunet_pancext.dicom_output.send import send, store
from nnunet_pancext.errors import PancextError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ORTHANC@10.0.0.5:4242", None),
        ("MY PACS@pacs.example:104", None),
        ("A@[::1]:11112", None),
        ("NO-REPLY_1@localhost:1", None),
    ],
)
def test_a_receiver_has_a_title_a_host_and_a_port(text, shown):
    assert str(parse_peer(text)) == (shown or text)


@pytest.mark.parametrize(
    "text",
    [
        "ORTHANC@host",
        "host:104",
        "@host:104",
        "A@:104",
        "A@host:0",
        "A@host:65536",
        "A@host:x",
        "A@a@b:1",
        "A@::1:1",
    ],
)
def test_other_receivers_are_refused(text):
    with pytest.raises(PancextError, match=r"is not a receiver\. Give AET@HOST:PORT"):
        parse_peer(text)


@pytest.mark.parametrize("text", ["A_TITLE_OF_17_CHA@host:1", "  @host:1", "Ä@host:1"])
def test_titles_that_dicom_does_not_allow_are_refused(text):
    with pytest.raises(PancextError, match=r"is not an AE title\. It has 1 to 16 characters"):
        parse_peer(text)


@pytest.mark.parametrize("by", ["STOW-RS", "C-STORE"])
@pytest.mark.parametrize("frames", [3, 6000], ids=["at once", "in chunks"])
def test_orthanc_has_what_was_sent(by, frames, orthanc: Orthanc, segmentation, tmp_path):
    data = pydicom.dcmread(segmentation)
    data.NumberOfFrames, data.PixelData = frames, bytes(range(240)) * frames
    data.save_as(segmentation)
    before = segmentation.read_bytes()
    if by == "STOW-RS":
        assert store(segmentation, orthanc.dicomweb, access=OPEN) == []
    else:
        assert send(segmentation, orthanc.peer, access=OPEN) == []
    (content,) = orthanc.stored(uid_of(segmentation))
    (tmp_path / "fetched.dcm").write_bytes(content)
    fetched, original = pydicom.dcmread(tmp_path / "fetched.dcm"), pydicom.dcmread(segmentation)
    assert fetched.PixelData == original.PixelData
    assert fetched == original
    assert segmentation.read_bytes() == before


@pytest.mark.parametrize("by", ["STOW-RS", "C-STORE"])
def test_sending_twice_is_no_failure(by, orthanc: Orthanc, segmentation):
    for _ in range(2):
        if by == "STOW-RS":
            assert store(segmentation, orthanc.dicomweb, access=OPEN) == []
        else:
            assert send(segmentation, orthanc.peer, access=OPEN) == []
    assert len(orthanc.stored(uid_of(segmentation))) == 1


def test_orthanc_refuses_another_title(orthanc: Orthanc, segmentation):
    with pytest.raises(PancextError, match=r"called ae title not recognised\)\. Check the AE title before @"):
        send(segmentation, orthanc.peer.replace("ORTHANC", "orthanc2"), access=OPEN)


# Receivers


def test_what_is_sent_arrives(segmentation):
    with receiving() as (peer, received):
        assert send(segmentation, peer, access=OPEN) == []
    assert received == [pydicom.dcmread(segmentation)]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0xB000, "some elements were changed (0xB000)"),
        (0xB006, "some elements were left out (0xB006)"),
        (0x0111, "it is stored there already (0x0111)"),
    ],
)
def test_warnings_of_a_receiver_are_returned(status, words, segmentation):
    with receiving(status=status) as (peer, _):
        assert send(segmentation, peer, access=OPEN) == [words]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0xA700, r"it is out of resources, such as disk space \(0xA700\)"),
        (0xA900, r"the content does not match the kind of object \(0xA900\)"),
        (0xC123, r"it cannot be understood \(0xC123\)"),
        (0x0124, r"storing is not permitted \(0x0124\)"),
    ],
)
def test_a_receiver_that_does_not_store(status, words, segmentation):
    before = segmentation.read_bytes()
    with receiving(status=status) as (peer, _), pytest.raises(PancextError, match=words) as error:
        send(segmentation, peer, access=OPEN)
    assert shlex.split(str(error.value).split("again: ")[1]) == [
        *("pancext", "send", str(segmentation), "--send", peer)
    ]
    assert segmentation.read_bytes() == before


def test_a_receiver_that_rejects_says_which_title_is_wrong(segmentation):
    with receiving(aet="OTHER") as (peer, _):
        message = r"rejects the association \(called ae title not recognised\)\. Check the AE title before @"
        with pytest.raises(PancextError, match=message):
            send(segmentation, peer, access=OPEN)
    with receiving(calling="KNOWN") as (peer, received):
        message = r"\(calling ae title not recognised\)\. Have this machine's AE title registered there"
        with pytest.raises(PancextError, match=message):
            send(segmentation, peer, access=OPEN)
        send(segmentation, peer, access=OPEN, calling_aet="KNOWN")
        assert len(received) == 1


@pytest.mark.parametrize("kind", [{"storage": CTImageStorage}, {"syntaxes": ("1.2.840.10008.1.2.5",)}])
def test_a_receiver_that_takes_no_segmentations(kind, segmentation):
    with receiving(**kind) as (peer, _), pytest.raises(PancextError, match="not accept objects of this kind"):
        send(segmentation, peer, access=OPEN)


def test_a_receiver_may_take_another_encoding(segmentation):
    with receiving(syntaxes=("1.2.840.10008.1.2",)) as (peer, received):
        assert send(segmentation, peer, access=OPEN) == []
    assert received[0].PixelData == pydicom.dcmread(segmentation).PixelData


def test_a_receiver_that_ends_the_association(segmentation):
    def abort(event) -> int:
        event.assoc.abort()
        return 0

    message = "ended the association before it confirmed"
    with receiving(handler=abort) as (peer, _), pytest.raises(PancextError, match=message):
        send(segmentation, peer, access=OPEN)


def test_a_receiver_that_does_not_answer(segmentation, monkeypatch):
    monkeypatch.setattr(c_store, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = f"A@127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(
            PancextError, match=r"accepts no association\. It may not be a DICOM service, or may require TLS"
        ):
            send(segmentation, peer, access=OPEN)


def test_hosts_and_ports_that_are_not_there(segmentation):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(PancextError, match=rf"send to A@127\.0\.0\.1:{port}: nothing listens there"):
        send(segmentation, f"A@127.0.0.1:{port}", access=OPEN)
    with pytest.raises(PancextError, match="the name of the host is not known"):
        send(segmentation, "A@pacs.invalid:104", access=OPEN)


def test_tls_verifies_the_receiver(certificates, segmentation):
    with receiving(tls=certificates.server()) as (peer, received):
        message = r"its certificate is not accepted \(self.signed certificate\)\. .*--ca-bundle FILE"
        with pytest.raises(PancextError, match=message) as error:
            send(segmentation, peer, access=OPEN, tls=True)
        assert str(error.value).endswith(f"--send {peer} --tls")
        assert send(segmentation, peer, access=Access(ca_bundle=certificates.own), tls=True) == []
        assert len(received) == 1
    access, message = Access(ca_bundle=certificates.other), r"not accepted \(IP address mismatch"
    with receiving(tls=certificates.server("other")) as (peer, _), pytest.raises(PancextError, match=message):
        send(segmentation, peer, access=access, tls=True)


def test_tls_with_a_certificate_of_the_sender(certificates, segmentation):
    access = Access(ca_bundle=certificates.own, client_certificate=certificates.client_both)
    with receiving(tls=certificates.server(wants_client=True)) as (peer, received):
        assert send(segmentation, peer, access=access, tls=True) == []
        with pytest.raises(PancextError, match="Cannot send to"):
            send(segmentation, peer, access=Access(ca_bundle=certificates.own), tls=True)
    assert len(received) == 1


def test_one_side_alone_with_tls(certificates, segmentation):
    with receiving() as (peer, _), pytest.raises(PancextError, match=r"Cannot send to .*TLS"):
        send(segmentation, peer, access=OPEN, tls=True)
    with (
        receiving(tls=certificates.server()) as (peer, _),
        pytest.raises(PancextError, match="or may require TLS: --tls"),
    ):
        send(segmentation, peer, access=OPEN)


# Files and the command


def test_files_that_cannot_be_sent_are_named_before_anything_is_asked(tmp_path, segmentation):
    peer, nobody = "A@127.0.0.1:9", "https://127.0.0.1:9"
    (tmp_path / "text.dcm").write_text("text", encoding="utf-8")
    data = pydicom.dcmread(segmentation)
    del data.StudyInstanceUID
    data.save_as(tmp_path / "without.dcm")
    for name, message in {
        "none.dcm": r"Cannot read .*none\.dcm: No such file or directory\. Give a DICOM file",
        "text.dcm": r"text\.dcm is not a DICOM file\. Give one such as CASE\.seg\.dcm",
        "without.dcm": r"without\.dcm lacks StudyInstanceUID, without which no PACS stores it",
    }.items():
        for call in (
            lambda file: send(file, peer, access=OPEN),
            lambda file: store(file, nobody, access=OPEN),
        ):
            with pytest.raises(PancextError, match=message) as error:
                call(tmp_path / name)
            assert "127.0.0.1" not in str(error.value)


def test_the_command_sends_several_files_and_goes_on_after_a_failure(segmentation, tmp_path, capsys):
    (tmp_path / "text.dcm").write_text("text", encoding="utf-8")
    with receiving() as (peer, received):
        files = [str(tmp_path / "text.dcm"), str(segmentation)]
        assert main(["send", *files, "--send", peer]) == 1
        assert main(["send", str(segmentation), "--send", peer]) == 0
    assert len(received) == 2
    output = capsys.readouterr()
    assert output.out == f"sent      {segmentation}\n" * 2
    assert "text.dcm is not a DICOM file" in output.err
    assert output.err.endswith("pancext send: 1 of 2 files were not sent\n")


def test_the_command_stores_and_shows_warnings(misbehaving: MisbehavingServer, segmentation, capsys):
    reason = {"00081196": {"vr": "US", "Value": [0xB006]}}
    misbehaving.ways["store"] = lambda handler: handler.send(
        json.dumps(store_answer(uid_of(segmentation), **reason)).encode()
    )
    assert main(["send", str(segmentation), "--store", misbehaving.service]) == 0
    assert capsys.readouterr().out == f"sent      {segmentation}, but some elements were left out (0xB006)\n"


def test_a_failure_prints_nothing_but_the_message(segmentation):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    script = "import sys; from nnunet_pancext.cli.main import main; sys.exit(main(sys.argv[1:]))"
    for target in (["--store", f"http://127.0.0.1:{port}"], ["--send", f"A@127.0.0.1:{port}"]):
        command = [sys.executable, "-c", script, "send", str(segmentation), *target]
        ended = subprocess.run(command, capture_output=True, text=True)
        assert ended.returncode == 1
        assert ended.stdout == ""
        first, second = ended.stderr.splitlines()
        assert first.startswith("pancext send: error: Cannot ")
        assert "connection refused" in first
        assert second.startswith("The file is kept. To send it again: pancext send '")


def test_libraries_print_no_values_of_the_file(segmentation):
    """pydicom warns of a value against the standard, with the value, when pynetdicom reads it."""
    content = segmentation.read_bytes()
    frames, name = b"\x28\0\x08\0IS\2\0003 ", b"\x28\0\x08\0IS\x08\0Mueller "
    assert content.count(frames) == 1
    segmentation.write_bytes(content.replace(frames, name))
    script = "import sys; from nnunet_pancext.cli.main import main; sys.exit(main(sys.argv[1:]))"
    with receiving(syntaxes=(ImplicitVRLittleEndian,)) as (peer, received):  # so it is written anew
        command = [sys.executable, "-c", script, "send", str(segmentation), "--send", peer]
        ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == (f"sent      {segmentation}\n", "")
    assert len(received) == 1


def test_options_that_do_not_belong_together(segmentation, capsys):
    arguments = ["send", str(segmentation), "--store", "https://127.0.0.1:9", "--tls"]
    assert main(arguments) == 1
    assert "--tls and --calling-aet belong to --send" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["send", str(segmentation)])
    assert "one of the arguments --store --send is required" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["send", str(segmentation), "--store", "https://a", "--send", "A@b:1"])


def test_the_extra_is_named_where_it_is_missing(segmentation, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynetdicom", None)
    with pytest.raises(PancextError, match=r'needs pynetdicom, .*pip install "nnunet-pancext\[dicom\]"'):
        send(segmentation, "A@127.0.0.1:9", access=OPEN)
