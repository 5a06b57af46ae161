"""The self-test predicts validation cases in every way and keeps what that changes beside the model."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from contracts.made_preprocessed import CASES, DATASET, SHAPE, SPACING, made_dataset_json, make_preprocessed
from prediction.made_models import write_model

from nnunet_pancext.cli.main import main
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.targets import read_targets
from nnunet_pancext.inference import fast
from nnunet_pancext.inference.logits import Logits, Passes, Region
from nnunet_pancext.inference.prepared_image import PreparedImage
from nnunet_pancext.prediction.models import open_model
from nnunet_pancext.prediction.self_test import run as self_test
from nnunet_pancext.prediction.self_test.kept import FILE, SHIFTED, self_test_summary
from nnunet_pancext.prediction.self_test.run import run_self_test, self_test_table, shift_grid, without_rim
from nnunet_pancext.prediction.self_test.scores import Differences, dice_by_label
from nnunet_pancext.prediction.self_test.validation_cases import choose_validation_cases

CPU = torch.device("cpu")
TWO_LABELS = read_targets({"background": 0, "pancreas": 1, "cancer": 2})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """nnU-Net's folders with images and label maps, and a model whose fold 0 validated the last two cases."""
    root = tmp_path_factory.mktemp("self_test")
    make_preprocessed(root)
    raw = root / "nnUNet_raw" / DATASET
    for name in ("imagesTr", "labelsTr"):
        (raw / name).mkdir(parents=True)
    (raw / "dataset.json").write_text(json.dumps(made_dataset_json()), encoding="utf-8")
    generator = np.random.default_rng(3)
    for case in CASES:
        label = np.zeros(SHAPE, np.uint8)
        label[4:9, 8:24, 10:26] = 1
        label[5:7, 12:16, 12:16] = 2
        image = generator.normal(50, 20, SHAPE).astype(np.float32) + 60 * label
        for array, target in ((image, f"imagesTr/{case}_0000"), (label, f"labelsTr/{case}")):
            written = sitk.GetImageFromArray(array)
            written.SetSpacing(SPACING[::-1])
            sitk.WriteImage(written, str(raw / f"{target}.nii.gz"))
    validation = write_model(root / "nnUNet_results", "2d") / "fold_0" / "validation"
    validation.mkdir()
    (validation / "summary.json").write_text("{}", encoding="utf-8")
    for case in CASES[2:]:
        shutil.copy(raw / "labelsTr" / f"{case}.nii.gz", validation)
    return root


