"""The foreground volumes of a model's training cases, which bound plausible predictions."""

import hashlib
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.targets import IGNORE
from nnunet_pancext.io.files import read_json, write_json
from nnunet_pancext.io.label_maps import find_cases, has_spacing, is_flat, read_label_map
from nnunet_pancext.io.parallel import for_each
from nnunet_pancext.nnunet_files.dataset_json import NAME, DatasetJson, read_dataset_json
from nnunet_pancext.nnunet_files.folders import PREPROCESSED, nnunet_folder
from nnunet_pancext.nnunet_files.raw_dataset import find_ground_truth

KEPT = "training_volumes.json"
FINGERPRINT = "dataset_fingerprint.json"  # nnU-Net's, of all training images; copied beside a model
LEAST, MOST = 0.2, 5.0  # of the smallest and of the largest volume
MANY = 20  # label maps that are announced
MM3_PER_ML = 1000
SCHEMA_VERSION = 1


def plausible_volumes_ml(
    model_folder: Path, *, announce: Callable[[str], None] = lambda text: None
) -> tuple[float, float] | None:
    """Return the smallest and the largest plausible volume of the foreground, in mL; None where unknown.

    They are 0.2 times the smallest and 5 times the largest volume of all labels together among the training
    cases. A case without foreground has volume 0, so the smallest plausible volume is 0 where there is one.
    The volumes are kept beside the model; without that file they are read from the ground truth of its
    dataset, in nnUNet_preprocessed or nnUNet_raw. Nothing is raised: a label map that cannot be read is
    skipped. `announce` is called before many label maps are read.
    """
    try:
        kept = _volumes_of(model_folder, announce=announce)
    except (PancextError, OSError):  # no reason not to predict
        return None
    if kept is None or not kept["largest_ml"]:
        return None
    return LEAST * kept["smallest_ml"], MOST * kept["largest_ml"]


def _volumes_of(model_folder: Path, *, announce: Callable[[str], None]) -> dict[str, Any] | None:
    """Return what is kept beside the model, renewed where it is not of these label maps; None if unknown."""
    dataset = read_dataset_json(model_folder / NAME)
    trained_on = _hash(file.read_bytes() for file in _identity(model_folder))
    label_maps = training_label_maps(model_folder, dataset)
    hash_of_label_maps = _hash(
        f"{path.name} {(found := path.stat()).st_size} {found.st_mtime_ns}".encode(errors="surrogateescape")
        for path in label_maps
    )
    kept = _read_kept(model_folder / KEPT)
    if kept.get("trained_on") == trained_on and (
        not label_maps or kept.get("label_maps") == hash_of_label_maps
    ):
        return kept
    volumes = _read_volumes(label_maps, dataset=dataset, announce=announce)
    if not volumes:
        return None
    kept = {
        "schema_version": SCHEMA_VERSION,
        "smallest_ml": min(volumes),
        "largest_ml": max(volumes),
        "cases": len(volumes),
        "trained_on": trained_on,
        "label_maps": hash_of_label_maps,
    }
    with suppress(OSError):  # the folder may be read-only
        write_json(model_folder / KEPT, kept)
    return kept


def training_label_maps(model_folder: Path, dataset: DatasetJson) -> list[Path]:
    """Return the label maps of the model's training cases; empty where they are not on this machine.

    Another dataset may have the same name. It is recognised by nnU-Net's fingerprint of its images, or by the
    number of cases if there is no fingerprint in nnUNet_preprocessed.
    """
    name = model_folder.resolve().parent.name
    try:
        truth = find_ground_truth(name)
        preprocessed = nnunet_folder(PREPROCESSED)
    except PancextError:
        return []
    ending = dataset.file_ending
    paths = [truth / f"{case}{ending}" for case in sorted(find_cases(truth, ending))]
    of_model, of_dataset = (
        {} if folder is None else _fingerprint(folder)
        for folder in (model_folder, None if preprocessed is None else preprocessed / name)
    )
    if of_model and of_dataset:
        return paths if of_model == of_dataset else []
    spacings = of_model.get("spacings")
    number = len(spacings) if isinstance(spacings, list) else dataset.content.get("numTraining")
    return paths if number == len(paths) else []


def _fingerprint(folder: Path) -> dict[str, Any]:
    """Return nnU-Net's fingerprint of a dataset; empty where there is none."""
    file = folder / FINGERPRINT
    return read_json(file, expect=dict) if file.is_file() else {}


def _read_volumes(
    label_maps: Collection[Path], *, dataset: DatasetJson, announce: Callable[[str], None]
) -> list[float]:
    """Return the volume of the foreground of each label map that can be read, in mL."""
    if len(label_maps) >= MANY:
        announce(
            f"reading {len(label_maps)} label maps of the training cases once, to learn plausible volumes"
        )
    ignored = set(dataset.values.get(IGNORE, ()))

    def volume_ml(path: Path) -> float | None:
        try:
            image = read_label_map(path)
        except (PancextError, OSError, RuntimeError):
            return None
        if is_flat(image) or not has_spacing(image):
            return None
        values, counts = np.unique(sitk.GetArrayViewFromImage(image), return_counts=True)
        voxels = sum(
            int(count)
            for value, count in zip(values, counts, strict=True)
            if value > 0 and int(value) not in ignored
        )
        return voxels * float(np.prod(image.GetSpacing())) / MM3_PER_ML

    read = for_each(volume_ml, list(label_maps), jobs=None, title="volumes", show_progress=False)
    return [volume for volume in read if volume is not None]


def _identity(model_folder: Path) -> list[Path]:
    """Return the files that say what a model was trained on."""
    return [path for path in (model_folder / NAME, model_folder / FINGERPRINT) if path.is_file()]


def _read_kept(file: Path) -> dict[str, Any]:
    """Return the content of the file; empty where it is missing, damaged, or of another version."""
    try:
        kept = read_json(file, expect=dict)
        is_usable = kept.get("schema_version") == SCHEMA_VERSION
        volumes = [kept[key] for key in ("smallest_ml", "largest_ml")] if is_usable else []
    except (PancextError, KeyError):
        return {}
    are_numbers = volumes and all(isinstance(volume, int | float) for volume in volumes)
    return kept if are_numbers and 0 <= volumes[0] <= volumes[1] else {}


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
