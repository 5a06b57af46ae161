"""Fetching a CT series from a DICOMweb server, an instance at a time."""

import logging
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nnunet_pancext.dicom_output.access import Access, optional_module, parse_url, shown_url
from nnunet_pancext.dicom_output.http_failures import ask
from nnunet_pancext.dicom_output.http_session import TIMEOUTS_S, BadAnswer, open_session
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import printable
from nnunet_pancext.io.files import atomic_path

PREFIX = "dicomweb:"
FORM = f"{PREFIX}https://HOST/PATH/studies/UID or …/studies/UID/series/UID"
UID = re.compile(r"[0-9.]{1,64}")
MOST_INSTANCES = 10_000  # of a series
SERIES_UID, INSTANCE_UID = "0020000E", "00080018"
MODALITY, DESCRIPTION, INSTANCES = "00080060", "0008103E", "00201209"
ALL_SYNTAXES = (("application/dicom", "*"),)  # as it is stored
NOT_LISTED = "Check the path to the DICOMweb service."


@dataclass(frozen=True, kw_only=True)
class DicomwebAddress:
    """A study on a server, or one series of it; `service` is the URL before /studies."""

    service: str
    study_uid: str
    series_uid: str = ""

    def __str__(self) -> str:
        study = f"{self.service}/studies/{self.study_uid}"
        return f"{study}/series/{self.series_uid}" if self.series_uid else study


@dataclass(frozen=True, kw_only=True)
class SeriesInfo:
    """A server's description of a series; missing texts are empty, missing numbers None."""

    uid: str
    modality: str
    description: str
    instances: int | None


def is_dicomweb(text: str) -> bool:
    """Whether an input names a server."""
    return text.startswith(PREFIX)


def parse_address(text: str, *, access: Access) -> DicomwebAddress:
    """Return what `dicomweb:https://HOST/PATH/studies/UID[/series/UID]` names.

    Raises:
        PancextError: it has another form, or may not be asked (`parse_url`).
    """
    url = text.removeprefix(PREFIX)
    parse_url(url, access=access)
    match = re.fullmatch(r"(.+?)/+studies/([^/]+)(?:/series/([^/]+))?/*", url)
    if match is None:
        raise PancextError(f"{shown_url(url)} names neither a study nor a series. Give {FORM}.")
    service, study_uid, series_uid = match[1], match[2], match[3] or ""
    for uid in filter(None, (study_uid, series_uid)):
        if not UID.fullmatch(uid):
            raise PancextError(f"{printable(uid)} in {shown_url(url)} is not a UID. Give {FORM}.")
    return DicomwebAddress(service=service, study_uid=study_uid, series_uid=series_uid)


def open_client(service: str, *, access: Access, timeouts_s: tuple[float, float] = TIMEOUTS_S) -> Any:
    """Return a `DICOMwebClient` whose requests are bounded, and not repeated by itself."""
    api = optional_module("dicomweb_client.api")
    for library in ("retrying", "dicomweb_client"):  # they print tracebacks and a server's remarks
        logging.getLogger(library).addHandler(logging.NullHandler())
    session = open_session(access, timeouts_s=timeouts_s)
    client = api.DICOMwebClient(url=service, session=session, permissive_uid=True)
    client.set_http_retry_params(retry=False)
    return client


def list_series(address: DicomwebAddress, *, access: Access) -> list[SeriesInfo]:
    """Return the series of the study, or the one of the address.

    Raises:
        PancextError: the server fails, or has none of them.
    """
    client = open_client(address.service, access=access)
    found = _search_all(
        client.search_for_series, SERIES_UID, address, access=access, task="list the series of the study"
    )
    series = [
        SeriesInfo(
            uid=uid,
            modality=printable(_value(item, MODALITY)),
            description=printable(_value(item, DESCRIPTION)),
            instances=_number(item, INSTANCES),
        )
        for uid, item in found.items()
    ]
    if not series:
        raise PancextError(
            f"There is no study {address.study_uid} at {shown_url(address.service)}, or none that you may "
            "see. Check the UID, and the path to the DICOMweb service."
        )
    if not address.series_uid:
        return series
    chosen = [info for info in series if info.uid == address.series_uid]
    if not chosen:
        listed = ", ".join(f"{info.uid} ({info.modality})" for info in series[:3])
        raise PancextError(
            f"The study at {shown_url(address.service)} has no series {address.series_uid}. "
            f"It has {listed}{', …' if len(series) > 3 else ''}."
        )
    return chosen


