"""Opening a source: a folder as it is, an archive safely extracted for the time of the conversion."""

import errno
import gzip
import lzma
import os
import shutil
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath

from tqdm import tqdm

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.disk import require_free_space, write_errors_as_pancext

FORMATS = ".tar, .tar.gz or .zip"
BY_HAND = "Unpack it with another program and give the folder."
DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError),
    *(EOFError, UnicodeDecodeError, RuntimeError),
)
READ_BYTES = 1 << 22
ENCRYPTED = 1  # bit of a zip member's flags


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file in an archive, of `size` bytes; `extract` writes it below a folder."""

    name: str
    size: int
    is_regular: bool
    extract: Callable[[Path], None]

    @property
    def is_hidden(self) -> bool:
        """Whether its name, or that of a folder above it, starts with a dot."""
        return any(part.startswith(".") for part in PurePosixPath(self.name).parts)


def require_source(source: Path) -> None:
    """Raise PancextError unless `source` is a folder or an archive of a known format."""
    if not source.exists():
        raise PancextError(f"{source} does not exist. Give the dataset's folder or its {FORMATS}.")
    if source.is_dir():
        return
    try:
        archive_members(source)
    except OSError as error:
        raise PancextError(f"cannot read {source}: {error.strerror}. Check its permissions.") from error


@contextmanager
def opened_sources(
    sources: Sequence[Path], *, extract_under: Path, show_progress: bool
) -> Iterator[list[tuple[Path, int]]]:
    """Yield the folder of each source, and how many hidden files of its archive were not extracted.

    Archives are extracted below `extract_under` and removed afterwards.
    """
    extracted = extract_under / "extracted"
    shutil.rmtree(extracted, ignore_errors=True)  # by a killed run
    try:
        yield [
            (source, 0)
            if source.is_dir()
            else extract(source, extracted / str(number), show_progress=show_progress)
            for number, source in enumerate(sources)
        ]
    finally:
        shutil.rmtree(extracted, ignore_errors=True)


def extract(archive: Path, folder: Path, *, show_progress: bool) -> tuple[Path, int]:
    """Write the visible files of `archive` into `folder`, with their modification times.

    Returns the folder, and the number of the hidden files.

    Raises:
        PancextError: a member is a link, a device or outside the folder, and nothing is written; or the
            archive is damaged or encrypted, a disk fails, or the target's is too small.
    """
    opened = archive_members(archive)
    name = ""
    with write_errors_as_pancext(folder, source=archive):
        folder.mkdir(parents=True)
        try:
            with opened(archive) as members:
                for member in members:
                    refuse_unsafe(member, archive=archive)
                visible = [member for member in members if not member.is_hidden]
                total = sum(member.size for member in visible)
                require_free_space(folder, needed_bytes=total)
                with tqdm(
                    total=total, desc="extracting", unit="B", unit_scale=True, disable=not show_progress
                ) as bar:
                    for member in visible:
                        name = f"{member.name}: "
                        member.extract(folder)
                        bar.update(member.size)
                return folder, len(members) - len(visible)
        except NotImplementedError as error:  # by zipfile, such as of Windows' Deflate64
            raise PancextError(f"{archive} cannot be unpacked here: {name}{error}. {BY_HAND}") from error
        except (*DAMAGE, OSError) as error:
            # Errors of gzip and bz2 have no number, and damage can lead to an impossible position.
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise  # of one of the disks
            raise PancextError(
                f"{archive} is damaged: {name}{error or type(error).__name__}. Download it again and compare "
                "its size or checksum with the publisher's."
            ) from error


def refuse_unsafe(member: Member, *, archive: Path) -> None:
    """Raise PancextError for a member that is not a regular file or would be written outside the folder."""
    paths = (PurePosixPath(member.name), PureWindowsPath(member.name))
    if not member.is_regular:
        problem = "a link or device, which a dataset does not need"
    elif any(path.anchor or ".." in path.parts for path in paths):
        problem = "which would be written outside the target folder"
    else:
        return
    raise PancextError(
        f"{archive} holds {member.name!r}, {problem}. "
        "Nothing was extracted. Download the archive from its publisher."
    )


def archive_members(archive: Path) -> Callable[[Path], AbstractContextManager[list[Member]]]:
    """Return the context manager that lists the archive's files; PancextError for an unknown format."""
    # A compressed file may end before the first member does.
    with suppress(EOFError, zlib.error, lzma.LZMAError):
        if tarfile.is_tarfile(archive):
            return tar_members
        if zipfile.is_zipfile(archive):
            return zip_members
    raise PancextError(
        f"{archive} is neither a folder nor a readable {FORMATS}. "
        "If it is another kind of archive, unpack it and give the folder; "
        "if it is one of these, download it again."
    )


@contextmanager
def tar_members(archive: Path) -> Iterator[list[Member]]:
    """Yield the members that are not folders."""
    with tarfile.open(archive) as tar:
        infos = [info for info in tar.getmembers() if not info.isdir()]
        # tarfile stops listing at any bad header; only the end mark shows that it came to the end.
        if tar.fileobj is None:
            raise tarfile.ReadError("it was closed while being read")
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"it breaks off at byte {tar.offset}")
        while tar.fileobj.read(READ_BYTES):
            pass  # a compressed file compares its checksum at the end
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.10.12, 3.11.4 and later
        yield [
            Member(name=i.name, size=i.size, is_regular=i.isfile(), extract=partial(tar.extract, i))
            for i in infos
        ]


@contextmanager
def zip_members(archive: Path) -> Iterator[list[Member]]:
    """Yield the members that are not folders."""
    with zipfile.ZipFile(archive) as packed:
        infos = [info for info in packed.infolist() if not info.is_dir()]
        for info in infos:
            if info.flag_bits & ENCRYPTED:
                raise PancextError(f"{archive} is encrypted. {BY_HAND}")
        yield [
            Member(
                name=info.filename,
                size=info.file_size,
                is_regular=stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG),
                extract=partial(_extract_from_zip, packed, info),
            )
            for info in infos
        ]


def _extract_from_zip(packed: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> None:
    """Write a member with its modification time; zipfile reads no more than the declared size."""
    target = Path(packed.extract(info, folder))
    if target.stat().st_size < info.file_size:
        raise zipfile.BadZipFile("it is cut short")
    modified = time.mktime((*info.date_time, 0, 0, -1))
    os.utime(target, (modified, modified))
