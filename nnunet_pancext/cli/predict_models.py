"""The options of `pancext predict` that name a model: a folder, its parts, or the best configuration."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_pancext.errors import PancextError

if TYPE_CHECKING:
    from nnunet_pancext.prediction.models import Choice

CHECKPOINT = "checkpoint_final.pth"


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("-m", "--model", type=Path, metavar="MODEL_FOLDER", help="folder that nnUNetv2_train wrote")
    add("-d", "--dataset", metavar="DATASET", help="dataset of a model in nnUNet_results: number or name")
    add("-c", "--configuration", metavar="CONFIGURATION", help="with -d: 2d, 3d_fullres, …")
    add("-tr", "--trainer", metavar="TRAINER", help="with -d (default: nnUNetTrainer)")
    add("-p", "--plans", metavar="PLANS", help="with -d (default: nnUNetPlans)")
    add(
        "--best",
        metavar="DATASET",
        help="what nnUNetv2_find_best_configuration chose for the dataset, or a copy of its "
        "inference_information.json",
    )
    add(
        *("-f", "--folds"),
        nargs="+",
        default=[],
        metavar="FOLD",
        help="0 to 4 or all (default: every numbered fold that is trained, else all)",
    )
    add("-chk", "--checkpoint", default=CHECKPOINT, metavar="NAME", help="default: %(default)s")


def choose(parsed: argparse.Namespace) -> "Choice":
    """Return the models that the options name."""
    from nnunet_pancext.nnunet_files.model_folder import ModelName
    from nnunet_pancext.prediction import models

    ways = {"-m": parsed.model, "-d": parsed.dataset, "--best": parsed.best}
    given = [option for option, value in ways.items() if value is not None]
    if len(given) != 1:
        what = f"{' and '.join(given)} both name a model" if given else "No model is given"
        raise PancextError(
            f"{what}. Give one of -m MODEL_FOLDER, -d DATASET with -c and -tr, or --best DATASET."
        )
    of_dataset = {"-c": parsed.configuration, "-tr": parsed.trainer, "-p": parsed.plans}
    if parsed.dataset is None and (others := [option for option, value in of_dataset.items() if value]):
        raise PancextError(
            f"{given[0]} already names the model; {', '.join(others)} would have no effect. Omit it."
        )
    folds = [fold if fold == "all" else str(int(fold)) for fold in parsed.folds]
    if parsed.model is not None:
        return models.choose_folder(parsed.model, folds=folds, checkpoint=parsed.checkpoint)
    if parsed.best is not None:
        return models.choose_best(parsed.best, folds=folds, checkpoint=parsed.checkpoint)
    if parsed.configuration is None:
        raise PancextError("-d also needs -c, the configuration: 2d, 3d_lowres, 3d_fullres, …")
    name = ModelName(parsed.trainer or "nnUNetTrainer", parsed.plans or "nnUNetPlans", parsed.configuration)
    return models.choose_by_name(parsed.dataset, name, folds=folds, checkpoint=parsed.checkpoint)
