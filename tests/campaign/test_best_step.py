"""nnU-Net's find_best_configuration as a step: each trainer keeps what was found for it."""

import json
import shutil

import pytest
from campaign.small_raw import CASES, DATASET, DATASET_JSON, use_folders, write_raw
from contracts.host_commands import start_worker
from contracts.made_preprocessed import made_plans

from nnunet_pancext.campaign.kinds.best import Best
from nnunet_pancext.nnunet_files.best_configuration import read_best_configuration
from nnunet_pancext.nnunet_files.model_folder import ModelName

pytestmark = pytest.mark.slow
TIMEOUT_S = 600
FOLDS = {"0": CASES[:3], "1": CASES[3:]}
TRAINERS = ("nnUNetTrainer", "SegResNetNLTrainer")
STEPS = [
    Best(
        name=f"best-{trainer}",
        dataset=DATASET,
        trainer=trainer,
        plans=("nnUNetPlans",),
        configurations=("2d",),
        folds=tuple(FOLDS),
    )
    for trainer in TRAINERS
]


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Validations of two trainers, which predict the ground truth of the case itself or of another."""
    use_folders(monkeypatch, tmp_path)
    raw = write_raw(tmp_path)
    plans = {**made_plans(), "dataset_name": DATASET, "label_manager": "LabelManager"}
    preprocessed = tmp_path / "preprocessed" / DATASET
    shutil.copytree(raw / "labelsTr", preprocessed / "gt_segmentations")
    (preprocessed / "nnUNetPlans.json").write_text(json.dumps(plans), encoding="utf-8")
    for number, trainer in enumerate(TRAINERS):
        model = tmp_path / "results" / DATASET / f"{trainer}__nnUNetPlans__2d"
        for fold, cases in FOLDS.items():
            validation = model / f"fold_{fold}" / "validation"
            validation.mkdir(parents=True)
            for case in cases:
                truth = CASES[CASES.index(case) - number]
                shutil.copyfile(raw / "labelsTr" / f"{truth}.nii.gz", validation / f"{case}.nii.gz")
            (validation / "summary.json").write_text("{}", encoding="utf-8")
        for name, content in (("plans.json", plans), ("dataset.json", DATASET_JSON)):
            (model / name).write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def start(step, root):
    log = root / f"{step.name}.txt"
    return start_worker(step.command(root), log), log


def test_two_trainers_at_the_same_time_keep_their_own_choice(trained):
    started = [start(step, trained) for step in STEPS]
    for process, log in started:
        process.join(TIMEOUT_S)
        assert process.exitcode == 0, log.read_text(encoding="utf-8")
    for step in STEPS:
        assert step.is_done(trained)
        found = read_best_configuration(step.result(trained))
        assert found.models == (ModelName(step.trainer, "nnUNetPlans", "2d"),)
        assert (found.dataset, found.folds) == (DATASET, ("0", "1"))
    dice = [
        json.loads(step.result(trained).read_text(encoding="utf-8"))["best_model_or_ensemble"][
            "result_on_crossval_pre_pp"
        ]
        for step in STEPS
    ]
    assert dice[0] == 1.0
    assert 0.3 < dice[1] < 1.0


def test_a_fold_that_is_missing(trained):
    shutil.rmtree(trained / "results" / DATASET / "nnUNetTrainer__nnUNetPlans__2d" / "fold_1")
    process, log = start(STEPS[0], trained)
    process.join(TIMEOUT_S)
    assert process.exitcode == 1
    message = "error: nnU-Net cannot compare the models of nnUNetTrainer: fold 1 of model"
    assert message in log.read_text(encoding="utf-8")
    assert not STEPS[0].is_done(trained)
