"""A temporary folder that a later run removes where this one is killed."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from nnunet_pancext.io.disk import write_errors_as_pancext

LOCK, FILES = ".lock", "files"


@contextmanager
def temporary_folder(*, under: Path | None, prefix: str, option: str) -> Iterator[Path]:
    """Yield a new folder below `under`, which only this user can read, and remove it afterwards.

    Folders of this prefix that killed runs left below `under` are removed too. Without `under` it lies where
    the system keeps temporary files. `option` is what the message about a full disk names.

    Raises:
        PancextError: the disk is full or not writable.
    """
    if under:
        _remove_abandoned(under, prefix)
    with write_errors_as_pancext(under or Path(tempfile.gettempdir()), option=option):
        lock, files = _locked_folder(under, prefix)
    try:
        yield files
    finally:
        lock.release()
        shutil.rmtree(files.parent, ignore_errors=True)


def _locked_folder(under: Path | None, prefix: str) -> tuple[FileLock, Path]:
    """Return the lock of a new folder, which is held, and a folder in it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=under))
        lock = FileLock(folder / LOCK)
        with suppress(FileNotFoundError):  # another run took it for abandoned before the lock was held
            lock.acquire()
            folder.chmod(0o700)  # since the lock may have made it again
            (folder / FILES).mkdir()
            return lock, folder / FILES
        lock.release(force=True)


def _remove_abandoned(under: Path, prefix: str) -> None:
    """Remove folders whose lock no process holds."""
    for file in under.glob(f"{prefix}*/{LOCK}"):
        with suppress(Timeout, OSError), FileLock(file, timeout=0):
            shutil.rmtree(file.parent, ignore_errors=True)
