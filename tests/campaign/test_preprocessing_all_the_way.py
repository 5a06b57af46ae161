"""Cases preprocessed one by one are those of nnUNetv2_preprocess, also after a kill."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from campaign.small_raw import CASES, DATASET, use_folders, write_raw
from contracts.fork_pools import fork_pools, forking_site
from contracts.host_commands import SETTINGS, Project, begin, forked, start_worker
from nnunetv2.training.dataloading import nnunet_dataset

from nnunet_pancext.campaign.kinds.preprocess import Preprocess
from nnunet_pancext.campaign.workers.preprocess import main

pytestmark = pytest.mark.slow
TIMEOUT_S = 600
STEPS = {name: Preprocess(name=name, dataset=DATASET, configuration=name) for name in ("2d", "3d_fullres")}


def preprocess_but_stop(at: str, arguments: list[str], environment: dict[str, str], log: Path) -> None:
    """Preprocess, but stop for ever before the last file of one case is written."""
    begin(environment, log)
    fork_pools()
    write_pickle = nnunet_dataset.write_pickle

    def stop_at_the_case(content, path):
        if Path(path).stem == at:
            print("stuck in", at, flush=True)
            time.sleep(3600)
        write_pickle(content, path)

    nnunet_dataset.write_pickle = stop_at_the_case
    main(arguments)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory) -> Path:
    """What nnU-Net makes of the dataset."""
    root = tmp_path_factory.mktemp("theirs")
    write_raw(root)
    (root / "preprocessed").mkdir()
    project = Project(root, root / "results")
    configurations = ("-c", "2d", "3d_fullres", "-np", 1, 1)
    project.run("nnUNetv2_plan_and_preprocess", "-d", 7, "-npfp", 1, *configurations)
    return root


@pytest.fixture
def root(theirs, tmp_path, monkeypatch) -> Path:
    use_folders(monkeypatch, tmp_path)
    shutil.copytree(theirs / "raw", tmp_path / "raw", dirs_exist_ok=True)
    return tmp_path


def run(step: Preprocess, root: Path, *, code: int = 0) -> str:
    """Preprocess, which must end with this exit code, and return the output."""
    log = root / "log.txt"
    process = start_worker(step.command(root), log)
    process.join(TIMEOUT_S)
    assert process.exitcode == code, log.read_text(encoding="utf-8")[-3000:]
    return log.read_text(encoding="utf-8")


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "splits_final.json"
    }


def test_two_configurations_at_the_same_time_are_those_of_nnunet(root, theirs):
    logs = {name: root / f"{name}.txt" for name in STEPS}
    processes = [start_worker(step.command(root), logs[name]) for name, step in STEPS.items()]
    for process in processes:
        process.join(TIMEOUT_S)
    texts = [log.read_text(encoding="utf-8") for log in logs.values()]
    assert [process.exitcode for process in processes] == [0, 0], texts
    assert sum(text.count(f"planning {DATASET}") for text in texts) == 1
    ours = files_below(root / "preprocessed" / DATASET)
    assert ours == files_below(theirs / "preprocessed" / DATASET)
    assert all(step.is_done(root) for step in STEPS.values())
    assert len((root / "preprocessed" / DATASET / "splits_final.json").read_text("utf-8").split('"val"')) == 6


def test_a_killed_run_goes_on_with_the_next_case(root, theirs):
    target = root / "preprocessed" / DATASET
    data = target / "nnUNetPlans_2d"
    shutil.copytree(theirs / "preprocessed", root / "preprocessed", dirs_exist_ok=True)
    # What a kill leaves of nnU-Net's own files, which it writes in place.
    for name in ("dataset_fingerprint.json", "nnUNetPlans.json"):
        (target / name).write_bytes((target / name).read_bytes()[:-200])
    for case in CASES[1:]:
        (data / f"{case}.pkl").unlink()
    log = root / "killed.txt"
    process = forked(preprocess_but_stop, CASES[3], STEPS["2d"].command(root)[3:], dict(os.environ), log)
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while not (log.exists() and f"stuck in {CASES[3]}" in log.read_text(encoding="utf-8")):
            assert process.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        process.kill()
        process.join()
    assert f"planning {DATASET}" in log.read_text(encoding="utf-8")
    assert (target / ".nnUNetPlans_2d.partial" / CASES[3] / f"{CASES[3]}_seg.b2nd").is_file()
    assert not STEPS["2d"].is_done(root)
    whole = {path: path.stat().st_mtime_ns for case in CASES[:3] for path in data.glob(f"{case}*")}
    text = run(STEPS["2d"], root)
    assert [case for case in CASES if f"preprocessed {case}" in text] == CASES[3:]
    assert {path: path.stat().st_mtime_ns for path in whole} == whole
    assert STEPS["2d"].is_done(root)
    for path in target.glob("former-1-*"):
        path.unlink()
    assert files_below(target) == files_below(theirs / "preprocessed" / DATASET)


def test_several_processes_and_another_planner(root, theirs):
    step = Preprocess(
        name="p", dataset=DATASET, plans="nnUNetResEncUNetMPlans", configuration="2d", planner=""
    )
    environment = {
        **os.environ,
        **SETTINGS,
        "nnUNet_def_n_proc": "2",
        "PYTHONPATH": forking_site(root / "site"),
    }
    done = subprocess.run(
        step.command(root), env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr[-3000:]
    text = done.stdout
    assert f"planning {DATASET} with nnUNetPlannerResEncM" in text
    target = root / "preprocessed" / DATASET
    assert step.is_done(root)
    # nnU-Net's planners of residual encoders share the cases of its default ones.
    assert {path.name for path in target.iterdir() if path.is_dir()} == {
        "gt_segmentations",
        "nnUNetPlans_2d",
    }


def test_a_dataset_that_nnunet_refuses(root):
    wrong = root / "raw" / DATASET / "labelsTr" / f"{CASES[0]}.nii.gz"
    shutil.copyfile(root / "raw" / DATASET / "imagesTr" / f"{CASES[0]}_0000.nii.gz", wrong)
    text = run(STEPS["2d"], root, code=1)
    assert "error: nnU-Net refuses the raw dataset" in text
    assert f"`pancext check {DATASET}` says more" in text
