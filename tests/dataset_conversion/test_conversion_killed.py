"""A conversion that is killed and run again ends like one that never was, and does no finished case twice."""

import hashlib
import multiprocessing
import os
import shutil
import tarfile
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_msd_task import SyntheticTask, make_msd_task, tree, write_volume
from synthetic_nih import synthetic_ct

from nnunet_pancext.dataset_conversion import case_steps
from nnunet_pancext.dataset_conversion.build_folder import locked_build_folder
from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.errors import PancextError

# A fork server that has imported everything, so that a run is nothing but conversion.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["nnunet_pancext.dataset_conversion.layouts.msd", "nnunetv2.utilities.crossval_split", "pytest"]
)
KILLED = 9
FOLDER = "Dataset007_Pancreas"
NUMBERS = (1, 4, 10, 12, 21, 16)  # one case at least of each published fold
CHANGES = [(os, name) for name in ("replace", "rename", "link", "unlink", "mkdir", "rmdir")] + [
    (shutil, "rmtree")
]


def run(source: Path, raw_root: Path, environment: dict[str, str], kill_at: int, **options: Any) -> None:
    """Convert, and die before the file system is changed for the `kill_at`-th time; never at -1."""
    os.environ.update(environment)
    changes: list[str] = []

    def logged(name: str, original):
        def change(*arguments: Any, **keywords: Any) -> Any:
            if len(changes) == kill_at:
                os._exit(KILLED)
            changes.append(name)
            return original(*arguments, **keywords)

        return change

    for module, name in CHANGES:
        setattr(module, name, logged(name, getattr(module, name)))
    convert(source, raw_root, **options)
    (raw_root.parent / "changes").write_text(" ".join(changes), encoding="utf-8")


def convert(source: Path, raw_root: Path, **options: Any):
    return convert_msd(source, raw_root=raw_root, show_progress=False, **options)


def run_in_child(*arguments: Any, **options: Any) -> int:
    child = PROCESSES.Process(target=run, args=arguments, kwargs=options)
    child.start()
    child.join()
    return child.exitcode


def content(*folders: Path) -> dict[str, str]:
    """All files below with the hash of their bytes, and all folders, hidden ones too."""
    return {
        f"{folder.name}/{path.relative_to(folder).as_posix()}": "folder"
        if path.is_dir()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in folder.rglob("*")
    }


def inodes(folder: Path) -> dict[str, int]:
    """The files below with their names and inodes, without those that are still being written."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_ino
        for path in folder.rglob("*.nii.gz")
        if not path.name.startswith(".")
    }


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive with labels to merge, one of them flipped: files to extract, link, convert and re-encode."""
    task = make_msd_task(tmp_path / "Task07_Pancreas")
    for path in task.folder.glob("*Tr/pancreas_*"):
        path.unlink()
    for index, number in enumerate(NUMBERS):
        hu, mask = synthetic_ct(index)
        write_volume(task.image(number), hu)
        write_volume(task.label(number), np.ascontiguousarray(mask[::-1]) if number == 4 else mask)
    task.edit_json(lambda declared: declared.pop("training"))
    path = tmp_path / "Task07_Pancreas.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(task.folder, arcname="Task07_Pancreas")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "overwrite"])
