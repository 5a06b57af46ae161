"""`pancext report`: the page opens in a browser, sorts and filters, and shows what was scored."""

import math
import re
import shutil

import pytest

from nnunet_pancext.cli.main import main
from nnunet_pancext.evaluation.scores import CaseScores, LabelScores, choose_cases
from nnunet_pancext.figures.training import training_charts
from nnunet_pancext.model_report import build
from nnunet_pancext.nnunet_files.model_folder import open_model_folder
from nnunet_pancext.nnunet_files.training_log import read_training_record

FIRST_COLUMN = (
    "[...document.querySelectorAll('.sortable tbody tr:not([hidden])')].map(r => r.cells[{}].textContent)"
)


def column(page, number):
    return page.run(FIRST_COLUMN.format(number))


def test_the_page_works_in_a_browser(browser, page_file):
    with browser.open(page_file) as page:
        assert page.errors == []
        assert page.run("document.title").startswith("OthersTrainer on Dataset007_")
        # every picture was decoded
        pictures = page.run("[...document.images].map(i => i.complete && i.naturalWidth > 50)")
        assert len(pictures) >= 12
        assert all(pictures)
        # every column sorts, up and down
        assert len(column(page, 0)) == 4 * 3
        click = "document.querySelectorAll('.sortable thead button')[{}].click()"
        page.run(click.format(3))
        # one case is without a tumour: its undefined Dice comes last either way
        *ascending, undefined = column(page, 3)
        assert undefined == "\N{EN DASH}"
        assert ascending == sorted(ascending, key=float)
        assert page.run("document.querySelectorAll('.sortable thead th')[3].ariaSort") == "ascending"
        page.run(click.format(3))
        assert column(page, 3) == [*ascending[::-1], undefined]
        page.run(click.format(0))
        assert column(page, 0) == sorted(column(page, 0))
        # the filter hides what does not hold the word
        page.run(
            "{const i = document.querySelector('input[type=search]');"
            "i.value = 'CANCER'; i.dispatchEvent(new Event('input'))}"
        )
        assert column(page, 2) == ["cancer"] * 4
        assert page.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(browser, page_file, scheme):
    with browser.open(page_file) as page:
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        colours = page.run("['color', 'backgroundColor'].map(name => getComputedStyle(document.body)[name])")
    ink, paper = (sum(map(int, re.findall(r"\d+", colour)[:3])) / 3 for colour in colours)
    assert (ink < 64 < 192 < paper) if scheme == "light" else (paper < 64 < 192 < ink)


def test_a_printed_page_has_every_column(browser, page_file):
    with browser.open(page_file) as page:
        page.print_on_a4()
        wide = "[document.documentElement, ...document.querySelectorAll('.scroll')]"
        sizes = page.run(f"{wide}.map(part => [part.scrollWidth, part.clientWidth])")
    assert len(sizes) >= 3
    assert all(needed <= there for needed, there in sizes)


def test_charts_are_reported_in_words(browser, page_file):
    with browser.open(page_file) as page:
        words = page.run("[...document.querySelectorAll('.charts img')].map(i => i.alt)")
    (loss,) = (text for text in words if text.startswith("Loss. "))
    assert "training fold 0: 0.167 to 1, median 0.292" in loss
    assert all(re.search(r": \S+ to \S+, median", text) for text in words)


def test_headings_of_cases_wrap_between_words(browser, page_file):
    with browser.open(page_file) as page:
        page.call(
            "Emulation.setDeviceMetricsOverride", width=1200, height=900, deviceScaleFactor=1, mobile=False
        )
        table = "document.querySelector('.sortable .scroll')"
        assert page.run(f"{table}.scrollWidth <= {table}.clientWidth")
        assert page.run(f"[...{table}.querySelectorAll('thead th')].every(th => !th.querySelector('wbr'))")


def test_a_printed_page_has_no_controls(browser, page_file):
    with browser.open(page_file) as page:
        page.call("Emulation.setEmulatedMedia", media="print")
        assert page.run("getComputedStyle(document.querySelector('.filter')).display") == "none"


