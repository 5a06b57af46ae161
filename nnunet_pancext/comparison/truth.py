"""The true label maps: where they lie, what their values mean, and whether a model saw others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunet_pancext.comparison.models import Model, host_root, read_json
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.scores import CaseScores
from nnunet_pancext.image_io import read_header

MM3_PER_ML = 1000


def find_truths(dataset: str) -> Path:
    """Return the folder of true label maps: nnU-Net's gt_segmentations, or the raw dataset's labelsTr.

    Raises:
        PancextError: there is neither.
    """
    tried = []
    for variable, name in (("nnUNet_preprocessed", "gt_segmentations"), ("nnUNet_raw", "labelsTr")):
        try:
            folder = host_root(variable) / dataset / name
        except PancextError as error:
            tried.append(str(error))
            continue
        if folder.is_dir():
            return folder
        tried.append(f"There is no {folder}.")
    raise PancextError(f"No true label maps of {dataset}: {' '.join(tried)}")


def declared_labels(models: Sequence[Model], truths: Path) -> dict[str, Any]:
    """Return the labels, names to values, that all models and the truth have.

    Raises:
        PancextError: they differ, or there are none.
    """
    declared: dict[str, Any] = {}
    beside = truths.parent / "dataset.json"
    if beside.is_file():
        declared[f"the dataset ({beside})"] = _labels(read_json(beside), beside)
    for model in models:
        declared[model.name] = _labels(model.dataset_json, model.folder / "dataset.json")
    (first, labels), *others = declared.items()
    for name, theirs in others:
        if theirs != labels:
            raise PancextError(
                f"The label sets differ: {first} has {labels}, {name} has {theirs}. Only models of one label "
                "set can be compared: train them on the same dataset.json."
            )
    return labels


def require_truths(truths: Path, cases: Sequence[str], *, ending: str) -> None:
    """Check that each case has a true label map.

    Raises:
        PancextError: by name, some have none.
    """
    missing = [case for case in cases if not (truths / f"{case}{ending}").is_file()]
    if missing:
        raise PancextError(
            f"No true label map in {truths} for {len(missing)} of {len(cases)} cases: {', '.join(missing)}. "
            "Put them back: nnUNetv2_plan_and_preprocess copies them from labelsTr."
        )


def require_same_truth(
    model: Model,
    fold: int,
    scores: Sequence[CaseScores],
    *,
    truths: Path,
    labels: Mapping[str, Any],
    ending: str,
) -> None:
    """Check that the model was validated on the truth that it is scored against now.

    nnU-Net's validation/summary.json tells how many voxels each label had in the truth then. A model without
    that file is not checked.

    Raises:
        PancextError: for some case and label the truth has another number now.
    """
    summary = model.validation(fold) / "summary.json"
    if not summary.is_file():
        return
    then = _voxels_then(read_json(summary), ending=ending)
    for case in scores:
        if case.case not in then:
            continue
        voxel_ml = _voxel_ml(truths / f"{case.case}{ending}")
        for name, values in case.labels.items():
            before = then[case.case].get(_key(labels.get(name)))
            if before is None:
                continue
            now = round(values.truth_volume_ml / voxel_ml)
            if now != before:
                raise PancextError(
                    f"{model.name}, fold {fold} was validated on another truth: in case {case.case!r} label "
                    f"{name!r} had {before:g} voxels, now it has {now} in {truths}. The labels were changed "
                    "after the training: put the former ones back, or preprocess and train anew."
                )


def _labels(dataset_json: Any, path: Path) -> dict[str, Any]:
    labels = dataset_json.get("labels") if isinstance(dataset_json, dict) else None
    if not isinstance(labels, dict) or not labels:
        raise PancextError(f"{path} declares no labels. Is it nnU-Net's?")
    return labels


def _voxels_then(summary: Any, *, ending: str) -> dict[str, dict[str, float]]:
    """Voxels by case and by nnU-Net's name of the label; what is not in the file is left out."""
    found: dict[str, dict[str, float]] = {}
    for entry in summary.get("metric_per_case", ()):
        name = str(entry.get("reference_file", "")).replace("\\", "/").rsplit("/", 1)[-1]
        metrics = entry.get("metrics", {})
        found[name.removesuffix(ending)] = {
            key: values["n_ref"] for key, values in metrics.items() if "n_ref" in values
        }
    return found


def _key(value: Any) -> str:
    """What nnU-Net calls a label or a region in its summary."""
    return str(tuple(value)) if isinstance(value, (list, tuple)) else str(value)


def _voxel_ml(path: Path) -> float:
    return math.prod(read_header(path).GetSpacing()) / MM3_PER_ML
