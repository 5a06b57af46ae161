"""What nnU-Net's find_best_configuration chose: one or two configurations, and their postprocessing."""

from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.nnunet_files.model_folder import ModelName

INFORMATION = "inference_information.json"  # in the dataset's folder of results
FIND_AGAIN = "Run nnUNetv2_find_best_configuration again."


@dataclass(frozen=True, kw_only=True)
class BestConfiguration:
    """The chosen models, whose probabilities are averaged, and their folds.

    `dataset` is its name or number, empty where the file does not have it; `postprocessing` is a path at the
    time of writing.
    """

    dataset: str
    models: tuple[ModelName, ...]
    folds: tuple[str, ...]
    postprocessing: Path


def read_best_configuration(file: Path) -> BestConfiguration:
    """Read inference_information.json or a copy of it; PancextError if it is malformed."""
    content = read_json(file, expect=dict, remedy=FIND_AGAIN)
    try:
        best = content["best_model_or_ensemble"]
        models = tuple(
            ModelName(*(str(entry[key]) for key in ("trainer", "plans_identifier", "configuration")))
            for entry in best["selected_model_or_models"]
        )
        folds = tuple(str(fold) for fold in content["folds"])
        postprocessing = Path(best["postprocessing_file"])
    except (KeyError, TypeError, ValueError) as error:
        raise PancextError(
            f"{file} does not name the models, folds and postprocessing. {FIND_AGAIN}"
        ) from error
    if not models or any(Path(str(name)).name != str(name) for name in models):
        raise PancextError(f"{file} does not name a model. {FIND_AGAIN}")
    return BestConfiguration(
        dataset=str(content.get("dataset_name_or_id", "")),
        models=models,
        folds=folds,
        postprocessing=postprocessing,
    )
