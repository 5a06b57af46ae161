"""Exports of nnU-Net are accepted, and predict what they predict after nnU-Net's own installation."""

import json
from pathlib import Path

import pytest
import torch
from contracts.made_preprocessed import DATASET
from contracts.shared_models import write_postprocessing
from filelock import FileLock
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.model_sharing.model_import import install_model_from_zip_file
from nnunetv2.postprocessing.remove_connected_components import (
    remove_all_but_largest_component_from_segmentation,
)

from nnunet_pancext.cli.main import main
from nnunet_pancext.model_sharing.inspect import inspect_source
from nnunet_pancext.model_sharing.install import import_model
from nnunet_pancext.trainers import list_trainers

RESIDUAL = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
    "arch_kwargs": {
        "n_stages": 3,
        "features_per_stage": [8, 16, 32],
        "conv_op": "torch.nn.modules.conv.Conv2d",
        "kernel_sizes": [[3, 3]] * 3,
        "strides": [[1, 1], [2, 2], [2, 2]],
        "n_blocks_per_stage": [1, 2, 2],
        "n_conv_per_stage_decoder": [1, 1],
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
}


def logits(folder: Path, fold: int = 0) -> torch.Tensor:
    """What the model predicts of a fixed image, loaded by nnU-Net itself."""
    predictor = nnUNetPredictor(use_mirroring=True, device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(folder), (fold,), "checkpoint_final.pth")
    dims = len(predictor.configuration_manager.patch_size)
    image = torch.rand(
        1, *(4, 40, 40) if dims == 2 else (10, 40, 40), generator=torch.Generator().manual_seed(0)
    )
    return predictor.predict_logits_from_preprocessed_data(image)


@pytest.mark.parametrize(
    ("trainer", "configuration", "changes"),
    [
        ("nnUNetTrainer", "2d", {}),
        ("nnUNetTrainer", "3d_fullres", {}),
        ("nnUNetTrainer", "2d", RESIDUAL),
        ("SegResNetNLTrainer", "2d", {}),
    ],
    ids=["stock 2d", "stock 3d", "residual encoder", "SegResNet"],
)
def test_an_imported_model_predicts_what_the_exported_one_does(
    models, tmp_path, monkeypatch, trainer, configuration, changes
):
    model = models.write(trainer, configuration, **changes)
    archive = models.export(tmp_path / "model.zip", trainer, configuration)
    stock = tmp_path / "stock"
    monkeypatch.setenv("nnUNet_results", str(stock))
    install_model_from_zip_file(str(archive))
    (ours,) = import_model(archive, results=tmp_path / "ours")
    assert ours == tmp_path / "ours" / DATASET / model.name
    assert torch.equal(logits(ours), logits(stock / DATASET / model.name))


@pytest.mark.exhaustive
@pytest.mark.parametrize("trainer", list_trainers())
def test_every_trainer_is_accepted(models, tmp_path, trainer):
    model = models.write(trainer)
    (ours,) = import_model(models.export(tmp_path / "model.zip", trainer), results=tmp_path / "ours")
    ours, theirs = (
        torch.load(folder / "fold_0" / "checkpoint_final.pth", weights_only=False) for folder in (ours, model)
    )
    for name, tensor in theirs["network_weights"].items():
        assert torch.equal(ours["network_weights"][name], tensor), name


def test_five_folds_an_ensemble_and_postprocessing(models, tmp_path, capsys):
    model = models.write(folds=(0, 1, 2, 3, "all"))
    ensembles = models.results / "ensembles" / "ensemble___a__b__2d___a__b__3d_fullres___0_1"
    write_postprocessing(ensembles)
    (models.results / "inference_information.json").write_text('{"dataset_name_or_id": 7}', encoding="utf-8")
    (models.results / "notes.txt").write_text("pip install something", encoding="utf-8")
    assert main(["import", str(models.results), "--results", str(tmp_path / "ours")]) == 0
    ours = tmp_path / "ours" / DATASET / model.name
    assert f"installed {ours}" in capsys.readouterr().out
    assert sorted(path.name for path in ours.glob("fold_*")) == [
        f"fold_{fold}" for fold in (0, 1, 2, 3, "all")
    ]
    for folder in (
        ours / "crossval_results_folds_0",
        tmp_path / "ours" / DATASET / "ensembles" / ensembles.name,
    ):
        functions, arguments = pickled(folder / "postprocessing.pkl")
        assert functions == [remove_all_but_largest_component_from_segmentation]
        assert arguments == [{"labels_or_regions": [(1, 2), 1], "background_label": 0}]
    assert (tmp_path / "ours" / DATASET / "inference_information.json").is_file()
    assert not list((tmp_path / "ours").rglob("notes.txt"))
    provenance = json.loads((ours / "provenance.json").read_text(encoding="utf-8"))
    assert "notes.txt" in provenance["left_out"]
    assert set(provenance["versions"]) == {"nnunet_pancext", "torch", "nnunetv2"}
    assert set(provenance["files"]) >= {f"fold_{fold}/checkpoint_final.pth" for fold in (0, "all")}


def pickled(path):
    import pickle

    return pickle.loads(path.read_bytes())


