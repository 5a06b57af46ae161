"""Predicting and evaluating as steps of a campaign: what they run completes them."""

import os
import shutil
from dataclasses import replace

import pytest
from contracts.predict_step import PREDICT
from prediction.made_models import write_image, write_model

from nnunet_pancext.campaign.kinds.evaluate import Evaluate
from nnunet_pancext.cli.main import main

CASES = ("a", "b")


@pytest.fixture
def predict(results, tmp_path):
    write_model(results, "2d", folds=("0", "1"))
    for seed, case in enumerate(CASES):
        write_image(tmp_path / "images" / f"{case}_0000.nii.gz", seed=seed)
    return PREDICT


def run(step, folder):
    assert not step.is_done(folder)
    program, *words = [*step.command(folder), *step.prepare(folder)]
    assert program == "pancext"
    assert main(words) == 0
    assert step.is_done(folder)


@pytest.mark.parametrize("probabilities", [False, True])
def test_a_step_predicts_a_folder_of_images(predict, tmp_path, probabilities):
    run(replace(predict, probabilities=probabilities), tmp_path)


def test_predictions_are_made_anew_after_another_training(predict, results, tmp_path):
    run(predict, tmp_path)
    checkpoint = next(results.rglob("fold_1/checkpoint_final.pth"))
    later = max(path.stat().st_mtime for path in (tmp_path / "predictions").iterdir()) + 0.01
    os.utime(checkpoint, (later, later))
    run(predict, tmp_path)


def test_a_step_evaluates_what_was_predicted(predict, tmp_path):
    run(predict, tmp_path)
    (tmp_path / "truth").mkdir()
    for case in CASES:
        shutil.copyfile(tmp_path / "predictions" / f"{case}.nii.gz", tmp_path / "truth" / f"{case}.nii.gz")
    run(Evaluate(name="evaluate", predictions="predictions", truth="truth", output="scores"), tmp_path)
