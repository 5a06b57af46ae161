"""The options of `pancext predict` for DICOM: series, content of the DICOM-SEG, destination."""

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_pancext.cli.options import add_access
from nnunet_pancext.errors import PancextError

if TYPE_CHECKING:
    from nnunet_pancext.dicom_output.access import Access
    from nnunet_pancext.nnunet_commands.console import Console
    from nnunet_pancext.prediction.cases import Case
    from nnunet_pancext.prediction.dicom.results import SegmentationOutput, Sending
    from nnunet_pancext.prediction.run import Prediction

NIFTI = ".nii.gz"
TEMPORARY = ".pancext-dicom-"
FOR_SERVER = ("token_file", "ca_bundle", "client_certificate", "allow_http")
# Attributes of the parsed options that only apply to DICOM input.
ONLY_FOR_DICOM = (
    *("series", "name", "codes", "private_codes", "empty_frames", "negative", "no_seg"),
    *("store", "send", "calling_aet", "tls"),
    *FOR_SERVER,
)
FOR_SEGMENTATION = ("codes", "private_codes", "empty_frames", "negative", "store", "send")


def add_dicom(parser: argparse.ArgumentParser) -> None:
    """Add the options that only apply to DICOM input."""
    group = parser.add_argument_group("DICOM input")
    add = group.add_argument
    add(
        "--series",
        action="append",
        metavar="UID",
        help="CT series to predict (default: the one with most slices)",
    )
    add("--name", metavar="NAME", help="name of the case (default: the series UID); for one case")
    add("--codes", type=Path, metavar="FILE", help="JSON file with the code of each label in the DICOM-SEG")
    add(
        "--private-codes",
        action="store_true",
        help="use this package's own codes for labels without a code",
    )
    add(
        "--empty-frames",
        choices=("keep", "omit"),
        help="keep or omit frames without a voxel of the segment (default: keep)",
    )
    add(
        "--negative",
        choices=("seg", "none"),
        help="if nothing is found, write an empty DICOM-SEG or none (default: seg)",
    )
    add("--no-seg", action="store_true", help="write no DICOM-SEG")
    add(
        "--store",
        action="append",
        metavar="URL",
        help="also store the DICOM-SEG at https://HOST/PATH (STOW-RS)",
    )
    add("--send", action="append", metavar="AET@HOST:PORT", help="also send the DICOM-SEG (C-STORE)")
    add("--calling-aet", metavar="AET", help="this machine's AE title for --send (default: PANCEXT)")
    add("--tls", action="store_true", help="encrypt --send (https always is)")
    add_access(group)


