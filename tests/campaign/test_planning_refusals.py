"""What `pancext campaign plan` refuses, before anything runs."""

import json
from dataclasses import replace

import pytest
from campaign.small_raw import CASES, DATASET, use_folders, write_names

from nnunet_pancext.campaign.planning import trainer_check
from nnunet_pancext.campaign.planning.checks import checked_request
from nnunet_pancext.campaign.planning.plan import Request, Stage
from nnunet_pancext.errors import NNUNetCommandError, PancextError

REQUEST = Request(datasets=("7",), trainers=("nnUNetTrainer",))
CASCADE_PLANS = {
    "configurations": {
        "3d_fullres": {"data_identifier": "nnUNetPlans_3d_fullres"},
        "3d_lowres": {"data_identifier": "nnUNetPlans_3d_lowres"},
        "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        "bs4": {"inherits_from": "3d_fullres", "batch_size": 4},
    }
}


@pytest.fixture
def raw(tmp_path, monkeypatch):
    use_folders(monkeypatch, tmp_path)
    return write_names(tmp_path)


@pytest.fixture
def preprocessed(raw):
    folder = raw.parents[1] / "preprocessed" / DATASET
    folder.mkdir()
    return folder


def refused(message, **changes):
    with pytest.raises(PancextError, match=message):
        checked_request(replace(REQUEST, **changes))


def test_a_request_gets_full_names_folds_and_stages(raw):
    request = checked_request(replace(REQUEST, configurations=("2d", "3d_cascade_fullres")))
    assert request.datasets == (DATASET,)
    assert request.splits == {DATASET: ("0", "1", "2", "3", "4")}
    assert request.stage(DATASET, "nnUNetPlans", "2d") == Stage(data="2d")
    assert request.stage(DATASET, "nnUNetPlans", "3d_cascade_fullres") == Stage(
        data="3d_fullres", previous="3d_lowres"
    )


def test_stages_are_those_of_the_plans(preprocessed):
    (preprocessed / "nnUNetPlans.json").write_text(json.dumps(CASCADE_PLANS), encoding="utf-8")
    request = checked_request(replace(REQUEST, configurations=("bs4", "3d_cascade_fullres")))
    assert request.stages == {
        (DATASET, "nnUNetPlans", "bs4"): Stage(data="3d_fullres"),
        (DATASET, "nnUNetPlans", "3d_cascade_fullres"): Stage(data="3d_fullres", previous="3d_lowres"),
        (DATASET, "nnUNetPlans", "3d_lowres"): Stage(data="3d_lowres"),
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"datasets": ("8",)}, "There is no dataset '8' in nnUNet_raw"),
        ({"datasets": ("7", DATASET)}, f"DATASET names {DATASET} twice"),
        ({"trainers": ("nnUNetTrainer", "nnUNetTrainer")}, "-tr names nnUNetTrainer twice"),
        ({"configurations": ("2d", "2d")}, "-c names 2d twice"),
        ({"plans": ("a", "a")}, "-p names a twice"),
        ({"folds": ("0", "0")}, "-f names 0 twice"),
        ({"folds": ("0", "all")}, "-f 0 all: all trains on every case and cannot be combined"),
        ({"folds": ("0", "5", "x")}, "-f 5 x: the folds that nnU-Net makes are 0, 1, 2, 3, 4"),
        ({"plans": ("mine",)}, "-p mine: there is no .*mine.json. Make it .* nnUNetResEncUNetMPlans"),
        ({"configurations": ("3d",)}, "-c 3d: nnU-Net's planners write 2d, 3d_fullres"),
        (
            {"folds": ("all",), "configurations": ("2d", "3d_fullres"), "test_images": "TEST"},
            "-f all is validated on its training cases, which cannot choose",
        ),
    ],
)
def test_what_does_not_exist_or_go_together(raw, changes, message):
    if changes.get("test_images"):
        changes |= {"test_images": str(raw / "imagesTs"), "test_labels": str(raw / "labelsTs")}
    refused(message, **changes)


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        ("nnUNetTrainer_DynamicLoss", "takes no suffixes of this package. nnUNetTrainerBaseline_DynamicLoss"),
        ("SegResNetNLTrainer_NoSuchLoss", "NoSuchLoss"),
        ("SegResNetNLTrainr", "Did you mean SegResNetNLTrainer"),
        ("nnUNetTrainer_25epochs", "Did you mean nnUNetTrainer"),
        ("Nonsense", "nnU-Net finds no trainer of this name. `pancext trainers --all`"),
    ],
)
def test_an_unknown_trainer(raw, trainer, message):
    refused(message, trainers=(trainer,))


