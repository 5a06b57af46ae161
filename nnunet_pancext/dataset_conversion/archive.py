"""Opening a source: a folder as it is, an archive extracted safely for as long as it is needed."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from tqdm import tqdm

from nnunet_pancext.dataset_conversion.archive_formats import (
    DAMAGE,
    DamagedArchive,
    Member,
    list_members_of,
    pieces,
)
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.disk import require_free_space, write_errors_as_pancext
from nnunet_pancext.io.files import atomic_path

COPY_BYTES = 1 << 20
FORMATS = ".tar, .tar.gz or .zip"


@dataclass(frozen=True, kw_only=True)
class OpenedSource:
    """A folder to read from; so many `hidden_members` of its archive were not extracted."""

    folder: Path
    hidden_members: int


def require_source(source: Path) -> None:
    """Raise PancextError unless `source` is a folder or an archive of a known format."""
    if not source.exists():
        raise PancextError(f"{source} does not exist. Give the dataset's folder or its {FORMATS}.")
    if source.is_dir():
        return
    try:
        known = list_members_of(source)
    except OSError as error:
        raise PancextError(f"cannot read {source}: {error.strerror}. Check its permissions.") from error
    if known is None:
        raise PancextError(
            f"{source} is neither a folder nor a readable {FORMATS}. "
            "If it is another kind of archive, unpack it and give the folder; "
            "if it is one of these, download it again."
        )


@contextmanager
def opened_sources(
    sources: Sequence[Path], *, extract_under: Path, show_progress: bool
) -> Iterator[list[OpenedSource]]:
    """Yield the folders of `sources`, extracting archives below `extract_under` and removing that afterwards.

    What a killed run had extracted from the same archive is used again.
    """
    folders = {source: extraction_folder(source, under=extract_under) for source in sources}
    for stale in extract_under.glob("extracted-*"):
        if stale not in folders.values():
            shutil.rmtree(stale, ignore_errors=True)
    try:
        yield [
            opened_source(source, folder=folders[source], show_progress=show_progress) for source in sources
        ]
    finally:
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)


def extraction_folder(source: Path, *, under: Path) -> Path:
    """Return where an archive of this name, size and time is extracted."""
    status = source.stat()
    identity = f"{source.resolve()} {status.st_size} {status.st_mtime_ns}"
    return under / f"extracted-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def opened_source(source: Path, *, folder: Path, show_progress: bool) -> OpenedSource:
    """Return the source if it is a folder, else what was extracted from it to `folder`."""
    if source.is_dir():
        return OpenedSource(folder=source, hidden_members=0)
    hidden = extract(source, folder=folder, show_progress=show_progress)
    return OpenedSource(folder=folder, hidden_members=hidden)


def extract(archive: Path, *, folder: Path, show_progress: bool) -> int:
    """Write the regular files of `archive` under `folder`; return how many hidden members were left alone.

    Every member is judged before the first is written: paths that leave the folder, links and devices
    refuse the whole archive. Files that are there with the member's size and time are not written again.
    """
    listed = list_members_of(archive)
    if listed is None:
        raise PancextError(f"{archive} is no readable {FORMATS}. Download it again.")
    with write_errors_as_pancext(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with listed(archive) as members:
            for member in members:
                refuse_unsafe(member, archive=archive)
            wanted = [member for member in members if not is_hidden(member)]
            missing = [member for member in wanted if not is_extracted(member, folder=folder)]
            needed = sum(member.size for member in missing)
            require_free_space(folder, needed_bytes=needed)
            with tqdm(
                total=needed, desc="extracting", unit="B", unit_scale=True, disable=not show_progress
            ) as bar:
                for member in missing:
                    write_member(member, folder=folder)
                    bar.update(member.size)
            return len(members) - len(wanted)
    except (*DAMAGE, DamagedArchive) as error:
        raise PancextError(
            f"{archive} is damaged: {error or type(error).__name__}. Download it again and compare its size "
            "or checksum with the publisher's."
        ) from error


def refuse_unsafe(member: Member, *, archive: Path) -> None:
    """Raise PancextError for a member that is no regular file or would land outside the folder."""
    if not member.is_regular:
        raise PancextError(
            f"{archive} holds {member.name!r}, a link or device, which a dataset does not need. "
            "Nothing was extracted. Download the archive from its publisher."
        )
    for path in (PurePosixPath(member.name), PureWindowsPath(member.name)):
        if path.is_absolute() or path.anchor or ".." in path.parts:
            raise PancextError(
                f"{archive} holds {member.name!r}, which would be written outside the target folder. "
                "Nothing was extracted. Download the archive from its publisher."
            )


def is_hidden(member: Member) -> bool:
    """Say whether the member or a folder above it has a name that starts with a dot."""
    return any(part.startswith(".") for part in PurePosixPath(member.name).parts)


def is_extracted(member: Member, *, folder: Path) -> bool:
    """Say whether an earlier run has written this member."""
    try:
        status = (folder / member.name).stat()
    except OSError:
        return False
    return status.st_size == member.size and int(status.st_mtime) == member.time


def write_member(member: Member, *, folder: Path) -> None:
    """Write one regular member with its modification time, so that a later run knows it again."""
    target = folder / member.name
    with write_errors_as_pancext(target, needed_bytes=member.size):
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as partial:
            with partial.open("wb") as output:
                for piece in pieces(member, piece_bytes=COPY_BYTES):
                    output.write(piece)
            os.utime(partial, (member.time, member.time))