def test_the_summary_has_every_kind_of_metric(browser, page_file):
    with browser.open(page_file) as page:
        rows = page.run(
            "Object.fromEntries([...document.querySelectorAll('.summary tbody tr')]"
            ".map(r => [r.cells[0].textContent, [...r.cells].slice(1).map(c => c.textContent)]))"
        )
    wanted = (
        "specificity, accuracy, F1, IoU, IoU per slice, precision per slice, recall per slice, "
        "slices with target, lesions detected, AP of voxels, AUROC of patients, AP of patients"
    )
    assert {*wanted.split(", ")} <= {*rows}
    assert all(len(cells) == 3 for cells in rows.values())
    # every case holds a pancreas, so that patients cannot be ranked by it; one has no tumour
    assert [cell == "\N{EN DASH}" for cell in rows["AUROC of patients"]] == [True, True, False]


def test_says_what_was_scored(model, tmp_path, capsys):
    assert main(["report", str(model), "-o", str(tmp_path / "r.html"), "--folds", "1"]) == 0
    printed = capsys.readouterr().out
    assert "per volume, 2 cases" in printed
    assert "AP of voxels" in printed
    assert f"report    {tmp_path / 'r.html'}" in printed


def test_reads_the_logs_of_a_training(model):
    record = read_training_record(open_model_folder(model).folds[0].folder)
    assert record.epochs == 6
    assert record.seconds == [9.0] * 6
    assert record.phases == [(0, "S"), (2, "I"), (4, "J")]
    assert record.columns["train_losses"] == [1.0, 0.5, 0.3333, 0.25, 0.2, 0.1667]
    assert record.columns["lrs"][-1] == 0.005
    # 0.9 of the last average and 0.1 of the mean over the classes that have one: 0, 0.1 and 0.2
    assert record.columns["mean_fg_dice"][:3] == pytest.approx([0, 0.1, 0.2])
    assert record.columns["ema_fg_dice"][:3] == pytest.approx([0, 0.01, 0.029])
    charts = training_charts([record])
    assert list(charts) == [
        "Loss",
        "Pseudo Dice of validation patches",
        "Learning rate",
        "Time",
        "Loss weights",
        "Cascade: organ",
        "Cascade: window",
    ]
    assert all(chart.svg.lstrip().startswith("<?xml") for chart in charts.values())
    assert all(f">{phase}</text>" in charts["Loss"].svg for phase in "SIJ")


def test_a_continued_training_counts_as_it_was_run_last(damaged):
    line = "2026-11-22 10:00:00.000000: {} \n"
    texts = ["Epoch 2", "train_loss 7.5", "val_loss what", "Epoch 3", "Phase J: window 0.25"]
    log = damaged / "fold_0" / "training_log_2026_11_22_10_00_00.txt"
    log.write_text("".join(map(line.format, texts)), encoding="utf-8")
    record = read_training_record(open_model_folder(damaged).folds[0].folder)
    assert record.columns["train_losses"] == [1.0, 0.5, 7.5]
    assert record.columns["val_losses"] == [1.2, 0.6]
    assert record.columns["cascade window"] == pytest.approx([math.nan, 0.5, math.nan, 0.25], nan_ok=True)
    assert record.phases == [(0, "S"), (3, "J")]


def test_numbers_of_an_older_numpy_are_read(damaged):
    log = damaged / "fold_0" / "training_log_2026_11_22_10_00_00.txt"
    log.write_text("1: Epoch 0 \n1: Pseudo dice [0.5, nan, 0.25, 1e-04] \n", encoding="utf-8")
    record = read_training_record(open_model_folder(damaged).folds[0].folder)
    assert record.columns["ema_fg_dice"] == pytest.approx([0.7501 / 3])


def test_a_fold_without_a_log_has_no_record(damaged):
    for log in (damaged / "fold_0").glob("training_log_*"):
        log.write_text("no epoch", encoding="utf-8")
    assert read_training_record(open_model_folder(damaged).folds[0].folder) is None


def scored(dice):
    return [
        CaseScores(case=f"case{number}", labels={"tumour": LabelScores(dice=value)})
        for number, value in enumerate(dice)
    ]