@pytest.mark.parametrize(
    "trainer", ["nnUNetTrainer_5epochs", "nnUNetTrainerNonLocal", "DLKUNetMTrainer_20epochs", "MyOwnTrainer"]
)
def test_trainers_of_nnunet_of_ours_and_of_the_user_are_found(raw, tmp_path, monkeypatch, trainer):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.py").write_text("class MyOwnTrainer(object):\n    pass\n", encoding="utf-8")
    monkeypatch.setenv(trainer_check.EXTERNAL, str(tmp_path / "own"))
    assert checked_request(replace(REQUEST, trainers=(trainer,))).trainers == (trainer,)


def test_an_extra_that_is_not_installed(raw, monkeypatch):
    def without_monai():
        raise NNUNetCommandError("This network comes from MONAI")

    monkeypatch.setattr("nnunet_pancext.architectures.monai_networks.monai_networks", without_monai)
    refused(
        "MonaiUNETRTrainer: This network comes from MONAI. Or leave it out", trainers=("MonaiUNETRTrainer",)
    )


def test_two_datasets_of_one_number(raw, tmp_path):
    (tmp_path / "results" / "Dataset007_Other").mkdir()
    refused(
        "nnU-Net finds a dataset by its number, and Dataset007_Other and Dataset007_Pancreas have the same"
    )


def test_folds_of_a_split(preprocessed):
    split = [{"train": CASES[:3], "val": CASES[3:]}] * 2
    (preprocessed / "splits_final.json").write_text(json.dumps(split), encoding="utf-8")
    refused("-f 2: the folds of .*splits_final.json are 0, 1. Choose", folds=("1", "2"))
    assert checked_request(replace(REQUEST, folds=("1",))).splits == {DATASET: ("0", "1")}


def test_a_split_that_comes_with_the_raw_dataset(raw):
    split = [{"train": CASES[:3], "val": CASES[3:]}]
    (raw / "splits_final.json").write_text(json.dumps(split), encoding="utf-8")
    refused("-f 1: the folds of .*raw.*splits_final.json are 0. Choose", folds=("0", "1"))


def test_too_few_cases_for_folds(tmp_path, monkeypatch):
    use_folders(monkeypatch, tmp_path)
    write_names(tmp_path, cases=CASES[:4])
    refused(f"{DATASET} has 4 training cases, too few for .* 5 folds. Write its folds to .*, or train -f all")
    assert checked_request(replace(REQUEST, folds=("all",))).folds == ("all",)


def test_a_configuration_that_the_plans_lack(preprocessed):
    (preprocessed / "nnUNetPlans.json").write_text(json.dumps(CASCADE_PLANS), encoding="utf-8")
    refused("nnUNetPlans.json has no configuration '2d'; it has 3d_fullres", configurations=("2d",))


def test_plans_that_are_not_whole(preprocessed):
    for name in ("mine.json", "nnUNetPlans.json"):
        (preprocessed / name).write_text('{"configurations": {', encoding="utf-8")
    refused("mine.json is not JSON", plans=("mine",))
    assert checked_request(REQUEST).datasets == (DATASET,)  # nnU-Net's own are made again


def test_no_images(raw):
    for path in (raw / "imagesTr").iterdir():
        path.unlink()
    refused("No images \\*_0000.nii.gz in .*imagesTr")


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        ("imagesTs/*_0000*", "--test: .*imagesTs holds no image called CASE_0000.nii.gz"),
        ("imagesTs/*020*", "--test: .*imagesTs has no image of pancreas_020. Add it"),
        ("labelsTs/*020*", "--test: .*labelsTs has no label map of pancreas_020. Add it"),
    ],
)
def test_a_test_set_that_is_not_complete(raw, removed, message):
    for path in raw.glob(removed):
        path.unlink()
    refused(message, test_images=str(raw / "imagesTs"), test_labels=str(raw / "labelsTs"))


def test_a_test_set_that_is_not_there(raw):
    folders = {"test_images": str(raw / "imagesTs"), "test_labels": str(raw / "labelsTs")}
    refused("--test: there is no folder of images .*nowhere", **{**folders, "test_images": "nowhere"})
    refused("--test: there is no folder of label maps .*nowhere", **{**folders, "test_labels": "nowhere"})
