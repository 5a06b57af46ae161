"""Checks a campaign when it is planned, so that mistakes do not surface days later."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.planning.plan import NNUNET_FOLDS, Request, Stage, usual_stage
from nnunet_pancext.campaign.planning.trainer_check import require_trainers
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.io.files import read_json
from nnunet_pancext.io.label_maps import find_cases
from nnunet_pancext.nnunet_files.dataset_json import NAME, read_dataset_json
from nnunet_pancext.nnunet_files.folders import (
    PREPROCESSED,
    RAW,
    datasets_of_number,
    find_dataset_folder,
    set_folder,
)
from nnunet_pancext.nnunet_files.model_folder import ALL
from nnunet_pancext.nnunet_files.plans_file import CONFIGURATIONS, PLANNERS, configuration_of
from nnunet_pancext.nnunet_files.preprocessed import cases_of, valid_json
from nnunet_pancext.nnunet_files.splits_final import SPLITS_FILE, read_folds

MOST_LISTED = 5


def checked_request(request: Request) -> Request:
    """Return the request with the full names of its datasets, their folds and the stages of their plans.

    nnU-Net's three variables must be set; the preprocessed folder need not exist.

    Raises:
        PancextError: something does not exist, is named twice, or does not go together.
    """
    for option, names in (
        ("-tr", request.trainers),
        ("-c", request.configurations),
        ("-p", request.plans),
        ("-f", request.folds),
    ):
        _require_once(option, names)
    raw = [find_dataset_folder(RAW, name, holding=NAME) for name in request.datasets]
    datasets = tuple(folder.name for folder in raw)
    _require_once("DATASET", datasets)
    require_trainers(request.trainers)
    splits, stages = {}, {}
    for folder in raw:
        if len(same := datasets_of_number(folder)) > 1:
            raise PancextError(
                f"nnU-Net finds a dataset by its number, and {' and '.join(same)} have the same. Rename one."
            )
        splits[folder.name] = _require_folds(folder, request.folds)
        for plans in request.plans:
            for name, stage in _stages(folder.name, plans, request.configurations).items():
                stages[folder.name, plans, name] = stage
        if request.test_images:
            _require_test_set(folder, Path(request.test_images), Path(request.test_labels))
    several = len(request.plans) * len(request.configurations) > 1
    if ALL in request.folds and request.test_images and several:
        raise PancextError(
            f"-f {ALL} is validated on its training cases, which cannot choose a configuration for the test "
            "set. Give one -c and one -p, or leave out --test."
        )
    return replace(request, datasets=datasets, stages=stages, splits=splits)


def _require_once(option: str, names: Sequence[str]) -> None:
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise PancextError(f"{option} names {', '.join(twice)} twice. Name each once.")


def _require_folds(raw: Path, folds: Sequence[str]) -> tuple[str, ...]:
    """Return the folds of a dataset's split; PancextError if one of `folds` is not among them."""
    if ALL in folds and len(folds) > 1:
        raise PancextError(
            f"-f {' '.join(folds)}: {ALL} trains on every case and cannot be combined with other folds. Plan "
            "it as a campaign of its own."
        )
    preprocessed = set_folder(PREPROCESSED) / raw.name
    files = [path for folder in (preprocessed, raw) if (path := folder / SPLITS_FILE).is_file()]
    count = len(read_folds(files[0])) if files else len(NNUNET_FOLDS)
    existing = tuple(map(str, range(count)))
    missing = [fold for fold in folds if fold not in (ALL, *existing)]
    if missing:
        of = f"of {files[0]}" if files else "that nnU-Net makes"
        raise PancextError(
            f"-f {' '.join(missing)}: the folds {of} are {', '.join(existing)}. Choose from them."
        )
    cases, _ = cases_of(raw.name)
    if not files and ALL not in folds and len(cases) < count:
        raise PancextError(
            f"{raw.name} has {counted(len(cases), 'training case')}, too few for nnU-Net's {count} folds. "
            f"Write its folds to {preprocessed / SPLITS_FILE}, or train -f {ALL}."
        )
    return existing


def _stages(dataset: str, plans: str, configurations: Sequence[str]) -> dict[str, Stage]:
    """Return what each configuration trains on; PancextError for plans or configurations that cannot be."""
    file = set_folder(PREPROCESSED) / dataset / f"{plans}.json"
    content = valid_json(file)
    if content is None:  # also one that a killed planner left unfinished, which is planned again
        if plans not in PLANNERS:
            if file.exists():
                read_json(file, expect=dict)  # says what is wrong
            raise PancextError(
                f"-p {plans}: there is no {file}. Make it with nnUNetv2_plan_experiment, or choose one that "
                f"nnU-Net's planners write: {', '.join(PLANNERS)}."
            )
        if unknown := [name for name in configurations if name not in CONFIGURATIONS]:
            raise PancextError(
                f"-c {' '.join(unknown)}: nnU-Net's planners write {', '.join(CONFIGURATIONS)}. Choose from "
                f"them, or plan {dataset} with yours first."
            )
        return {name: usual_stage(name) for name in configurations}
    remedy = "Choose from them with -c, or change -p."
    wanted = {name: _stage(content, name, source=file, remedy=remedy) for name in configurations}
    first = [stage.previous for stage in wanted.values() if stage.previous]
    return {**{name: _stage(content, name, source=file, remedy=remedy) for name in first}, **wanted}


def _stage(plans: Mapping[str, Any], configuration: str, *, source: Path, remedy: str) -> Stage:
    settings = configuration_of(plans, configuration, source=source, remedy=remedy)
    data = configuration
    # As in 3d_cascade_fullres, which has the cases of 3d_fullres.
    while not plans["configurations"][data].get("data_identifier"):
        parent = plans["configurations"][data].get("inherits_from")
        if parent is None:
            break
        data = parent
    return Stage(data=data, previous=str(settings.get("previous_stage") or ""))


def _require_test_set(raw: Path, images: Path, labels: Path) -> None:
    """Raise PancextError unless each image has a label map, and each label map an image."""
    ending = read_dataset_json(raw / NAME).file_ending
    for what, folder in (("images", images), ("label maps", labels)):
        if not folder.is_dir():
            raise PancextError(f"--test: there is no folder of {what} {folder}. Check the path.")
    named = {
        path.name.removesuffix(f"_0000{ending}")
        for path in images.glob(f"*_0000{ending}")
        if not path.name.startswith(".")
    }
    labelled = find_cases(labels, ending)
    if not named:
        raise PancextError(
            f"--test: {images} holds no image called CASE_0000{ending}, as {raw.name} has them. Convert the "
            "test set as its training set was."
        )
    for what, where, lacking in (
        ("label map", labels, named - labelled),
        ("image", images, labelled - named),
    ):
        if lacking:
            first = ", ".join(sorted(lacking)[:MOST_LISTED])
            more = f" and {len(lacking) - MOST_LISTED} more" if len(lacking) > MOST_LISTED else ""
            raise PancextError(
                f"--test: {where} has no {what} of {first}{more}. Add it, or leave the case out."
            )
