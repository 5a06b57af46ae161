"""A conversion that is killed goes on where it stopped and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from made_downloads import acdc
from made_msd_task import MadeTask, make_msd_task, tree

from nnunet_pancext.dataset_conversion import conversion, raw_dataset
from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.errors import PancextError
from nnunet_pancext.raw_cases import case_checks

# Converts, but stands still for ever at one call of one function, so that the kill hits a known moment.
STANDSTILL = """
import importlib, itertools, sys, time
from pathlib import Path
module_name, function_name, calls, source, raw_root, labels = sys.argv[1:]
from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
module = importlib.import_module(module_name)
original = getattr(module, function_name)
count = itertools.count(1)
def stop_at_call(*args, **kwargs):
    if next(count) == int(calls):
        print("standing still", flush=True)
        time.sleep(600)
    return original(*args, **kwargs)
setattr(module, function_name, stop_at_call)
convert_msd(Path(source), raw_root=Path(raw_root), labels=labels, jobs=1, overwrite=True, show_progress=False)
"""
PACKAGE = "nnunet_pancext.dataset_conversion"
MOMENTS = {
    "while extracting": (f"{PACKAGE}.archive", "write_member", 5),
    "while checking": (f"{PACKAGE}.case_checks", "scan_image", 6),
    "while writing": (f"{PACKAGE}.raw_dataset", "place", 4),
    "between writing a file and naming it": ("os", "replace", 30),
    "between the two renames of an exchange": ("os", "rename", 2),
    "while tidying up": ("shutil", "rmtree", 1),
}


def kill_during(moment: str, source: Path, raw_root: Path, *, labels: str = "pancreas") -> None:
    """Run a conversion in another process until `moment` and kill it there with SIGKILL."""
    module, function, calls = MOMENTS[moment]
    process = subprocess.Popen(
        [sys.executable, "-c", STANDSTILL, module, function, str(calls), str(source), str(raw_root), labels],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "standing still\n"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def convert(source: Path, raw_root: Path, **options):
    return convert_msd(source, raw_root=raw_root, show_progress=False, **options)


@pytest.fixture
def archive(task: MadeTask) -> Path:
    path = task.folder.parent / "Task07_Pancreas.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(task.folder, arcname="Task07_Pancreas")
    return path


@pytest.mark.parametrize("moment", [m for m in MOMENTS if "exchange" not in m and "tidying" not in m])
def test_killed_and_run_again_is_like_undisturbed(
    archive: Path, raw_root: Path, tmp_path: Path, moment: str
) -> None:
    kill_during(moment, archive, raw_root)
    assert not (raw_root / "Dataset007_Pancreas").exists()
    resumed = convert(archive, raw_root, labels="pancreas").folder
    undisturbed = convert(archive, tmp_path / "undisturbed", labels="pancreas").folder
    assert tree(resumed) == tree(undisturbed)
    assert [p.name for p in raw_root.iterdir()] == ["Dataset007_Pancreas"]


def test_finished_work_is_not_done_again(
    task: MadeTask, raw_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_during("while writing", task.folder, raw_root, labels="pancreas+tumour")
    written = []
    place = raw_dataset.place
    monkeypatch.setattr(
        raw_dataset, "place", lambda s, t, **how: (written.append(t.name), place(s, t, **how))[1]
    )
    monkeypatch.setattr(case_checks, "scan_image", None)  # calling it would fail
    convert(task.folder, raw_root)
    # One case of two files was finished, the second had its image: 6 x 2 + 2 - 2 remain.
    assert len(written) == 12
    assert "pancreas_001_0000.nii.gz" not in written


def test_a_file_that_changed_since_is_read_again(task: MadeTask, raw_root: Path) -> None:
    kill_during("while writing", task.folder, raw_root, labels="pancreas+tumour")
    task.image(1).write_text("damaged since")
    result = convert(task.folder, raw_root)
    assert [problem.case_id for problem in result.left_out] == ["pancreas_001"]
    assert not list(result.folder.rglob("pancreas_001*"))


def test_other_options_start_over(task: MadeTask, raw_root: Path, tmp_path: Path) -> None:
    kill_during("while writing", task.folder, raw_root, labels="pancreas+tumour")
    resumed = convert(task.folder, raw_root, labels="pancreas").folder
    assert tree(resumed) == tree(convert(task.folder, tmp_path / "undisturbed", labels="pancreas").folder)


def records(raw_root: Path, step: str) -> list[Path]:
    return sorted((raw_root / ".Dataset007_Pancreas.partial" / step).glob("*.json"))


def test_what_another_version_did_is_done_again(
    task: MadeTask, raw_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_during("while writing", task.folder, raw_root, labels="pancreas+tumour")
    assert len(records(raw_root, "checked")) > 5
    monkeypatch.setattr(conversion, "CONVERTED_BY", "nnunet-pancext 99.0")
    scanned = []
    scan = case_checks.scan_image
    monkeypatch.setattr(case_checks, "scan_image", lambda p, **how: (scanned.append(p), scan(p, **how))[1])
    resumed = convert(task.folder, raw_root)
    assert len(scanned) >= 12
    assert len(resumed.training) == 6


@pytest.mark.parametrize("step", ["checked", "written"])
@pytest.mark.parametrize("content", ["[]", "{}", "fields", '"text"'])
def test_a_record_that_does_not_fit_is_not_used(
    task: MadeTask, raw_root: Path, tmp_path: Path, step: str, content: str
) -> None:
    kill_during("while writing", task.folder, raw_root, labels="pancreas+tumour")
    for path in records(raw_root, step):
        record = json.loads(path.read_text())
        record["outcome"] = "text" if step == "written" else {**record["outcome"], "colour": "red"}
        path.write_text(json.dumps(record) if content == "fields" else content)
    resumed = convert(task.folder, raw_root).folder
    assert tree(resumed) == tree(convert(task.folder, tmp_path / "undisturbed").folder)


def test_another_source_starts_over(task: MadeTask, raw_root: Path, tmp_path: Path) -> None:
    kill_during("while writing", task.folder, raw_root, labels="pancreas+tumour")
    other = make_msd_task(tmp_path / "other" / "Task07_Pancreas", cases=2, test_images=0)
    resumed = convert(other.folder, raw_root).folder
    assert tree(resumed) == tree(convert(other.folder, tmp_path / "undisturbed").folder)


def test_an_exchange_killed_half_way_is_undone(task: MadeTask, raw_root: Path) -> None:
    folder = convert(task.folder, raw_root).folder
    before = tree(folder)
    kill_during("between the two renames of an exchange", task.folder, raw_root)
    assert not folder.exists()
    with pytest.raises(PancextError, match="exists already"):
        convert(task.folder, raw_root)
    assert tree(folder) == before


def test_a_run_killed_while_tidying_up_is_finished(task: MadeTask, raw_root: Path, tmp_path: Path) -> None:
    kill_during("while tidying up", task.folder, raw_root)
    assert (raw_root / "Dataset007_Pancreas").exists()
    with pytest.raises(PancextError, match="exists already"):  # another conversion is not finished by it
        convert(task.folder, raw_root, labels="pancreas", split="4/2")
    result = convert(task.folder, raw_root, labels="pancreas")
    undisturbed = convert(task.folder, tmp_path / "undisturbed", labels="pancreas")
    assert replace(result, folder=undisturbed.folder) == undisturbed
    assert tree(result.folder) == tree(undisturbed.folder)
    assert [p.name for p in raw_root.iterdir()] == ["Dataset007_Pancreas"]
    with pytest.raises(PancextError, match="exists already"):
        convert(task.folder, raw_root, labels="pancreas")


def test_overwrite_does_not_take_the_result_of_a_killed_run(task: MadeTask, raw_root: Path) -> None:
    kill_during("while tidying up", task.folder, raw_root)
    task.image(1).write_text("damaged since")
    result = convert(task.folder, raw_root, labels="pancreas", overwrite=True)
    assert [problem.case_id for problem in result.left_out] == ["pancreas_001"]
    assert [p.name for p in raw_root.iterdir()] == ["Dataset007_Pancreas"]


def test_folds_are_put_in_place_also_after_a_kill(
    tmp_path: Path, raw_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    convert_acdc = acdc(tmp_path / "download")

    def die(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(conversion, "place_folds", die)
        with pytest.raises(KeyboardInterrupt):
            convert_acdc(raw_root=raw_root, show_progress=False)
    splits = tmp_path / "preprocessed" / "Dataset027_ACDC" / "splits_final.json"
    assert not splits.exists()
    result = convert_acdc(raw_root=raw_root, show_progress=False)
    assert json.loads(splits.read_text()) == json.loads((result.folder / "split.json").read_text())["folds"]
    assert [p.name for p in raw_root.iterdir()] == ["Dataset027_ACDC"]


def test_two_conversions_to_one_target_do_not_mix(task: MadeTask, raw_root: Path) -> None:
    module, function, calls = MOMENTS["while writing"]
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", STANDSTILL, module, function, str(calls)),
            *(str(task.folder), str(raw_root), "pancreas"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        started = time.monotonic()
        with pytest.raises(PancextError, match="another conversion is working in"):
            convert(task.folder, raw_root)
        assert time.monotonic() - started < 300  # the other one stands still for 600 s
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
