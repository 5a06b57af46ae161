"""The background writing of checkpoints."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nnunet_pancext.errors import PancextError
from nnunet_pancext.trainers.machinery import checkpoint_writer
from nnunet_pancext.trainers.machinery.checkpoint_writer import CheckpointError, CheckpointWriter, write_whole

PATIENCE_S = 60


class SlowDisk:
    """Writes nothing before `may_write` is set; `entered` is set before the first is written."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.entered, self.may_write = threading.Event(), threading.Event()

    def write(self, target: Path, content: bytes) -> None:
        self.entered.set()
        assert self.may_write.wait(PATIENCE_S)
        self.written.append(f"{target.name} {bytes(content).decode()}")


@pytest.fixture
def disk(monkeypatch):
    slow = SlowDisk()
    monkeypatch.setattr(checkpoint_writer, "write_whole", slow.write)
    yield slow
    slow.may_write.set()


def test_files_are_written_and_replaced_in_order(tmp_path):
    writer = CheckpointWriter()
    target = tmp_path / "checkpoint_latest.pth"
    for content in (b"first", b"second"):
        writer.submit(target, content)
        writer.flush()
        assert target.read_bytes() == content
    assert os.listdir(tmp_path) == [target.name]


def test_submitting_does_not_wait_for_the_disk_and_newer_contents_replace_waiting_ones(disk):
    writer = CheckpointWriter()
    writer.submit(Path("best"), b"1")
    assert disk.entered.wait(PATIENCE_S)
    for epoch in (b"2", b"3"):
        writer.submit(Path("latest"), epoch)
        writer.submit(Path("best"), epoch)
    assert not disk.written
    disk.may_write.set()
    writer.flush()
    assert disk.written == ["best 1", "latest 3", "best 3"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device.*Free some space.*--c"),
        (RuntimeError("broken"), r"RuntimeError\('broken'\)"),
    ],
)
def test_a_failed_write_ends_the_training_and_keeps_the_older_file(tmp_path, monkeypatch, error, text):
    target = tmp_path / "checkpoint_latest.pth"
    target.write_bytes(b"whole")

    def fail(number):
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    writer = CheckpointWriter()
    writer.submit(target, b"newer")
    with pytest.raises(PancextError, match=f"Cannot write {target}.*{text}"):
        writer.flush()
    for again in (writer.check, lambda: writer.submit(target, b"newest")):
        with pytest.raises(CheckpointError, match="Cannot write"):
            again()
    assert target.read_bytes() == b"whole"
    assert os.listdir(tmp_path) == [target.name]


def test_python_exits_after_everything_is_written(tmp_path):
    target = tmp_path / "checkpoint_latest.pth"
    program = (
        "import sys, time; from pathlib import Path\n"
        "from nnunet_pancext.trainers.machinery import checkpoint_writer as module\n"
        "whole = module.write_whole\n"
        "module.write_whole = lambda *arguments: (time.sleep(0.5), whole(*arguments))\n"
        "module.CheckpointWriter().submit(Path(sys.argv[1]), b'content')\n"
        "raise KeyboardInterrupt\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(target)], stderr=subprocess.DEVNULL, timeout=PATIENCE_S
    )
    assert target.read_bytes() == b"content"


def test_an_interrupted_write_leaves_no_file(tmp_path, monkeypatch):
    def interrupt(number):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "checkpoint_best.pth", b"content")
    assert not os.listdir(tmp_path)
