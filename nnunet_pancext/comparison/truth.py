"""Whether the ground truth has changed since the models were validated on it."""

from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_pancext.comparison.results import DatasetResults
from nnunet_pancext.errors import PancextError
from nnunet_pancext.former_names import former_name
from nnunet_pancext.io.files import read_json
from nnunet_pancext.io.label_maps import read_label_map
from nnunet_pancext.io.parallel import for_each
from nnunet_pancext.nnunet_files.model_folder import Fold


def require_same_truth(results: DatasetResults, *, jobs: int, show_progress: bool) -> None:
    """Check that the models were validated on the ground truth that they are scored against now.

    nnU-Net's validation/summary.json records how many voxels each label had then. A model without that file
    is not checked.

    Raises:
        PancextError: some label of some case has another number now, or a summary is not nnU-Net's.
    """
    validations = [
        (model, fold, _voxels_when_validated(model.fold(fold)))
        for model in results.models
        for fold in results.cases
        if model.fold(fold).is_validated
    ]
    recorded = {case for _, _, before in validations for case in before}
    cases = [case for case in results.fold_of if case in recorded]
    regions, keys = results.targets.regions, results.targets.nnunet_keys

    def count(case: str) -> dict[str, int]:
        image = read_label_map(results.truth(case))  # held: the view does not keep it
        voxels = sitk.GetArrayViewFromImage(image)
        return {
            key: sum(int(np.count_nonzero(voxels == value)) for value in set(regions[name]))
            for name, key in keys.items()
        }

    counts = for_each(count, cases, jobs=jobs, title="checking ground truth", show_progress=show_progress)
    now = dict(zip(cases, counts, strict=True))
    labels = {key: name for name, key in keys.items()}
    for model, fold, before in validations:
        for case in results.cases[fold]:
            for key, voxels in before.get(case, {}).items():
                if now[case].get(key, voxels) != voxels:
                    raise PancextError(
                        f"{model.name}, fold {fold} was validated on another ground truth: in case {case!r} "
                        f"label {labels[key]!r} had {voxels:g} voxels, now it has {now[case][key]} in "
                        f"{results.truths}. The labels were changed after the training: restore the former "
                        "ones, or preprocess and train again."
                    )


def _voxels_when_validated(fold: Fold) -> dict[str, dict[str, float]]:
    """Read the voxels of the ground truth, by case and by nnU-Net's key of the label, from summary.json."""
    path = fold.summary
    voxels: dict[str, dict[str, float]] = {}
    try:
        for entry in read_json(path)["metric_per_case"]:
            name = str(entry["reference_file"]).replace("\\", "/").rsplit("/", 1)[-1]
            counts = {key: float(values["n_ref"]) for key, values in entry["metrics"].items()}
            voxels[name.removesuffix(fold.ending)] = counts
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PancextError(
            f"{path} is not a summary of nnU-Net: it lacks the number of voxels of each label. Delete the "
            f"file to skip this check, or validate this fold again. {fold.how_to_complete}"
        ) from error
    return voxels


def __getattr__(name: str) -> Any:
    return former_name(__name__, name)
