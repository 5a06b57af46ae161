"""What a comparison's page shows of cases and trainings, and `pancext report` on its folder."""

import math
import re
import shutil
from base64 import b64decode

import numpy as np
import pytest
import SimpleITK as sitk
from made_results import DATASET, ENDING, SHAPE, SPACING, add_model, make_tree
from sklearn.metrics import average_precision_score

from nnunet_pancext.cli.main import main
from nnunet_pancext.comparison.output.cases_and_training import mean_curve
from nnunet_pancext.nnunet_files.training_log import TrainingRecord

MODELS = ("A", "B")
VARIABLES = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
SHIFTS = [2, 3, 2, 4, 3, 2, 5, 3]


def with_models(tree):
    """Add two models with the logs of their trainings, and images."""
    add_model(tree, "A", shift=SHIFTS)
    add_model(tree, "B", shift=[step - 1 for step in SHIFTS])
    for number, name in enumerate(MODELS):
        for fold in (0, 1):
            # training loss, validation loss, pseudo Dice
            logged = [(1.0 + fold, 1.0, 0.1 * number), (0.5 + fold, 0.75, 0.5), (0.25, 0.5, 0.5)]
            lines = [
                line
                for epoch, (train, val, dice) in enumerate(logged)
                for line in (
                    f"Epoch {epoch}", f"train_loss {train}", f"val_loss {val}", f"Pseudo dice [{dice}]"
                )
            ]  # fmt: skip
            log = tree.model(name) / f"fold_{fold}" / "training_log_2026_11_21_10_00_00.txt"
            log.write_text(
                "".join(f"2026-11-21 10:00:00.000000: {line} \n" for line in lines), encoding="utf-8"
            )
    images = tree.root / "nnUNet_raw" / DATASET / "imagesTr"
    images.mkdir(parents=True)
    shutil.copy(tree.preprocessed / "dataset.json", images.parent)
    for case in sorted(name for fold in tree.folds for name in fold):
        image = sitk.GetImageFromArray(np.random.default_rng(0).normal(60, 50, SHAPE).astype(np.int16))
        image.SetSpacing(SPACING)
        sitk.WriteImage(image, str(images / f"{case}_0000{ENDING}"))
    return tree


@pytest.fixture
def trained(tree):
    """Two trained models and images."""
    return with_models(tree)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """The output folder of a comparison of the two models, for tests that only look at it."""
    root = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            (root / name).mkdir()
            patch.setenv(name, str(root / name))
        with_models(make_tree(root))
        compare(root / "out")
    return root / "out"


def compare(out, *options):
    assert main(["compare", "7", "--trainers", *MODELS, "-o", str(out), "--jobs", "1", *options]) == 0
    return (out / "comparison.html").read_text(encoding="utf-8")


def test_the_page_shows_cases_and_trainings(browser, compared):
    page = (compared / "comparison.html").read_text(encoding="utf-8")
    assert "Worst, median and best case of A" in page
    assert re.findall(r"</b> · (\w+) by the Dice of foreground: A [\d.]+, B [\d.]+<", page) == [
        "worst", "median", "best",
    ]  # fmt: skip
    # the mean of both folds: 1.5, 1.0 and 0.25
    assert "Loss of training patches. loss by epoch; A: 0.25 to 1.5, median 1; B: 0.25 to 1.5" in page
    assert "Pseudo Dice of validation patches. Dice, moving average by epoch; A: 0 to 0.095" in page
    with browser.open(compared / "comparison.html") as shown:
        assert shown.errors == []
        sizes = shown.run("[...document.images].map(i => i.complete && i.naturalWidth)")
    assert len(sizes) >= 6
    assert all(size > 100 for size in sizes)


@pytest.fixture
def with_probabilities(trained):
    """Noise over both models' label maps, so that curves have many points."""
    rng = np.random.default_rng(0)
    for model in MODELS:
        for file in sorted(trained.model(model).glob(f"fold_*/validation/*{ENDING}")):
            predicted = sitk.GetArrayFromImage(sitk.ReadImage(str(file)))
            noisy = np.stack([predicted == value for value in range(3)]) + rng.random((3, *predicted.shape))
            noisy = (noisy / noisy.sum(axis=0)).astype(np.float16)
            np.savez_compressed(file.with_name(file.name.removesuffix(ENDING)), probabilities=noisy)
    return trained


def test_a_precision_recall_curve_is_of_the_voxels_of_all_cases(browser, with_probabilities, tmp_path):
    tree, out = with_probabilities, tmp_path / "out"
    page = compare(out, "--metrics", "dice", "average_precision")
    for label, values in (("foreground", (1, 2)), ("pancreas", (1,)), ("tumour", (2,))):
        shown = re.search(rf'alt="{label}\. precision by recall; A, AP (\S+): .*?; B, AP (\S+): ', page)
        for model, told in zip(MODELS, shown.groups(), strict=True):
            probabilities, truths = [], []
            for case in sorted(case for fold in tree.folds for case in fold):
                file = tree.prediction(model, case).with_name(f"{case}.npz")
                channels = np.load(file)["probabilities"].astype(np.float32)
                probabilities.append(channels[list(values)].sum(axis=0).ravel())
                truth = sitk.GetArrayFromImage(sitk.ReadImage(str(tree.truths / f"{case}{ENDING}")))
                truths.append(np.isin(truth, values).ravel())
            expected = average_precision_score(np.concatenate(truths), np.concatenate(probabilities))
            assert float(told) == pytest.approx(expected, abs=2e-3)
    with browser.open(out / "comparison.html") as shown_page:
        assert shown_page.errors == []
    statistics = (out / "statistics.csv").read_text(encoding="utf-8")
    assert re.search(r"^B,tumour,average_precision,all,8,0,0\.\d+", statistics, re.MULTILINE)


