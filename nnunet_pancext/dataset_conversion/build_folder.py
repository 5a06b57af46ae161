"""The hidden folder in which a dataset is built, and its publication under the final name.

A killed conversion is continued by the same command. Every file is written to a temporary name and renamed,
so what has its name is whole; each case has one record, which says from which source files it was made.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.disk import write_errors_as_pancext
from nnunet_pancext.io.files import PARTIAL_PREFIX, write_json


@dataclass(frozen=True, kw_only=True)
class BuildFolder:
    """`.<target>.partial/` beside the target; `is_leftover` if an earlier run did not come to its end."""

    root: Path
    target: Path
    is_leftover: bool

    @property
    def dataset(self) -> Path:
        """The dataset under construction, which becomes the target."""
        return self.root / "dataset"

    @property
    def replaced(self) -> Path:
        """Where the former target lies between the two renames of the publication."""
        return self.root / "replaced"

    @property
    def folds(self) -> Path:
        """The folds still to be written where nnU-Net reads them."""
        return self.root / "folds.json"

    @property
    def is_published(self) -> bool:
        """Whether an earlier run was killed after it had published the dataset."""
        return self.is_leftover and self.target.exists() and not self.dataset.exists()

    def is_of(self, command: Any) -> bool:
        """Whether a run of this `command` (JSON values) left the folder."""
        return read_record(self.root / "command.json") == as_json(command)

    def case_folder(self, case_id: str) -> Path:
        """A case's record, and the files that were made for it."""
        return self.root / "cases" / case_id

    def begin(self, command: Any) -> None:
        """Create the folder, empty unless an earlier run of the same `command` (JSON values) left it."""
        with write_errors_as_pancext(self.root):
            if not self.is_of(command):
                shutil.rmtree(self.root, ignore_errors=True)
            for partial in self.root.rglob(f"{PARTIAL_PREFIX}*"):  # of a killed run
                partial.unlink()
            (self.dataset / "imagesTr").mkdir(parents=True, exist_ok=True)
            write_json(self.root / "command.json", command)

    def record(self, case_id: str, *, source: Any) -> Any:
        """Return the case's record; None unless it was made from the same `source` (JSON values)."""
        content = read_record(self.case_folder(case_id) / "record.json")
        is_current = isinstance(content, dict) and content.get("source") == as_json(source)
        return content.get("outcome") if is_current else None

    def keep_record(self, case_id: str, *, source: Any, outcome: Any) -> None:
        """Record that the case was examined."""
        path = self.case_folder(case_id) / "record.json"
        with write_errors_as_pancext(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, {"source": source, "outcome": outcome})

    def publish(self, *, expected: set[str], folds: Any) -> None:
        """Give the dataset its final name, with exactly the `expected` files (relative paths) in it.

        Raises:
            PancextError: one of them is missing, or the target cannot be written.
        """
        for path in sorted(self.dataset.rglob("*"), reverse=True):
            if path.is_dir():
                with suppress(OSError):  # not empty
                    path.rmdir()
            elif path.relative_to(self.dataset).as_posix() not in expected:
                path.unlink()  # of a case that a killed run placed elsewhere, or found usable
        missing = [name for name in sorted(expected) if not (self.dataset / name).is_file()]
        if missing:
            raise PancextError(
                f"{len(missing)} files vanished from {self.dataset} during the conversion, "
                f"{missing[0]} first. Let nothing else work there and run the same command again."
            )
        with write_errors_as_pancext(self.target):
            write_json(self.folds, folds)
            if self.target.exists():
                os.rename(self.target, self.replaced)
            os.rename(self.dataset, self.target)

    def restore_replaced(self) -> None:
        """Undo a publication that stopped half-way; after a complete one, remove the former target."""
        if self.target.exists():
            shutil.rmtree(self.replaced, ignore_errors=True)
        elif self.replaced.exists():
            os.rename(self.replaced, self.target)


@contextmanager
def locked_build_folder(target: Path) -> Iterator[BuildFolder]:
    """Yield the build folder of `target`, which need not exist yet, with a lock against other conversions.

    After an error it stays if it has records of cases, for the next run. The lock file is the first file of
    a conversion to appear and the last to go.
    """
    root = target.with_name(f".{target.name}.partial")
    lock_file = target.with_name(f".{target.name}.lock")
    is_leftover = lock_file.exists() or root.exists()
    lock = FileLock(lock_file)
    with write_errors_as_pancext(root):
        root.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise PancextError(
                f"another conversion is working in {root}. Wait for it to end, or choose another --id."
            ) from error
    build = BuildFolder(root=root, target=target, is_leftover=is_leftover)
    try:
        with write_errors_as_pancext(target):
            build.restore_replaced()
        yield build
    finally:
        try:
            with write_errors_as_pancext(target):
                build.restore_replaced()
            if not any(root.glob("cases/*/record.json")):
                shutil.rmtree(root, ignore_errors=True)
        finally:
            with suppress(OSError):  # Windows removes it on release
                lock_file.unlink()
            lock.release()


def read_record(path: Path) -> Any:
    """Return the content of a JSON file of the build folder, None where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def as_json(content: Any) -> Any:
    """Return `content` as it is read back from JSON."""
    return json.loads(json.dumps(content))