@pytest.mark.parametrize(
    ("dice", "chosen"),
    [
        ([0.5, 0.9, 0.1, 0.7, float("nan")], {"worst": "case2", "median": "case0", "best": "case1"}),
        ([0.5, 0.9], {"worst": "case0", "best": "case1"}),
        ([0.5], {"worst": "case0"}),
        ([float("nan")], {}),
    ],
)
def test_chooses_worst_median_and_best(dice, chosen):
    assert choose_cases(scored(dice), "tumour") == chosen


def test_distances_rank_the_farthest_as_worst():
    scores = [
        CaseScores(case=case, labels={"tumour": LabelScores(hd95_mm=value)})
        for case, value in {"a": 3.0, "b": float("inf"), "c": 1.0, "d": float("nan")}.items()
    ]
    assert choose_cases(scores, "tumour", "hd95_mm") == {"worst": "b", "median": "a", "best": "c"}


@pytest.fixture
def damaged(model, tmp_path):
    """A copy of the model that a test may damage."""
    return shutil.copytree(model, tmp_path / model.parent.name / model.name)


def refused(capsys, *arguments):
    assert main(["report", *map(str, arguments)]) == 1
    stderr = capsys.readouterr().err
    assert "Traceback" not in stderr
    return stderr.splitlines()[-1]


def test_refuses_other_folders(tmp_path, capsys):
    assert "is not a trained model. Give a folder as nnUNetv2_train writes it" in refused(capsys, tmp_path)


def test_refuses_unknown_folds(model, capsys):
    assert "has no fold 4. Trained folds: 0, 1." in refused(capsys, model, "--folds", "4")


def test_refuses_a_model_without_validation(damaged, capsys):
    for fold in damaged.glob("fold_*"):
        shutil.rmtree(fold / "validation")
    (damaged / "fold_0" / "checkpoint_final.pth").rename(damaged / "fold_0" / "checkpoint_best.pth")
    sentence = refused(capsys, damaged)
    assert "No fold of" in sentence
    command = f"nnUNetv2_train {damaged.parent.name} 2d 0 -tr OthersTrainer -p nnUNetPlans --c"
    assert sentence.endswith(f"has a validation. Complete it: {command}")


def test_an_unfinished_fold_is_noted(damaged, tmp_path):
    shutil.rmtree(damaged / "fold_1" / "validation")
    (damaged / "fold_1" / "checkpoint_final.pth").unlink()
    next((damaged / "fold_1").glob("training_log_*")).unlink()
    assert main(["report", str(damaged), "-o", str(tmp_path / "r.html")]) == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    command = f"nnUNetv2_train {damaged.parent.name} 2d 1 -tr OthersTrainer -p nnUNetPlans"
    advice = f"It has no checkpoint, so train it from the start: {command}<"
    assert f"Fold 1 has no validation yet. {advice}" in page
    assert "Fold 1 has no training log." in page


def report(model, target, *options):
    assert main(["report", str(model), "-o", str(target), *options]) == 0
    return target.read_text(encoding="utf-8")


HELD_OUT = "4, each predicted by the fold that did not train on it"
TRAINED_ON = "training cases, predicted by the model that trained on them"


@pytest.fixture
def with_all(damaged):
    """A model with a fold of all cases beside the two folds of a split."""
    everything = shutil.copytree(damaged / "fold_0", damaged / "fold_all")
    shutil.copytree(damaged / "fold_1" / "validation", everything / "validation", dirs_exist_ok=True)
    return damaged


def test_training_cases_are_left_out_beside_held_out_ones(with_all, tmp_path):
    page = report(with_all, tmp_path / "r.html")
    assert HELD_OUT in page
    assert TRAINED_ON not in page
    assert "Fold all is omitted: its validation cases are its training cases." in page


@pytest.mark.parametrize("options", [["--folds", "all"], []])
def test_training_cases_are_not_called_held_out(with_all, tmp_path, options):
    if not options:
        for number in (0, 1):
            shutil.rmtree(with_all / f"fold_{number}")
    page = report(with_all, tmp_path / "r.html", *options)
    assert f"4 {TRAINED_ON}" in page
    assert "these scores say nothing about unseen cases" in page
    assert "did not train on it" not in page


