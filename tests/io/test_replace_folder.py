"""A folder appears whole or not at all, and a former one stays until then."""

import os
import signal
import subprocess
import sys

import pytest

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.replace_folder import replaced_folder


def contents(target):
    return sorted(path.name for path in target.iterdir())


def fail(target, error):
    with replaced_folder(target) as new:
        assert contents(new) == []
        (new / "half").touch()
        raise error


def test_the_new_folder_takes_the_place_of_the_former(tmp_path):
    target = tmp_path / "deep" / "model"
    for name in ("first", "second"):
        with replaced_folder(target) as new:
            (new / name).touch()
        assert contents(target) == [name]
    assert contents(target.parent) == ["model"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_the_former_folder_stays_after_an_error(tmp_path, error):
    target = tmp_path / "model"
    target.mkdir()
    (target / "former").touch()
    with pytest.raises(type(error)):
        fail(target, error)
    assert contents(target) == ["former"]
    assert contents(tmp_path) == ["model"]


def test_nothing_appears_after_an_error(tmp_path):
    for target in (tmp_path / "model", tmp_path / "results" / "dataset" / "model"):
        with pytest.raises(ValueError, match="no"):
            fail(target, ValueError("no"))
    assert contents(tmp_path) == []


def test_a_folder_that_a_killed_run_moved_aside_comes_back(tmp_path):
    target, root = tmp_path / "model", tmp_path / ".model.partial"
    (root / "former").mkdir(parents=True)
    (root / "former" / "mine").touch()
    (root / "new").mkdir()
    with pytest.raises(ValueError, match="no"):
        fail(target, ValueError("no"))
    assert contents(target) == ["mine"]


KILLED = """
import sys, time
from pathlib import Path
from nnunet_pancext.io.replace_folder import replaced_folder
with replaced_folder(Path(sys.argv[1])) as new:
    (new / "half").touch()
    print("writing", flush=True)
    time.sleep(60)
"""


def test_a_killed_run_leaves_the_former_folder_and_a_second_run_waits_for_none(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "former").touch()
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(target)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "writing\n"
        with (
            pytest.raises(PancextError, match=r"Another process is writing .*model"),
            replaced_folder(target),
        ):
            pass
        os.kill(process.pid, signal.SIGKILL)
    assert contents(target) == ["former"]
    with replaced_folder(target) as new:
        (new / "whole").touch()
    assert contents(target) == ["whole"]
    assert contents(tmp_path) == ["model"]
