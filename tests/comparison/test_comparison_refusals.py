"""What cannot be compared fairly is refused; the message says what differs and what to do."""

import json
import re
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from made_results import add_model, make_tree, truth_array, write_map

from nnunet_pancext.comparison import compare_models, open_results
from nnunet_pancext.errors import PancextError


@pytest.fixture
def trained(tree):
    """The tree with the models A and B, fully validated."""
    add_model(tree, "A", shift=1)
    add_model(tree, "B", shift=2)
    return tree


def compare(*trainers, dataset="7", **options):
    found_by = {
        name: options.pop(name) for name in ("folds", "reference", "configuration") if name in options
    }
    results = open_results(dataset, trainers or ("A", "B"), **found_by)
    return compare_models(results, show_progress=False, resamples=50, **options)


def refusal(*trainers, **options) -> str:
    with pytest.raises(PancextError) as caught:
        compare(*trainers, **options)
    return str(caught.value)


def edit_json(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def test_whole_models_are_not_refused(trained):
    assert compare().scored.models == ["A", "B"]


def test_results_that_are_not_set(trained, monkeypatch):
    monkeypatch.delenv("nnUNet_results")
    message = refusal()
    assert message.startswith("nnUNet_results is not set")
    assert "export nnUNet_results=" in message


def test_results_that_are_not_a_folder(trained, monkeypatch):
    monkeypatch.setenv("nnUNet_results", "/no/such/folder")
    assert "nnUNet_results is /no/such/folder, which is not a folder" in refusal()


@pytest.mark.parametrize(
    "dataset", ["8", "Dataset007_Liver", "", "*", "Dataset*", ".", "\N{SUPERSCRIPT TWO}"]
)
def test_an_unknown_dataset(trained, dataset):
    message = refusal(dataset=dataset)
    assert f"There is no dataset {dataset!r} in nnUNet_results" in message
    assert "there are: Dataset007_Pancreas" in message


def test_an_unknown_trainer_with_the_list_of_those_found(trained):
    message = refusal("A", "C")
    assert "There is no trained model C__nnUNetPlans__3d_fullres" in message
    assert "A__nnUNetPlans__3d_fullres\n  B__nnUNetPlans__3d_fullres" in message


def test_another_configuration_than_the_trained_one(trained):
    assert "no trained model A__nnUNetPlans__2d" in refusal(configuration="2d")


@pytest.mark.parametrize("name", ["A__nnUNetPlans", "A__", "", "A__B__C__D"])
def test_a_name_of_neither_form(trained, name):
    assert f"{name!r} is neither TRAINER nor TRAINER__PLANS__CONFIGURATION" in refusal("A", name)


def test_one_trainer_alone(trained):
    assert "at least two trainers" in refusal("A")


def test_a_trainer_named_twice_in_two_forms(trained):
    assert "A__nnUNetPlans__3d_fullres is given twice" in refusal("A", "A__nnUNetPlans__3d_fullres")


def test_a_reference_that_is_not_compared(trained):
    message = refusal(reference="C")
    assert "The reference C is not among the trainers compared: A, B" in message


def test_an_unknown_metric(trained):
    assert "There is no metric 'dise'. Choose from: dice, iou" in refusal(metrics=["dise"])


def test_different_folds(trained):
    shutil.rmtree(trained.model("B") / "fold_1")
    message = refusal()
    assert "different folds: B has no fold 1" in message
    assert "compare --folds 0, which all have" in message


def test_a_training_on_all_cases_alone(trained):
    for name in ("A", "B"):
        shutil.rmtree(trained.model(name) / "fold_1")
        (trained.model(name) / "fold_0").rename(trained.model(name) / "fold_all")
    message = refusal()
    assert (
        "A, B: only fold_all was trained, and a model trained on all cases has none to be tested on"
        in message
    )
    assert "No fold" not in message


def test_folds_that_nobody_has(trained):
    assert "A has no folds 2, 3; B has no folds 2, 3" in refusal(folds=["1", "2", "3"])


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (["all"], "not 'all': a model trained on all cases has none to be tested on"),
        (["-1"], "--folds takes numbers from 0, not '-1'"),
        (["0", "1", "0"], "--folds 0 1 0 names a fold twice"),
    ],
)
def test_invalid_folds(trained, folds, message):
    assert message in refusal(folds=folds)


