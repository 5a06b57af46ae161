"""A conversion that is killed again and again, at random moments, ends like one that never was."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from killed_conversion import ConversionServer
from made_msd_task import make_msd_task
from made_nih import MadeDownload

KILLS = 10  # of each layout
MOST_RUNS = 60


def msd(folder: Path) -> tuple[list[Path], dict]:
    """An archive whose labels are merged: what is extracted, linked and written anew."""
    made = make_msd_task(folder / "Task07_Pancreas", cases=12)
    with tarfile.open(folder / "Task07_Pancreas.tar", "w") as tar:
        tar.add(made.folder, arcname="Task07_Pancreas")
    return [folder / "Task07_Pancreas.tar"], {"labels": "pancreas"}


def nih(folder: Path) -> tuple[list[Path], dict]:
    """DICOM series of a split with folds of its own, which go to a third place."""
    download = MadeDownload(folder)
    for number in (1, 2, 3, 21, 22, 41, 42, 62, 63):
        download.add(number)
    return [download.images, download.labels], {"split": "organsegrstn-4fold"}


def everything(*folders: Path) -> dict[str, str]:
    """All files below with the hash of their bytes, and all folders, hidden ones too."""
    found = {}
    for folder in folders:
        for path in folder.rglob("*"):
            name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
            found[name] = "folder" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def files_below(folder: Path) -> int:
    """How far a conversion is: each step adds files. What vanishes meanwhile is no error."""
    return sum(len(files) for _, _, files in os.walk(folder))


@pytest.mark.slow
@pytest.mark.parametrize("layout", [msd, nih], ids=lambda layout: layout.__name__)
def test_killed_at_random_moments_and_run_again(tmp_path: Path, layout: Callable) -> None:
    sources, options = layout(tmp_path / "download")
    raw, preprocessed = tmp_path / "raw", tmp_path / "preprocessed"
    preprocessed.mkdir()
    random = np.random.default_rng(20)
    with ConversionServer(environment={"nnUNet_preprocessed": str(preprocessed)}) as server:

        def run(kill_when: Callable[[], bool] = lambda: False) -> int:
            return server.run(layout.__name__, *sources, kill_when=kill_when, raw_root=raw, jobs=2, **options)

        files = 0

        def watch() -> bool:
            nonlocal files
            files = max(files, files_below(raw))
            return False

        assert run(watch) == 0
        undisturbed = everything(raw, preprocessed)
        assert any(name.endswith("_0000.nii.gz") for name in undisturbed)
        (target,) = raw.iterdir()

        kills = runs = 0
        while kills < KILLS:
            shutil.rmtree(raw)
            shutil.rmtree(preprocessed)
            preprocessed.mkdir()
            status = signal.SIGKILL
            while status == signal.SIGKILL:
                # The moments lie evenly over the conversion, each anywhere in its part.
                wanted = (runs % KILLS + random.random()) / KILLS * files if kills < KILLS else np.inf
                status = run(lambda wanted=wanted: files_below(raw) >= wanted)
                kills += status == signal.SIGKILL
                runs += 1
                assert runs < MOST_RUNS, f"{kills} kills in {runs} runs"
                if target.exists():  # never half of a dataset under this name
                    assert everything(target) == {
                        name.removeprefix("raw/"): content
                        for name, content in undisturbed.items()
                        if name.startswith(f"raw/{target.name}/")
                    }
            assert status == 0
            assert everything(raw, preprocessed) == undisturbed
