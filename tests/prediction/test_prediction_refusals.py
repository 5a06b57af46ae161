"""Models that cannot work are refused before anything is predicted."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from contracts import hostile_files as hostile
from contracts.made_preprocessed import DATASET, made_dataset_json
from prediction.made_models import CHECKPOINT, plans_of, write_fold, write_model


def edit(file: Path, **changes) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def test_a_folder_that_is_no_model(refused, tmp_path):
    refused("images is not a trained model: it has no plans.json. Give the folder", "-m", tmp_path / "images")


def test_a_folder_that_is_not_there(refused, tmp_path):
    refused("gone is not a trained model: there is no such folder", "-m", tmp_path / "gone")


def test_an_unknown_dataset(refused, results):
    results.mkdir()
    refused("There is no dataset '9' in nnUNet_results", "-d", 9, "-c", "2d")


def test_a_trainer_that_was_not_trained(refused, copy):
    refused(
        r"no trained model OtherTrainer__nnUNetPlans__2d .*Trained models:\n  nnUNetTrainer__nnUNetPlans__2d",
        *("-d", 7, "-c", "2d", "-tr", "OtherTrainer"),
    )


def test_results_that_are_not_set(refused, monkeypatch):
    monkeypatch.delenv("nnUNet_results")
    refused("nnUNet_results is not set", "-d", 7, "-c", "2d")


def test_a_configuration_that_is_missing(refused):
    refused("-d also needs -c, the configuration", "-d", 7)


def test_no_model(refused):
    refused("No model is given. Give one of -m MODEL_FOLDER, -d DATASET with -c and -tr, or --best")


def test_two_models(refused, model):
    refused("-m and -d both name a model. Give one", "-m", model, "-d", 7, "-c", "2d")


def test_an_option_without_effect(refused, model):
    refused("-m already names the model; -c would have no effect. Omit it", "-m", model, "-c", "2d")


def test_a_fold_that_is_missing(refused, model):
    refused(f"has no fold 3. Folds with a {CHECKPOINT}: 0, 1", "-m", model, "-f", 0, 3)


def test_a_checkpoint_that_is_missing(refused, model):
    refused(
        rf"has no trained fold. Folds with a checkpoint_best.pth: none. Other checkpoints: {CHECKPOINT}; ",
        *("-m", model, "-chk", "checkpoint_best.pth"),
    )


def test_a_checkpoint_that_is_a_path(refused, model):
    refused("-chk fold_0/x.pth is not the name of a file", "-m", model, "-chk", "fold_0/x.pth")


def test_a_fold_given_twice(refused, model):
    refused("-f names fold 1 twice", "-m", model, "-f", 1, "01")


def test_a_word_that_is_no_fold(refused, model):
    refused("-f first is not a fold. Give numbers", "-m", model, "-f", "first")


def test_a_fold_that_is_the_input(refused, model, image):
    refused(
        "-f took .*ct_0000.nii.gz as one of its values. Write INPUT first",
        "-m",
        model,
        "-f",
        0,
        image,
        inputs=(),
    )


def test_a_hostile_checkpoint(refused, copy, tmp_path):
    canary = tmp_path / "canary"
    hostile.write(copy / "fold_0" / CHECKPOINT, hostile.RUNNING["reduce"](canary))
    refused(f"{CHECKPOINT} ", "-m", copy)
    assert not canary.exists()


def test_a_checkpoint_that_is_cut_short(refused, copy):
    file = copy / "fold_0" / CHECKPOINT
    file.write_bytes(file.read_bytes()[:5000])
    refused(f"fold_0/{CHECKPOINT}", "-m", copy)


def test_weights_that_are_nan(refused, copy):
    content = torch.load(copy / "fold_0" / CHECKPOINT, weights_only=False)
    next(iter(content["network_weights"].values())).fill_(np.nan)
    torch.save(content, copy / "fold_0" / CHECKPOINT)
    refused("has NaN or infinity in .*, so every prediction would be NaN", "-m", copy)


def test_a_fold_of_another_plan(refused, copy):
    plans = plans_of()
    plans["configurations"]["2d"]["architecture"]["arch_kwargs"]["features_per_stage"] = [4, 12]
    shutil.rmtree(copy / "fold_1")
    write_fold(copy, "1", configuration="2d", plans=plans, dataset_json=made_dataset_json())
    refused(f"fold_1/{CHECKPOINT} does not fit its plan", "-m", copy)


def test_a_fold_of_another_configuration(refused, copy):
    shutil.rmtree(copy / "fold_1")
    write_fold(copy, "1", configuration="3d_fullres", plans=plans_of(), dataset_json=made_dataset_json())
    refused("has the configuration 3d_fullres, but .* has 2d", "-m", copy)


def test_a_trainer_that_is_not_installed(refused, results):
    model = write_model(results, "2d", trainer="UnknownTrainer")
    refused("there is no trainer UnknownTrainer here. Install the package that defines it", "-m", model)


def test_a_plan_without_the_configuration(refused, copy):
    edit(copy / "plans.json", configurations={"3d_fullres": {}})
    refused("plans.json has no configuration '2d'; it has 3d_fullres. Copy the model again", "-m", copy)


def test_configurations_that_inherit_from_each_other(refused, copy):
    edit(copy / "plans.json", configurations={"2d": {"inherits_from": "2d"}})
    refused("plans.json has configurations that inherit from each other", "-m", copy)


def test_a_reader_that_is_unknown(refused, copy):
    edit(copy / "plans.json", image_reader_writer="MyReader")
    refused("plans.json names the image reader 'MyReader', which this nnU-Net does not have", "-m", copy)


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
def test_a_damaged_json_file(refused, copy, name):
    (copy / name).write_text("{", encoding="utf-8")
    refused(f"{name} is not JSON: .*Copy the model again", "-m", copy)


def test_a_cascade_without_the_stage_before(refused, results):
    model = write_model(results, "3d_cascade_fullres")
    refused("the stage before it is missing: .*__3d_lowres. Train it, or copy it there", "-m", model)


def test_a_cascade_whose_stage_before_lacks_a_fold(refused, results):
    write_model(results, "3d_lowres")
    model = write_model(results, "3d_cascade_fullres", folds=("0", "1"))
    refused("__3d_lowres has no fold 1", "-m", model)


def test_a_renamed_cascade(refused, results, tmp_path):
    model = write_model(results, "3d_cascade_fullres").rename(tmp_path / "cascade")
    refused("the stage before it, 3d_lowres, is found by the folder's name. Rename", "-m", model)


def test_best_without_its_file(refused, copy):
    refused("--best 7: there is no .*inference_information.json. Run nnUNetv2_find_best_config", "--best", 7)


BEST = {
    "folds": [0],
    "best_model_or_ensemble": {
        "postprocessing_file": "gone/postprocessing.pkl",
        "selected_model_or_models": [
            {"trainer": "nnUNetTrainer", "plans_identifier": "nnUNetPlans", "configuration": "2d"}
        ],
    },
}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "is not an object"),
        ({"folds": [0]}, "does not name the models, folds and postprocessing"),
        (
            {
                "folds": [0],
                "best_model_or_ensemble": {"selected_model_or_models": [], "postprocessing_file": ""},
            },
            "does not name a model",
        ),
        (BEST, "names the postprocessing gone/postprocessing.pkl, which is not there"),
    ],
    ids=["list", "no models", "empty", "no postprocessing"],
)
def test_a_malformed_choice(refused, copy, content, message):
    (copy.parent / "inference_information.json").write_text(json.dumps(content), encoding="utf-8")
    refused(message, "--best", 7)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "--best .*kept.json: there is no such file. Give a copy of inference_information.json"),
        (BEST, "kept.json does not name its dataset. Run nnUNetv2_find_best_configuration again"),
        ({"dataset_name_or_id": 8, **BEST}, "There is no dataset '8' in nnUNet_results"),
        ({}, "kept.json does not name the models, folds and postprocessing"),
    ],
    ids=["no file", "no dataset", "other dataset", "empty"],
)
def test_a_bad_copy_of_a_choice(refused, copy, tmp_path, content, message):
    if content is not None:
        (tmp_path / "kept.json").write_text(json.dumps(content), encoding="utf-8")
    refused(message, "--best", tmp_path / "kept.json")


def test_postprocessing_that_runs_code(refused, copy, tmp_path):
    canary, file = tmp_path / "canary", copy.parent / "postprocessing.pkl"
    file.write_bytes(hostile.RUNNING["reduce"](canary))
    best = {**BEST["best_model_or_ensemble"], "postprocessing_file": str(file)}
    content = {**BEST, "best_model_or_ensemble": best}
    (copy.parent / "inference_information.json").write_text(json.dumps(content), encoding="utf-8")
    refused("Only nnU-Net's own postprocessing is accepted", "--best", 7)
    assert not canary.exists()


def write_ensemble(results: Path, **of_second) -> None:
    for name, changes in (("2d", {}), ("3d_fullres", of_second)):
        write_model(results, name, **changes)
    file = results / DATASET / "postprocessing.pkl"
    file.write_bytes(pickle.dumps(([], [])))
    (first,) = BEST["best_model_or_ensemble"]["selected_model_or_models"]
    best = {
        "postprocessing_file": str(file),
        "selected_model_or_models": [first, {**first, "configuration": "3d_fullres"}],
    }
    content = {"folds": [0], "best_model_or_ensemble": best}
    (results / DATASET / "inference_information.json").write_text(json.dumps(content), encoding="utf-8")


def test_folds_of_an_ensemble(refused, results):
    write_ensemble(results)
    refused("--per-fold writes the label maps of one model's folds", "--best", 7, "--per-fold")


def test_models_with_other_labels(refused, results):
    write_ensemble(results, labels="one foreground")
    refused("differ in their labels, so they cannot be run together", "--best", 7)