@pytest.mark.parametrize(
    ("checkpoints", "advice"),
    [
        ([], "It has no checkpoint, so train it from the start: {} -device cpu"),
        (["best"], "Complete it: {} --c -device cpu"),
        (["latest", "best"], "Complete it: {} --c -device cpu"),
        (["best", "final"], "Complete it: {} --val -device cpu"),
    ],
)
def test_a_fold_without_validation(trained, checkpoints, advice):
    fold = trained.model("B") / "fold_1"
    shutil.rmtree(fold / "validation")
    for name in checkpoints:
        (fold / f"checkpoint_{name}.pth").touch()
    message = refusal()
    assert "B, fold 1 is not finished" in message
    assert "validation does not exist" in message
    command = "nnUNetv2_train Dataset007_Pancreas 3d_fullres 1 -tr B -p nnUNetPlans"
    assert message.endswith(advice.format(command))


def test_a_fold_with_an_empty_validation(trained):
    for path in (trained.model("B") / "fold_1" / "validation").iterdir():
        path.unlink()
    assert "validation holds no prediction" in refusal()


def test_a_fold_that_lacks_a_case_of_the_split(trained):
    trained.prediction("B", "pancreas_003").unlink()
    message = refusal()
    assert "B, fold 1 is not finished: 1 of 4 cases are not in" in message
    assert ": case pancreas_003." in message


def test_a_fold_validated_on_a_former_split(trained):
    splits = json.loads(trained.splits.read_text(encoding="utf-8"))
    moved = splits[0]["val"].pop()
    trained.splits.write_text(json.dumps(splits), encoding="utf-8")
    message = refusal()
    assert f"A, fold 0 was also validated on case {moved}" in message
    assert "restore the former one, or train again" in message


def test_different_cases_without_a_split(trained):
    trained.splits.unlink()
    trained.prediction("B", "pancreas_003").unlink()
    trained.prediction("A", "pancreas_005").unlink()
    message = refusal()
    assert "A and B were validated on different cases in fold 1" in message
    assert "only A has case pancreas_003; only B has case pancreas_005" in message


def test_a_case_in_two_folds(trained):
    trained.splits.unlink()
    for name in ("A", "B"):
        source = trained.prediction(name, "pancreas_000")
        shutil.copy(source, trained.model(name) / "fold_1" / "validation" / source.name)
    assert "Case 'pancreas_000' is validated in fold 0 and in fold 1" in refusal()


def test_different_label_sets(trained):
    edit_json(trained.model("B") / "dataset.json", labels={"background": 0, "pancreas": 1})
    message = refusal()
    assert "The label sets differ" in message
    assert "B has {'background': 0, 'pancreas': 1}" in message


def test_labels_that_changed_since_all_were_trained(trained):
    changed = {"background": 0, "pancreas": 2, "tumour": 1}
    edit_json(trained.preprocessed / "dataset.json", labels=changed)
    assert f"the dataset ({trained.preprocessed / 'dataset.json'}) has {changed}" in refusal()


def test_a_model_without_its_dataset_json(trained):
    (trained.model("B") / "dataset.json").unlink()
    assert "Cannot read" in refusal()


def test_a_truth_that_changed_since_the_training(trained, monkeypatch):
    array = truth_array(3)
    array[4, 6, 4:6] = 0
    write_map(trained.truths / "pancreas_003.nii.gz", array)
    monkeypatch.setattr("nnunet_pancext.comparison.compare.score_models", None)  # told before all is scored
    message = refusal()
    assert (
        "A, fold 1 was validated on another ground truth: in case 'pancreas_003' label 'pancreas'" in message
    )
    assert "had 408 voxels, now it has 406" in message


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        "3",
        '{"metric_per_case": [{"metrics": []}]}',
        '{"metric_per_case": [{"reference_file": "a.nii.gz", "metrics": {"1": {"Dice": 1}}}]}',
        '{"metric_per_case": [{"reference_file": "a.nii.gz", "metrics": {"1": {"n_ref": "many"}}}]}',
        '{"metric_per_case": [{"reference_file": "a.nii.gz", "metrics": {"1": 5}}]}',
    ],
)
def test_a_summary_that_is_not_nnunets(trained, content):
    path = trained.model("B") / "fold_1" / "validation" / "summary.json"
    path.write_text(content, encoding="utf-8")
    (trained.model("B") / "fold_1" / "checkpoint_final.pth").touch()
    message = refusal()
    assert message.startswith(f"{path} is not a summary of nnU-Net")
    assert "--val" in message


