"""Which preprocessed cases are complete, and what is made of those that are not; no image is read here."""

import json
import os
import signal
import zipfile
from pathlib import Path

import pytest
from campaign.small_raw import CASES, DATASET, use_folders, write_names

from nnunet_pancext.campaign.kinds.preprocess import Preprocess
from nnunet_pancext.campaign.workers import preprocess as worker
from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.preprocessed import TRUTH, is_whole_case

STEP = Preprocess(name="preprocess", dataset=DATASET, configuration="2d")
PLANS = {
    "configurations": {
        "2d": {"data_identifier": "nnUNetPlans_2d"},
        "3d_fullres": {"data_identifier": "nnUNetPlans_3d_fullres"},
        "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
    }
}


def b2nd(size=100):
    """The header of blosc2's contiguous frame, which holds the length, and zeros."""
    header = b"\x9e\xa8b2frame\0" + b"\xd2\0\0\0\xcb\xcf" + size.to_bytes(8, "big")
    return header.ljust(size, b"\0")


def write_preprocessed(data: Path, case: str) -> None:
    (data / f"{case}.b2nd").write_bytes(b2nd())
    (data / f"{case}_seg.b2nd").write_bytes(b2nd(40))
    (data / f"{case}.pkl").write_bytes(b"\x80\x04}.")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A dataset that is preprocessed whole."""
    use_folders(monkeypatch, tmp_path)
    raw = write_names(tmp_path)
    folder = tmp_path / "preprocessed" / DATASET
    data, truth = folder / "nnUNetPlans_2d", folder / TRUTH
    for path in (data, truth):
        path.mkdir(parents=True)
    for case in CASES:
        write_preprocessed(data, case)
        (truth / f"{case}.nii.gz").touch()
    (folder / "dataset.json").write_bytes((raw / "dataset.json").read_bytes())
    (folder / "nnUNetPlans.json").write_text(json.dumps(PLANS), encoding="utf-8")
    (folder / "dataset_fingerprint.json").write_text("{}", encoding="utf-8")
    split = [{"train": CASES[:3], "val": CASES[3:]}]
    (folder / "splits_final.json").write_text(json.dumps(split), encoding="utf-8")
    return folder


def edit(name, text):
    def change(folder):
        path = folder / name
        path.write_text(text, encoding="utf-8") if text is not None else path.unlink()

    return change


def cut(name):
    def change(folder):
        path = folder / "nnUNetPlans_2d" / name
        path.write_bytes(path.read_bytes()[:-1])

    return change


def make_newer(name):
    def change(folder):
        path = folder.parents[1] / "raw" / DATASET / name
        later = path.stat().st_mtime + 1000
        os.utime(path, (later, later))

    return change


def without_a_raw_case(folder):
    for path in (folder.parents[1] / "raw" / DATASET).glob(f"*Tr/{CASES[0]}*"):
        path.unlink()


def test_a_dataset_that_is_whole_is_done(folder, tmp_path):
    assert STEP.is_done(tmp_path)
    assert STEP.result(tmp_path) == folder / "nnUNetPlans_2d"


NOT_WHOLE = {
    "no plans": edit("nnUNetPlans.json", None),
    "cut plans": edit("nnUNetPlans.json", '{"configurations": {'),
    "no configuration": edit("nnUNetPlans.json", '{"configurations": {}}'),
    "no fingerprint": edit("dataset_fingerprint.json", None),
    "cut fingerprint": edit("dataset_fingerprint.json", '{"spacings": ['),
    "no dataset.json": edit("dataset.json", None),
    "no folds": edit("splits_final.json", None),
    "no label map": edit(f"{TRUTH}/{CASES[2]}.nii.gz", None),
    "cut label map": edit(f"{TRUTH}/{CASES[0]}.nii.gz", "half"),
    "no properties": edit(f"nnUNetPlans_2d/{CASES[1]}.pkl", None),
    "empty properties": edit(f"nnUNetPlans_2d/{CASES[1]}.pkl", ""),
    "cut properties": cut(f"{CASES[1]}.pkl"),
    "cut image": cut(f"{CASES[1]}.b2nd"),
    "cut labels": cut(f"{CASES[1]}_seg.b2nd"),
    "newer label map": make_newer(f"labelsTr/{CASES[0]}.nii.gz"),
    "newer image": make_newer(f"imagesTr/{CASES[0]}_0000.nii.gz"),
    "a case too many": without_a_raw_case,
}


@pytest.mark.parametrize("change", NOT_WHOLE.values(), ids=NOT_WHOLE)
def test_a_dataset_that_is_not_whole_is_not_done(folder, tmp_path, change):
    change(folder)
    assert not STEP.is_done(tmp_path)


def test_the_raw_dataset_is_not_needed_any_more(folder, tmp_path):
    (tmp_path / "raw" / DATASET).rename(tmp_path / "moved")
    assert STEP.is_done(tmp_path)
    cut(f"{CASES[1]}.b2nd")(folder)
    assert not STEP.is_done(tmp_path)


def test_few_cases_have_no_folds(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("nnunet_pancext.campaign.kinds.preprocess.FOLDS", 7)
    (folder / "splits_final.json").unlink()
    assert STEP.is_done(tmp_path)


@pytest.mark.parametrize("members", [1, 0], ids=["whole", "cut"])
def test_a_packed_case(tmp_path, members):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("data.npy", b"1" * 100)
    (tmp_path / "a.pkl").write_bytes(b".")
    if not members:
        (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-30])
    assert is_whole_case(tmp_path, "a", made_from=worker.CaseFiles()) == bool(members)


@pytest.mark.parametrize(
    ("plans", "configuration", "name"),
    [
        ("nnUNetPlans", "2d", "nnUNetPlans_2d"),
        ("nnUNetPlans", "3d_cascade_fullres", "nnUNetPlans_3d_fullres"),
        ("unplanned", "2d", "unplanned_2d"),
        ("unplanned", "3d_cascade_fullres", "unplanned_3d_fullres"),
    ],
)
def test_the_folder_of_the_cases(folder, tmp_path, plans, configuration, name):
    step = Preprocess(name="p", dataset=DATASET, plans=plans, configuration=configuration)
    assert step.result(tmp_path) == folder / name


def test_what_is_set_aside(folder, tmp_path):
    STEP.set_aside(tmp_path)
    assert (folder / "former-1-nnUNetPlans_2d").is_dir()
    assert (folder / "nnUNetPlans.json").is_file()
    (folder / "nnUNetPlans_2d").mkdir()
    Preprocess(**{**vars(STEP), "planner": "ExperimentPlanner"}).set_aside(tmp_path)
    assert (folder / "former-2-nnUNetPlans_2d").is_dir()
    assert (folder / "former-1-nnUNetPlans.json").is_file()


def test_the_command_names_a_planner_if_there_is_one(tmp_path):
    words = STEP.command(tmp_path)
    assert words[1:] == ["-m", worker.__name__, DATASET, "nnUNetPlans", "2d"]
    words = Preprocess(**{**vars(STEP), "planner": "MyPlanner"}).command(tmp_path)
    assert words[-2:] == ["--planner", "MyPlanner"]


def test_lines_of_the_worker_are_shown():
    assert STEP.progress()("preprocessed a (1 of 2), 3.0 s") == "preprocessed a (1 of 2), 3.0 s"
    assert STEP.progress()("Using reader") is None


def run(*words):
    return worker.main([DATASET, *words] if words else [DATASET, "nnUNetPlans", "2d"])


def test_nothing_is_done_twice(folder, tmp_path, capsys):
    files = sorted((folder / "nnUNetPlans_2d").iterdir())
    before = [path.stat().st_mtime_ns for path in files]
    assert run() == 0
    assert [path.stat().st_mtime_ns for path in files] == before
    assert capsys.readouterr().out == "nnUNetPlans_2d: 6 of 6 cases are complete\n"


def test_label_maps_and_folds_are_completed(folder, tmp_path):
    label = tmp_path / "raw" / DATASET / "labelsTr" / f"{CASES[0]}.nii.gz"
    when = label.stat().st_mtime
    label.write_bytes(b"corrected")
    os.utime(label, (when, when))
    (folder / TRUTH / f"{CASES[1]}.nii.gz").unlink()
    (folder / "splits_final.json").unlink()
    assert run() == 0
    assert (folder / TRUTH / f"{CASES[0]}.nii.gz").read_bytes() == b"corrected"
    split = json.loads((folder / "splits_final.json").read_text(encoding="utf-8"))
    assert sorted(case for fold in split for case in fold["val"]) == CASES
    assert STEP.is_done(tmp_path)


def test_what_a_killed_run_left_is_removed(folder):
    (folder / ".partial-1-splits_final.json").touch()
    (folder / TRUTH / ".partial-1-x.nii.gz").touch()
    assert run() == 0
    assert not list(folder.rglob(".*"))


def test_folds_of_the_raw_dataset_are_taken(folder, tmp_path):
    own = (folder / "splits_final.json").rename(tmp_path / "raw" / DATASET / "splits_final.json")
    assert run() == 0
    assert (folder / "splits_final.json").read_bytes() == own.read_bytes()


def test_a_case_that_the_raw_dataset_no_longer_has_is_moved_away(folder, tmp_path, capsys):
    without_a_raw_case(folder)
    assert run() == 0
    moved = folder / "former-cases-of-nnUNetPlans_2d"
    assert len(list(moved.iterdir())) == 3
    assert f"{CASES[0]}: no longer in the raw dataset; moved to {moved}" in capsys.readouterr().out
    assert STEP.is_done(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("mine", "2d"),
            "mine.json, and none of nnU-Net's planners writes plans of this name, but nnUNetPlans",
        ),
        (
            ("nnUNetPlans", "3d_lowres"),
            "nnUNetPlans.json has no configuration '3d_lowres'; it has 2d, 3d_full",
        ),
    ],
)
def test_what_cannot_be_preprocessed(folder, capsys, words, message):
    assert run(*words) == 1
    assert message in capsys.readouterr().err


def test_folds_that_are_not_json_are_left_to_the_user(folder, capsys):
    (folder / "splits_final.json").write_text("[{", encoding="utf-8")
    assert run() == 1
    assert "splits_final.json is not JSON" in capsys.readouterr().err
    assert (folder / "splits_final.json").read_text(encoding="utf-8") == "[{"


class Preprocessor:
    """Writes whole cases, without images."""

    def run_case_save(self, name, *job):
        path = Path(name)
        write_preprocessed(path.parent, path.name)


class Killed(Preprocessor):
    def run_case_save(self, name, *job):
        os.kill(os.getpid(), signal.SIGKILL)


class Failing(Preprocessor):
    def run_case_save(self, name, *job):
        raise RuntimeError("the image has 2 channels")


class OnFullDisk(Preprocessor):
    def run_case_save(self, name, *job):
        super().run_case_save(name)
        Path(f"{name}.b2nd").write_bytes(b2nd()[:-1])


def made(preprocessor, tmp_path, *, processes, cases=("a", "b", "c")):
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    jobs = dict.fromkeys(cases, ())
    return [
        case
        for case, _ in worker._run(
            preprocessor, jobs, data=data, parts=tmp_path / "parts", processes=processes
        )
    ]


@pytest.mark.parametrize("processes", [1, 2])
def test_cases_appear_whole_and_replace_what_was_there(tmp_path, processes):
    (tmp_path / "data").mkdir()
    for name in ("a.npz", "a.npy", "a_seg.npy", "a.pkl", "b.b2nd"):
        (tmp_path / "data" / name).touch()
    assert sorted(made(Preprocessor(), tmp_path, processes=processes)) == ["a", "b", "c"]
    names = sorted(path.name for path in (tmp_path / "data").iterdir())
    assert names == [f"{case}{end}" for case in "abc" for end in (".b2nd", ".pkl", "_seg.b2nd")]
    assert not any((tmp_path / "parts").iterdir())


@pytest.mark.parametrize(
    ("preprocessor", "processes", "message"),
    [
        (Killed, 2, "was killed, probably for lack of memory. Set nnUNet_def_n_proc, now 2, to a smaller"),
        (Failing, 2, r"cannot be preprocessed \(RuntimeError: the image has 2 channels\). Correct it"),
        (Failing, 1, r"a cannot be preprocessed \(RuntimeError: the image has 2 channels\). Correct it"),
        (OnFullDisk, 1, "a was not written completely to .*parts.*Check the disk and the space on it"),
    ],
)
def test_cases_that_fail(tmp_path, preprocessor, processes, message):
    with pytest.raises(PancextError, match=message):
        made(preprocessor(), tmp_path, processes=processes)
    assert not any((tmp_path / "data").iterdir())
