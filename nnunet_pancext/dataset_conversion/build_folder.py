"""The hidden folder a dataset is built in, kept when a run is killed and gone when it is done."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.disk import write_errors_as_pancext
from nnunet_pancext.io.files import PARTIAL_PREFIX, write_json

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, kw_only=True)
class BuildFolder:
    """`.<target>.partial/` beside the target.

    `dataset` becomes the target; the other folders hold one record for each finished case, so that a
    second run knows what is done.
    """

    root: Path
    target: Path

    @property
    def dataset(self) -> Path:
        """The dataset under construction."""
        return self.root / "dataset"

    @property
    def prepared(self) -> Path:
        """Files that are made of the source's before the checks, in a folder for each case."""
        return self.root / "made"

    @property
    def replaced(self) -> Path:
        """Where the former target lies for the moment of the exchange."""
        return self.root / "replaced"

    @property
    def outcome(self) -> Path:
        """What the run that publishes has to tell: if it is killed right after, the next one finishes it."""
        return self.root / "outcome.json"

    def owns(self, path: Path) -> bool:
        """Say whether the file is one that was made here, and not the source's own."""
        return path.is_relative_to(self.root)

    def record(self, step: str, case_id: str, *, key: Any, parse: Callable[[Any], Outcome]) -> Outcome | None:
        """Return what `step` found for the case, as `parse` makes it of JSON.

        None unless it was recorded under the same `key`, and as this program does it.
        """
        try:
            content = json.loads(self._record_path(step, case_id).read_text(encoding="utf-8"))
            return parse(content["outcome"]) if content["key"] == json.loads(json.dumps(key)) else None
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def keep_record(self, step: str, case_id: str, *, key: Any, outcome: Any) -> None:
        """Record that `step` is done for the case."""
        path = self._record_path(step, case_id)
        with write_errors_as_pancext(path):
            path.parent.mkdir(exist_ok=True)
            write_json(path, {"key": key, "outcome": outcome})

    def _record_path(self, step: str, case_id: str) -> Path:
        return self.root / step / f"{case_id}.json"

    def publish(self, *, expected: set[str], outcome: Any) -> None:
        """Give the dataset its final name, with exactly the `expected` files (relative paths) in it.

        Raises PancextError when one of them is missing. A former target is moved aside. What is still to be
        done is the caller's, with `discard` as the last; `outcome` (any JSON value) is all that it needs.
        """
        for path in sorted(self.dataset.rglob("*")):
            if path.is_file() and path.relative_to(self.dataset).as_posix() not in expected:
                path.unlink()  # of a case that an earlier, killed run found good
        missing = [name for name in sorted(expected) if not (self.dataset / name).is_file()]
        if missing:
            raise PancextError(
                f"{len(missing)} files vanished from {self.dataset} while converting, "
                f"{missing[0]} the first. Let nothing else work there and run the same command again."
            )
        with write_errors_as_pancext(self.target):
            write_json(self.outcome, outcome)
            if self.target.exists():
                os.rename(self.target, self.replaced)
            os.rename(self.dataset, self.target)

    def discard(self) -> None:
        """Remove the build folder; a run killed while doing so is finished by the next."""
        for path in self.root.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path != self.outcome:
                path.unlink()
        shutil.rmtree(self.root, ignore_errors=True)


def killed_after_publishing(target: Path, *, job: Any) -> tuple[BuildFolder, Any] | None:
    """Return the build folder that a run of this job left behind when it had published, and its outcome."""
    build = build_folder_of(target)
    if not target.exists() or build.dataset.exists():
        return None
    try:
        outcome = json.loads(build.outcome.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return (build, outcome) if isinstance(outcome, dict) and outcome.get("job") == job else None


def build_folder_of(target: Path) -> BuildFolder:
    """Return the build folder of `target`, which need not exist."""
    return BuildFolder(root=target.with_name(f".{target.name}.partial"), target=target)


@contextmanager
def opened_build_folder(target: Path, *, job: Mapping[str, Any]) -> Iterator[BuildFolder]:
    """Yield the build folder of `target`, alone in it.

    Work of an earlier run is kept if it had the same `job` (of JSON values); if only its "options" were
    others, the checks of the cases are kept. After an error finished cases stay for the next run.
    """
    build = build_folder_of(target)
    with write_errors_as_pancext(build.root):
        build.root.mkdir(parents=True, exist_ok=True)
    with only_user_of(build.root):
        with write_errors_as_pancext(build.root):
            restore_replaced(build)
            build.outcome.unlink(missing_ok=True)
            drop_outdated(build, job=job)
            for stale in build.root.rglob(f"{PARTIAL_PREFIX}*"):
                stale.unlink()
            (build.dataset / "imagesTr").mkdir(parents=True, exist_ok=True)
        try:
            yield build
        finally:
            restore_replaced(build)
            if build.root.exists() and not any(build.root.glob("*/*.json")):
                shutil.rmtree(build.root, ignore_errors=True)


def restore_replaced(build: BuildFolder) -> None:
    """Undo an exchange that stopped half-way: the former target returns to its name."""
    if build.replaced.exists():
        if build.target.exists():
            shutil.rmtree(build.replaced, ignore_errors=True)
        else:
            os.rename(build.replaced, build.target)


def drop_outdated(build: BuildFolder, *, job: Mapping[str, Any]) -> None:
    """Remove what an earlier run did in another job."""
    job_file = build.root / "job.json"
    job = json.loads(json.dumps(job))
    try:
        former = json.loads(job_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        former = None
    if former == job:
        return
    may_differ = {"options": job["options"]}
    checks_hold = isinstance(former, dict) and {**former, **may_differ} == job
    job_file.unlink(missing_ok=True)
    for path in build.root.iterdir():
        if path.is_dir() and not (path.name == "checked" and checks_hold):
            shutil.rmtree(path)
    write_json(job_file, job)


@contextmanager
def only_user_of(folder: Path) -> Iterator[None]:
    """Hold a lock on `folder`, which the system frees even when the process is killed."""
    try:
        import fcntl
    except ImportError:  # Windows has no such lock; there two runs at once are the user's to avoid
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PancextError(
                f"another conversion is working in {folder}. Wait for it to end, or convert to another --id."
            ) from error
        yield
    finally:
        os.close(handle)