def test_refuses_training_cases_beside_held_out_ones(with_all, capsys):
    sentence = refused(capsys, with_all, "--folds", "0", "all")
    assert "fold all trained on the cases of every other fold. Report it alone." in sentence


def test_a_half_validated_fold_is_noted(damaged, tmp_path):
    validation = damaged / "fold_1" / "validation"
    (validation / "summary.json").unlink()
    next(validation.glob("*.nii.gz")).unlink()
    page = report(damaged, tmp_path / "r.html")
    assert (
        "The validation of fold 1 is incomplete: it has no summary.json, and only the 1 predicted case can "
        f"be scored. Complete it: nnUNetv2_train {damaged.parent.name} 2d 1 -tr OthersTrainer -p nnUNetPlans "
        "--val" in page
    )
    assert "The validation of fold 0" not in page


def test_a_fold_without_a_prediction_yet_is_noted(damaged, tmp_path):
    shutil.rmtree(damaged / "fold_1" / "validation")
    (damaged / "fold_1" / "validation").mkdir()
    page = report(damaged, tmp_path / "r.html")
    assert "Fold 1 has no validation yet." in page
    assert "2, each predicted by" in page


@pytest.mark.parametrize(("kept", "sentence"), [(3, "only 3 of 4 cases have"), (0, "no case has")])
def test_curves_of_some_cases_are_not_shown_as_those_of_all(damaged, tmp_path, capsys, kept, sentence):
    for path in sorted(damaged.rglob("*.npz"))[kept:]:
        path.unlink()
    page = report(damaged, tmp_path / "r.html")
    assert (
        f"There are no precision-recall curves: {sentence} probabilities. nnUNetv2_train with --val" in page
    )
    assert "Precision and recall of voxels" not in page
    assert "AP of voxels" not in capsys.readouterr().out


def test_refuses_a_case_in_two_folds(damaged, capsys):
    shutil.rmtree(damaged / "fold_1" / "validation")
    shutil.copytree(damaged / "fold_0" / "validation", damaged / "fold_1" / "validation")
    assert "was validated in fold 0 and in fold 1" in refused(capsys, damaged)


def test_refuses_a_missing_truth(model, tmp_path, capsys, monkeypatch):
    (tmp_path / "empty").mkdir()
    assert "No file ending in" in refused(capsys, model, "--truth", tmp_path / "empty")
    monkeypatch.delenv("nnUNet_raw")
    assert "No ground-truth label maps of Dataset007_Pancreas: nnUNet_preprocessed is" in refused(
        capsys, model
    )


def test_the_advice_on_a_missing_truth_is_one_that_can_be_followed(made, model, tmp_path, capsys):
    truths = shutil.copytree(open_model_folder(model).truth, tmp_path / "truths")
    sorted(truths.glob("*.nii.gz"))[0].unlink()
    sentence = refused(capsys, model, "--truth", truths)
    assert "No ground truth for 1 predictions in" in sentence
    assert "--keep-going" not in sentence


def test_refuses_a_missing_image(model, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "The image of case" in refused(
        capsys, model, "--images", tmp_path / "empty", "-o", tmp_path / "r.html"
    )
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("file/r.html", "Cannot write to {}/file: "),
        ("file/deep/r.html", "Cannot write to {}/file/deep: "),
        ("folder", "{}/folder is a folder. Give a file with -o, such as {}/folder/report.html"),
    ],
)
def test_refuses_a_file_it_cannot_write_before_the_work(
    model, tmp_path, capsys, monkeypatch, target, message
):
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(build, "score_validations", None)
    assert message.replace("{}", str(tmp_path)) in refused(capsys, model, "-o", tmp_path / target)


def test_folders_made_for_a_report_that_fails_are_removed(model, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    refused(capsys, model, "--truth", tmp_path / "empty", "-o", tmp_path / "new" / "deep" / "r.html")
    assert not (tmp_path / "new").exists()
