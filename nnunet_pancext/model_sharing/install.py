"""Installing a shared model in nnUNet_results, with its checkpoints and pickles written anew."""

import re
import shutil
from collections.abc import Collection, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from nnunet_pancext.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from nnunet_pancext.checkpoints.pickled import UnsafeFile
from nnunet_pancext.checkpoints.plan_names import ALLOW, ALLOWLIST
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.disk import write_errors_as_pancext
from nnunet_pancext.io.files import atomic_path, write_json
from nnunet_pancext.io.replace_folder import replaced_folder
from nnunet_pancext.model_sharing.inspect import ModelFacts, inspect_model, problems_of, reading
from nnunet_pancext.model_sharing.model_files import (
    find_models,
    read_object,
    require_safe_files,
    require_source,
)
from nnunet_pancext.model_sharing.postprocessing import read_postprocessing, write_postprocessing
from nnunet_pancext.model_sharing.unpack import is_known, sha256_of, unpacked
from nnunet_pancext.nnunet_files.folders import RESULTS, existing_folder
from nnunet_pancext.nnunet_files.model_folder import ModelName
from nnunet_pancext.version import __version__

PROVENANCE = "provenance.json"
DATASET = re.compile(r"Dataset\d{3}_[\w.-]+", re.ASCII)
FOLDER_NAME = re.compile(r"[\w.-]+", re.ASCII)
OPTION = "--results"
INFORMATION = "inference_information.json"


def import_model(
    source: Path, *, results: Path | None = None, replace: bool = False, allow: Collection[str] = ()
) -> list[Path]:
    """Install every model of a zip or folder below `results` (default: nnUNet_results); return the folders.

    Each model is checked as by `inspect_source` and appears whole or not at all.

    Raises:
        UnsafeFile: a file is damaged or holds code.
        PancextError: a model cannot be run here; or it is installed already, without `replace`; or the disk
            cannot be written.
    """
    require_source(source)
    if source.suffix == ".pth":
        raise PancextError(
            f"{source} is a checkpoint alone. Give the .zip or the folder of the model, with plans.json "
            "and dataset.json."
        )
    root = existing_folder(RESULTS) if results is None else results
    with reading(source), unpacked(source, under=_created(root), option=OPTION) as files:
        origin = {"source": source.name, "sha256": None if source.is_dir() else sha256_of(source)}
        require_safe_files(files.root, allow=allow)
        folders = find_models(files.root, source)
        models = [inspect_model(folder, allow=allow) for folder in folders]
        _require_runnable(models, source)
        targets = [
            root / _dataset_of(folder, source) / _checked_name(model)
            for folder, model in zip(folders, models, strict=True)
        ]
        installed = list(zip(folders, targets, strict=True))
        for folder, target in installed:
            if targets.count(target) > 1:
                raise PancextError(f"{source} holds two models for {target}. Give the folder of one of them.")
            if target.exists() and target.samefile(folder):  # would lose all files that are not imported
                raise PancextError(f"{target} is the model itself. Give another folder with {OPTION}.")
            if target.exists() and not replace:
                raise PancextError(f"{target} exists. Give --replace to install this model in its place.")
        with write_errors_as_pancext(root, option=OPTION):
            for folder, target in installed:
                _install(folder, target, {**origin, "left_out": list(files.left_out)})
            for dataset in sorted({(folder.parent, target.parent) for folder, target in installed}):
                _install_ensembles(*dataset, replace=replace)
    return targets


def _created(root: Path) -> Path:
    with write_errors_as_pancext(root, option=OPTION):
        root.mkdir(parents=True, exist_ok=True)
    return root


def _require_runnable(models: Sequence[ModelFacts], source: Path) -> None:
    if problems := problems_of(models):
        listed = "\n  ".join(problems)
        hint = f"\n{ALLOW}" if ALLOWLIST in listed else ""
        raise PancextError(f"{source} cannot be run here, and nothing was installed:\n  {listed}{hint}")


def _dataset_of(folder: Path, source: Path) -> str:
    """Return the dataset's name: that of the folder above the model, else that in its plan."""
    plan = read_object(folder / "plans.json")
    name = next((name for name in (folder.parent.name, plan.get("dataset_name")) if _is_dataset(name)), None)
    if name is None:
        raise PancextError(
            f"{source} does not say of which dataset the model is: neither the folder above it nor the "
            "'dataset_name' in plans.json is like Dataset007_Pancreas. Put the model into such a folder."
        )
    return name


def _is_dataset(name: Any) -> bool:
    return isinstance(name, str) and DATASET.fullmatch(name) is not None


def _checked_name(model: ModelFacts) -> str:
    if ModelName.parse(model.name) is None or FOLDER_NAME.fullmatch(model.name) is None:
        raise UnsafeFile(f"The model is called {model.name[:80]!a}, not TRAINER__PLANS__CONFIGURATION.")
    return model.name


def _install(folder: Path, target: Path, provenance: dict[str, Any]) -> None:
    with replaced_folder(target) as new:
        hashes = {}
        for path in sorted(folder.rglob("*")):
            name = PurePosixPath(path.relative_to(folder).as_posix())
            if _is_own_file(path) and is_known(name) and name.name != PROVENANCE:
                written = new / name
                written.parent.mkdir(parents=True, exist_ok=True)
                _write_checked(path, written)
                hashes[str(name)] = {"source_sha256": sha256_of(path), "sha256": sha256_of(written)}
        versions = {
            "nnunet_pancext": __version__,
            "torch": torch.__version__,
            "nnunetv2": version("nnunetv2"),
        }
        imported = datetime.now(timezone.utc).isoformat(timespec="seconds")
        write_json(
            new / PROVENANCE, {**provenance, "imported": imported, "versions": versions, "files": hashes}
        )


def _write_checked(source: Path, target: Path) -> None:
    """Write a file anew from its checked content, so that nnU-Net may load it as it does."""
    with write_errors_as_pancext(target, source=source, option=OPTION):
        if source.suffix == ".pth":
            write_checkpoint(read_checkpoint(source), target)
        elif source.name == "postprocessing.pkl":
            write_postprocessing(*read_postprocessing(source), target)
        elif source.name in ("plans.json", "dataset.json"):
            write_json(target, read_object(source))
        else:
            with atomic_path(target) as partial:
                shutil.copyfile(source, partial)


def _install_ensembles(source: Path, target: Path, *, replace: bool) -> None:
    """Install the ensembles of a dataset, and what nnU-Net found best."""
    for folder in sorted(source.glob("ensembles/*")):
        destination = target / "ensembles" / folder.name
        if folder.is_symlink() or not folder.is_dir() or FOLDER_NAME.fullmatch(folder.name) is None:
            continue
        if destination.exists() and not replace:
            continue
        with replaced_folder(destination) as new:
            for path in sorted(folder.iterdir()):
                if _is_own_file(path) and is_known(PurePosixPath(folder.name, path.name)):
                    _write_checked(path, new / path.name)
    information = source / INFORMATION
    if _is_own_file(information) and (replace or not (target / INFORMATION).exists()):
        _write_checked(information, target / INFORMATION)


def _is_own_file(path: Path) -> bool:
    """Whether it is a file, not a link, which may lead out of the source."""
    return path.is_file() and not path.is_symlink()