@pytest.mark.parametrize(
    "content",
    ["{}", "3", '[{"train": []}, {}]', "[3]", "[[]]", '[{"val": null}]', '[{"val": "pancreas_000"}]'],
)
def test_a_split_that_is_not_nnunets(trained, content):
    trained.splits.write_text(content, encoding="utf-8")
    message = refusal()
    assert str(trained.splits) in message
    assert re.search(r"holds no folds|has no list of cases|is not a list", message)
    assert "Correct" in message


def test_different_file_endings(trained):
    edit_json(trained.model("B") / "dataset.json", file_ending=".nrrd")
    assert "file endings of the label maps differ: A '.nii.gz', B '.nrrd'" in refusal()


def test_a_metric_that_no_case_has(trained):
    for path in [*trained.truths.iterdir(), *trained.results.rglob("*.nii.gz")]:
        write_map(path, np.zeros_like(truth_array(0)))
    for path in trained.results.rglob("summary.json"):
        path.unlink()
    message = refusal(metrics=["accuracy", "slice_dice"])
    assert message == "slice_dice is defined in no case of any trainer. Leave it out of --metrics."


def test_models_without_nnunets_summary_are_compared(trained):
    for path in trained.results.rglob("summary.json"):
        path.unlink()
    assert compare().scored.models == ["A", "B"]


def test_a_case_without_truth(trained):
    (trained.truths / "pancreas_003.nii.gz").unlink()
    message = refusal()
    assert "No ground truth in" in message
    assert "for 1 of 8 cases: pancreas_003" in message


def test_no_truth_at_all_names_both_places(trained, monkeypatch):
    shutil.rmtree(trained.truths)
    message = refusal()
    assert "gt_segmentations" in message
    assert "labelsTr" in message


def test_the_raw_labels_serve_where_the_copies_are_gone(trained):
    raw = trained.root / "nnUNet_raw" / "Dataset007_Pancreas"
    raw.mkdir()
    shutil.move(trained.truths, raw / "labelsTr")
    assert len(compare().scored.cases) == 8


def test_a_prediction_on_another_grid_is_named_with_its_model_and_fold(trained):
    path = trained.prediction("B", "pancreas_003")
    image = sitk.ReadImage(str(path))
    image.SetSpacing((2.0, 1.0, 2.5))
    sitk.WriteImage(image, str(path))
    message = refusal()
    assert message.startswith("B, fold 1: Case 'pancreas_003'")
    assert str(trained.truths / "pancreas_003.nii.gz") in message


def test_a_prediction_with_an_unknown_value(trained):
    array = np.full_like(truth_array(3), 7)
    write_map(trained.prediction("B", "pancreas_003"), array)
    assert "B, fold 1: Case 'pancreas_003'" in refusal()


def test_a_patient_expression_that_finds_none(trained):
    assert "finds no patient in the case 'pancreas_000'" in refusal(patient_regex="(patient[0-9]+)_")


def test_labels_that_no_case_holds(tmp_path, monkeypatch):
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(tmp_path / f"nnUNet_{name}"))
    tree = make_tree(tmp_path)
    for name in ("A", "B"):
        add_model(tree, name)
        for path in (tree.model(name)).rglob("*.nii.gz"):
            write_map(path, 0 * truth_array(0))
        for path in tree.model(name).rglob("summary.json"):
            path.unlink()
    for path in tree.truths.iterdir():
        write_map(path, 0 * truth_array(0))
    assert "no label is in any ground truth or prediction" in refusal()
