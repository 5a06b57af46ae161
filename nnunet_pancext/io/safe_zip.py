"""Extracting a zip of unknown origin, once its directory is safe."""

import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath, PureWindowsPath

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.bounded_file import BoundedFile
from nnunet_pancext.io.disk import require_free_space, write_errors_as_pancext
from nnunet_pancext.io.unreadable import HEADER_BYTES, UnreadableImage, refuse_other_kinds

LOCAL_HEADER_BYTES = 30
ENCRYPTED = 1  # bit of a member's flags
# What damaged archives make of zipfile.
BAD_ZIP = (
    *(zipfile.BadZipFile, struct.error, ValueError, IndexError, OverflowError, EOFError),
    NotImplementedError,
)
MOST_MEMBERS = 100_000
MOST_NAME, MOST_PART_BYTES = 1000, 200  # file systems allow parts of 255, and temporary names are longer
MOST_RATIO, RATIO_FROM_BYTES = 100, 1 << 20  # weights and images hardly compress
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
RESERVED = frozenset(
    ["CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10))]
)
PIECE_BYTES = 1 << 22


def extract_zip(
    archive: Path,
    folder: Path,
    *,
    is_wanted: Callable[[PurePosixPath], bool],
    option: str,
    error_class: type[PancextError],
    remedy: str,
) -> list[str]:
    """Extract the wanted files into the folder, and return the names of the others.

    `option` is what the message about a full disk names to choose another one; `remedy` ends that about an
    unsafe member.

    Raises:
        error_class: the zip is damaged, or has a link, an encrypted or doubled member, one that would be
            written elsewhere, one that is far larger than its compressed data, or members that overlap.
        PancextError: the disk is full or not writable.
    """

    def refuse(text: str) -> PancextError:
        return error_class(f"{archive} holds {text}. {remedy}")

    try:
        with BoundedFile(archive) as stream, zipfile.ZipFile(stream) as packed:
            members = [info for info in packed.infolist() if not info.is_dir()]
            for problem in (*_unsafe(members), *_overlaps(members)):
                raise refuse(problem)
            wanted = [info for info in members if is_wanted(PurePosixPath(info.filename))]
            others = [info.filename for info in members if not is_wanted(PurePosixPath(info.filename))]
            with write_errors_as_pancext(folder, option=option):
                needed_bytes = sum(info.file_size for info in wanted)
                require_free_space(folder, needed_bytes=needed_bytes, option=option)
                for info in wanted:
                    target = folder / info.filename
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with packed.open(info) as member, target.open("xb") as file:
                        shutil.copyfileobj(member, file, PIECE_BYTES)
                    if target.stat().st_size != info.file_size:
                        raise zipfile.BadZipFile(f"{info.filename} is cut short")
            return others
    except (*BAD_ZIP, zlib.error) as error:
        with archive.open("rb") as content:
            start = content.read(HEADER_BYTES)
        try:
            refuse_other_kinds(start, ending="zip")
        except UnreadableImage as kind:
            raise error_class(f"{archive} {kind}. {kind.remedy}") from error
        raise error_class(
            f"{archive} is damaged: {error or type(error).__name__}. Download it again and compare its size "
            "or checksum with the publisher's."
        ) from error


def _unsafe(members: Sequence[zipfile.ZipInfo]) -> Iterator[str]:
    """Yield what makes the members unsafe to extract."""
    seen: dict[str, bool] = {}  # by name: whether it is a folder of others
    if len(members) > MOST_MEMBERS:
        yield f"{len(members):,} members, more than {MOST_MEMBERS:,}"
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
        yield f"{problem}: {name[:80]!a}"


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


def _overlaps(members: Sequence[zipfile.ZipInfo]) -> Iterator[str]:
    """Yield members that share compressed bytes, by which a small file unpacks to an enormous one."""
    ordered = sorted(members, key=lambda info: info.header_offset)
    for info, following in pairwise(ordered):
        if info.header_offset + LOCAL_HEADER_BYTES + info.compress_size > following.header_offset:
            yield f"members that overlap: {following.filename[:80]!a}"
