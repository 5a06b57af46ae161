"""Temporary folders, and what killed processes leave of them."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io import temporary_folder as temporary
from nnunet_pancext.io.temporary_folder import temporary_folder

HOLD = """\
import sys
from pathlib import Path
from nnunet_pancext.io.temporary_folder import temporary_folder
with temporary_folder(under=Path(sys.argv[1]), prefix=".made-", option="-o") as folder:
    (folder / "volume").write_text("of a patient")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_it_is_private_and_removed_afterwards(tmp_path):
    with temporary_folder(under=tmp_path, prefix=".made-", option="-o") as folder:
        (folder / "inner").mkdir()
        (outer,) = tmp_path.iterdir()
        assert stat.S_IMODE(outer.stat().st_mode) == 0o700
    assert not list(tmp_path.iterdir())


def test_it_is_removed_after_an_error(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        temporary_folder(under=tmp_path, prefix=".made-", option="-o") as folder,
    ):
        (folder / "volume").write_text(str(1 / 0), encoding="utf-8")
    assert not list(tmp_path.iterdir())


def test_that_of_a_killed_process_is_removed_by_the_next_but_not_one_in_use(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"ready\n"
        (held,) = tmp_path.glob(".made-*/files/volume")
        with temporary_folder(under=tmp_path, prefix=".made-", option="-o"):
            assert held.exists()
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    assert held.exists()
    with temporary_folder(under=tmp_path, prefix=".made-", option="-o"):
        assert not held.parent.parent.exists()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_another_run_removes_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    taken = []

    class Lock(temporary.FileLock):
        def acquire(self, *words, **options):
            if not taken:
                taken.append(Path(self.lock_file).parent)
                shutil.rmtree(taken[0])
            return super().acquire(*words, **options)

    monkeypatch.setattr(temporary, "FileLock", Lock)
    with temporary_folder(under=tmp_path, prefix=".made-", option="-o") as folder:
        assert folder.is_dir()
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named_with_the_option(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(PancextError, match=r"cannot write .*file"),
        temporary_folder(under=tmp_path / "file", prefix=".made-", option="-o"),
    ):
        pass