def split_inputs(inputs: Sequence[str], *, endings: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Return the inputs that are DICOM, and those that are images for nnU-Net's reader."""
    from nnunet_pancext.dicom_output.dicomweb import is_dicomweb
    from nnunet_pancext.prediction.dicom.files import is_dicom

    dicom = [text for text in inputs if is_dicomweb(text) or is_dicom(Path(text), endings=endings)]
    return dicom, [Path(text) for text in inputs if text not in dicom]


def refuse_unused(parsed: argparse.Namespace) -> None:
    """Raise PancextError for an option of DICOM without DICOM input."""
    if given := _given(parsed, ONLY_FOR_DICOM):
        raise PancextError(f"{', '.join(given)}: the input is not DICOM, so this has no effect. Omit it.")


def prepare(parsed: argparse.Namespace, prediction: "Prediction", inputs: Sequence[str]) -> "Access":
    """Check model, options and packages, and configure `prediction` for cases from DICOM.

    Raises:
        PancextError: the model does not read one volume, options contradict each other, a label has no code,
            an address is malformed, or a package of the extra is missing.
    """
    from nnunet_pancext.dicom_output.access import Access, access_from, optional_module, shown_url
    from nnunet_pancext.dicom_output.dicomweb import is_dicomweb

    is_fetched = any(map(is_dicomweb, inputs))
    _require_volume_model(prediction, shown_url(inputs[0]) if is_dicomweb(inputs[0]) else inputs[0])
    if parsed.no_seg and (given := _given(parsed, FOR_SEGMENTATION)):
        raise PancextError(
            f"--no-seg: without a DICOM-SEG, {', '.join(given)} has no effect. Omit one of them."
        )
    if not parsed.send and (given := _given(parsed, ("calling_aet", "tls"))):
        raise PancextError(f"{', '.join(given)} belongs to --send; --store encrypts by https. Omit it.")
    needed = {
        "highdicom": not parsed.no_seg,
        "dicomweb_client.api": bool(parsed.store) or is_fetched,
        "pynetdicom": bool(parsed.send),
    }
    for module, is_needed in needed.items():
        if is_needed:
            optional_module(module)
    access = Access()
    if is_fetched or parsed.store or parsed.send:
        access = access_from(
            token_file=parsed.token_file,
            ca_bundle=parsed.ca_bundle,
            client_certificate=parsed.client_certificate,
            allow_http=parsed.allow_http,
        )
    elif given := _given(parsed, FOR_SERVER):
        raise PancextError(f"{', '.join(given)}: no server is used, so this has no effect. Omit it.")
    if not parsed.no_seg:
        prediction.segmentation = _segmentation(parsed, prediction)
        prediction.sending = _sending(parsed, access)
    return access


def find_dicom_cases(
    parsed: argparse.Namespace,
    inputs: Sequence[str],
    *,
    folder: Path,
    access: "Access",
    console: "Console",
) -> "list[Case]":
    """Return the cases of the inputs that are DICOM; temporary files lie in `folder`."""
    from nnunet_pancext.nnunet_commands.console import Status
    from nnunet_pancext.prediction.dicom.input import DicomInputs

    finder = DicomInputs(
        folder=folder,
        say=lambda text: print(text, flush=True),
        fetched=lambda done, total: console.say(Status(f"fetching: {done} of {total} files")),
        access=access,
        chosen=parsed.series or (),
        name=parsed.name or "",
    )
    return finder.cases(inputs)


def _given(parsed: argparse.Namespace, names: Sequence[str]) -> list[str]:
    return [f"--{name.replace('_', '-')}" for name in names if getattr(parsed, name)]


def _require_volume_model(prediction: "Prediction", shown: str) -> None:
    """Refuse a model whose reader takes something other than one volume."""
    channels = prediction.dataset.channel_names
    if len(channels) > 1:
        raise PancextError(
            f"{shown} is DICOM, and a CT series is one channel, but the model takes {len(channels)} "
            f"({', '.join(channels)}). Convert each to NIfTI on one grid, and give CASE_0000, CASE_0001, …"
        )
    if NIFTI not in prediction.reader.endings:
        raise PancextError(
            f"{shown} is DICOM, but the model reads {' or '.join(prediction.reader.endings)} with nnU-Net's "
            f"{prediction.reader.name}, not volumes in HU. Convert the slices as for its training."
        )


def _segmentation(parsed: argparse.Namespace, prediction: "Prediction") -> "SegmentationOutput":
    from nnunet_pancext.dicom_output.codes import read_codes
    from nnunet_pancext.dicom_output.segmentation import SegmentingModel
    from nnunet_pancext.prediction.dicom.results import SegmentationOutput

    labels = prediction.dataset.labels
    codes = read_codes(
        labels,
        dataset_json=prediction.dataset.content,
        file=parsed.codes,
        allow_private=parsed.private_codes,
    )
    return SegmentationOutput(
        labels=labels,
        codes=codes,
        model=SegmentingModel(name=_model_name(prediction), sha256=_model_hash(prediction)),
        empty_frames=parsed.empty_frames or "keep",
        writes_negative=parsed.negative != "none",
    )


def _model_name(prediction: "Prediction") -> str:
    """Return dataset, trainer and configuration of the models."""
    models = prediction.choice.models
    names = [
        f"{model.name.trainer} {model.name.configuration}" if model.name.trainer else model.folder.name
        for model in models
    ]
    return f"{models[0].plans.get('dataset_name', '')} {' + '.join(names)}".strip()


def _model_hash(prediction: "Prediction") -> str:
    """Return the record's hash of the model, or one hash of those of several stages."""
    hashes = [facts["sha256"] for facts in prediction.model_facts]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def _sending(parsed: argparse.Namespace, access: "Access") -> "Sending | None":
    from nnunet_pancext.dicom_output import send
    from nnunet_pancext.prediction.dicom.results import Sending

    if not parsed.store and not parsed.send:
        return None
    return Sending(
        services=[send.parse_store(text, access=access) for text in parsed.store or ()],
        peers=[send.parse_peer(text) for text in parsed.send or ()],
        access=access,
        calling_aet=send.require_aet(parsed.calling_aet or send.CALLING_AET),
        tls=parsed.tls,
    )
