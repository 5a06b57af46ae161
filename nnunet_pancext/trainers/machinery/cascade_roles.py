"""The labels of organ and lesion, for the two-stage network."""

from typing import Any

from nnunet_pancext.errors import NNUNetCommandError

ENTRY = "pancext"
USE_INSTEAD = "Train MultiScaleUNetTrainer or CDINSTSegTrainer instead: they take any labels."


class UnsuitableLabelsError(NNUNetCommandError, NotImplementedError):
    """The trainer does not support the labels of this dataset."""


def cascade_roles(label_manager: Any, dataset_json: dict[str, Any], *, trainer: str) -> tuple[int, int]:
    """Return the labels of organ and lesion; with one foreground label, this label twice.

    They are set in `dataset.json`: `"pancext": {"organ": 1, "lesion": 2}`. By default the lowest foreground
    label is the organ and the highest the lesion.

    Raises:
        UnsuitableLabelsError: region-based labels, more than two foreground labels without that entry, or an
            entry that does not name two foreground labels.
    """
    if label_manager.has_regions:
        raise UnsuitableLabelsError(
            f"{trainer} needs one label for the organ and one for the lesion, but this dataset has "
            f"region-based labels (regions_class_order in its dataset.json). {USE_INSTEAD}"
        )
    foreground = sorted(label_manager.foreground_labels)
    names = {value: name for name, value in dataset_json["labels"].items() if isinstance(value, int)}
    described = ", ".join(f"{label} ({names.get(label, '?')})" for label in foreground)
    example = f'"{ENTRY}": {{"organ": 1, "lesion": 2}}'
    entry = dataset_json.get(ENTRY)
    if entry is None:
        if len(foreground) > 2:
            raise UnsuitableLabelsError(
                f"{trainer} needs to know which labels are the organ and the lesion; this dataset has "
                f"{described}. Set them in its dataset.json, in nnUNet_raw and nnUNet_preprocessed: "
                f"{example}. Or: {USE_INSTEAD}"
            )
        return foreground[0], foreground[-1]
    roles: dict[str, Any] = entry if isinstance(entry, dict) else {}
    organ, lesion = (roles.get(role, -1) for role in ("organ", "lesion"))
    if organ not in foreground or lesion not in foreground or (organ == lesion and len(foreground) > 1):
        raise UnsuitableLabelsError(
            f'dataset.json has "{ENTRY}": {entry}, which does not name two of its foreground labels '
            f"{described}. Write it as {example}."
        )
    return organ, lesion
