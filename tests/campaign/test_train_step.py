"""The step that trains a fold: whether it is done, and how it goes on. No training runs here."""

import gzip
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_pancext.campaign.definition import Campaign
from nnunet_pancext.campaign.kinds.train import Train
from nnunet_pancext.campaign.step import read_step
from nnunet_pancext.errors import PancextError

DATASET = "Dataset007_Pancreas"
FOLDS = [{"train": ["a", "b"], "val": ["c", "d"]}, {"train": ["c", "d"], "val": ["a", "b"]}]
PLANS = {
    "configurations": {
        "3d_fullres": {"data_identifier": "nnUNetPlans_3d_fullres"},
        "smaller": {"inherits_from": "3d_fullres"},
    }
}


@pytest.fixture
def step(tmp_path, monkeypatch):
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    dataset = tmp_path / "nnUNet_preprocessed" / DATASET
    (dataset / "nnUNetPlans_3d_fullres").mkdir(parents=True)
    for case in "abcd":
        (dataset / "nnUNetPlans_3d_fullres" / f"{case}.b2nd").touch()
    for name, content in (
        ("dataset.json", {"labels": {"background": 0}, "file_ending": ".nii.gz"}),
        ("splits_final.json", FOLDS),
        ("nnUNetPlans.json", PLANS),
    ):
        (dataset / name).write_text(json.dumps(content), encoding="utf-8")

    def build(**changes):
        given = {"configuration": "3d_fullres", "fold": "0", "trainer": "nnUNetTrainer", **changes}
        return Train(name="train", dataset=DATASET, **given)

    return build


def finish(step: Train, *, cases: str = "cd") -> Path:
    """Write what a finished fold has; return its folder."""
    folder = step.trained.folder
    (folder / "validation").mkdir(parents=True)
    with zipfile.ZipFile(folder / "checkpoint_final.pth", "w") as archive:
        archive.writestr("checkpoint/data.pkl", b"0" * 100)
    for case in cases:
        np.savez_compressed(folder / "validation" / f"{case}.npz", probabilities=np.zeros(3))
        (folder / "validation" / f"{case}.pkl").write_bytes(pickle.dumps({}))
        image = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 3, (9, 9, 9)).astype(np.uint8))
        sitk.WriteImage(image, str(folder / "validation" / f"{case}.nii.gz"))
    (folder / "validation" / "summary.json").write_text("{}", encoding="utf-8")
    return folder


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def outdate(path: Path) -> None:
    os.utime(path, (1e9, 1e9))


def remove(path: Path) -> None:
    path.unlink()


def test_a_finished_fold_is_done(step, tmp_path):
    train = step()
    assert not train.is_done(tmp_path)
    finish(train)
    assert train.is_done(tmp_path)
    assert train.result(tmp_path) == train.written_folder(tmp_path) == train.trained.folder
    assert train.trained.folder == (
        tmp_path / "nnUNet_results" / DATASET / "nnUNetTrainer__nnUNetPlans__3d_fullres" / "fold_0"
    )
    assert not step(fold="1").is_done(tmp_path)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("checkpoint_final.pth", cut),
        ("checkpoint_final.pth", remove),
        ("validation/summary.json", cut),
        ("validation/summary.json", remove),
        ("validation/summary.json", outdate),
        ("validation/c.nii.gz", remove),
        ("validation/c.npz", remove),
        ("validation/d.pkl", remove),
    ],
)
def test_an_unfinished_fold_is_not_done(step, tmp_path, name, damage):
    train = step()
    damage(finish(train) / name)
    assert not train.is_done(tmp_path)


def test_probabilities_are_needed_only_where_they_are_asked_for(step, tmp_path):
    train = step(probabilities=False)
    folder = finish(train)
    (folder / "validation" / "c.npz").unlink()
    assert train.is_done(tmp_path)
    assert not step().is_done(tmp_path)


@pytest.mark.parametrize("configuration", ["3d_fullres", "smaller"])
def test_fold_all_is_validated_on_every_case(step, tmp_path, configuration):
    train = step(fold="all", configuration=configuration)
    folder = finish(train, cases="abc")
    assert not train.is_done(tmp_path)
    for ending in ("nii.gz", "npz", "pkl"):
        (folder / "validation" / f"d.{ending}").touch()
    assert train.is_done(tmp_path)


@pytest.mark.parametrize("ending", ["b2nd", "npz"])
def test_a_first_stage_is_done_when_it_has_predicted_for_the_second(step, tmp_path, ending):
    """nnU-Net's validation leaves this out where the cases of the second are not preprocessed."""
    train = step(configuration="3d_lowres", next_stages=("3d_cascade_fullres",))
    folder = finish(train).parent / "predicted_next_stage" / "3d_cascade_fullres"
    assert step(configuration="3d_lowres").is_done(tmp_path)
    assert not train.is_done(tmp_path)
    folder.mkdir(parents=True)
    (folder / f"c.{ending}").touch()
    assert not train.is_done(tmp_path)
    (folder / f"d.{ending}").touch()
    assert train.is_done(tmp_path)
    outdate(folder / f"c.{ending}")
    assert not train.is_done(tmp_path)


