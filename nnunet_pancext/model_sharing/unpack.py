"""The files of a shared model: a folder as it is, a zip unpacked for a while once its directory is safe."""

import hashlib
import re
import shutil
import stat
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath, PureWindowsPath

from filelock import FileLock, Timeout

from nnunet_pancext.checkpoints.pickled import UnsafeFile
from nnunet_pancext.checkpoints.torch_archive import BAD_ZIP, ENCRYPTED, LOCAL_HEADER_BYTES
from nnunet_pancext.io.bounded_file import BoundedFile
from nnunet_pancext.io.console_text import printable
from nnunet_pancext.io.disk import require_free_space, write_errors_as_pancext
from nnunet_pancext.io.unreadable import HEADER_BYTES, UnreadableImage, refuse_other_kinds

MOST_MEMBERS = 100_000
MOST_NAME, MOST_PART_BYTES = 1000, 200  # file systems allow parts of 255, and temporary names are longer
MOST_RATIO, RATIO_FROM_BYTES = 100, 1 << 20  # weights and label maps hardly compress
PREFIX, LOCK = ".pancext-model-", ".lock"
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
CHECKPOINT = re.compile(r"checkpoint_(final|best|latest)\.pth")
PREDICTIONS = re.compile(r"(validation|crossval_results_folds_\w+|ensemble_.+)")
LABEL_MAPS = (".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".bmp", ".tif")
RESERVED = frozenset(
    ["CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))]
)
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
    if under:
        _remove_abandoned(under)
    with write_errors_as_pancext(under or Path(tempfile.gettempdir()), option=option):
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=under))
    try:
        with FileLock(folder / LOCK):
            root = folder / "files"
            root.mkdir()
            yield Unpacked(root=root, left_out=tuple(_extract(source, root, option=option)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(under: Path) -> None:
    """Remove what killed runs unpacked: folders whose lock no process holds."""
    for file in under.glob(f"{PREFIX}*/{LOCK}"):
        with suppress(Timeout, OSError), FileLock(file, timeout=0):
            shutil.rmtree(file.parent, ignore_errors=True)


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


def _extract(archive: Path, folder: Path, *, option: str) -> Iterator[str]:
    """Extract the known files into the folder, and yield the names of the others."""
    try:
        with BoundedFile(archive) as stream, zipfile.ZipFile(stream) as packed:
            members = [info for info in packed.infolist() if not info.is_dir()]
            _refuse_unsafe(archive, members)
            _refuse_overlaps(archive, members)
            known = [info for info in members if is_known(PurePosixPath(info.filename))]
            unknown = [info.filename for info in members if not is_known(PurePosixPath(info.filename))]
            with write_errors_as_pancext(folder, option=option):
                needed_bytes = sum(info.file_size for info in known)
                require_free_space(folder, needed_bytes=needed_bytes, option=option)
                for info in known:
                    target = folder / info.filename
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with packed.open(info) as content, target.open("xb") as file:
                        shutil.copyfileobj(content, file, PIECE_BYTES)
                    if target.stat().st_size != info.file_size:
                        raise zipfile.BadZipFile(f"{info.filename} is cut short")
            yield from unknown
    except (*BAD_ZIP, zlib.error) as error:
        with archive.open("rb") as file:
            start = file.read(HEADER_BYTES)
        try:
            refuse_other_kinds(start, ending="zip")
        except UnreadableImage as kind:
            raise UnsafeFile(f"{archive} {kind}. {kind.remedy}") from error
        raise UnsafeFile(
            f"{archive} is damaged: {error or type(error).__name__}. Download it again and compare its size "
            "or checksum with the publisher's."
        ) from error


def _refuse_unsafe(archive: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    seen: dict[str, bool] = {}  # by name: whether it is a folder of others
    if len(members) > MOST_MEMBERS:
        raise UnsafeFile(
            f"{archive} has {len(members):,} members, more than {MOST_MEMBERS:,}. {NOTHING_WRITTEN}"
        )
    for info in members:
        name = info.filename
        paths = (PurePosixPath(name), PureWindowsPath(name))
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            problem = "a link or device"
        elif any(path.anchor or ".." in path.parts for path in paths) or "\\" in name:
            problem = "a name that would be written outside of the folder"
        elif not name.isprintable():
            problem = "a name that is not a plain path"
        elif info.flag_bits & ENCRYPTED:
            problem = "an encrypted file"
        elif info.compress_type not in METHODS:
            problem = "a file with an unusual compression"
        elif len(name) > MOST_NAME or any(_is_awkward(part) for part in paths[0].parts):
            problem = "a name that not every file system takes"
        elif _is_taken(paths[0], seen):
            problem = "two files of one name, or a file where another one needs a folder"
        elif info.file_size > max(RATIO_FROM_BYTES, MOST_RATIO * info.compress_size):
            problem = f"{info.file_size:,} bytes in {info.compress_size:,} compressed ones"
        else:
            continue
        raise UnsafeFile(f"{archive} holds {problem}: {name[:80]!a}. {NOTHING_WRITTEN}")


def _is_awkward(part: str) -> bool:
    is_reserved = PureWindowsPath(part).stem.rstrip().upper() in RESERVED
    return is_reserved or part.endswith((".", " ")) or len(part.encode()) > MOST_PART_BYTES


def _is_taken(path: PurePosixPath, seen: dict[str, bool]) -> bool:
    """Whether the name collides with one before, as file systems compare names; else note it in `seen`."""
    name, *parents = (
        unicodedata.normalize("NFC", str(part)).casefold() for part in (path, *path.parents[:-1])
    )
    if name in seen or any(seen.get(parent) is False for parent in parents):
        return True
    seen[name] = False
    seen.update(dict.fromkeys(parents, True))
    return False


def _refuse_overlaps(archive: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Members that share compressed bytes let a small file unpack to an enormous one."""
    ordered = sorted(members, key=lambda info: info.header_offset)
    for info, following in pairwise(ordered):
        if info.header_offset + LOCAL_HEADER_BYTES + info.compress_size > following.header_offset:
            raise UnsafeFile(
                f"{archive} holds members that overlap: {following.filename[:80]!a}. {NOTHING_WRITTEN}"
            )
