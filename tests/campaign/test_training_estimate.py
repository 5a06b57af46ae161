"""Estimated GPU-hours: epochs of trainers, and seconds an epoch of earlier logs."""

import zipfile

import pytest
from campaign.small_raw import DATASET, use_folders

from nnunet_pancext.campaign.planning.estimate import (
    BENCHMARK,
    Estimate,
    estimate_trainings,
    measured_seconds,
    total_text,
)
from nnunet_pancext.campaign.planning.plan import Request, plan_campaign
from nnunet_pancext.campaign.training_length import training_length
from nnunet_pancext.nnunet_files.model_folder import ModelName

STOCK = ModelName("nnUNetTrainer", "nnUNetPlans", "3d_fullres")
OURS = STOCK._replace(trainer="SegResNetNLTrainer")


@pytest.fixture
def results(tmp_path, monkeypatch):
    use_folders(monkeypatch, tmp_path)
    return tmp_path / "results" / DATASET


def planned(*trainers):
    return plan_campaign(Request(datasets=(DATASET,), trainers=trainers), folders={}, versions={})


def write_log(results, model, fold, *seconds):
    folder = results / str(model) / f"fold_{fold}"
    folder.mkdir(parents=True)
    lines = [
        f"2026: Epoch {epoch} \n2026: train_loss -0.5\n2026: Epoch time: {value} s\n"
        for epoch, value in enumerate(seconds)
    ]
    (folder / "training_log_2026_1_1_00_00_00.txt").write_text("".join(lines), encoding="utf-8")


@pytest.mark.parametrize(
    ("trainer", "epochs"),
    [
        ("nnUNetTrainer", 1000),
        ("nnUNetTrainerNoMirroring", 1000),
        ("nnUNetTrainer_250epochs", 250),
        ("nnUNetTrainer_1epoch", 1),
        ("nnUNetTrainer_10epochs_NoMirroring", 10),
        ("nnUNetTrainerBenchmark_5epochs_noDataLoading", 5),
        ("nnUNetTrainerNonLocal_20epochs", 20),
        ("SegResNetNLTrainer", 1000),
        ("SegResNetNLTrainer_5epochs", 5),
    ],
)
def test_epochs_of_a_trainer(trainer, epochs):
    assert training_length(trainer).epochs == epochs


def test_the_median_of_all_folds_is_taken(results):
    write_log(results, OURS, 0, 90.0, 40.0, 42.0)
    write_log(results, OURS, 3, 41.0, 43.0)
    assert measured_seconds(DATASET, OURS) == 42.0


def test_the_benchmark_serves_for_nnunets_own_trainer_alone(results):
    write_log(results, STOCK._replace(trainer=BENCHMARK), 0, 60.0, 50.0, 50.0)
    assert measured_seconds(DATASET, STOCK) == 50.0
    assert measured_seconds(DATASET, OURS) is None
    write_log(results, STOCK, 1, 70.0)
    assert measured_seconds(DATASET, STOCK) == 70.0


@pytest.mark.parametrize("field", ["trainer", "plans", "configuration"])
def test_logs_of_other_models_do_not_count(results, field):
    write_log(results, OURS._replace(**{field: "other"}), 0, 40.0)
    assert measured_seconds(DATASET, OURS) is None


def test_trainings_that_are_done_are_not_counted(results):
    write_log(results, STOCK, 0, 36.0)
    campaign = planned("nnUNetTrainer", "nnUNetTrainer_250epochs")
    done = {"train-007-nnUNetTrainer-nnUNetPlans-3d_fullres-0"}
    stock, short = estimate_trainings(campaign, done=done)
    assert (stock.model, stock.trainings, stock.epochs_left, stock.seconds_per_epoch) == (
        *(STOCK, 4, 4000),
        36.0,
    )
    assert stock.hours == 40.0
    assert (short.trainings, short.epochs_left, short.hours) == (5, 1250, None)
    assert total_text([stock, short]) == "40.0, without 5 of 9 trainings"


@pytest.mark.parametrize(
    ("checkpoint", "left"),
    [("checkpoint_latest.pth", 247), ("checkpoint_best.pth", 247), ("checkpoint_final.pth", 0), (None, 250)],
)
def test_epochs_that_a_training_has_behind_it_are_not_counted(results, checkpoint, left):
    """Without a checkpoint it begins anew."""
    model = STOCK._replace(trainer="nnUNetTrainer_250epochs")
    write_log(results, model, 2, 36.0, 36.0, 36.0)
    if checkpoint:
        with zipfile.ZipFile(results / str(model) / "fold_2" / checkpoint, "w"):
            pass
    (estimate,) = estimate_trainings(planned(model.trainer))
    assert estimate.epochs_left == 4 * 250 + left


@pytest.mark.parametrize(("seconds", "text"), [((36.0, 72.0), "30.0"), ((None, None), "unknown")])
def test_the_total(seconds, text):
    rows = [
        Estimate(dataset=DATASET, model=STOCK, trainings=2, epochs_left=1000, seconds_per_epoch=value)
        for value in seconds
    ]
    assert total_text(rows) == text