def download_series(
    address: DicomwebAddress,
    series_uid: str,
    folder: Path,
    *,
    access: Access,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write each instance of a series of the study to `folder`, as the server stores it; return the files.

    `progress` is given the number of instances that are written, and of all. The files are called by their
    number in the server's list; each is whole or absent.

    Raises:
        PancextError: the server fails, sends something else than what was asked for, or a file cannot be
            written. What was written before remains.
    """
    client = open_client(address.service, access=access)
    info = list_series(
        DicomwebAddress(service=address.service, study_uid=address.study_uid, series_uid=series_uid),
        access=access,
    )[0]
    where = f"{address.service}/studies/{address.study_uid}/series/{series_uid}"
    found = _search_all(
        client.search_for_instances,
        INSTANCE_UID,
        address,
        access=access,
        task="list the instances of the series",
        series_instance_uid=series_uid,
    )
    if not found or len(found) < (info.instances or 0):
        raise PancextError(
            f"{shown_url(where)} lists {len(found)} of {info.instances or 'its'} instances. "
            "Try again later, or export the series to a folder and give that."
        )
    files = []
    for number, uid in enumerate(found, start=1):
        uids = {
            "study_instance_uid": address.study_uid,
            "series_instance_uid": series_uid,
            "sop_instance_uid": uid,
        }
        instance = ask(
            partial(_retrieve, client, uids),
            task=f"fetch instance {number} of {len(found)}",
            url=where,
            access=access,
        )
        files.append(folder / f"{number:05d}.dcm")
        _write(instance, files[-1])
        progress(number, len(found))
    return files


def _search_all(
    search: Callable[..., Any],
    tag: str,
    address: DicomwebAddress,
    *,
    access: Access,
    task: str,
    **which: str,
) -> dict[str, Mapping[str, Any]]:
    """Return the items of a list by the UID in `tag`, page after page until one has nothing new.

    Pages of a server that knows no offset are all the same.
    """
    found: dict[str, Mapping[str, Any]] = {}
    while len(found) <= MOST_INSTANCES:
        page_from = partial(search, address.study_uid, offset=len(found) or None, **which)
        page = ask(
            partial(_items, page_from, tag),
            task=task,
            url=f"{address.service}/studies/{address.study_uid}",
            access=access,
        )
        new = {uid: item for uid, item in page.items() if uid not in found}
        if not new:
            return found
        found |= new
    raise PancextError(
        f"Cannot {task} at {shown_url(address.service)}: there are more than {MOST_INSTANCES:,}. "
        "Export the series to a folder and give that."
    )


def _items(search: Callable[[], Any], tag: str) -> dict[str, Mapping[str, Any]]:
    """Return the items of a page by UID; BadAnswer unless each has one."""
    listed = search()
    if not isinstance(listed, list):
        raise BadAnswer("the answer is no list", NOT_LISTED)
    items = {}
    for item in listed:
        uid = _value(item, tag) if isinstance(item, Mapping) else ""
        if not UID.fullmatch(uid):
            raise BadAnswer("the list has an item without a UID", NOT_LISTED)
        items[uid] = item
    return items


def _value(item: Mapping[str, Any], tag: str) -> str:
    """Return the first value of an element in DICOM's JSON as text, empty where there is none."""
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    value = values[0] if isinstance(values, list) and values else None
    return str(value).strip(" \0") if isinstance(value, str | int) else ""


def _number(item: Mapping[str, Any], tag: str) -> int | None:
    text = _value(item, tag)
    return int(text) if re.fullmatch(r"\d{1,9}", text) else None


def _retrieve(client: Any, uids: Mapping[str, str]) -> Any:
    """Return an instance as the server stores it; BadAnswer if it is another."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # servers that send one part without the multipart around it
        instance = client.retrieve_instance(**uids, media_types=ALL_SYNTAXES)
    for keyword, uid in zip(
        ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), uids.values(), strict=True
    ):
        if str(instance.get(keyword, "")) != uid:
            raise BadAnswer(
                f"the server sent another object: its {keyword} is not {uid}",
                "Ask the server's administrator, or export the series to a folder and give that.",
            )
    return instance


def _write(instance: Any, target: Path) -> None:
    """Write an instance, whole or not at all."""
    try:
        with atomic_path(target) as partial:
            instance.save_as(partial, enforce_file_format=True)
    except OSError as error:
        raise PancextError(
            f"Cannot write {target}: {error.strerror}. Make room, or give another folder."
        ) from error
    except Exception as error:  # pydicom has no common error class
        raise PancextError(
            f"What the server sent as {target.name} is not a complete DICOM object ({type(error).__name__}). "
            "Export the series to a folder and give that."
        ) from error
