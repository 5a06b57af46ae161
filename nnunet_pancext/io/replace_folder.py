"""Building a folder beside its final place, and renaming it there when it is whole."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from nnunet_pancext.errors import PancextError


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `target` when the block ends without an error.

    Whatever a killed run left is removed first; a former target that it had already moved aside comes back.
    Parents created in vain are removed.

    Raises:
        PancextError: another process is replacing the same folder.
        OSError: the disk is full or not writable.
    """
    root = target.with_name(f".{target.name}.partial")
    new, former = root / "new", root / "former"
    lock_file = target.with_name(f".{target.name}.lock")
    created = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise PancextError(f"Another process is writing {target}. Wait for it to end.") from error
    try:
        _restore(target, former=former)
        shutil.rmtree(root, ignore_errors=True)
        new.mkdir(parents=True)
        yield new
        if target.exists():
            os.rename(target, former)
        os.rename(new, target)
    finally:
        try:
            _restore(target, former=former)
            shutil.rmtree(root, ignore_errors=True)
        finally:
            with suppress(OSError):  # Windows removes it on release
                lock_file.unlink()
            lock.release()
            with suppress(OSError):  # not empty
                for folder in created:
                    folder.rmdir()


def _restore(target: Path, *, former: Path) -> None:
    if former.exists() and not target.exists():
        os.rename(former, target)