def test_the_inspection_tells_what_the_model_is(models, tmp_path, capsys):
    models.write("SegResNetNLTrainer_50epochs")
    archive = models.export(tmp_path / "model.zip", "SegResNetNLTrainer_50epochs")
    assert main(["inspect", str(archive)]) == 0
    shown = capsys.readouterr().out
    for line in (
        "Dataset007_Pancreas/SegResNetNLTrainer_50epochs__nnUNetPlans__2d",
        "patch          32 x 32 voxels of 0.8 x 0.8 mm",
        "labels         background 0, pancreas 1, cancer 2",
        "runs here      yes",
        "No code from the file was run.",
    ):
        assert line in shown
    assert main(["inspect", str(archive), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["runs_here"] is True
    assert content["models"][0]["checkpoints"][0]["epochs"] == 1
    assert content["models"][0]["folds"] == ["0"]


def test_a_folder_and_a_checkpoint_are_inspected_in_place(models):
    folder = models.write()
    of_folder = inspect_source(folder)
    of_file = inspect_source(folder / "fold_0" / "checkpoint_final.pth")
    assert of_folder.problems == of_file.problems == []
    assert of_folder.models[0].checkpoints[0].sha256 == of_file.sha256
    assert of_file.models[0].name == "nnUNetTrainer__nnUNetPlans__2d"


def test_a_checkpoint_without_copies_of_the_plan_takes_that_of_its_folder(models):
    folder = models.write()
    file = folder / "fold_0" / "checkpoint_final.pth"
    content = torch.load(file, weights_only=False)
    content["init_args"] = {"configuration": "2d"}
    torch.save(content, file)
    assert inspect_source(folder).problems == []
    assert "the plan has no 'configurations'" in inspect_source(file).problems[0]
    (alone,) = inspect_source(file).models
    assert (alone.dataset, alone.plans) == ("unknown", "unknown")


def test_a_former_version_s_weights_are_accepted_where_the_network_takes_them(models, tmp_path):
    """DLKUNet's checkpoints had no `second_relu` before."""
    folder = models.write("DLKUNetSTrainer")
    file = folder / "fold_0" / "checkpoint_final.pth"
    content = torch.load(file, weights_only=False)
    del content["network_weights"]["second_relu"]
    torch.save(content, file)
    (ours,) = import_model(folder, results=tmp_path / "ours")
    with pytest.warns(UserWarning, match="second ReLU in each block"):
        assert torch.equal(logits(ours), logits(folder))


def test_a_model_of_the_same_name_is_kept_unless_replaced(models, tmp_path, capsys):
    models.write()
    archive = models.export(tmp_path / "model.zip")
    words = ["import", str(archive), "--results", str(tmp_path / "ours")]
    assert main(words) == 0
    (kept,) = (tmp_path / "ours").rglob("provenance.json")
    kept.write_text("mine", encoding="utf-8")
    assert main(words) == 1
    assert "exists. Give --replace" in capsys.readouterr().err
    assert kept.read_text(encoding="utf-8") == "mine"
    assert main([*words, "--replace"]) == 0
    assert kept.read_text(encoding="utf-8") != "mine"
    assert [path.name for path in kept.parents[1].iterdir()] == [kept.parent.name]


@pytest.mark.parametrize("options", [[], ["--replace"]])
def test_a_model_is_not_replaced_by_itself(models, capsys, options):
    folder = models.write()
    (folder / "fold_0" / "training_log.txt").write_text("mine", encoding="utf-8")
    assert main(["import", str(folder), "--results", str(models.results.parent), *options]) == 1
    assert f"{folder} is the model itself. Give another folder with --results." in capsys.readouterr().err
    assert (folder / "fold_0" / "training_log.txt").read_text(encoding="utf-8") == "mine"


def test_every_import_writes_the_same_bytes(models, tmp_path):
    models.write()
    archive = models.export(tmp_path / "model.zip")
    written = []
    for results in ("first", "second"):
        (ours,) = import_model(archive, results=tmp_path / results)
        written.append({path.name: path.read_bytes() for path in ours.rglob("*") if path.is_file()})
        assert b"partial" not in written[-1]["checkpoint_final.pth"]
        del written[-1]["provenance.json"]  # which has the time
    assert written[0] == written[1]


def test_what_a_killed_import_unpacked_is_removed_unless_it_is_in_use(models, tmp_path):
    models.write()
    archive = models.export(tmp_path / "model.zip")
    abandoned, in_use = (tmp_path / "ours" / f".pancext-model-{name}" for name in ("abandoned", "in_use"))
    for folder in (abandoned, in_use):
        (folder / "files").mkdir(parents=True)
        (folder / ".lock").touch()
    with FileLock(in_use / ".lock"):
        import_model(archive, results=tmp_path / "ours")
        assert sorted(path.name for path in (tmp_path / "ours").iterdir()) == [in_use.name, DATASET]


def test_an_archive_without_the_dataset_s_folder_takes_the_name_in_the_plan(models, tmp_path):
    folder = models.write()
    elsewhere = tmp_path / "download" / folder.name
    elsewhere.parent.mkdir()
    folder.rename(elsewhere)
    (ours,) = import_model(elsewhere, results=tmp_path / "ours")
    assert ours == tmp_path / "ours" / DATASET / folder.name
