"""The dataset.json of the Medical Segmentation Decathlon: modality, labels, lists of cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json

LAYOUT = "expected are dataset.json, imagesTr/ and labelsTr/, as in Task07_Pancreas.tar"


def read_msd_json(root: Path) -> dict[str, Any]:
    """Return the content of the source's dataset.json; PancextError unless it declares CT."""
    path = root / "dataset.json"
    if not path.is_file():
        raise PancextError(f"no dataset.json in {root}: {LAYOUT}. Extract the whole archive.")
    declared = read_json(path, expect=dict, remedy="Extract or download it again.")
    modality = declared.get("modality", {"0": "CT"})
    if not isinstance(modality, dict) or [str(m).upper() for m in modality.values()] != ["CT"]:
        raise PancextError(
            f"{path} declares modality {modality}: only single-channel CT can be converted. "
            "Is this the pancreas task?"
        )
    return declared


def parse_labels(labels: Any) -> dict[str, int]:
    """Turn MSD's {"0": "background", …} into {"background": 0, …}, values 0, 1, 2, … as nnU-Net requires."""
    hint = 'Expected is "labels": {"0": "background", "1": "pancreas", "2": "cancer"} in dataset.json.'
    try:
        values = {str(name): int(value) for value, name in labels.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise PancextError(f"cannot understand the labels {labels!r}. {hint}") from error
    values = dict(sorted(values.items(), key=lambda item: item[1]))
    if len(values) < 2 or len(values) != len(labels) or list(values.values()) != list(range(len(values))):
        raise PancextError(f"the labels {labels!r} are not 0, 1, 2, … with a name each. {hint}")
    if "background" in values and values["background"] != 0:
        raise PancextError(f"the labels {labels!r} call a foreground value background. {hint}")
    return {"background": 0, **{name: value for name, value in values.items() if value}}


def entries(declared: dict[str, Any], key: str) -> list[Any]:
    """Return a list of dataset.json, empty where absent."""
    content = declared.get(key) or []
    if not isinstance(content, list):
        raise PancextError(f"'{key}' in dataset.json is a {type(content).__name__}, not a list. Correct it.")
    return content


def entry_name(entry: Any, *, key: str) -> str:
    """Return the file name of an entry, written as a path or as a dict with the path at `key`."""
    path = entry.get(key) if isinstance(entry, dict) else entry
    if not isinstance(path, str) or not path:
        raise PancextError(f"dataset.json has an entry without a path for '{key}': {entry!r}. Correct it.")
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def listed_training(declared: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """Return the listed training image names and, for each, the listed label name where it differs."""
    images = []
    other_label = {}
    for entry in entries(declared, "training"):
        images.append(entry_name(entry, key="image"))
        label = (
            entry_name(entry, key="label") if isinstance(entry, dict) and entry.get("label") else images[-1]
        )
        if label != images[-1]:
            other_label[images[-1]] = label
    return images, other_label


def provenance(declared: dict[str, Any]) -> dict[str, str]:
    """Return licence, reference, description and release, with the published values as defaults."""
    fields = {
        "licence": declared.get("licence") or declared.get("license") or "CC-BY-SA 4.0",
        "reference": declared.get("reference") or "Memorial Sloan Kettering Cancer Center",
        "description": declared.get("description") or "Pancreas and pancreatic tumour in CT",
        # The published file misspells the key.
        "release": declared.get("release") or declared.get("relase") or "unknown",
    }
    return {name: str(value).strip() for name, value in fields.items()}
