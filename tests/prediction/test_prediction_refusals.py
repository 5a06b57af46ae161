"""What is refused before anything is predicted: models, options and output folders that cannot work."""

import json
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from contracts import hostile_files as hostile
from contracts.made_preprocessed import DATASET, made_dataset_json
from prediction.made_models import CHECKPOINT, plans_of, predict, write_fold, write_image, write_model


@pytest.fixture
def refused(tmp_path, image, capsys):
    """Return a function that expects a refusal of these options, and that nothing is written."""

    def check(message: str, *words, inputs=(image,), out=tmp_path / "out") -> None:
        before = set(tmp_path.rglob("*"))
        assert predict(*inputs, *(() if out is None else ("-o", out)), *words) == 1
        errors = capsys.readouterr().err
        assert re.search(message, errors, re.DOTALL), errors
        assert "Traceback" not in errors
        assert set(tmp_path.rglob("*")) == before

    return check


@pytest.fixture
def copy(model, results):
    """A copy of the model that a test may change, in nnU-Net's results."""
    return shutil.copytree(model, results / DATASET / model.name)


def edit(file: Path, **changes) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


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
    refused("-m names the model already; -c would have no effect. Omit it", "-m", model, "-c", "2d")


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
    (copy / name).write_text("{")
    refused(f"{name} is not JSON: .*Copy the model again", "-m", copy)


def test_a_cascade_without_the_stage_before(refused, results):
    model = write_model(results, "3d_cascade_fullres")
    refused("the stage before it is not there: .*__3d_lowres. Train it, or copy it there", "-m", model)


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
    (copy.parent / "inference_information.json").write_text(json.dumps(content))
    refused(message, "--best", 7)


def test_postprocessing_that_runs_code(refused, copy, tmp_path):
    canary, file = tmp_path / "canary", copy.parent / "postprocessing.pkl"
    file.write_bytes(hostile.RUNNING["reduce"](canary))
    best = {**BEST["best_model_or_ensemble"], "postprocessing_file": str(file)}
    content = {**BEST, "best_model_or_ensemble": best}
    (copy.parent / "inference_information.json").write_text(json.dumps(content))
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
    (results / DATASET / "inference_information.json").write_text(json.dumps(content))


def test_folds_of_an_ensemble(refused, results):
    write_ensemble(results)
    refused("--per-fold writes the label maps of one model's folds", "--best", 7, "--per-fold")


def test_models_with_other_labels(refused, results):
    write_ensemble(results, labels="one foreground")
    refused("differ in their labels, so they cannot be run together", "--best", 7)


def test_an_unknown_lesion(refused, model):
    refused(
        "No label is called 'tumor'; the model has 'pancreas', 'cancer'", "-m", model, "--lesions", "tumor"
    )


@pytest.mark.parametrize("threads", [0, -2])
def test_no_threads(refused, model, threads):
    refused(f"--threads {threads}: give a number of at least 1", "-m", model, f"--threads={threads}")


def test_no_input(refused, model):
    refused("There is nothing to predict. Give images", "-m", model, inputs=())


def test_no_output_folder(refused, model):
    refused("There is no output folder. Give it with -o", "-m", model, out=None)


def test_an_output_folder_that_is_a_file(refused, model, image):
    refused(
        "Cannot write to .*ct_0000.nii.gz: File exists. Give another folder with -o", "-m", model, out=image
    )


def test_an_output_folder_that_cannot_be_written_to(refused, model):
    refused("Cannot write to /proc/out: No such file or directory", "-m", model, out=Path("/proc/out"))


def test_an_output_that_would_replace_the_image(refused, model, tmp_path):
    image = write_image(tmp_path / "a.nii.gz")
    refused("The result .* would replace the image .*a.nii.gz", "-m", model, inputs=[image], out=tmp_path)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.json"])
def test_a_file_beside_the_image_that_would_be_replaced(refused, model, tmp_path, name):
    image = write_image(tmp_path / "a_0000.nii.gz")
    (tmp_path / name).write_text('{"patient": 1}')
    refused(f"{name} is there already, beside the images", "-m", model, inputs=[image], out=tmp_path)


def test_an_output_folder_that_is_a_model(refused, model, copy):
    refused("is a raw dataset or a trained model, whose files would be replaced", "-m", model, out=copy)


def test_an_output_folder_that_is_a_raw_dataset(refused, model, tmp_path):
    (tmp_path / "imagesTr").mkdir()
    refused("is a raw dataset or a trained model", "-m", model, out=tmp_path)


def test_a_folder_named_after_another_configuration(refused, copy):
    other = copy.rename(copy.with_name("nnUNetTrainer__nnUNetPlans__3d_fullres"))
    refused("is named after the configuration 3d_fullres, but its checkpoint is of another", "-m", other)


def test_two_cases_with_one_name(refused, model, image, tmp_path):
    other = write_image(tmp_path / "others" / "ct.nii.gz")
    refused(
        "ct.nii.gz are both channel 0 of the case ct. Give each case once", "-m", model, inputs=[image, other]
    )


def test_two_formats_of_one_case(refused, model, tmp_path):
    for ending in (".nii.gz", ".nrrd"):
        write_image(tmp_path / "in" / f"a_0000{ending}")
    refused("are both channel 0 of the case a", "-m", model, inputs=[tmp_path / "in"])


def test_cases_whose_results_would_have_one_name(refused, model, tmp_path):
    inputs = [write_image(tmp_path / f"{name}_0000.nii.gz") for name in ("a", "a_entropy")]
    refused("The cases a and a_entropy would both be written to", "-m", model, "--entropy", inputs=inputs)


def test_a_case_with_the_name_of_another_output(refused, model, tmp_path):
    image = write_image(tmp_path / "plans_0000.nii.gz")
    refused("a case cannot be called plans", "-m", model, inputs=[image])


def test_a_file_of_another_kind(refused, model, tmp_path):
    (tmp_path / "notes.txt").write_text("")
    refused(
        "notes.txt does not end in .nii.gz or .nrrd or .mha", "-m", model, inputs=[tmp_path / "notes.txt"]
    )


def test_an_empty_folder(refused, model, tmp_path):
    (tmp_path / "in").mkdir()
    refused(
        "in is empty. Give a folder of images called CASE_0000.nii.gz", "-m", model, inputs=[tmp_path / "in"]
    )


def test_a_folder_in_another_naming(refused, model, tmp_path):
    write_image(tmp_path / "in" / "a.nii.gz")
    refused(
        "holds no image called CASE_0000.nii.gz, .*, and no DICOM file. There are a.nii.gz",
        "-m",
        model,
        inputs=[tmp_path / "in"],
    )


def test_a_folder_that_is_missing(refused, model, tmp_path):
    refused("There is no .*/cts. Give files that end in .nii.gz", "-m", model, inputs=[tmp_path / "cts"])


def test_a_reference_that_is_missing(refused, model, tmp_path):
    refused("There is no folder of .* label maps at .*truth", "-m", model, "--reference", tmp_path / "truth")
