"""From a request to steps: which there are, and what each needs."""

from dataclasses import replace

import pytest
from campaign.small_raw import DATASET

from nnunet_pancext.campaign.definition import read_campaign, write_campaign
from nnunet_pancext.campaign.planning.plan import Request, Stage, plan_campaign
from nnunet_pancext.errors import PancextError

FOLDERS = {f"nnUNet_{name}": f"/data/{name}" for name in ("raw", "preprocessed", "results")}
SMALL = Request(datasets=(DATASET,), trainers=("nnUNetTrainer", "SegResNetNLTrainer"), folds=("0", "1"))
TESTED = replace(SMALL, test_images="/test/images", test_labels="/test/labels")


def planned(request):
    return plan_campaign(request, folders=FOLDERS, versions={})


def needs(request):
    return {step.name: set(step.needs) for step in planned(request).steps}


def test_two_trainers_and_two_folds_with_a_test_set():
    fullres = "preprocess-007-nnUNetPlans-3d_fullres"
    stock, ours = (
        {f"train-007-{trainer}-nnUNetPlans-3d_fullres-{fold}" for fold in (0, 1)}
        for trainer in ("nnUNetTrainer", "SegResNetNLTrainer")
    )
    assert needs(TESTED) == {
        fullres: set(),
        **{name: {fullres} for name in stock | ours},
        "best-007-nnUNetTrainer": stock,
        "best-007-SegResNetNLTrainer": ours,
        "predict-007-nnUNetTrainer": {"best-007-nnUNetTrainer"},
        "predict-007-SegResNetNLTrainer": {"best-007-SegResNetNLTrainer"},
        "evaluate-007-nnUNetTrainer": {"predict-007-nnUNetTrainer"},
        "evaluate-007-SegResNetNLTrainer": {"predict-007-SegResNetNLTrainer"},
        "compare-007": stock | ours,
    }


def test_entries_of_the_steps():
    campaign = planned(replace(TESTED, device="cpu"))
    assert campaign.step("train-007-SegResNetNLTrainer-nnUNetPlans-3d_fullres-1").options() == {
        "dataset": DATASET,
        "configuration": "3d_fullres",
        "fold": "1",
        "trainer": "SegResNetNLTrainer",
        "plans": "nnUNetPlans",
        "device": "cpu",
        "probabilities": True,
        "next_stages": (),
    }
    assert campaign.step("best-007-nnUNetTrainer").options() == {
        "dataset": DATASET,
        "trainer": "nnUNetTrainer",
        "plans": ("nnUNetPlans",),
        "configurations": ("3d_fullres",),
        "folds": ("0", "1"),
    }
    predict = campaign.step("predict-007-nnUNetTrainer")
    assert (predict.best, predict.images, predict.output, predict.device) == (
        f"best/{DATASET}-nnUNetTrainer.json",
        "/test/images",
        f"predictions/{DATASET}/nnUNetTrainer",
        "cpu",
    )
    evaluate = campaign.step("evaluate-007-nnUNetTrainer")
    assert (evaluate.predictions, evaluate.truth, evaluate.output) == (
        predict.output,
        "/test/labels",
        f"scores/{DATASET}/nnUNetTrainer",
    )
    compare = campaign.step("compare-007")
    assert compare.output == "comparison"
    assert compare.models == (
        "nnUNetTrainer__nnUNetPlans__3d_fullres",
        "SegResNetNLTrainer__nnUNetPlans__3d_fullres",
    )


def test_trainers_alternate_within_a_fold():
    trainings = [step for step in planned(SMALL).steps if step.kind == "train"]
    assert [(step.fold, step.trainer) for step in trainings] == [
        ("0", "nnUNetTrainer"),
        ("0", "SegResNetNLTrainer"),
        ("1", "nnUNetTrainer"),
        ("1", "SegResNetNLTrainer"),
    ]


def test_several_plans_and_configurations_are_compared_as_models():
    plans = ("nnUNetPlans", "nnUNetResEncUNetMPlans")
    request = replace(SMALL, trainers=("nnUNetTrainer",), configurations=("2d", "3d_fullres"), plans=plans)
    campaign = planned(request)
    kinds = [step.kind for step in campaign.steps]
    assert [kinds.count(kind) for kind in ("preprocess", "train", "best", "compare")] == [4, 8, 1, 1]
    assert campaign.step("compare-007").models == (
        "nnUNetTrainer__nnUNetPlans__2d",
        "nnUNetTrainer__nnUNetPlans__3d_fullres",
        "nnUNetTrainer__nnUNetResEncUNetMPlans__2d",
        "nnUNetTrainer__nnUNetResEncUNetMPlans__3d_fullres",
    )
    assert len(campaign.step("best-007-nnUNetTrainer").needs) == 8


