"""CASE.json: what was predicted from what, by which model and how; and whether it may be used again."""

import hashlib
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from nnunet_pancext.errors import PancextError
from nnunet_pancext.inference.logits import Logits, Passes
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.io.durations import duration_text
from nnunet_pancext.io.files import read_json
from nnunet_pancext.model_sharing.unpack import sha256_of
from nnunet_pancext.pages.numbers import volume_text
from nnunet_pancext.prediction.models import ChosenModel
from nnunet_pancext.version import __version__

SCHEMA_VERSION = 1
NOTICE = "For research. Not a medical device."
NOT_MEASURED = "not measured"
STEPS = ("read", "preprocess", "coarse pass", "full pass", "export", "write")
KEPT = {  # what the page reads of a record that is used again
    **dict.fromkeys(("case", "label_map", "speed"), str),
    **dict.fromkeys(("volumes_ml", "windows", "seconds"), dict),
    "lesions": list,
}
WITHOUT_EFFECT = ("threads",)  # options on which a result depends by rounding alone
DECISIVE = ("nnunet_pancext", "nnunetv2")  # versions on which it depends by more


def model_facts(model: ChosenModel) -> dict[str, Any]:
    """Return what identifies a model; the hash is of its plan, dataset.json and checkpoints.

    Raises:
        PancextError: one of them cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for file in model.files:
            digest.update(f"{file.relative_to(model.folder).as_posix()} {sha256_of(file)}\n".encode())
    except OSError as error:
        raise PancextError(f"{model.folder} cannot be read ({error}). Copy the model again.") from error
    return {
        "folder": model.folder.name,
        "trainer": model.name.trainer,
        "plans": model.name.plans,
        "configuration": model.name.configuration,
        "folds": list(model.folds),
        "checkpoint": model.checkpoint,
        "sha256": digest.hexdigest(),
    }


def input_facts(files: Iterable[Path]) -> list[dict[str, Any]]:
    """Return name and hash of each file.

    Raises:
        PancextError: one cannot be read.
    """
    facts: list[dict[str, Any]] = []
    for file in files:
        try:
            facts.append({"file": file.name, "sha256": sha256_of(file)})
        except OSError as error:
            raise PancextError(
                f"{file} cannot be read ({error.strerror}). Check the path, its permissions and its disk."
            ) from error
    return facts


def stage_facts(model: ChosenModel, logits: Logits) -> dict[str, Any]:
    """Return what was run of one configuration; boxes are in voxels of the preprocessed image."""
    passes = logits.passes
    return {
        "configuration": model.name.configuration,
        "trainer": model.name.trainer,
        "windows": window_facts([passes]),
        "growths": passes.growths,
        "fallback": passes.fallback or None,
        "bfloat16": passes.bfloat16,
        "boxes": [[[side.start, side.stop] for side in region.box] for region in logits.regions],
    }


def window_facts(passes: Sequence[Passes]) -> dict[str, int]:
    """Return the windows of several stages together."""
    return {
        "run": sum(part.windows for part in passes),
        "left_out": sum(part.windows_left_out for part in passes),
        "coarse": sum(part.coarse_windows for part in passes),
        "forwards": sum(part.forwards for part in passes),
        "whole_image_forwards": sum(part.whole_image_forwards for part in passes),
    }


def versions() -> dict[str, str]:
    """Return the versions of what computed a result."""
    return {
        "nnunet_pancext": __version__,
        "nnunetv2": version("nnunetv2"),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def peak_memory_mb() -> int | None:
    """Return the peak memory of this process so far, in MB; None where it cannot be measured."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)


def is_of(record: Mapping[str, Any], *, inputs: Any, models: Any, options: Mapping[str, Any]) -> bool:
    """Whether a record is of these inputs, models and options, and of this version of what ran them."""
    kept = record.get("options")
    return (
        record.get("schema_version") == SCHEMA_VERSION
        and _hashes(record.get("inputs")) == _hashes(inputs)
        and _hashes(record.get("model")) == _hashes(models)
        and all(isinstance(record.get(key), kind) for key, kind in KEPT.items())
        and isinstance(kept, dict)
        and _effective(kept) == _effective(options)
        and _decisive(record.get("versions")) == _decisive(versions())
    )


def read_record(file: Path) -> dict[str, Any] | None:
    """Return what a CASE.json holds; None where there is none, or another file of this name."""
    if not file.is_file():  # nor a pipe, which would be waited for
        return None
    try:
        record = read_json(file, expect=dict)
    except PancextError:
        return None
    return record if "schema_version" in record else None


def _hashes(facts: Any) -> list[Any] | None:
    is_known = isinstance(facts, list) and all(isinstance(fact, dict) for fact in facts)
    return [fact.get("sha256") for fact in facts] if is_known else None


def _decisive(found: Any) -> list[Any] | None:
    return [found.get(package) for package in DECISIVE] if isinstance(found, dict) else None


def _effective(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in WITHOUT_EFFECT}


def case_line(content: dict[str, Any]) -> str:
    """Return the volumes of a case, its lesions, what was run and how long it took."""
    volumes = ", ".join(
        f"{name} {'—' if volume is None else f'{volume_text(volume)} mL'}"
        for name, volume in content["volumes_ml"].items()
    )
    if content["options"].get("lesions"):
        lesions = len(content["lesions"]) + (content.get("lesions_left_out") or 0)
        volumes += f"; {counted(lesions, 'lesion')}"
    windows = content["windows"]
    run, whole = windows["run"], windows["run"] + windows["left_out"]
    text = f"{volumes}; {run} of {whole} windows, {duration_text(content['seconds']['total'])}"
    return f"{text} (whole image: {content['fallback']})" if content["fallback"] else text
