"""A network or a server that fails at each step of fetching, and what is said of it."""

import socket
import sys
import time
from functools import partial

import misbehaving_server as ways
import pytest
from misbehaving_server import MisbehavingServer

from nnunet_pancext.dicom_output import dicomweb, http_session
from nnunet_pancext.dicom_output.access import Access
from nnunet_pancext.dicom_output.dicomweb import DicomwebAddress, download_series, parse_address
from nnunet_pancext.errors import PancextError

TASKS = {
    "series": "Cannot list the series of the study at ",
    "instances": "Cannot list the instances of the series at ",
    "instance": "Cannot fetch instance 1 of 14 at ",
}
# What the server does; what is said of it; whether it is asked again.
FAILURES = {
    "400": (ways.status(400), r"the server refuses the request \(400\)\. Check the path", False),
    "401": (
        ways.status(401),
        r"the server requires a login \(401\)\. Put a bearer token into PANCEXT_",
        False,
    ),
    "403": (ways.status(403), r"the server does not permit it \(403\)\. Put a bearer token", False),
    "404": (ways.status(404), r"there is nothing at this address \(404\)\. Check the path .* UIDs", False),
    "406": (ways.status(406), r"the server does not offer DICOM here \(406\)", False),
    "429": (ways.status(429), r"the server has too many requests \(429\)", True),
    "500": (ways.status(500), r"the server failed \(500\)\. Try again later", False),
    "503": (ways.status(503), r"the server failed \(503\)", True),
    "web page": (ways.web_page, r"the answer is a web page, not DICOM\. It may be a login page", False),
    "wrong type": (ways.wrong_type, r"the answer is 'image/gif', not DICOM\. Check the path", False),
    "no type": (ways.no_type, r"the answer is without a media type, not DICOM", False),
    "closes": (ways.closes, r"the connection broke off", True),
    "hangs": (ways.hangs, r"the server stopped answering", True),
    "hangs midway": (ways.hangs_midway, r"the server stopped answering", True),
    "cut short": (ways.cut_short, r"the connection broke off", True),
    "cut chunk": (ways.cut_chunk, r"the connection broke off", True),
    "endless": (
        ways.endless,
        r"the answer had not ended after 1 MiB\. Ask the server.s administrator",
        False,
    ),
    "drops": (ways.drops, r"the answer had not ended after 0\.5 s", False),
    "circle": (ways.in_a_circle, r"the server redirects again and again", False),
    "to plain http": (
        ways.redirects("http://pacs.example/studies?code=SECRET"),
        r"it leads to http://pacs\.example/studies, which is without TLS",
        False,
    ),
    "to another protocol": (
        ways.redirects("ftp://127.0.0.1/x"),
        r"leads to an address that is no URL",
        False,
    ),
    "to nowhere": (ways.redirects("https://127.0.0.1:9/x?code=SECRET"), r"connection refused", False),
}


@pytest.fixture(autouse=True)
def _limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that is soon reached."""
    monkeypatch.setattr(http_session, "MOST_LISTED", 1 << 20)


def be_impatient(failure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait only briefly for servers that are slow; others may be slow on a busy machine."""
    if "hangs" in failure:
        monkeypatch.setattr(dicomweb, "open_client", partial(dicomweb.open_client, timeouts_s=(5, 0.3)))
    if failure == "drops":
        monkeypatch.setattr(http_session, "MOST_SECONDS", 0.5)


def fetch(server: MisbehavingServer, folder, *, access: Access) -> None:
    address = parse_address(server.address, access=access)
    download_series(address, server.series.uid, folder, access=access)


@pytest.mark.parametrize("step", TASKS)
@pytest.mark.parametrize("failure", FAILURES)
def test_each_failure_at_each_step_says_what_where_and_what_to_do(
    failure, step, misbehaving, tmp_path, monkeypatch
):
    way, message, is_tried_again = FAILURES[failure]
    be_impatient(failure, monkeypatch)
    misbehaving.ways[step] = way
    with pytest.raises(PancextError, match=message) as error:
        fetch(misbehaving, tmp_path, access=Access())
    text = str(error.value)
    assert text.startswith(TASKS[step] + "http")
    assert (" (tried 3 times)" in text) == is_tried_again
    assert [name for name, *_ in misbehaving.asked].count(step) == (
        3 if is_tried_again else 4 if failure == "circle" else 1
    )
    assert "secret" not in text.lower()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", ["series", "instances"])
def test_a_list_that_is_no_json(step, misbehaving, tmp_path):
    misbehaving.ways[step] = ways.no_json
    with pytest.raises(PancextError, match=r"the answer is not JSON\. Check the path"):
        fetch(misbehaving, tmp_path, access=Access())


def test_an_instance_that_ends_early_without_a_length(misbehaving, tmp_path):
    misbehaving.ways["instance"] = ways.without_end
    with pytest.raises(
        PancextError, match=r"the answer breaks off in the middle \(tried 3 times\)\. Try again"
    ):
        fetch(misbehaving, tmp_path, access=Access())
    misbehaving.ways["instance"] = [ways.without_end, ways.without_end]
    fetch(misbehaving, tmp_path, access=Access())
    assert len(list(tmp_path.iterdir())) == 14