def test_killed_at_random_moments_and_run_again(archive: Path, tmp_path: Path, overwrite: bool) -> None:
    raw, preprocessed = tmp_path / "raw", tmp_path / "preprocessed"
    target, build = raw / FOLDER, raw / f".{FOLDER}.partial"
    earlier = {f"{FOLDER}/dataset.json": hashlib.sha256(b"earlier").hexdigest()} if overwrite else {}

    def start_over() -> None:
        for folder in (raw, preprocessed):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        if overwrite:
            target.mkdir()
            (target / "dataset.json").write_text("earlier", encoding="utf-8")

    def run_once(kill_at: int = -1) -> int:
        environment = {"nnUNet_preprocessed": str(preprocessed)}
        options = {"labels": "pancreas", "split": "nnunet-5fold", "check_orientation": True, "jobs": 2}
        return run_in_child(archive, raw, environment, kill_at, overwrite=overwrite, **options)

    start_over()
    assert run_once() == 0
    undisturbed = content(raw, preprocessed)
    whole = content(target)
    assert any(name.endswith("splits_final.json") for name in undisturbed)
    changes = (tmp_path / "changes").read_text(encoding="utf-8").split()
    random = np.random.default_rng(20)
    moments = {int(number) for number in (np.arange(4) + random.random(4)) / 4 * len(changes)}
    renames = [number for number, name in enumerate(changes) if name == "rename"]  # the publication
    assert len(renames) == 1 + overwrite
    for moment in sorted({*moments, *renames, renames[-1] + 1, len(changes) - 1}):
        start_over()
        status = KILLED
        for kill_at in (moment, moment // 2, -1):
            before = inodes(build / "dataset")
            status = run_once(kill_at)
            if status != KILLED:
                break
            left = content(target) if target.exists() else content(build / "replaced")
            left = {name.replace("replaced/", f"{FOLDER}/"): data for name, data in left.items()}
            assert left in (earlier, whole)
        assert status == 0, moment
        assert content(raw, preprocessed) == undisturbed, moment
        after = inodes(target)
        assert {name: after[name] for name in before} == before, moment


def stop(*arguments: Any, **options: Any) -> None:
    raise PancextError("the disk is full")


@pytest.fixture
def interrupted(task: SyntheticTask, raw_root: Path, monkeypatch: pytest.MonkeyPatch) -> SyntheticTask:
    """A task whose conversion stopped after three files were written."""
    place, calls = case_steps.place, count(1)
    with monkeypatch.context() as patched:
        patched.setattr(
            case_steps, "place", lambda *paths, **how: (stop if next(calls) > 3 else place)(*paths, **how)
        )
        with pytest.raises(PancextError, match="the disk is full"):
            convert(task.folder, raw_root, jobs=1)
    return task


def test_finished_cases_are_neither_read_nor_written_again(
    interrupted: SyntheticTask, raw_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = inodes(raw_root / f".{FOLDER}.partial" / "dataset")
    assert len(before) == 3
    monkeypatch.setattr(case_steps, "check_case", stop)
    result = convert(interrupted.folder, raw_root)
    assert before.items() <= inodes(result.folder).items()
    assert tree(result.folder) == tree(convert_elsewhere(interrupted, tmp_path, monkeypatch))


def convert_elsewhere(
    task: SyntheticTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options
) -> Path:
    monkeypatch.undo()
    return convert(task.folder, tmp_path / "elsewhere", **options).folder


def test_a_case_that_changed_since_is_read_again(interrupted: SyntheticTask, raw_root: Path) -> None:
    interrupted.image(1).write_text("damaged since", encoding="utf-8")
    result = convert(interrupted.folder, raw_root)
    assert [problem.case_id for problem in result.left_out] == ["pancreas_001"]
    assert not list(result.folder.rglob("pancreas_001*"))


@pytest.mark.parametrize("change", ["options", "source", "record", "version"])
def test_work_that_does_not_fit_is_not_used(
    interrupted: SyntheticTask, raw_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    options = {"labels": "pancreas"} if change == "options" else {}
    if change == "source":
        interrupted = make_msd_task(tmp_path / "other" / "Task07_Pancreas", cases=2, test_images=0)
    build = raw_root / f".{FOLDER}.partial"
    for record in build.rglob("record.json" if change == "record" else "command.json"):
        if change in ("record", "version"):
            record.write_text('{"program": "nnunet-pancext 99.0"}', encoding="utf-8")
    checked, check = [], case_steps.check_case
    monkeypatch.setattr(
        case_steps, "check_case", lambda case, **how: (checked.append(case), check(case, **how))[1]
    )
    result = convert(interrupted.folder, raw_root, **options)
    assert len(checked) == len(result.training) + len(result.test)
    assert tree(result.folder) == tree(convert_elsewhere(interrupted, tmp_path, monkeypatch, **options))
    assert [path.name for path in raw_root.iterdir()] == [FOLDER]


def test_a_publication_killed_half_way_is_undone_by_another_command(
    task: SyntheticTask, raw_root: Path
) -> None:
    folder = convert(task.folder, raw_root).folder
    before = tree(folder)
    (raw_root / f".{FOLDER}.partial" / "dataset").mkdir(parents=True)
    folder.rename(raw_root / f".{FOLDER}.partial" / "replaced")
    with pytest.raises(PancextError, match="exists already"):
        convert(task.folder, raw_root)
    assert tree(folder) == before


def test_a_run_killed_after_the_publication_is_finished_by_its_own_command_only(
    task: SyntheticTask, raw_root: Path
) -> None:
    result = convert(task.folder, raw_root, labels="pancreas")
    (raw_root / f".{FOLDER}.lock").touch()
    with pytest.raises(PancextError, match="exists already"):
        convert(task.folder, raw_root, labels="pancreas", split="4/2")
    (raw_root / f".{FOLDER}.lock").touch()
    assert convert(task.folder, raw_root, labels="pancreas") == result
    assert [path.name for path in raw_root.iterdir()] == [FOLDER]
    with pytest.raises(PancextError, match="exists already"):
        convert(task.folder, raw_root, labels="pancreas")


@pytest.mark.parametrize("change", ["a file of the dataset is gone", "a label is newer", "a case is new"])
def test_a_dataset_that_changed_since_is_not_taken_for_a_finished_run(
    task: SyntheticTask, raw_root: Path, change: str
) -> None:
    result = convert(task.folder, raw_root)
    later = result.report_path.stat().st_mtime + 10
    if change == "a file of the dataset is gone":
        (result.folder / "labelsTr" / "pancreas_004.nii.gz").unlink()
    else:
        path = task.label(4) if change == "a label is newer" else task.label(5)
        path.touch()
        os.utime(path, (later, later))
    (raw_root / f".{FOLDER}.lock").touch()
    with pytest.raises(PancextError, match=r"exists already\. Replace it with --overwrite"):
        convert(task.folder, raw_root)


def test_two_conversions_to_one_target_do_not_mix(task: SyntheticTask, raw_root: Path) -> None:
    raw_root.mkdir()
    with (
        locked_build_folder(raw_root / FOLDER),
        pytest.raises(PancextError, match="another conversion is working in"),
    ):
        convert(task.folder, raw_root)
