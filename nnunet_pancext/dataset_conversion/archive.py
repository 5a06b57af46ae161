"""Opening a source: a folder as it is, an archive extracted safely for as long as it is needed."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from tqdm import tqdm

from nnunet_pancext.dataset_conversion.disk import require_free_space, told_write_errors
from nnunet_pancext.errors import PancextError
from nnunet_pancext.files import atomic_path

DAMAGE = (tarfile.TarError, EOFError, zlib.error, OSError)
COPY_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class OpenedSource:
    """A folder to read from; `extracted` says that it goes away, `hidden_members` were not extracted."""

    folder: Path
    extracted: bool
    hidden_members: int


def require_source(source: Path) -> None:
    """Raise PancextError unless `source` is a folder or a tar archive."""
    if not source.exists():
        raise PancextError(f"{source} does not exist. Give the dataset's folder or its .tar or .tar.gz.")
    if source.is_dir():
        return
    try:
        is_tar = tarfile.is_tarfile(source)
    except OSError as error:
        raise PancextError(f"cannot read {source}: {error.strerror}. Check its permissions.") from error
    if not is_tar:
        raise PancextError(
            f"{source} is neither a folder nor a readable .tar or .tar.gz. "
            "If it is another kind of archive, unpack it and give the folder; "
            "if it is a tar, download it again."
        )


@contextmanager
def opened_source(source: Path, *, extract_under: Path, show_progress: bool) -> Iterator[OpenedSource]:
    """Yield the folder of `source`, extracting an archive below `extract_under` and removing that afterwards.

    What a killed run had extracted from the same archive is used again.
    """
    if source.is_dir():
        yield OpenedSource(folder=source, extracted=False, hidden_members=0)
        return
    status = source.stat()
    identity = f"{source.resolve()} {status.st_size} {status.st_mtime_ns}"
    folder = extract_under / f"extracted-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    for stale in extract_under.glob("extracted-*"):
        if stale != folder:
            shutil.rmtree(stale, ignore_errors=True)
    try:
        hidden = extract(source, folder=folder, show_progress=show_progress)
        yield OpenedSource(folder=folder, extracted=True, hidden_members=hidden)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def extract(archive: Path, *, folder: Path, show_progress: bool) -> int:
    """Write the regular files of `archive` under `folder`; return how many hidden members were left alone.

    Every member is judged before the first is written: paths that leave the folder, links and devices
    refuse the whole archive. Files that are there with the member's size and time are not written again.
    """
    with told_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            members = [member for member in tar.getmembers() if not member.isdir()]
            require_end_mark(tar)
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
                    write_member(tar, member, folder=folder)
                    bar.update(member.size)
    except DAMAGE as error:
        raise PancextError(
            f"{archive} is damaged: {error or type(error).__name__}. Download it again and compare its size "
            "or checksum with the publisher's."
        ) from error
    return len(members) - len(wanted)


def require_end_mark(tar: tarfile.TarFile) -> None:
    """Raise tarfile.ReadError unless the listing ended at the end mark: tarfile stops at any bad header."""
    if tar.fileobj is None:
        raise tarfile.ReadError("it was closed while being read")
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"it breaks off at byte {tar.offset}")


def refuse_unsafe(member: tarfile.TarInfo, *, archive: Path) -> None:
    """Raise PancextError for a member that is no regular file or would land outside the folder."""
    if not member.isfile():
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


def is_hidden(member: tarfile.TarInfo) -> bool:
    """Say whether the member or a folder above it has a name that starts with a dot."""
    return any(part.startswith(".") for part in PurePosixPath(member.name).parts)


def is_extracted(member: tarfile.TarInfo, *, folder: Path) -> bool:
    """Say whether an earlier run has written this member."""
    try:
        status = (folder / member.name).stat()
    except OSError:
        return False
    return status.st_size == member.size and int(status.st_mtime) == int(member.mtime)


def write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, *, folder: Path) -> None:
    """Write one regular member with its modification time, so that a later run knows it again."""
    target = folder / member.name
    with told_write_errors(target, needed_bytes=member.size):
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as partial:
            with partial.open("wb") as output:
                for piece in pieces(tar, member):
                    output.write(piece)
            os.utime(partial, (member.mtime, member.mtime))


def pieces(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    """Yield the member's content. Raises tarfile.ReadError only, so that reading is told from writing."""
    left = member.size
    try:
        content = tar.extractfile(member)
        while content and left and (piece := content.read(COPY_BYTES)):
            left -= len(piece)
            yield piece
    except DAMAGE as error:
        raise tarfile.ReadError(f"{member.name}: {error}") from error
    if left:
        raise tarfile.ReadError(f"{member.name} is cut short")