@pytest.fixture
def model(made, tmp_path, monkeypatch):
    """A copy of the model's folder, with nnU-Net's variables set."""
    shutil.copytree(made / "nnUNet_results", tmp_path / "nnUNet_results")
    for name in ("nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.setenv(name, str(made / name))
    return next((tmp_path / "nnUNet_results").glob("*/*__*__*"))


def test_dice_by_label_without_ignored_voxels():
    prediction, reference = np.array([[0, 1, 1, 2, 1]]), np.array([[1, 1, 0, 2, 3]])
    targets = read_targets({"background": 0, "pancreas": 1, "cancer": 2, "ignore": 3})
    dice = dice_by_label(prediction, reference, targets=targets)
    assert dice == pytest.approx({"foreground": 2 * 2 / 6, "pancreas": 2 * 1 / 4, "cancer": 1.0})


def test_two_empty_masks_agree():
    empty = np.zeros((2, 2), int)
    assert set(dice_by_label(empty, empty, targets=TWO_LABELS).values()) == {1.0}


def test_changes_are_relative_to_exact_case_by_case():
    # Dice 0.8, 0.6 and 0.9 where exact has 0.7, 0.7 and 0.7: changes of 0.1, -0.1 and 0.2
    ways = Differences(
        dice=[{"pancreas": value} for value in (0.8, 0.6, 0.9)],
        agreement=[{"pancreas": value} for value in (0.9, 0.8, 1.0)],
        seconds=[1.0, 2.0, 6.0],
    )
    summary = ways.summary([{"pancreas": 0.7}] * 3)
    assert summary["seconds_per_case"] == pytest.approx(3)
    figures = summary["labels"]["pancreas"]
    assert figures["dice"] == pytest.approx(2.3 / 3)
    assert figures["dice_change"]["mean"] == pytest.approx(0.2 / 3)
    assert figures["dice_change"]["sd"] == pytest.approx(np.std([0.1, -0.1, 0.2], ddof=1))
    assert figures["dice_change"]["largest_loss"] == pytest.approx(0.1)
    assert figures["agreement"] == pytest.approx({"mean": 0.9, "smallest": 0.8})


def test_one_case_has_no_spread_and_a_gain_is_no_loss():
    ways = Differences(dice=[{"pancreas": 0.8}], agreement=[{"pancreas": 1.0}], seconds=[1.0])
    change = ways.summary([{"pancreas": 0.7}])["labels"]["pancreas"]["dice_change"]
    assert (change["sd"], change["largest_loss"]) == (None, 0.0)


@pytest.mark.parametrize(("patch", "rim"), [((16, 40), [0, 2, 5]), ((8, 16, 40), [1, 2, 5])])
def test_the_grid_is_shifted_by_a_rim_of_an_eighth_of_the_patch(patch, rim):
    data = torch.rand(2, 4, 20, 50)
    shifted, added = shift_grid(PreparedImage(data, {}), patch)
    assert added == rim
    assert torch.equal(shifted.data[:, rim[0] :, rim[1] :, rim[2] :], data)
    assert torch.equal(shifted.data[:, -1, :, 0], shifted.data[:, -1, :, rim[2]])  # the edge, repeated
    whole = Region(tuple(slice(0, length) for length in shifted.data.shape[1:]), shifted.data)
    logits = without_rim(Logits(tuple(shifted.data.shape[1:]), (whole,), Passes(), is_whole=True), rim)
    assert torch.equal(logits.regions[0].logits, data)
    assert logits.shape == tuple(data.shape[1:])
    assert logits.regions[0].box == (slice(0, 4), slice(0, 20), slice(0, 50))


def test_validation_cases_are_those_that_nnunet_predicted(model):
    chosen = choose_validation_cases(open_model(model), 10)
    assert [case.case.name for case in chosen] == CASES[2:]
    assert {case.fold for case in chosen} == {"0"}
    assert chosen[0].case.files[0].name == f"{CASES[2]}_0000.nii.gz"
    assert chosen[0].truth.name == f"{CASES[2]}.nii.gz"


def test_a_fold_that_was_not_validated_takes_the_split(model):
    shutil.rmtree(model / "fold_0" / "validation")
    chosen = choose_validation_cases(open_model(model), 10)
    assert [case.case.name for case in chosen] == CASES[3:]  # of splits_final.json


def test_cases_come_evenly_from_the_folds(model):
    shutil.copytree(model / "fold_0", model / "fold_1")
    chosen = choose_validation_cases(open_model(model), 3)
    assert [(case.fold, case.case.name) for case in chosen] == [
        *(("0", CASES[2]), ("0", CASES[3])),
        ("1", CASES[2]),
    ]


def test_fold_all_has_no_validation_cases(model):
    (model / "fold_0").rename(model / "fold_all")
    with pytest.raises(PancextError, match="cannot run: fold all has no validation case"):
        choose_validation_cases(open_model(model), 10)


def test_an_imported_model_is_not_measured(model, monkeypatch):
    monkeypatch.delenv("nnUNet_raw")
    monkeypatch.delenv("nnUNet_preprocessed")
    with pytest.raises(
        PancextError, match="the label maps of its training cases, Dataset007_Pancreas, are nei"
    ):
        run_self_test(open_model(model), device=CPU)


@pytest.fixture(scope="module")
def measured(made, tmp_path_factory):
    """The model's folder after its self-test, the result, and what was announced."""
    root = tmp_path_factory.mktemp("measured")
    shutil.copytree(made / "nnUNet_results", root / "nnUNet_results")
    folder = next((root / "nnUNet_results").glob("*/*__*__*"))
    announced = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("nnUNet_raw", "nnUNet_preprocessed"):
            patch.setenv(name, str(made / name))
        patch.setattr(fast, "bfloat16_pays", lambda threads: False)  # which takes a process to try out
        result = run_self_test(open_model(folder), device=CPU, announce=announced.append)
    return folder, result, announced


def test_exact_does_not_differ_from_itself(measured):
    _, result, _ = measured
    assert result["cases"] == 2
    for figures in result["ways"]["exact"]["labels"].values():
        assert figures["dice_change"] == {"mean": 0, "sd": 0, "largest_loss": 0}
        assert figures["agreement"] == {"mean": 1, "smallest": 1}


def test_every_way_is_measured_by_label(measured):
    _, result, announced = measured
    assert list(result["ways"]) == ["exact", "balanced", "fast", SHIFTED]
    for way in result["ways"].values():
        assert list(way["labels"]) == ["foreground", "pancreas", "cancer"]
        assert way["seconds_per_case"] > 0
    assert announced == ["case 1 of 2, fold 0", "case 2 of 2, fold 0"]


def test_dice_of_exact_is_that_of_nnunets_own_prediction(made, measured, tmp_path):
    from nnunetv2.evaluation.evaluate_predictions import compute_metrics
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    folder, result, _ = measured
    predictor = nnUNetPredictor(device=CPU, perform_everything_on_device=False, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(folder), (0,), "checkpoint_final.pth")
    dice = []
    for case in CASES[2:]:
        raw = made / "nnUNet_raw" / DATASET
        image, out = raw / "imagesTr" / f"{case}_0000.nii.gz", tmp_path / case
        predictor.predict_from_files_sequential([[str(image)]], [str(out)])
        truth = raw / "labelsTr" / f"{case}.nii.gz"
        metrics = compute_metrics(str(truth), f"{out}.nii.gz", SimpleITKIO(), [1, 2])
        dice.append([metrics["metrics"][label]["Dice"] for label in (1, 2)])
    labels = result["ways"]["exact"]["labels"]
    found = [labels[name]["dice"] for name in ("pancreas", "cancer")]
    assert found == pytest.approx(np.mean(dice, axis=0), abs=1e-9)


def test_the_result_is_kept_beside_the_model(measured):
    folder, result, _ = measured
    assert json.loads((folder / FILE).read_text(encoding="utf-8")) == result
    assert set(result["sha256"]) == {"plans.json", "dataset.json", "fold_0/checkpoint_final.pth"}
    summary = self_test_summary(folder, "balanced", device="cpu")
    assert summary["cases"] == 2
    assert summary["labels"] == result["ways"]["balanced"]["labels"]
    assert summary["shifted_grid"] == result["ways"][SHIFTED]
    assert self_test_summary(folder, "balanced", checkpoint="checkpoint_best.pth", device="cpu") is None


def test_the_result_of_another_model_is_not_told(measured, tmp_path):
    folder = shutil.copytree(measured[0], tmp_path / "copy")
    assert self_test_summary(folder, "fast", device="cpu") is not None
    with (folder / "fold_0" / "checkpoint_final.pth").open("ab") as file:
        file.write(b"\0")
    assert self_test_summary(folder, "fast", device="cpu") is None


@pytest.mark.parametrize(
    ("entry", "value"),
    [("device", "cuda"), ("versions", {"nnunet_pancext": "0.0.1"}), ("versions", {"nnunetv2": "2.0"})],
)
def test_a_result_of_another_device_or_version_is_not_used(measured, tmp_path, entry, value):
    folder = shutil.copytree(measured[0], tmp_path / "copy")
    kept = json.loads((folder / FILE).read_text(encoding="utf-8"))
    kept[entry] = value if entry == "device" else {**kept[entry], **value}
    (folder / FILE).write_text(json.dumps(kept), encoding="utf-8")
    assert self_test_summary(folder, "fast", device="cpu") is None
    found = self_test_summary(folder, "fast", device="cuda")
    assert (found is not None) == (entry == "device")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema_version": 1, "sha256": []}'])
def test_a_damaged_result_is_none(model, content):
    assert self_test_summary(model, "fast", device="cpu") is None  # nothing was measured yet
    (model / FILE).write_text(content, encoding="utf-8")
    assert self_test_summary(model, "fast", device="cpu") is None


def test_the_table_has_a_row_for_each_way_and_label(measured):
    lines = self_test_table(measured[1]).splitlines()
    assert len(lines) == 2 + 4 * 3
    assert lines[2].split()[:2] == ["exact", "foreground"]
    assert "+0.0000" in lines[2]


def test_a_folder_that_cannot_be_written_is_reported_before_the_work(model, monkeypatch):
    def refuse(target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(self_test, "scratch_path", refuse)
    with pytest.raises(PancextError, match=r"self_test.json cannot be written: Permission denied. Copy the"):
        run_self_test(open_model(model), device=CPU)


def test_a_case_that_cannot_be_read_is_left_out(made, model, tmp_path, monkeypatch):
    raw = shutil.copytree(made / "nnUNet_raw", tmp_path / "raw")
    monkeypatch.setenv("nnUNet_raw", str(raw))
    for case in CASES[2:]:
        (raw / DATASET / "imagesTr" / f"{case}_0000.nii.gz").write_bytes(b"cut")
    announced = []
    with pytest.raises(PancextError, match="none of its 2 validation cases can be read"):
        run_self_test(open_model(model), device=CPU, announce=announced.append)
    assert sum(text.startswith("left out: ") for text in announced) == 2


def test_no_case_is_no_self_test(model):
    with pytest.raises(PancextError, match="--cases 0: the self-test needs at least 1 case"):
        run_self_test(open_model(model), cases=0, device=CPU)


def test_the_command_prints_and_keeps_the_result(model, monkeypatch, capsys):
    monkeypatch.setattr(fast, "bfloat16_pays", lambda threads: False)
    words = ["predict", "--self-test", "-m", str(model), "--cases", "1", "-device", "cpu"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "case 1 of 1, fold 0" in shown
    assert "exact, shifted grid  cancer" in shown
    assert f"written   {model / FILE}" in shown
    assert self_test_summary(model, "balanced", device="cpu")["cases"] == 1


def test_a_prediction_tells_what_the_self_test_measured(made, measured, tmp_path, monkeypatch):
    for name in ("nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.setenv(name, str(made / name))
    folder, result, _ = measured
    image = made / "nnUNet_raw" / DATASET / "imagesTr" / f"{CASES[0]}_0000.nii.gz"
    words = ["predict", str(image), "-o", str(tmp_path / "out"), "-m", str(folder), "-device", "cpu"]
    assert main(words) == 0
    content = json.loads((tmp_path / "out" / f"{CASES[0]}.json").read_text(encoding="utf-8"))
    assert content["self_test"]["labels"] == result["ways"]["balanced"]["labels"]
    assert main([*words, "--disable_tta"]) == 0
    content = json.loads((tmp_path / "out" / f"{CASES[0]}.json").read_text(encoding="utf-8"))
    assert content["self_test"] == "not measured"
    # 5 x 16 x 16 voxels of 2.5 x 0.8 x 0.8 mm in every training case: balanced asks for their volumes
    kept = json.loads((folder / "training_volumes.json").read_text(encoding="utf-8"))
    assert (kept["smallest_ml"], kept["largest_ml"]) == pytest.approx((2.048, 2.048))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.nii.gz", "--self-test"], "--self-test takes neither INPUT nor -o"),
        (["--self-test", "--disable_tta"], "--self-test measures with mirroring"),
        (["a.nii.gz", "-o", "out", "--cases", "3"], "--cases is the number of cases of --self-test"),
    ],
)
def test_options_that_do_not_go_together(model, capsys, words, message):
    assert main(["predict", *words, "-m", str(model)]) == 1
    assert message in capsys.readouterr().err


def test_the_stage_before_is_run_with_the_same_fold(made, tmp_path, monkeypatch):
    for name in ("nnUNet_raw", "nnUNet_preprocessed"):
        monkeypatch.setenv(name, str(made / name))
    for configuration in ("3d_lowres", "3d_cascade_fullres"):
        folder = write_model(tmp_path / "nnUNet_results", configuration)
    result = run_self_test(open_model(folder), cases=1, device=CPU)
    assert result["cases"] == 1
    assert result["ways"]["exact"]["labels"]["pancreas"]["agreement"]["mean"] == 1
    before = "../nnUNetTrainer__nnUNetPlans__3d_lowres"
    assert f"{before}/fold_0/checkpoint_final.pth" in result["sha256"]
    assert self_test_summary(folder, "fast", device="cpu") is not None
    (folder / before / "plans.json").write_text("{}", encoding="utf-8")
    assert self_test_summary(folder, "fast", device="cpu") is None
