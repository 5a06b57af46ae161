"""Checkpoints of other versions, machines and settings of nnU-Net are accepted, and predict the same."""

import json
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from model_sharing.test_genuine_models import logits

from nnunet_pancext.cli.main import main
from nnunet_pancext.model_sharing.install import import_model

CHECKPOINT = "fold_0/checkpoint_final.pth"


def wrapped(prefix):
    def change(content):
        weights = content["network_weights"]
        content["network_weights"] = OrderedDict((prefix + name, weights[name]) for name in weights)

    return change


def with_adam(content):
    parameters = [torch.nn.Parameter(torch.ones(3))]
    optimizer = torch.optim.AdamW(parameters, amsgrad=True)
    parameters[0].sum().backward()
    optimizer.step()
    content["optimizer_state"] = optimizer.state_dict()


CHANGES = {
    "several GPUs": wrapped("module."),
    "compiled": wrapped("_orig_mod."),
    "several GPUs, compiled": wrapped("module._orig_mod."),
    "Adam": with_adam,
    "no scaler": lambda content: content.update(grad_scaler_state=None),
    "scaler": lambda content: content.update(grad_scaler_state=torch.amp.GradScaler("cpu").state_dict()),
    "further entries": lambda content: content.update(note="x" * 1000, digest=b"ab", sizes=(1, [2.5, None])),
    "NumPy numbers": lambda content: content.update(
        _best_ema=np.float64(0.5), logging={"a": [np.float32(1)]}
    ),
    "no numbers": lambda content: [content.pop(name) for name in ("_best_ema", "logging", "current_epoch")],
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_other_trainings_write(models, tmp_path, name):
    model = models.write()
    expected = logits(model)
    content = torch.load(model / CHECKPOINT, weights_only=False)
    CHANGES[name](content)
    torch.save(content, model / CHECKPOINT)
    (ours,) = import_model(model, results=tmp_path / "ours")
    assert torch.equal(logits(ours), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_in_other_precisions(models, tmp_path, dtype):
    model = models.write()
    content = torch.load(model / CHECKPOINT, weights_only=False)
    content["network_weights"] = {name: w.to(dtype) for name, w in content["network_weights"].items()}
    torch.save(content, model / CHECKPOINT)
    (ours,) = import_model(model, results=tmp_path / "ours")
    assert torch.equal(logits(ours), logits(model))


def test_weights_of_a_gpu_and_numbers_of_numpy_1(models, tmp_path, monkeypatch):
    model = models.write()
    expected = logits(model)
    content = torch.load(model / CHECKPOINT, weights_only=False)
    with monkeypatch.context() as patch:
        patch.setattr("torch.serialization.location_tag", lambda storage: "cuda:1")
        torch.save({**content, "_best_ema": np.float64(0.5)}, model / CHECKPOINT)
    with zipfile.ZipFile(model / CHECKPOINT) as saved:
        members = {info.filename: saved.read(info) for info in saved.infolist()}
    pickled = members["checkpoint_final/data.pkl"]
    assert b"cuda:1" in pickled
    members["checkpoint_final/data.pkl"] = pickled.replace(b"numpy._core.", b"numpy.core.")
    with zipfile.ZipFile(model / CHECKPOINT, "w") as changed:
        for name, member in members.items():
            changed.writestr(name, member)
    (ours,) = import_model(model, results=tmp_path / "ours")
    assert torch.equal(logits(ours), expected)


def in_old_format(settings):
    """The configuration as nnU-Net before 2.4 wrote it."""
    architecture = settings.pop("architecture")
    arguments = architecture["arch_kwargs"]
    settings.update(
        UNet_class_name=architecture["network_class_name"].rsplit(".", 1)[1],
        UNet_base_num_features=arguments["features_per_stage"][0],
        unet_max_num_features=arguments["features_per_stage"][-1],
        n_conv_per_stage_encoder=arguments.get("n_conv_per_stage") or arguments["n_blocks_per_stage"],
        n_conv_per_stage_decoder=arguments["n_conv_per_stage_decoder"],
        num_pool_per_axis=[len(arguments["strides"]) - 1] * len(settings["patch_size"]),
        pool_op_kernel_sizes=arguments["strides"],
        conv_kernel_sizes=arguments["kernel_sizes"],
    )


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_plans_before_nnunet_2_4(models, tmp_path, capsys, configuration):
    model = models.write(configuration=configuration)
    expected = logits(model)
    content = torch.load(model / CHECKPOINT, weights_only=False)
    plans = content["init_args"]["plans"]
    for settings in plans["configurations"].values():
        if "architecture" in settings:  # others inherit it
            in_old_format(settings)
    torch.save(content, model / CHECKPOINT)
    (model / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    (ours,) = import_model(model, results=tmp_path / "ours")
    assert torch.equal(logits(ours), expected)
    assert main(["inspect", str(model / CHECKPOINT)]) == 0
    assert "runs here      yes" in capsys.readouterr().out


def test_a_model_with_its_best_checkpoint_alone(models, tmp_path):
    model = models.write()
    (model / CHECKPOINT).rename(model / "fold_0" / "checkpoint_best.pth")
    (ours,) = import_model(model, results=tmp_path / "ours")
    assert [path.name for path in (ours / "fold_0").glob("*.pth")] == ["checkpoint_best.pth"]