def test_curves_need_the_probabilities_of_every_case(with_probabilities, tmp_path, capsys):
    with_probabilities.prediction("B", with_probabilities.folds[1][0]).with_name(
        f"{with_probabilities.folds[1][0]}.npz"
    ).unlink()
    page = compare(tmp_path / "out")
    assert "There are no curves. B has probabilities of 7 of 8 cases: nnUNetv2_train with --val --npz" in page
    options = ["--trainers", *MODELS, "-o", str(tmp_path / "other"), "--metrics", "average_precision"]
    assert main(["compare", "7", *options]) == 1
    assert "average_precision cannot be compared. B has probabilities of 7 of 8" in capsys.readouterr().err


def test_damaged_probabilities_are_reported_by_model_fold_and_case(with_probabilities, tmp_path, capsys):
    case = with_probabilities.folds[1][0]
    with_probabilities.prediction("B", case).with_name(f"{case}.npz").write_bytes(b"no zip")
    assert main(["compare", "7", "--trainers", *MODELS, "-o", str(tmp_path / "out")]) == 1
    stderr = capsys.readouterr().err
    assert f"B, fold 1: Case {case!r}: Cannot read the probabilities" in stderr
    assert "Traceback" not in stderr


def test_the_first_metric_chooses_the_cases(trained, tmp_path):
    page = compare(tmp_path / "out", "--metrics", "hd95_mm", "dice")
    found = re.findall(r"<b>(\w+)</b> · (\w+) by the HD95, mm of foreground: A ([\d.]+), B", page)
    assert [word for _, word, _ in found] == ["worst", "median", "best"]
    far = [float(value) for _, _, value in found]
    assert far == sorted(far, reverse=True)
    assert far[0] > far[-1]


@pytest.mark.parametrize("damage", ["no image", "no log"])
def test_what_cannot_be_shown_is_reported_and_the_scores_stand(trained, tmp_path, damage):
    if damage == "no image":
        for path in (trained.root / "nnUNet_raw" / DATASET / "imagesTr").iterdir():
            path.unlink()
        sentence = "There are no figures. "
    else:
        for path in trained.results.rglob("training_log_*.txt"):
            path.unlink()
        sentence = "There are no curves of the training"
    page = compare(tmp_path / "out")
    assert sentence in page
    assert "mean ± SD" in page


def test_report_prints_the_path_of_a_comparisons_page(compared, tmp_path, capsys):
    out = compared
    page = (out / "comparison.html").read_text(encoding="utf-8")
    assert main(["report", str(out)]) == 0
    assert capsys.readouterr().out == f"report    {out / 'comparison.html'}\n"
    copy = tmp_path / "deep" / "copy.html"
    assert main(["report", str(out), "-o", str(copy)]) == 0
    assert copy.read_text(encoding="utf-8") == page
    assert main(["report", str(out), "-o", str(copy / "below.html")]) == 1
    assert "Cannot write" in capsys.readouterr().err


def test_report_refuses_options_that_cannot_change_a_written_comparison(tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "comparison.html").write_text("page", encoding="utf-8")
    assert main(["report", str(out), "--folds", "0", "--attention", "-o", str(tmp_path / "copy.html")]) == 1
    stderr = capsys.readouterr().err
    assert f"--folds, --attention: {out} is a comparison, whose page is already written." in stderr
    assert not (tmp_path / "copy.html").exists()


def test_weights_and_phases_are_shown_where_a_training_logged_them(trained, compared, tmp_path):
    assert "Loss weights" not in (compared / "comparison.html").read_text(encoding="utf-8")
    for log in trained.model("B").rglob("training_log_2026_11_21_*.txt"):
        told = log.read_text(encoding="utf-8")
        for epoch, phase in enumerate("SIJ"):
            line = f"2026-11-21 10:00:00.000000: Epoch {epoch} \n"
            assert line in told
            begin, _, _ = line.partition("Epoch")
            further = f"{begin}Loss weights: Dice 0.6000, CE 0.4000 \n{begin}Phase {phase}: window 0.5 \n"
            told = told.replace(line, line + further)
        log.write_text(told, encoding="utf-8")
    page = compare(tmp_path / "out")
    assert "Loss weights. weight by epoch; B, Dice: 0.6 to 0.6" in page
    assert "B, cross-entropy: 0.4 to 0.4" in page
    assert "Letters above the curves are the phases of B." in page
    charts = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", page)
    curves = [text for chart in charts if ">epoch</text>" in (text := b64decode(chart).decode())]
    assert [">J</text>" in curve for curve in curves] == [True] * 4


def test_spans_of_phases_meet_half_way_between_epochs():
    columns = {"train_losses": [1.0] * 5}
    record = TrainingRecord(fold="0", columns=columns, phases=[(0, "S"), (1, "I"), (3, "J")])
    assert record.phase_spans == [(-0.5, 0.5, "S"), (0.5, 2.5, "I"), (2.5, 4.5, "J")]
    assert TrainingRecord(fold="0", columns=columns).phase_spans == []


def test_a_curve_is_the_mean_over_the_folds_as_far_as_all_go():
    records = [
        TrainingRecord(fold="0", columns={"loss": [1.0, 2.0, 3.0], "other": []}),
        TrainingRecord(fold="1", columns={"loss": [3.0, math.nan]}),
    ]
    _, values = mean_curve(records, "loss")
    assert values == pytest.approx([2.0, math.nan], nan_ok=True)
    assert list(mean_curve(records, "other")[1]) == []
