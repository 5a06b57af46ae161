"""Writes checkpoints beside the training, whole or not at all."""

import os
import threading
from contextlib import suppress
from pathlib import Path

from nnunet_pancext.errors import NNUNetCommandError
from nnunet_pancext.io.files import PARTIAL_PREFIX

Content = bytes | memoryview


class CheckpointError(NNUNetCommandError):
    """A checkpoint could not be written."""


class CheckpointWriter:
    """Writes the contents of files in one background thread, which lives only while there is work.

    A file is written to a temporary name, flushed to the disk and renamed. Contents that wait for a slow disk
    are replaced by newer ones of the same file. Python waits for the thread before it exits.
    """

    def __init__(self) -> None:
        self._waiting: dict[Path, Content] = {}  # in the order in which they are written
        self._error: CheckpointError | None = None
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()

    def submit(self, target: Path, content: Content) -> None:
        """Let `content` be written to `target` after what waits already.

        Raises:
            CheckpointError: an earlier file could not be written.
        """
        self.check()
        with self._changed:
            self._waiting.pop(target, None)
            self._waiting[target] = content
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="checkpoints")
                thread.start()
                self._thread = thread  # last: a signal's handler must not wait for one that has not started

    def check(self) -> None:
        """Raise CheckpointError if a file could not be written."""
        if self._error is not None:
            raise self._error

    def wait(self) -> None:
        """Wait until everything is written or has failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._thread is None)

    def flush(self) -> None:
        """Wait until everything is written; CheckpointError if something could not be."""
        self.wait()
        self.check()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting or self._error:
                    self._waiting.clear()
                    self._thread = None
                    self._changed.notify_all()
                    return
                target = next(iter(self._waiting))
                content = self._waiting.pop(target)
            try:
                write_whole(target, content)
            except OSError as error:
                self._error = CheckpointError(
                    f"Cannot write {target}: {error.strerror or error}. An earlier one there is whole. "
                    "Free some space or repair the disk, and continue the training with --c."
                )
            except BaseException as error:
                self._error = CheckpointError(f"Cannot write {target}: {error!r}.")
            del content


def write_whole(target: Path, content: Content) -> None:
    """Write a file under a temporary name, flush it to the disk, and rename it."""
    partial = target.with_name(PARTIAL_PREFIX + target.name)
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
