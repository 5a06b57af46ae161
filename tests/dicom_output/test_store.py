"""Storing files by STOW-RS: what a server gets, and what is said where it does not take it."""

import json
import shlex
from functools import partial

import misbehaving_server as ways
import pydicom
import pytest
from misbehaving_server import MisbehavingServer, store_answer
from sent_files import OPEN, uid_of

from nnunet_pancext.dicom_output import send as sending
from nnunet_pancext.dicom_output.access import Access
from nnunet_pancext.dicom_output.send import parse_store, store
from nnunet_pancext.errors import PancextError


def test_the_service_to_store_at_may_end_in_studies():
    assert parse_store("https://pacs/dicom-web/", access=OPEN) == "https://pacs/dicom-web"
    assert parse_store("dicomweb:https://pacs/dicom-web/studies", access=OPEN) == "https://pacs/dicom-web"
    with pytest.raises(PancextError, match=r"is the address of an object\. Give the DICOMweb service"):
        parse_store("https://pacs/dicom-web/studies/1.2.3", access=OPEN)
    with pytest.raises(PancextError, match=r"http://pacs is without TLS"):
        parse_store("http://pacs", access=OPEN)


def failed_answer(reason: int) -> bytes:
    item = {"00081155": {"vr": "UI", "Value": ["1.2"]}, "00081197": {"vr": "US", "Value": [reason]}}
    return json.dumps({"00081198": {"vr": "SQ", "Value": [item]}}).encode()


STORE_FAILURES = {
    "401": (ways.status(401), r"the server requires a login \(401\)"),
    "403": (ways.status(403), r"the server does not permit it \(403\)"),
    "404": (ways.status(404), r"there is nothing at this address \(404\)"),
    "409": (ways.status(409), r"the server did not accept it \(409\)\. Its log says why"),
    "409 with reason": (
        lambda handler: handler.send(failed_answer(0x0122), status=409),
        r"did not store it: objects of this kind are not accepted \(0x0122\)",
    ),
    "413": (ways.status(413), r"it is too large for the server \(413\)"),
    "415": (ways.status(415), r"does not accept DICOM here \(415\)"),
    "500": (ways.status(500), r"the server failed \(500\)"),
    "503": (ways.status(503), r"the server failed \(503\)"),
    "507": (ways.status(507), r"the server's disk is full \(507\)"),
    "200 with failure": (
        lambda handler: handler.send(failed_answer(0xA700)),
        r"did not store it: it is out of resources, such as disk space \(0xA700\)",
    ),
    "202 with unknown reason": (
        lambda handler: handler.send(failed_answer(0x0999), status=202),
        r"did not store it: no further reason \(0x0999\)",
    ),
    "empty": (lambda handler: handler.send(b""), "does not confirm that it stored it"),
    "204": (lambda handler: handler.send(b"", "", status=204), "does not confirm that it stored it"),
    "another": (
        lambda handler: handler.send(json.dumps(store_answer("1.2.3")).encode()),
        "does not confirm that it stored it",
    ),
    "list": (lambda handler: handler.send(b"[1]"), "not what DICOMweb prescribes"),
    "no JSON": (ways.no_json, "the answer is not JSON"),
    "web page": (ways.web_page, "the answer is a web page, not DICOM"),
    "closes": (ways.closes, "the connection broke off"),
    "hangs": (ways.hangs, "the server stopped answering"),
    "cut short": (ways.cut_short, "the connection broke off"),
    "to a page": (ways.redirects("https://127.0.0.1:9/login?next=SECRET"), "connection refused"),
}


@pytest.mark.parametrize("failure", STORE_FAILURES)
def test_a_store_that_fails_keeps_the_file_and_says_how_to_send_it_again(
    failure, misbehaving: MisbehavingServer, segmentation, monkeypatch
):
    if failure == "hangs":
        monkeypatch.setattr(sending, "open_client", partial(patient_for_a_moment, sending.open_client))
    way, message = STORE_FAILURES[failure]
    misbehaving.ways["store"] = way
    before = segmentation.read_bytes()
    with pytest.raises(PancextError, match=message) as error:
        store(segmentation, misbehaving.service, access=Access(allow_http=True))
    first, last = str(error.value).split("\n")
    assert first.startswith(f"Cannot store {segmentation} at http")
    start = "The file is kept. To send it again: pancext send "
    assert last.startswith(start)
    again = shlex.split(last.removeprefix(start))
    assert again == [str(segmentation), "--store", misbehaving.service, "--allow-http"]
    assert segmentation.read_bytes() == before
    assert len(misbehaving.asked) == 1
    assert "secret" not in str(error.value).lower()


def patient_for_a_moment(function, *arguments, **options):
    return function(*arguments, **{**options, "timeouts_s": (5, 0.3)})


@pytest.mark.parametrize("status", [202, 409])
def test_an_object_that_the_server_has_already_is_stored(
    status, misbehaving: MisbehavingServer, segmentation
):
    misbehaving.ways["store"] = lambda handler: handler.send(failed_answer(0x0111), status=status)
    assert store(segmentation, misbehaving.service, access=OPEN) == ["it is stored there already (0x0111)"]


def test_warnings_of_a_store_are_returned(misbehaving: MisbehavingServer, segmentation):
    reason = {"00081196": {"vr": "US", "Value": [0xB000]}}
    misbehaving.ways["store"] = lambda handler: handler.send(
        json.dumps(store_answer(uid_of(segmentation), **reason)).encode(),
        "application/dicom+json; charset=utf-8",
        status=202,
    )
    warnings = store(segmentation, misbehaving.service, access=OPEN)
    assert warnings == ["some elements were changed (0xB000)"]


def test_a_store_sends_the_token_and_the_whole_file(misbehaving: MisbehavingServer, segmentation):
    assert store(segmentation, misbehaving.service, access=Access(token="SECRET")) == []
    assert misbehaving.asked[0][2]["Authorization"] == "Bearer SECRET"
    assert pydicom.dcmread(segmentation).PixelData in misbehaving.stored[0]


def test_a_store_with_tls(misbehaving_tls, certificates, segmentation):
    server = misbehaving_tls(certificates.server())
    with pytest.raises(PancextError, match=r"not signed by an authority .*--ca-bundle FILE"):
        store(segmentation, server.service, access=OPEN)
    assert not server.asked
    access = Access(ca_bundle=certificates.own)
    assert store(segmentation, server.service, access=access) == []
    server.ways["store"] = ways.status(500)
    with pytest.raises(PancextError, match=f"--store {server.service} --ca-bundle {certificates.own}$"):
        store(segmentation, server.service, access=access)
