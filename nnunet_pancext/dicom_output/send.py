"""Storing a DICOM file in a PACS: by DICOMweb (STOW-RS), or by DICOM's own protocol (C-STORE).

Nothing is changed or removed here: after a failure the file is as it was, and the error names the command
that sends it again.
"""

import re
import shlex
from pathlib import Path
from typing import Any

from nnunet_pancext.dicom_output.access import Access, optional_module, parse_url, shown_url
from nnunet_pancext.dicom_output.c_store import Peer, c_store, parse_peer, refusal, require_aet
from nnunet_pancext.dicom_output.dicomweb import PREFIX, open_client
from nnunet_pancext.dicom_output.http_failures import ask
from nnunet_pancext.dicom_output.http_session import STORE_TIMEOUTS_S, BadAnswer
from nnunet_pancext.errors import PancextError

CALLING_AET = "PANCEXT"
NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
STORED_ALREADY = 0x0111  # the instance of this UID: what was sent is there
# Statuses of C-STORE and failure reasons of STOW-RS (PS3.4 B.2.3, PS3.7 annex C, PS3.18 I.2.2): first, last.
MEANINGS = (
    (0x0110, 0x0110, "an error while it was processed"),
    (STORED_ALREADY, STORED_ALREADY, "it is stored there already"),
    (0x0117, 0x0117, "its SOP instance UID is not valid"),
    (0x0122, 0x0122, "objects of this kind are not accepted"),
    (0x0124, 0x0124, "storing is not permitted"),
    (0xA700, 0xA7FF, "it is out of resources, such as disk space"),
    (0xA900, 0xA9FF, "the content does not match the kind of object"),
    (0xB000, 0xB000, "some elements were changed"),
    (0xB006, 0xB006, "some elements were left out"),
    (0xB007, 0xB007, "the content does not match the kind of object"),
    (0xC000, 0xCFFF, "it cannot be understood"),
)
WARNING = 0xB000  # to 0xBFFF, and 0x0001: stored all the same


def parse_store(text: str, *, access: Access) -> str:
    """Return the URL of the DICOMweb service that `--store` names, with or without /studies at its end.

    Raises:
        PancextError: it has another form, or may not be asked (`parse_url`).
    """
    url = text.removeprefix(PREFIX).rstrip("/")
    parse_url(url, access=access)
    service = url.removesuffix("/studies")
    if re.search(r"/(studies|series|instances)(/|$)", service):
        raise PancextError(
            f"{shown_url(url)} is the address of an object. Give the DICOMweb service: https://HOST/PATH."
        )
    return service


def store(file: Path, url: str, *, access: Access) -> list[str]:
    """Store the file on the DICOMweb server at `url`; return the server's warnings.

    It is sent once: the server may have stored what it failed to confirm.

    Raises:
        PancextError: it is not a DICOM file, or the server did not confirm that it stored it.
    """
    service = parse_store(url, access=access)
    instance = read_object(file)
    client = open_client(service, access=access, timeouts_s=STORE_TIMEOUTS_S)
    again = f"pancext send {shlex.quote(str(file))} --store {shlex.quote(service)}{access.options()}"
    try:
        return ask(
            lambda: _outcome(client, instance), task=f"store {file}", url=service, access=access, attempts=1
        )
    except PancextError as error:
        raise _kept(error, again) from error


def _outcome(client: Any, instance: Any) -> list[str]:
    """Store the instance and return the warnings; BadAnswer unless the server says that it has it."""
    requests = optional_module("requests")
    try:
        answer = client.store_instances([instance])
    except requests.HTTPError as error:
        # With 409 the server says why, object by object.
        for reason in _failed(error.response):
            return _warning_of_failure(reason)
        raise
    for item in answer.get("FailedSOPSequence") or []:
        return _warning_of_failure(item.get("FailureReason"))
    for item in answer.get("ReferencedSOPSequence") or []:
        if item.get("ReferencedSOPInstanceUID") == instance.SOPInstanceUID:
            reason = item.get("WarningReason")
            return [] if reason is None else [meaning(reason)]
    raise BadAnswer("the server does not confirm that it stored it", "Look whether the PACS shows it.")


def _warning_of_failure(reason: Any) -> list[str]:
    """Return the warning that the server has the instance already; BadAnswer for any other failure."""
    if reason == STORED_ALREADY:
        return [meaning(reason)]
    raise BadAnswer(f"the server did not store it: {meaning(reason)}", "Its log may say more.")


def _failed(response: Any) -> list[Any]:
    """Return the reasons for which the objects of an answer were refused; empty where it does not say."""
    pydicom = optional_module("pydicom")
    try:
        answer = pydicom.Dataset.from_json(response.json())
        return [item.get("FailureReason") for item in answer.FailedSOPSequence]
    except Exception:  # the answer may be anything
        return []


def send(
    file: Path, peer: str | Peer, *, access: Access, calling_aet: str = CALLING_AET, tls: bool = False
) -> list[str]:
    """Send the file to `AET@HOST:PORT` by C-STORE; return the receiver's warnings.

    Raises:
        PancextError: it is not a DICOM file, or the receiver did not confirm that it stored it.
    """
    peer = parse_peer(peer) if isinstance(peer, str) else peer
    require_aet(calling_aet)
    instance = read_object(file)
    again = f"pancext send {shlex.quote(str(file))} --send {shlex.quote(str(peer))}"
    if calling_aet != CALLING_AET:
        again += f" --calling-aet {shlex.quote(calling_aet)}"
    again += " --tls" * tls + access.options()
    try:
        status = c_store(
            instance, peer, calling_aet=calling_aet, context=access.tls_context() if tls else None
        )
        if "Status" not in status:
            raise refusal(peer, "it ended the association before it confirmed", "Its log may say why.")
        code = int(status.Status)
        if code not in (0, 1, STORED_ALREADY) and code & 0xF000 != WARNING:
            raise refusal(peer, f"it did not store it: {meaning(code)}", "Its log may say more.")
        return [meaning(code)] if code else []
    except PancextError as error:
        raise _kept(error, again) from error


def read_object(file: Path) -> Any:
    """Return a DICOM file's content; PancextError if it is none that can be stored."""
    pydicom = optional_module("pydicom")
    try:
        instance = pydicom.dcmread(file)
        missing = [name for name in NEEDED if not instance.get(name)]
        if not instance.file_meta.get("TransferSyntaxUID"):
            missing.append("TransferSyntaxUID")
    except OSError as error:
        raise PancextError(f"Cannot read {file}: {error.strerror}. Give a DICOM file.") from error
    except Exception as error:  # pydicom has no common error class
        raise PancextError(f"{file} is not a DICOM file. Give one such as CASE.seg.dcm.") from error
    if missing:
        raise PancextError(
            f"{file} lacks {', '.join(missing)}, without which no PACS stores it. Write it again."
        )
    return instance


def meaning(code: Any) -> str:
    """Return a status or failure reason in words, with its number."""
    if not isinstance(code, int):
        return "no reason is given"
    words = (text for first, last, text in MEANINGS if first <= code <= last)
    return f"{next(words, 'no further reason')} (0x{code:04X})"


def _kept(error: PancextError, again: str) -> PancextError:
    """Return the error with the command that sends the file again."""
    return PancextError(f"{error}\nThe file is kept. To send it again: {again}")
