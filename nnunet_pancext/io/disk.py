"""Free space on the target's disk, and messages for failed writes."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nnunet_pancext.errors import PancextError

NO_ROOM = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}
OUT = "--out"
NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
READ_BYTES = 1 << 22


def megabytes(size: int) -> str:
    """Return `size` bytes as text in MB, rounded up."""
    return f"{-(-size // 1_000_000)} MB"


def require_free_space(folder: Path, *, needed_bytes: int, option: str = OUT) -> None:
    """Raise PancextError when the file system of `folder` has less than `needed_bytes` free.

    The message names the `option` that chooses another disk.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise PancextError(
            f"no room in {folder}: {megabytes(needed_bytes)} are needed, {megabytes(free)} are free. "
            f"Free some space, or choose another disk with {option}."
        )


def can_link(file: Path, *, folder: Path) -> bool:
    """Whether `file` can be hard-linked into `folder`, found by trying."""
    probe = folder / f".partial-{os.getpid()}-link-probe"
    try:
        os.link(file.resolve(), probe)
    except OSError:
        return False
    finally:
        probe.unlink(missing_ok=True)
    return True


@contextmanager
def write_errors_as_pancext(
    target: Path, *, source: Path | None = None, needed_bytes: int | None = None, option: str = OUT
) -> Iterator[None]:
    """Turn an OSError of the block into a PancextError that names `target` and the remedy.

    The block may read the file `source`, whose disk may be the one that fails. `option` is that of the
    command which chooses another folder.
    """
    try:
        yield
    except OSError as error:
        problem = f"cannot write {target}: {error}. Check the disk and the path."
        if error.errno in NO_ROOM:
            need = "" if needed_bytes is None else f"{megabytes(needed_bytes)} are needed, "
            problem = (
                f"disk full: could not write {target}: {need}{megabytes(free_bytes(target))} are free. "
                f"Free some space and run the same command again, or choose another disk with {option}."
            )
        elif source is not None and (reason := why_unreadable(source)):
            problem = f"cannot read {source}: {reason}. Check its disk and its permissions."
        elif error.errno in NOT_ALLOWED:
            problem = (
                f"cannot write {target}: {error.strerror}. Choose a folder you may write to with {option}, "
                "or change its permissions."
            )
        raise PancextError(problem) from error


def why_unreadable(file: Path) -> str | None:
    """Return why a file cannot be read to its end; None if it can."""
    try:
        with file.open("rb") as content:
            while content.read(READ_BYTES):
                pass
    except OSError as error:
        return error.strerror or str(error)
    return None


def free_bytes(path: Path) -> int:
    """Return the bytes free on the file system of the nearest existing parent of `path`."""
    return shutil.disk_usage(next(p for p in (path, *path.parents) if p.exists())).free
