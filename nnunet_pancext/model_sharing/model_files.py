"""The files of a model in a folder: which there are, and that they are what they should be."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from nnunet_pancext.checkpoints.pickled import UnsafeFile, require_plain
from nnunet_pancext.checkpoints.plan_names import ALLOW, plan_problems
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.model_sharing.postprocessing import read_postprocessing
from nnunet_pancext.model_sharing.unpack import CHECKPOINT

DATASET_DEPTH = 4  # folders above a model's plans.json in a source
MOST_JSON_BYTES = 1 << 26
MOST_CHECKPOINTS = 100  # in a source, of all its models together; each takes seconds to check


def require_source(source: Path) -> None:
    """Raise PancextError unless `source` is a file or folder."""
    if not source.is_file() and not source.is_dir():
        problem = "is neither a file nor a folder" if source.exists() else "does not exist"
        raise PancextError(
            f"{source} {problem}. Give a .zip of nnUNetv2_export_model_to_zip, a model's folder or a "
            "checkpoint."
        )


def find_models(root: Path, source: Path) -> list[Path]:
    """Return the folders of models below `root`; PancextError, which names `source`, if there are none."""
    folders = [
        path.parent
        for depth in range(DATASET_DEPTH)
        for path in sorted(root.glob("*/" * depth + "plans.json"))
        if not path.is_symlink() and checkpoints_of(path.parent)
    ]
    if not folders:
        raise PancextError(
            f"{source} holds no trained model: no plans.json beside folders fold_*/ with checkpoints. Give a "
            ".zip of nnUNetv2_export_model_to_zip, or the folder TRAINER__PLANS__CONFIGURATION. Links are "
            "not followed: copy a folder of links with `cp -rL`."
        )
    if (count := sum(len(checkpoints_of(folder)) for folder in folders)) > MOST_CHECKPOINTS:
        raise PancextError(
            f"{source} holds {count} checkpoints, more than {MOST_CHECKPOINTS}. Give the folder of one model."
        )
    return folders


def checkpoints_of(folder: Path) -> list[Path]:
    """Return the checkpoints of a model that are files, not links."""
    return [
        path
        for path in sorted(folder.glob("fold_*/checkpoint_*.pth"))
        if CHECKPOINT.fullmatch(path.name) and not path.is_symlink() and not path.parent.is_symlink()
    ]


def require_safe_files(root: Path, *, allow: Collection[str] = ()) -> None:
    """Refuse pickled postprocessing, or a copy of a plan beside it, that would call anything but nnU-Net.

    A model's own plan is left to `inspect_model`.

    Raises:
        UnsafeFile: such a file is unsafe.
    """
    for file in _files_called("postprocessing.pkl", root):
        read_postprocessing(file)
    for file in _files_called("dataset.json", root):
        read_object(file)
    for file in _files_called("plans.json", root):
        problems = [] if checkpoints_of(file.parent) else plan_problems(read_object(file), allow=allow)
        if problems:
            raise UnsafeFile(f"{file}: {'; '.join(problems)}. {ALLOW}")


def _files_called(name: str, root: Path) -> list[Path]:
    return [path for path in sorted(root.rglob(name)) if not path.is_symlink()]


def read_object(file: Path) -> dict[str, Any]:
    """Return the content of plans.json or dataset.json; PancextError if it is no object, or beyond limits."""
    remedy = "Get the whole model from its publisher."
    if file.is_symlink():
        raise UnsafeFile(f"{file} is a link, which is not followed. Copy the model with `cp -rL`.")
    if file.is_file() and file.stat().st_size > MOST_JSON_BYTES:
        raise UnsafeFile(f"{file} has more than {MOST_JSON_BYTES:,} bytes. {remedy}")
    content = read_json(file, expect=dict, remedy=remedy)
    try:
        require_plain(content)
    except UnsafeFile as error:
        raise UnsafeFile(f"{file} {error}. {remedy}") from error
    return content