def test_a_step_without_a_dataset_is_not_done_and_can_be_prepared(step, tmp_path):
    train = step()
    finish(train)
    (tmp_path / "nnUNet_preprocessed" / DATASET / "splits_final.json").unlink()
    assert not train.is_done(tmp_path)
    assert train.prepare(tmp_path) == ["--val"]


@pytest.mark.parametrize(
    ("whole", "broken", "option"),
    [
        ([], [], []),
        ([], ["latest"], []),
        (["best"], [], ["--c"]),
        (["best"], ["latest"], ["--c"]),
        (["latest", "best"], ["final"], ["--c"]),
        (["final", "best"], ["latest"], ["--val"]),
    ],
)
def test_a_killed_training_goes_on_from_its_last_whole_checkpoint(step, tmp_path, whole, broken, option):
    train = step()
    folder = finish(train)
    source = (folder / "checkpoint_final.pth").rename(tmp_path / "whole").read_bytes()
    for name in (*whole, *broken):
        (folder / f"checkpoint_{name}.pth").write_bytes(source if name in whole else source[:50])
    assert train.prepare(tmp_path) == option
    expected = [f"checkpoint_{name}.pth" for name in whole]
    expected += [f"checkpoint_{name}.pth.broken" for name in broken]
    assert sorted(path.name for path in folder.glob("checkpoint*")) == sorted(expected)


def test_a_former_summary_and_half_written_probabilities_are_removed(step, tmp_path):
    """The summary would be the sign that a validation is whole while the next one writes."""
    train = step()
    folder = finish(train) / "validation"
    cut(folder / "c.npz")
    train.prepare(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [
        "c.nii.gz",
        "c.pkl",
        "d.nii.gz",
        "d.npz",
        "d.pkl",
    ]


@pytest.mark.parametrize("ending", ["nii.gz", "npz", "pkl"])
@pytest.mark.parametrize("damage", [cut, remove, outdate])
def test_only_whole_predictions_are_kept(step, ending, damage):
    train = step()
    damage(finish(train) / "validation" / f"c.{ending}")
    assert train.trained.whole_predictions(["c", "d"], probabilities=True) == {"d"}
    kept = train.trained.whole_predictions(["c", "d"], probabilities=False)
    assert kept == ({"d"} if ending == "nii.gz" else {"c", "d"})


def test_a_label_map_whose_end_is_missing_is_not_whole(step):
    train = step()
    path = finish(train) / "validation" / "c.nii.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-100]))
    assert train.trained.whole_predictions(["c"], probabilities=False) == set()


@pytest.mark.parametrize(
    ("fold", "text"),
    [
        ("2", r"splits_final\.json has 2 folds, and no fold 2\. Choose a number from 0 to 1, or all"),
        ("first", "There is no fold 'first'. Choose a number from 0, or all"),
    ],
)
def test_an_impossible_fold_is_refused(step, tmp_path, fold, text):
    with pytest.raises(PancextError, match=text):
        step(fold=fold).prepare(tmp_path)


def test_the_command(step, tmp_path):
    words = step(device="cpu").command(tmp_path)
    assert words[1:3] == ["-m", "nnunet_pancext.campaign.workers.train"]
    assert words[3:] == [
        *(DATASET, "3d_fullres", "0", "-tr", "nnUNetTrainer", "-p", "nnUNetPlans", "-device", "cpu", "--npz")
    ]
    assert "--npz" not in step(probabilities=False).command(tmp_path)


@pytest.mark.parametrize(
    ("trainer", "total"),
    [("nnUNetTrainer_5epochs", "/5"), ("DLKUNetLTrainer_20epochs_3iterations", "/20"), ("nnUNetTrainer", "")],
)
def test_progress_names_the_epochs_where_the_trainer_does(step, trainer, total):
    progress = step(trainer=trainer).progress()
    for line in ("2026: Epoch 2", "train_loss -0.5"):
        assert progress(line) is None
    assert progress("Pseudo dice [0.25]") == f"epoch 3{total}   loss -0.5   Dice on validation patches 0.25"


def test_it_depends_on_the_seed_and_on_variables_of_the_trainer_but_not_on_those_of_speed(step):
    campaign = Campaign(
        device="cpu",
        seed=3,
        folders={"nnUNet_raw": "/raw", "nnUNet_results": "/results"},
        versions={},
        environment={"nnUNet_n_proc_DA": "2", "OMP_NUM_THREADS": "1", "MY_TRAINER_RATE": "0.1"},
        steps=(step(),),
    )
    assert step().depends_on(campaign) == {
        "seed": 3,
        "environment": {"MY_TRAINER_RATE": "0.1"},
        "nnUNet_results": "/results",
    }


def test_it_is_read_from_campaign_toml(step):
    entry = {"name": "t", "kind": "train", "dataset": DATASET, "configuration": "2d", "fold": "0"}
    assert read_step({**entry, "trainer": "nnUNetTrainer"}, where="here").device == "cuda"
    with pytest.raises(PancextError, match=r"here, step t: trainer is missing\. Add it\."):
        read_step(entry, where="here")
