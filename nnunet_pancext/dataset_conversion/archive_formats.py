"""What lies in a .tar, .tar.gz or .zip, as one kind of list."""

from __future__ import annotations

import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

DAMAGE = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, OSError)
ENCRYPTED = 1  # bit of a zip member's flags


class DamagedArchive(Exception):
    """The archive, or a member of it, cannot be read whole; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file in an archive. `size` in bytes and `time` in seconds are what the archive says."""

    name: str
    size: int
    time: int
    is_regular: bool
    open: Callable[[], IO[bytes] | None]


def list_members_of(archive: Path) -> Callable[[Path], AbstractContextManager[list[Member]]] | None:
    """Return the context manager that lists the archive, None if its format is not known."""
    try:
        if tarfile.is_tarfile(archive):
            return listed_tar
    except (EOFError, zlib.error):  # a compressed file that ends before the first member does
        return None
    if zipfile.is_zipfile(archive):
        return listed_zip
    return None


@contextmanager
def listed_tar(archive: Path) -> Iterator[list[Member]]:
    """Yield the members that are no folders."""
    with tarfile.open(archive) as tar:
        infos = tar.getmembers()
        _require_end_mark(tar)
        yield [_tar_member(tar, info) for info in infos if not info.isdir()]


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    return Member(
        name=info.name,
        size=info.size,
        time=int(info.mtime),
        is_regular=info.isfile(),
        open=lambda: tar.extractfile(info),
    )


def _require_end_mark(tar: tarfile.TarFile) -> None:
    """Raise tarfile.ReadError unless the listing ended at the end mark: tarfile stops at any bad header."""
    if tar.fileobj is None:
        raise tarfile.ReadError("it was closed while being read")
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"it breaks off at byte {tar.offset}")


@contextmanager
def listed_zip(archive: Path) -> Iterator[list[Member]]:
    """Yield the members that are no folders."""
    with zipfile.ZipFile(archive) as packed:
        infos = [info for info in packed.infolist() if not info.is_dir()]
        locked = [info.filename for info in infos if info.flag_bits & ENCRYPTED]
        if locked:
            raise zipfile.BadZipFile(f"{locked[0]} is encrypted")
        yield [_zip_member(packed, info) for info in infos]


def _zip_member(packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    return Member(
        name=info.filename,
        size=info.file_size,
        time=int(time.mktime((*info.date_time, 0, 0, -1))),
        is_regular=kind in (0, stat.S_IFREG),
        open=lambda: packed.open(info),
    )


def pieces(member: Member, *, piece_bytes: int) -> Iterator[bytes]:
    """Yield the member's content: as many bytes as the archive says, whatever is in it.

    Raises:
        DamagedArchive: it cannot be read, or ends too early or too late.
    """
    left = member.size
    try:
        content = member.open()
        while content and left and (piece := content.read(min(piece_bytes, left))):
            left -= len(piece)
            yield piece
        more = bool(content and content.read(1))  # and at the end the checksum is compared
    except (*DAMAGE, NotImplementedError, RuntimeError) as error:
        raise DamagedArchive(f"{member.name}: {error}") from error
    if left:
        raise DamagedArchive(f"{member.name} is cut short")
    if more:
        raise DamagedArchive(f"{member.name} is longer than the archive says")