def test_every_dataset_has_a_comparison_of_its_own():
    campaign = planned(replace(SMALL, datasets=(DATASET, "Dataset012_Other")))
    assert [campaign.step(f"compare-{number}").output for number in ("007", "012")] == [
        f"comparison/{DATASET}",
        "comparison/Dataset012_Other",
    ]
    assert all(name.split("-")[1] == "012" for name in campaign.step("compare-012").needs)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"trainers": ("nnUNetTrainer",)}, {"compare", "predict", "evaluate"}),
        ({"folds": ("all",)}, {"best", "compare", "predict", "evaluate"}),
    ],
    ids=["one model", "fold all"],
)
def test_steps_that_would_have_nothing_to_do_are_left_out(changes, missing):
    kinds = {step.kind for step in planned(replace(SMALL, **changes)).steps}
    assert kinds == {"preprocess", "train", "best", "compare", "predict", "evaluate"} - missing


def test_fold_all_predicts_without_a_choice():
    predict = planned(replace(TESTED, folds=("all",))).step("predict-007-nnUNetTrainer")
    assert predict.needs == ("train-007-nnUNetTrainer-nnUNetPlans-3d_fullres-all",)
    assert (predict.best, predict.plans, predict.configuration, predict.folds) == (
        "",
        "nnUNetPlans",
        "3d_fullres",
        ("all",),
    )


@pytest.mark.parametrize("configurations", [("3d_cascade_fullres",), ("3d_lowres", "3d_cascade_fullres")])
def test_a_cascade_needs_its_first_stage_in_every_fold(configurations):
    request = replace(
        SMALL, trainers=("nnUNetTrainer",), configurations=configurations, splits={DATASET: ("0", "1", "2")}
    )
    all_needs = needs(request)
    first = {f"train-007-nnUNetTrainer-nnUNetPlans-3d_lowres-{fold}" for fold in range(3)}
    second = {f"train-007-nnUNetTrainer-nnUNetPlans-3d_cascade_fullres-{fold}" for fold in range(2)}
    data = {name: f"preprocess-007-nnUNetPlans-{name}" for name in ("3d_lowres", "3d_fullres")}
    assert {name for name in all_needs if name.startswith("train-")} == first | second
    for name in first:  # predicts onto the cases of the second stage
        assert all_needs[name] == set(data.values())
    for name in second:
        assert all_needs[name] == first | {data["3d_fullres"]}
    next_stages = {step.name: step.next_stages for step in planned(request).steps if step.kind == "train"}
    assert next_stages == {**dict.fromkeys(first, ("3d_cascade_fullres",)), **dict.fromkeys(second, ())}


def test_a_cascade_needs_the_first_stage_of_its_own_trainer():
    for name, its_needs in needs(replace(SMALL, configurations=("3d_cascade_fullres",))).items():
        if "3d_cascade_fullres" in name:
            trainer = name.split("-")[2]
            assert {need.split("-")[2] for need in its_needs if need.startswith("train-")} == {trainer}


def test_a_cascade_in_fold_all_needs_its_first_stage_in_fold_all():
    request = replace(SMALL, configurations=("3d_cascade_fullres",), folds=("all",))
    trained = [name for name in needs(request) if name.startswith("train-")]
    assert len(trained) == 4
    assert all(name.endswith("-all") for name in trained)


def test_stages_of_the_users_own_plans():
    stages = {
        (DATASET, "mine", "fine"): Stage(data="base", previous="coarse"),
        (DATASET, "mine", "coarse"): Stage(data="coarse"),
    }
    request = replace(
        SMALL, trainers=("nnUNetTrainer",), plans=("mine",), configurations=("fine",), stages=stages
    )
    assert needs(request)["train-007-nnUNetTrainer-mine-fine-0"] == {
        "preprocess-007-mine-base",
        *(f"train-007-nnUNetTrainer-mine-coarse-{fold}" for fold in range(5)),
    }


def test_the_file_gives_the_same_campaign_back(tmp_path):
    campaign = planned(replace(TESTED, seed=4, device="cpu", configurations=("2d", "3d_cascade_fullres")))
    write_campaign(tmp_path, campaign)
    assert read_campaign(tmp_path) == campaign


@pytest.mark.parametrize("plans", ["my plans", "x" * 140])
def test_a_name_that_is_no_step(plans):
    with pytest.raises(PancextError, match="cannot be a step's name: it may have up to 150 letters"):
        planned(replace(SMALL, plans=(plans,)))
