"""Steps that read models: what they run, and when their outputs count as done."""

import json
import os
from pathlib import Path

import pytest
from campaign.small_raw import DATASET, use_folders
from contracts.predict_step import MODEL, PREDICT

from nnunet_pancext.campaign.kinds.best import Best
from nnunet_pancext.campaign.kinds.compare import Compare
from nnunet_pancext.campaign.kinds.evaluate import Evaluate
from nnunet_pancext.campaign.kinds.predict import Predict

OTHER = "SegResNetNLTrainer__nnUNetPlans__2d"
BEST = Best(
    name="best",
    dataset=DATASET,
    trainer="nnUNetTrainer",
    plans=("nnUNetPlans",),
    configurations=("2d",),
    folds=("0", "1"),
)
PREDICT_BEST = Predict(
    name="predict", dataset=DATASET, images="/images", output="predictions", best="best/x.json"
)
EVALUATE = Evaluate(name="evaluate", predictions="predictions", truth="truth", output="scores")
COMPARE = Compare(
    name="compare", dataset=DATASET, models=(MODEL, OTHER), folds=("0", "1"), output="comparison"
)


class Outputs:
    """Files of a campaign, written one after the other: each is a second younger than the one before."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.time = folder, 1_700_000_000

    def write(self, *names, text="x"):
        for name in names:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            self.time += 1
            os.utime(path, (self.time, self.time))


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    use_folders(monkeypatch, tmp_path)
    return Outputs(tmp_path)


def summaries(model):
    return [f"results/{DATASET}/{model}/fold_{fold}/validation/summary.json" for fold in (0, 1)]


def checkpoints(model=MODEL):
    return [f"results/{DATASET}/{model}/fold_{fold}/checkpoint_final.pth" for fold in (0, 1)]


def write_best(outputs, name, *, model=MODEL, folds=(0, 1)):
    trainer, plans, configuration = model.split("__")
    entry = {"trainer": trainer, "plans_identifier": plans, "configuration": configuration}
    file = outputs.folder / "postprocessing.pkl"
    file.touch()
    best = {"selected_model_or_models": [entry], "postprocessing_file": str(file)}
    content = {"dataset_name_or_id": DATASET, "folds": folds, "best_model_or_ensemble": best}
    outputs.write(name, text=json.dumps(content))


def write_case(outputs, case, *, text=None):
    outputs.write(f"predictions/{case}.nii.gz")
    outputs.write(f"predictions/{case}.json", text=text or json.dumps({"label_map": f"{case}.nii.gz"}))


def test_predict_runs_the_exact_speed_with_a_model_or_the_best(tmp_path):
    words = PREDICT.command(tmp_path)
    assert words == [
        *("pancext", "predict", "-i", f"{tmp_path}/images", "-o", f"{tmp_path}/predictions"),
        *("-d", DATASET, "-tr", "nnUNetTrainer", "-p", "nnUNetPlans", "-c", "2d", "-f", "0", "1"),
        *("--speed", "exact", "-device", "cpu"),
    ]
    words = PREDICT_BEST.command(tmp_path)
    assert words[2:] == [
        *("-i", "/images", "-o", f"{tmp_path}/predictions", "--best", f"{tmp_path}/best/x.json"),
        *("--speed", "exact", "-device", "cuda"),
    ]


def test_predictions_are_done_when_every_case_has_its_record(outputs):
    outputs.write(*checkpoints(), "images/a_0000.nii.gz", "images/b_0000.nii.gz")
    write_case(outputs, "a")
    assert not PREDICT.is_done(outputs.folder)
    write_case(outputs, "b")
    assert PREDICT.is_done(outputs.folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda outputs: outputs.write(checkpoints()[1]),
        lambda outputs: (outputs.folder / checkpoints()[1]).unlink(),
        lambda outputs: outputs.write("predictions/a.nii.gz"),
        lambda outputs: (outputs.folder / "predictions/a.nii.gz").unlink(),
        lambda outputs: (outputs.folder / "predictions/a.nii.gz").write_bytes(b""),
        lambda outputs: outputs.write("predictions/a.json", text='{"label_map": "a.nii'),
        lambda outputs: outputs.write("predictions/a.json", text="{}"),
        lambda outputs: outputs.write("images/b_0000.nii.gz"),
        lambda outputs: outputs.write("images/a_0000.nii.gz"),
        lambda outputs: outputs.write("images/a_0001.nii.gz"),
        lambda outputs: (outputs.folder / "images/a_0000.nii.gz").unlink(),
    ],
    ids=[
        *("newer checkpoint", "no checkpoint", "newer label map", "no label map", "empty label map"),
        *("cut record", "other record", "new case", "newer image", "new channel", "no images"),
    ],
)
def test_predictions_are_not_done(outputs, change):
    outputs.write(*checkpoints(), "images/a_0000.nii.gz")
    write_case(outputs, "a")
    assert PREDICT.is_done(outputs.folder)
    change(outputs)
    assert not PREDICT.is_done(outputs.folder)


def test_outdated_records_are_removed_before_predicting(outputs):
    outputs.write("images/a_0000.nii.gz", "images/b_0000.nii.gz")
    write_case(outputs, "a")
    outputs.write(*checkpoints())
    write_case(outputs, "b")
    assert PREDICT.prepare(outputs.folder) == []
    names = {path.name for path in (outputs.folder / "predictions").iterdir()}
    assert names == {"a.nii.gz", "b.nii.gz", "b.json"}


def test_probabilities_are_part_of_predictions(outputs):
    predict = Predict(**{**vars(PREDICT), "probabilities": True})
    outputs.write(*checkpoints(), "images/a_0000.nii.gz")
    write_case(outputs, "a")
    assert not predict.is_done(outputs.folder)
    outputs.write("predictions/a.npz")
    write_case(outputs, "a")
    assert predict.is_done(outputs.folder)
    assert predict.command(outputs.folder)[-1] == "--save_probabilities"


def test_predictions_with_the_best_depend_on_the_choice_and_its_checkpoints(outputs):
    step = Predict(**{**vars(PREDICT_BEST), "images": "images"})
    outputs.write("images/a_0000.nii.gz", *checkpoints())
    write_case(outputs, "a")
    assert not step.is_done(outputs.folder)  # nothing was chosen
    write_best(outputs, "best/x.json")
    assert not step.is_done(outputs.folder)  # chosen after the prediction
    write_case(outputs, "a")
    assert step.is_done(outputs.folder)
    outputs.write(checkpoints()[0])
    assert not step.is_done(outputs.folder)


def test_predict_reports_its_cases():
    shown = PREDICT.progress()
    assert shown("      a (1 of 2): pancreas 70 mL; 8 of 8 windows, 3.0 s\n".rstrip()) == (
        "a (1 of 2): pancreas 70 mL; 8 of 8 windows, 3.0 s"
    )
    assert shown("cases     2, exact, on cpu") is None


def test_evaluation_is_done_when_it_is_newer_than_both_folders(outputs):
    outputs.write("predictions/a.nii.gz", "predictions/a.json", "truth/a.nii.gz")
    assert not EVALUATE.is_done(outputs.folder)
    outputs.write("scores/summary.json")
    assert EVALUATE.is_done(outputs.folder)
    for name in ("truth/a.nii.gz", "predictions/a.nii.gz"):
        outputs.write(name)
        assert not EVALUATE.is_done(outputs.folder)
        outputs.write("scores/summary.json")
        assert EVALUATE.is_done(outputs.folder)


@pytest.mark.parametrize("side", ["predictions", "truth"])
def test_evaluation_is_not_done_for_a_case_without_counterpart(outputs, side):
    outputs.write("predictions/a.nii.gz", "truth/a.nii.gz", f"{side}/b.nii.gz", "scores/summary.json")
    assert not EVALUATE.is_done(outputs.folder)


def test_evaluation_of_another_file_format(outputs):
    outputs.write("predictions/dataset.json", text='{"file_ending": ".nrrd"}')
    outputs.write("predictions/a.nrrd", "truth/a.nrrd", "truth/notes.txt", "scores/summary.json")
    assert EVALUATE.is_done(outputs.folder)
    outputs.write("truth/a.nrrd")
    assert not EVALUATE.is_done(outputs.folder)


def test_evaluation_of_probabilities_has_a_curve(outputs):
    step = Evaluate(**{**vars(EVALUATE), "probabilities": True})
    outputs.write("predictions/a.nii.gz", "truth/a.nii.gz", "scores/summary.json")
    assert not step.is_done(outputs.folder)
    outputs.write("scores/pr_curve.csv")
    assert step.is_done(outputs.folder)
    assert step.command(outputs.folder)[-1] == "--probabilities"


def test_evaluate_runs_below_the_campaigns_folder_or_elsewhere(tmp_path):
    step = Evaluate(name="e", predictions="predictions", truth="/labels", output="scores")
    folders = (f"{tmp_path}/predictions", "/labels", "-o", f"{tmp_path}/scores")
    assert step.command(tmp_path) == ["pancext", "evaluate", *folders]


def test_comparison_is_done_when_all_files_are_newer_than_the_validations(outputs):
    outputs.write(*summaries(MODEL), *summaries(OTHER))
    files = [f"comparison/comparison.{ending}" for ending in ("csv", "tex", "html")]
    for name in files:
        assert not COMPARE.is_done(outputs.folder)
        outputs.write(name)
    assert COMPARE.is_done(outputs.folder)
    outputs.write(summaries(OTHER)[1])
    assert not COMPARE.is_done(outputs.folder)
    outputs.write(*files[1:])
    assert not COMPARE.is_done(outputs.folder)
    outputs.write(files[0])
    assert COMPARE.is_done(outputs.folder)
    (outputs.folder / summaries(OTHER)[1]).unlink()
    assert not COMPARE.is_done(outputs.folder)


def test_a_comparison_is_looked_at_as_a_page(tmp_path):
    assert COMPARE.page(tmp_path) == tmp_path / "comparison" / "comparison.html"


def test_compare_names_models_and_folds(tmp_path):
    assert COMPARE.command(tmp_path) == [
        *("pancext", "compare", DATASET, "-tr", MODEL, OTHER, "-f", "0", "1"),
        *("-o", f"{tmp_path}/comparison"),
    ]


def test_a_choice_is_done_when_it_is_newer_than_the_validations(outputs):
    file = f"best/{DATASET}-nnUNetTrainer.json"
    assert BEST.result(outputs.folder) == outputs.folder / file
    outputs.write(*summaries(MODEL))
    assert not BEST.is_done(outputs.folder)
    write_best(outputs, file)
    assert BEST.is_done(outputs.folder)
    outputs.write(summaries(MODEL)[0])
    assert not BEST.is_done(outputs.folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda outputs, file: outputs.write(file, text="{"),
        lambda outputs, file: outputs.write(file, text="{}"),
        lambda outputs, file: (outputs.folder / "postprocessing.pkl").unlink(),
        lambda outputs, file: (outputs.folder / summaries(MODEL)[1]).unlink(),
    ],
    ids=["cut", "other content", "no postprocessing", "no validation"],
)
def test_a_choice_is_not_done(outputs, change):
    file = f"best/{DATASET}-nnUNetTrainer.json"
    outputs.write(*summaries(MODEL))
    write_best(outputs, file)
    change(outputs, file)
    assert not BEST.is_done(outputs.folder)