def test_an_instance_that_is_no_dicom(misbehaving, tmp_path):
    misbehaving.ways["instance"] = ways.not_dicom
    with pytest.raises(PancextError, match=r"not what DICOMweb prescribes \(InvalidDicomError\)"):
        fetch(misbehaving, tmp_path, access=Access())


def test_an_instance_that_is_too_large(misbehaving, tmp_path, monkeypatch):
    monkeypatch.setattr(http_session, "MOST_INSTANCE", 1 << 10)
    with pytest.raises(PancextError, match=r"fetch instance 1 of 14 .*the answer had not ended after 0 MiB"):
        fetch(misbehaving, tmp_path, access=Access())


@pytest.mark.parametrize("code", [401, 403])
def test_a_token_that_is_refused(code, misbehaving, tmp_path):
    misbehaving.ways["series"] = ways.status(code)
    with pytest.raises(PancextError, match=rf"refuses the token \({code}\)\. Get a new one") as error:
        fetch(misbehaving, tmp_path, access=Access(token="SECRET"))
    assert "SECRET" not in str(error.value)


def test_nothing_that_listens(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    address = DicomwebAddress(service=f"http://127.0.0.1:{port}", study_uid="1.2")
    with pytest.raises(
        PancextError, match=r"nothing listens there \(connection refused\)\. Check the address"
    ):
        dicomweb.list_series(address, access=Access())


def test_a_host_that_has_no_address():
    address = DicomwebAddress(service="https://pacs.invalid/dicom-web", study_uid="1.2")
    with pytest.raises(
        PancextError, match=r"at https://pacs\.invalid.*: the name of the host is not known\."
    ):
        dicomweb.list_series(address, access=Access())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems queue connections in another way")
def test_a_host_that_does_not_accept(monkeypatch):
    # A queue of connections that is full: the next one waits.
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(server.getsockname())
        time.sleep(0.05)
        monkeypatch.setattr(dicomweb, "open_client", partial(dicomweb.open_client, timeouts_s=(0.1, 0.1)))
        address = DicomwebAddress(service=f"http://127.0.0.1:{server.getsockname()[1]}", study_uid="1.2")
        with pytest.raises(PancextError, match=r"the host does not answer \(tried 3 times\)\. Check"):
            dicomweb.list_series(address, access=Access())
        for each in waiting:
            each.close()


def test_a_proxy_that_does_not_answer(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    address = DicomwebAddress(service="https://pacs.invalid", study_uid="1.2")
    with pytest.raises(PancextError, match=r"the proxy does not answer or refuses\. Check HTTPS_PROXY"):
        dicomweb.list_series(address, access=Access())


def test_a_certificate_that_nobody_known_signed_needs_the_ca_bundle(misbehaving_tls, certificates, tmp_path):
    server = misbehaving_tls(certificates.server())
    with pytest.raises(
        PancextError, match=r"not signed by an authority .* trusted here\. .*--ca-bundle FILE"
    ):
        fetch(server, tmp_path, access=Access())
    assert not server.asked
    fetch(server, tmp_path, access=Access(ca_bundle=certificates.own))
    assert len(list(tmp_path.iterdir())) == 14


def test_the_ca_bundle_wins_over_that_of_the_environment(
    misbehaving_tls, certificates, tmp_path, monkeypatch
):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.own))
    server = misbehaving_tls(certificates.server())
    with pytest.raises(PancextError, match="not signed by an authority"):
        fetch(server, tmp_path, access=Access(ca_bundle=certificates.other))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.other))
    fetch(server, tmp_path, access=Access(ca_bundle=certificates.own))


def test_a_certificate_of_another_host_is_refused(misbehaving_tls, certificates, tmp_path):
    server = misbehaving_tls(certificates.server("other"))
    with pytest.raises(PancextError, match=r"certificate is for another host name\. Give the name"):
        fetch(server, tmp_path, access=Access(ca_bundle=certificates.other))


# Which of the two it is depends on who is faster.
def test_a_server_may_want_a_certificate_of_its_client(misbehaving_tls, certificates, tmp_path):
    server = misbehaving_tls(certificates.server(wants_client=True))
    with pytest.raises(PancextError, match=r"ends the TLS connection\. .*--client-certificate|broke off"):
        fetch(server, tmp_path, access=Access(ca_bundle=certificates.own))
    both = Access(ca_bundle=certificates.own, client_certificate=certificates.client_both)
    fetch(server, tmp_path, access=both)
    assert len(list(tmp_path.iterdir())) == 14


def test_a_server_without_tls_is_not_asked_by_https(misbehaving):
    address = DicomwebAddress(service=misbehaving.service.replace("http:", "https:"), study_uid="1.2")
    with pytest.raises(PancextError, match=r"there is no TLS at this port, or none that works"):
        dicomweb.list_series(address, access=Access())
