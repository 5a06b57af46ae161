"""The files of a shared model: a folder as it is, a zip unpacked for a while once its directory is safe."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nnunet_pancext.checkpoints.pickled import UnsafeFile
from nnunet_pancext.io.console_text import printable
from nnunet_pancext.io.safe_zip import extract_zip
from nnunet_pancext.io.temporary_folder import temporary_folder

PREFIX = ".pancext-model-"
CHECKPOINT = re.compile(r"checkpoint_(final|best|latest)\.pth")
PREDICTIONS = re.compile(r"(validation|crossval_results_folds_\w+|ensemble_.+)")
LABEL_MAPS = (".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".bmp", ".tif")
PIECE_BYTES = 1 << 22
NOTHING_WRITTEN = "Nothing was unpacked. Get the model from a source that you trust."


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """A folder with the known files of a model, and the names of those that are left out."""

    root: Path
    left_out: tuple[str, ...]


def is_known(name: PurePosixPath) -> bool:
    """Whether nnU-Net exports a file of this name, and this package knows how to check it."""
    parent, file = name.parent.name, name.name
    if any(part.startswith(".") for part in name.parts):
        return False
    return (
        file.endswith(".json")
        or (parent.startswith("fold_") and (CHECKPOINT.fullmatch(file) or file == "progress.png") is not None)
        or file == "postprocessing.pkl"
        or (PREDICTIONS.fullmatch(parent) is not None and file.endswith(LABEL_MAPS))
    )


@contextmanager
def unpacked(source: Path, *, under: Path | None = None, option: str = "TMPDIR") -> Iterator[Unpacked]:
    """Yield the files of a zip in a temporary folder, below `under` if given; those of a folder in place.

    `option` is what the message about a full disk names to choose another one.

    Raises:
        UnsafeFile: the zip is damaged, or has a link, an encrypted or doubled member, one that would be
            written elsewhere, or one that is far larger than its compressed data.
        PancextError: the disk is full or not writable.
    """
    if source.is_dir():
        yield Unpacked(root=source, left_out=tuple(_unknown_files(source)))
        return
    with temporary_folder(under=under, prefix=PREFIX, option=option) as folder:
        left_out = extract_zip(
            source,
            folder,
            is_wanted=is_known,
            option=option,
            error_class=UnsafeFile,
            remedy=NOTHING_WRITTEN,
        )
        yield Unpacked(root=folder, left_out=tuple(left_out))


def sha256_of(file: Path) -> str:
    """Return the file's SHA-256 as hexadecimal text."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _unknown_files(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        name = PurePosixPath(path.relative_to(folder).as_posix())
        if not (path.is_symlink() or path.is_file() or path.is_dir()):
            raise UnsafeFile(f"{printable(str(path), most=200)} is a pipe, socket or device. Remove it.")
        if path.is_symlink() or (path.is_file() and not is_known(name)):
            yield str(name)
