"""`pancext report --attention`: the median case, by the fold that predicted it, with all its channels."""

import json
import re
import shutil

import pytest
import SimpleITK as sitk
import torch
from contracts.made_preprocessed import made_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_pancext.attention import heatmap
from nnunet_pancext.cli.main import main
from nnunet_pancext.evaluation.scores import choose_cases
from nnunet_pancext.figures import overlay
from nnunet_pancext.model_report.validation import score_validations
from nnunet_pancext.nnunet_files.model_folder import open_model_folder
from nnunet_pancext.trainers import AttentionUNetTrainer, SegResNetNLTrainer

INTENSITIES = {"mean": 80.0, "std": 75.0, "percentile_00_5": -96.0, "percentile_99_5": 215.0}


@pytest.fixture
def trained(model, tmp_path, monkeypatch):
    """Return a copy of the model with networks of random weights in place of its checkpoints."""
    monkeypatch.setattr(AttentionUNetTrainer, "network_options", {"num_heads": 1, "base_channels": 4})
    monkeypatch.setattr(SegResNetNLTrainer, "network_options", {"num_non_local_blocks": 1, "init_filters": 8})

    def make(kind, *, channels=("CT",)):
        folder = tmp_path / model.parent.name / f"{kind.__name__}__nnUNetPlans__2d"
        shutil.copytree(model, folder)
        properties = {str(number): INTENSITIES for number in range(len(channels))}
        content = {
            **made_plans(len(channels)),
            "foreground_intensity_properties_per_channel": properties,
        }
        # about the phantoms' own: at the plan's 0.8 mm each slice would have hundreds of patches
        content["configurations"]["2d"]["spacing"] = [8.0, 8.0]
        (folder / "plans.json").write_text(json.dumps(content), encoding="utf-8")
        dataset = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        dataset["channel_names"] = {str(number): name for number, name in enumerate(channels)}
        (folder / "dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
        plans = PlansManager(content)
        for fold in (0, 1):
            torch.manual_seed(fold)
            network = kind.build_network_architecture(
                plans, plans.get_configuration("2d"), len(channels), 3, False
            )
            checkpoint = {
                "logging": {"train_losses": [1.0]},
                "network_weights": network.state_dict(),
                "trainer_name": kind.__name__,
                "init_args": {"configuration": "2d"},
                "inference_allowed_mirroring_axes": None,
            }
            torch.save(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")
        return folder

    return make


def median_case(folder):
    validation = score_validations(open_model_folder(folder), jobs=1, show_progress=False)
    case = choose_cases(validation.evaluation.scores, "foreground")["median"]
    return case, validation.fold_of[case]


def report(folder, tmp_path, *options):
    target = tmp_path / "r.html"
    assert main(["report", str(folder), "-o", str(target), "--jobs", "1", *options]) == 0
    return target.read_text(encoding="utf-8")


def test_gates_of_the_cases_own_fold_and_all_channels(trained, tmp_path, monkeypatch):
    folder = trained(AttentionUNetTrainer, channels=("T1", "T2"))
    images = shutil.copytree(open_model_folder(folder).images, tmp_path / "images")
    for path in list(images.iterdir()):
        shutil.copy(path, path.with_name(path.name.replace("_0000", "_0001")))
    windows = []
    for drawn in (heatmap, overlay):
        monkeypatch.setattr(
            drawn, "brightness_range", lambda volume, drawn=drawn: windows.append(drawn) or (0.0, 100.0)
        )
    page = report(folder, tmp_path, "--attention", "--images", str(images))
    case, fold = median_case(folder)
    captions = re.findall(rf"<b>{case}</b> · (gate [^<]+)", page)
    assert captions == [f"gate level{level} head1, fold {fold}" for level in (2, 3, 4)]
    # no CT: maps and cases from their darkest to their brightest
    assert windows.count(heatmap) == 3
    assert windows.count(overlay) == 4  # every case is the worst, median or best of some label
    assert "--attention adds" not in page


def test_a_non_local_block_is_asked_from_the_truths_highest_label(trained, tmp_path):
    folder = trained(SegResNetNLTrainer)
    page = report(folder, tmp_path, "--attention")
    case, fold = median_case(folder)
    told = re.findall(r"nonlocal block1, fold (\d), from voxel (\d+) (\d+) (\d+)</fig", page)
    ((found_fold, *voxel),) = told
    assert found_fold == fold
    truth = sitk.GetArrayFromImage(sitk.ReadImage(str(open_model_folder(folder).truth / f"{case}.nii.gz")))
    assert truth[tuple(map(int, voxel))] == truth.max()


def test_a_fold_without_its_checkpoint_is_reported(trained, tmp_path):
    folder = trained(SegResNetNLTrainer)
    case, fold = median_case(folder)
    (folder / f"fold_{fold}" / "checkpoint_final.pth").unlink()
    page = report(folder, tmp_path, "--attention")
    assert f"Fold {fold}, which predicted {case}, has no checkpoint: there are no attention maps." in page


def test_a_network_without_attention_is_reported_before_anything_is_scored(
    trained, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(SegResNetNLTrainer, "network_options", {"num_non_local_blocks": 0, "init_filters": 8})
    folder = trained(SegResNetNLTrainer)
    page = report(folder, tmp_path, "--attention")
    sentence = "There are no attention maps of the network of SegResNetNLTrainer. Maps exist for"
    assert sentence in page
    assert sentence in capsys.readouterr().err


def test_a_model_that_cannot_be_drawn_is_refused_before_anything_is_scored(
    trained, tmp_path, monkeypatch, capsys
):
    folder = trained(SegResNetNLTrainer)
    (folder / "plans.json").unlink()
    monkeypatch.setattr(
        "nnunet_pancext.model_report.build.score_validations", lambda *_, **__: pytest.fail("scored")
    )
    assert main(["report", str(folder), "-o", str(tmp_path / "r.html"), "--attention"]) == 1
    assert "it has no plans.json" in capsys.readouterr().err


def test_the_page_says_how_to_get_maps(trained, tmp_path):
    assert "pancext report with --attention adds those" in report(trained(SegResNetNLTrainer), tmp_path)
