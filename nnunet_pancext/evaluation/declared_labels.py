"""What the values in two folders of label maps mean: as `--labels` says, or a dataset.json."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.label_maps import find_cases, read_label_map
from nnunet_pancext.io.parallel import for_each
from nnunet_pancext.nnunet_files.dataset_json import NAME, read_dataset_json

Labels = dict[str, int | list[int]]

# nnU-Net's formats
ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".gipl", ".png", ".bmp", ".tif", ".tiff")
MOST_READ = 50  # files of a folder, to find the labels
MOST_OFFERED = 30  # values; an image has more


def declared_labels(
    predictions: Path, truth: Path, *, words: Sequence[str] | None, dataset_json: Path | None
) -> tuple[Labels, str]:
    """Return the labels and the ending of the files, by dataset.json or `words` as `parse_labels` takes them.

    Raises:
        PancextError: both or neither are given, or one of them is malformed.
    """
    if words is not None and dataset_json is not None:
        raise PancextError("--labels and --dataset-json both declare the labels. Give one of them.")
    if words is not None:
        return parse_labels(words), find_ending(predictions, truth)
    tried = [folder / NAME for folder in (predictions, truth, truth.resolve().parent)]
    path = dataset_json or next((path for path in tried if path.is_file()), None)
    if path is None:
        raise PancextError(
            f"No dataset.json names the labels; tried {', '.join(map(str, tried))}. Give it with "
            f"--dataset-json, or name the labels: {_offer(predictions, truth)}"
        )
    declared = read_dataset_json(path)
    return declared.labels, declared.file_ending


def parse_labels(words: Sequence[str]) -> Labels:
    """Read labels such as `tumour=2`, and regions such as `whole=1,2`; `background=0` is left out.

    Raises:
        PancextError: one is malformed or has the value 0, or a name or the values are given twice.
    """
    labels: Labels = {}
    for word in words:
        name, _, text = word.rpartition("=")
        if word == "background=0":
            continue
        if not name or not re.fullmatch("[0-9]+(,[0-9]+)*", text):
            raise PancextError(
                f"--labels {word!r} is not a name with whole numbers above 0. "
                "Write it as tumour=2, or as whole=1,2 for a region."
            )
        values = [int(value) for value in text.split(",")]
        if 0 in values:
            raise PancextError(f"--labels {word!r}: the value 0 is the background. Give values above 0.")
        if name in labels:
            raise PancextError(f"--labels names {name!r} twice. Name each label once.")
        value = values[0] if len(values) == 1 else values
        if len(set(values)) < len(values) or value in labels.values():
            raise PancextError(f"--labels {word!r} gives a value twice. Give each label values of its own.")
        labels[name] = value
    return labels


def find_ending(predictions: Path, truth: Path) -> str:
    """Return the ending of the label maps in both folders; PancextError if there are none, or several."""
    in_truth, in_predictions = (
        {ending for ending in ENDINGS if find_cases(folder, ending)} for folder in (truth, predictions)
    )
    endings = sorted(in_truth & in_predictions or in_truth)
    if len(endings) == 1:
        return endings[0]
    if not endings:
        raise PancextError(f"No label map in {truth}; nnU-Net's formats are {', '.join(ENDINGS)}.")
    raise PancextError(
        f"Label maps in {truth} end in {' and in '.join(endings)}. Keep one format in a folder, or give a "
        'dataset.json with its "file_ending".'
    )


def _offer(predictions: Path, truth: Path) -> str:
    """Return an option that names the labels in the files, or an example where none can be read."""
    ending = find_ending(predictions, truth)
    files = [
        folder / f"{case}{ending}"
        for folder in (truth, predictions)
        for case in sorted(find_cases(folder, ending))[:MOST_READ]
    ]
    in_files = for_each(_values, files, jobs=None, title="reading labels", show_progress=True)
    values = sorted(set().union(*in_files) - {0})
    if not 0 < len(values) <= MOST_OFFERED:
        return "--labels pancreas=1 tumour=2"
    words = (f"label_{value}={value}" for value in values)
    return f"--labels {' '.join(words)} (the values in the files)"


def _values(path: Path) -> set[int]:
    try:
        image = read_label_map(path)
    except PancextError:  # evaluating reports it
        return set()
    return {int(value) for value in np.unique(sitk.GetArrayViewFromImage(image)) if value >= 0}
