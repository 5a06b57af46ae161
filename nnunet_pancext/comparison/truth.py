"""The true label maps: where they lie, what their values mean, and whether a model saw others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.targets import Targets
from nnunet_pancext.io.files import read_json
from nnunet_pancext.io.label_maps import read_label_map
from nnunet_pancext.io.parallel import for_each
from nnunet_pancext.nnunet_files.dataset_json import DatasetJson, read_dataset_json
from nnunet_pancext.nnunet_files.models import Model


def declared_labels(models: Sequence[Model], truths: Path) -> dict[str, Any]:
    """Return the labels, names to values, that all models and the truth have.

    Raises:
        PancextError: they differ, or there are none.
    """
    declared: dict[str, Any] = {}
    beside = truths.parent / "dataset.json"
    if beside.is_file():
        declared[f"the dataset ({beside})"] = read_dataset_json(beside).labels
    for model in models:
        declared[model.name] = DatasetJson(model.folder / "dataset.json", model.dataset_json).labels
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
    models: Sequence[Model],
    cases: Mapping[int, Sequence[str]],
    *,
    truths: Path,
    targets: Targets,
    ending: str,
    jobs: int,
    show_progress: bool,
) -> None:
    """Check that the models were validated on the truth that they are to be scored against now.

    nnU-Net's validation/summary.json tells how many voxels each label had in the truth then. A model without
    that file is not checked. `cases` are those of each fold.

    Raises:
        PancextError: for some case and label the truth has another number now, or a summary is not
            nnU-Net's.
    """
    told = [
        (model, fold, voxels_then(model.validation(fold) / "summary.json", ending=ending))
        for model in models
        for fold in cases
        if (model.validation(fold) / "summary.json").is_file()
    ]
    known = {case for _, _, then in told for case in then}
    wanted = [case for names in cases.values() for case in names if case in known]

    def count(case: str) -> dict[str, int]:
        return voxels_now(truths / f"{case}{ending}", targets)

    counts = for_each(count, wanted, jobs=jobs, title="checking the truth", show_progress=show_progress)
    now = dict(zip(wanted, counts, strict=True))
    for model, fold, then in told:
        for case in cases[fold]:
            for key, before in then.get(case, {}).items():
                if key in now[case] and now[case][key] != before:
                    name = next(name for name, one in targets.nnunet_keys.items() if one == key)
                    raise PancextError(
                        f"{model.name}, fold {fold} was validated on another truth: in case {case!r} label "
                        f"{name!r} had {before:g} voxels, now it has {now[case][key]} in {truths}. The "
                        "labels were changed after the training: put the former ones back, or preprocess "
                        "and train anew."
                    )


def voxels_then(path: Path, *, ending: str) -> dict[str, dict[str, float]]:
    """Return the voxels in the truth, by case and by nnU-Net's name of the label, of its summary.json.

    Raises:
        PancextError: the file is not nnU-Net's.
    """
    found: dict[str, dict[str, float]] = {}
    try:
        for entry in read_json(path)["metric_per_case"]:
            name = str(entry["reference_file"]).replace("\\", "/").rsplit("/", 1)[-1]
            counts = {key: float(values["n_ref"]) for key, values in entry["metrics"].items()}
            found[name.removesuffix(ending)] = counts
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PancextError(
            f"{path} is no summary of nnU-Net's: it does not tell how many voxels each label had. Validate "
            "this fold again (nnUNetv2_train with --val), or delete the file to go without this check."
        ) from error
    return found


def voxels_now(path: Path, targets: Targets) -> dict[str, int]:
    """Return the voxels in a true label map by nnU-Net's name of the label."""
    image = read_label_map(path)  # held: the view does not keep it
    values = sitk.GetArrayViewFromImage(image)
    return {
        key: sum(int(np.count_nonzero(values == one)) for one in set(targets.regions[name]))
        for name, key in targets.nnunet_keys.items()
    }
