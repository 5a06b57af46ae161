"""The table of `pancext trainers`."""

import argparse
import json
import subprocess
import sys

import pytest
import torch
from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from nnunet_pancext.cli import trainers as command
from nnunet_pancext.cli.main import main
from nnunet_pancext.cli.trainer_table import (
    format_overview,
    loss_name,
    main_trainers,
    num_parameters,
    overview,
)
from nnunet_pancext.errors import PancextError
from nnunet_pancext.trainers import DLKUNetLTrainer, DLKUNetSTrainer, SegResNetNLTrainer, list_trainers
from nnunet_pancext.trainers.machinery.default_plan import default_plans
from nnunet_pancext.trainers.machinery.plan_setting import default_setting, read_setting


@pytest.fixture(scope="module")
def rows():
    return overview(default_setting())


@pytest.fixture
def plans_file(tmp_path):
    """A plan with an inherited configuration and one with a cascade, and no dataset.json beside it."""
    plans = default_plans()
    plans["configurations"]["3d_small"] = {"inherits_from": "3d_fullres", "patch_size": [40, 128, 128]}
    plans["configurations"]["3d_cascade_fullres"] = {
        "inherits_from": "3d_fullres",
        "previous_stage": "3d_lowres",
    }
    path = tmp_path / "nnUNetPlans.json"
    path.write_text(json.dumps(plans), encoding="utf-8")
    return path


def write_dataset_json(plans_file, **content):
    plans_file.with_name("dataset.json").write_text(json.dumps(content), encoding="utf-8")


def run(*arguments):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["trainers", *map(str, arguments)])
    return parsed.run(parsed)


@pytest.mark.parametrize(
    ("configuration", "patch_size", "spacing"),
    [("2d", (512, 512), (0.8, 0.8)), ("3d_fullres", (40, 224, 224), (2.5, 0.8, 0.8))],
)
def test_the_built_in_plan_is_what_nnunet_derives_from_its_patch(configuration, patch_size, spacing):
    _, strides, kernel_sizes, divisible_patch, _ = get_pool_and_conv_props(spacing, patch_size, 4, 999999)
    found = default_plans()["configurations"][configuration]
    arguments = found["architecture"]["arch_kwargs"]
    assert [tuple(stride) for stride in arguments["strides"]] == list(strides)
    assert [tuple(kernel) for kernel in arguments["kernel_sizes"]] == list(kernel_sizes)
    assert found["patch_size"] == list(divisible_patch)
    assert found["spacing"] == list(spacing)


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_nnunet_builds_its_own_network_from_the_built_in_plan(configuration):
    sizes = default_setting().sizes(configuration)
    manager = sizes.configuration_manager
    network = get_network_from_plans(
        manager.network_arch_class_name,
        {**manager.network_arch_init_kwargs, "features_per_stage": [2] * len(manager.pool_op_kernel_sizes)},
        manager.network_arch_init_kwargs_req_import,
        sizes.num_input_channels,
        sizes.num_output_channels,
        deep_supervision=True,
    )
    assert type(network).__name__ == "PlainConvUNet"
    assert (sizes.num_input_channels, sizes.num_output_channels) == (1, 2)


def test_there_is_a_row_for_every_trainer_and_none_refuses_the_built_in_plan(rows):
    assert [row.name for row in rows] == list(list_trainers())
    for row in rows:
        assert all(isinstance(number, int) for number in row.parameters.values()), row
        assert row.dimensions == "2D, 3D"


@pytest.mark.parametrize(
    ("name", "flat", "deep_millions"),
    [("SegResNetNLTrainer", 6_561_954, 19.0594), ("SegResNetNL0Trainer", 6_298_530, 18.7960)],
)
def test_parameters_are_those_of_the_paper_network(rows, name, flat, deep_millions):
    row = next(row for row in rows if row.name == name)
    assert row.parameters["2d"] == flat
    assert round(row.parameters["3d_fullres"] / 1e6, 4) == deep_millions
    assert loss_name(row.trainer) == "Dice + CE"
    assert "Liao" in row.trainer.paper


def test_the_table_is_aligned_and_states_its_assumptions(rows):
    lines = format_overview(rows, default_setting()).splitlines()
    assert lines[0].split() == ["trainer", "paper", "dimensions", "2d", "(M)", "3d", "(M)", "loss"]
    row = next(line for line in lines if line.startswith("SegResNetNLTrainer "))
    assert row[: lines[0].index("3d (M)") + len("3d (M)")].split()[-2:] == ["6.56", "19.06"]
    assert row.index("Dice") == lines[0].index("loss")
    assert sum("MSD pancreas" in line and "40x224x224" in line for line in lines) == 1
    assert any("_50epochs" in line for line in lines)


@pytest.fixture
def few_trainers(monkeypatch):
    """Leave most trainers out: each takes its time to build, and the columns are the same for all."""
    few = {"SegResNetNLTrainer": SegResNetNLTrainer}
    for module in ("nnunet_pancext.cli.trainer_table", "nnunet_pancext.trainers"):
        monkeypatch.setattr(f"{module}.list_trainers", lambda: few)


def test_families_are_listed_first_and_ablations_with_all(capsys, monkeypatch):
    monkeypatch.setattr("nnunet_pancext.cli.trainer_table.num_parameters", lambda trainer, sizes: 1)
    assert run() == 0
    shown = capsys.readouterr().out
    assert run("--all") == 0
    everything = capsys.readouterr().out
    listed = [line.split()[0] for line in shown.splitlines()[2:] if "Trainer" in line.split("  ")[0]]
    names = [line.split()[0] for line in everything.splitlines()[2 : 2 + len(list_trainers())]]
    assert names == list(list_trainers())
    assert "27 more with --all: 23 ablations, 4 that need an extra." in shown
    assert "more with --all" not in everything
    assert "PancreasTumorCascadeTrainer" in listed
    assert "PancreasTumorCascadeMTrainer" not in shown
    assert "MonaiSegResNetTrainer" not in listed
    assert "MonaiSegResNetTrainer, " in shown  # by the extra's name
    assert {*names} - {*listed} == {name for name in names if name not in main_trainers()}


@pytest.mark.parametrize("arguments", [["--help"], ["trainers", "--help"], ["reproduce", "--help"]])
def test_help_imports_neither_torch_nor_nnunet(arguments):
    program = (
        "import atexit, sys; from nnunet_pancext.cli.main import main;"
        "atexit.register(lambda: print({'torch', 'nnunetv2'} & set(sys.modules)));"
        f"main({arguments!r})"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_every_configuration_of_a_plan_is_a_column(few_trainers, plans_file, capsys):
    assert run("--plans", plans_file) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert [word for word in heading.split() if word[0] in "23"] == [
        "2d",
        "3d_fullres",
        "3d_small",
        "3d_cascade_fullres",
    ]
    assert any(
        "no dataset.json beside it, so 1 image channel and 2 classes are assumed" in line for line in lines
    )


def test_one_configuration_can_be_chosen(few_trainers, plans_file, capsys):
    run("--plans", plans_file, "--configuration", "3d_small")
    assert "3d_fullres" not in capsys.readouterr().out
    run("--configuration", "2d")
    assert "3d (M)" not in capsys.readouterr().out


def test_channels_and_classes_come_from_the_dataset_beside_the_plan(plans_file):
    write_dataset_json(
        plans_file,
        channel_names={"0": "CT", "1": "CT late"},
        labels={"background": 0, "pancreas": 1, "tumour": 2, "ignore": 3},
    )
    setting = read_setting(plans_file)
    sizes = setting.sizes("3d_fullres")
    assert (sizes.num_input_channels, sizes.num_output_channels) == (2, 3)
    assert setting.sizes("3d_cascade_fullres").num_input_channels == 2 + 2
    assert "as in dataset.json" in setting.origin


def test_a_refusal_is_a_dash_with_its_reason_below(few_trainers, monkeypatch):
    def refuse(*arguments, **options):
        raise NotImplementedError("use another trainer for regions")

    setting = default_setting("2d")
    monkeypatch.setattr(SegResNetNLTrainer, "build_network_architecture", refuse)
    assert num_parameters(SegResNetNLTrainer, setting.sizes("2d")) == "use another trainer for regions"
    (row,) = overview(setting)
    assert row.dimensions == ""
    text = format_overview([row], setting)
    assert "-: SegResNetNLTrainer does not take 2d: use another trainer for regions" in text


@pytest.mark.parametrize(
    ("trainer", "lacks"), [(SegResNetNLTrainer, "strides"), (DLKUNetLTrainer, "kernel_sizes")]
)
def test_a_plan_of_another_kind_of_network_is_refused(trainer, lacks):
    setting = default_setting("2d")
    sizes = setting.sizes("2d")
    sizes.configuration_manager.network_arch_init_kwargs.pop(lacks)
    assert f"reads '{lacks}' from the plan, but this plan's network defines none" in num_parameters(
        trainer, sizes
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "Cannot read .*: No such file or directory.*nnUNet_preprocessed"),
        ("{", "is not JSON"),
        ("[]", "is not an object"),
        ("{}", "is not an nnU-Net plan"),
        ('{"configurations": {}}', "is not an nnU-Net plan"),
    ],
)
def test_a_file_that_is_not_a_plan_is_refused(tmp_path, content, message):
    path = tmp_path / "plans.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(PancextError, match=message):
        run("--plans", path)


@pytest.mark.parametrize("arguments", [["--plans"], []])
def test_an_unknown_configuration_lists_the_known_ones(plans_file, arguments):
    arguments = [*arguments, *([plans_file] if arguments else [])]
    with pytest.raises(PancextError, match=r"no configuration '3d_lowres' in .* It has: 2d, 3d_fullres"):
        run(*arguments, "--configuration", "3d_lowres")


def test_a_configuration_that_nnunet_cannot_read_is_refused(plans_file):
    plans_file.write_text(json.dumps({"configurations": {"2d": {"patch_size": [64, 64]}}}), encoding="utf-8")
    with (
        pytest.warns(UserWarning, match="old nnU-Net plans"),
        pytest.raises(PancextError, match=r"cannot read.*'2d'"),
    ):
        run("--plans", plans_file)


def test_a_dataset_json_without_labels_is_refused(plans_file):
    write_dataset_json(plans_file, channel_names={"0": "CT"})
    with pytest.raises(PancextError, match="KeyError: 'labels'"):
        run("--plans", plans_file)


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit):
        run("--help")
    assert "pancext trainers --plans" in capsys.readouterr().out


def test_the_suffixes_are_explained(capsys):
    assert run("--suffixes") == 0
    shown = capsys.readouterr().out
    for part in (
        "_PaperRecipe",
        "_DynamicLoss",
        "Adam, lr 1e-3 x 0.9 every 20 epochs",
        "its paper gives no recipe",
        "its name already says how the loss is weighted",
    ):
        assert part in shown
    assert max(map(len, shown.splitlines())) <= 110


def test_the_suffixes_are_of_no_plan(plans_file):
    with pytest.raises(PancextError, match="--suffixes is the same for every plan"):
        run("--suffixes", "--plans", plans_file)


def test_the_loss_column_names_the_weighting(rows):
    losses = {row.name: loss_name(row.trainer) for row in rows}
    assert losses["SegResNetNLTrainer"] == "Dice + CE"
    assert losses["nnUNetTrainerPhaseLoss"] == "Dice + CE, phase-based"
    assert losses["nnUNetTrainerDynamicLoss"] == "Dice + CE, dynamic"


def test_the_memory_of_dlkunet_is_a_remark(rows):
    text = " ".join(format_overview(rows, default_setting()).split())
    names = "DLKUNetSTrainer, DLKUNetMTrainer, DLKUNetLTrainer"
    assert f"{names}: with nnU-Net's default 2d plan for MSD pancreas, 12 slices of 512 x 512," in text
    assert "25 (S) to 29 GiB (L)" in text


@pytest.mark.parametrize(("trainer", "gibibytes"), [(DLKUNetSTrainer, 25), (DLKUNetLTrainer, 29)])
def test_the_remarked_memory_is_that_of_the_backward_pass(trainer, gibibytes):
    """On the meta device, in single precision, so twice as much; within 15 %."""
    sizes = default_setting().sizes("2d")
    with torch.device("meta"):
        network = trainer.build_network_architecture(
            sizes.plans_manager, sizes.configuration_manager, 1, 3, enable_deep_supervision=True
        )
        image = torch.empty(12, 1, 512, 512)
    parameters = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(image)
    total = sum(tensor.numel() for storage, tensor in kept.items() if storage not in parameters)
    assert 2 * total / 2**30 == pytest.approx(gibibytes, rel=0.15)


@pytest.mark.parametrize(
    "edit",
    [
        {"patch_size": "x"},
        {"architecture": None},
        {"architecture": {"arch_kwargs": []}},
    ],
    ids=str,
)
def test_a_malformed_configuration_is_refused_without_a_traceback(tmp_path, capsys, edit):
    plans = default_setting().plans
    plans["configurations"]["2d"] |= edit
    file = tmp_path / "nnUNetPlans.json"
    file.write_text(json.dumps(plans), encoding="utf-8")
    assert main(["trainers", "--plans", str(file), "-c", "2d"]) == 1
    assert "Recreate the plan: nnUNetv2_plan_experiment." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("patch_size", [0, 0], "positive whole numbers"),
        ("patch_size", [-64, 64], "positive whole numbers"),
        ("patch_size", [64.5, 64], "positive whole numbers"),
        ("patch_size", [True, True], "positive whole numbers"),
        ("patch_size", ["64", "64"], "positive whole numbers"),
        ("patch_size", None, "positive whole numbers"),
        ("patch_size", [], "one number for each of the 2 or 3 axes"),
        ("patch_size", [64], "one number for each of the 2 or 3 axes"),
        ("spacing", [0, 0.8], "positive numbers"),
        ("spacing", [0.8], "one number for each of the 2 or 3 axes"),
        ("batch_size", 0, "positive whole numbers"),
        ("batch_size", "2", "positive whole numbers"),
        ("architecture.arch_kwargs.strides", [[0, 0]] * 8, "positive whole numbers"),
        ("architecture.arch_kwargs.kernel_sizes", [[0, 0]] * 8, "positive whole numbers"),
        ("architecture.arch_kwargs.features_per_stage", [0] * 8, "positive whole numbers"),
        ("architecture.arch_kwargs.n_conv_per_stage", [0] * 8, "positive whole numbers"),
    ],
)
def test_an_impossible_size_is_refused_by_its_key(tmp_path, capsys, key, value, expected):
    plans = default_setting().plans
    *folders, name = key.split(".")
    content = plans["configurations"]["2d"]
    for folder in folders:
        content = content[folder]
    content[name] = value
    file = tmp_path / "nnUNetPlans.json"
    file.write_text(json.dumps(plans), encoding="utf-8")
    assert main(["trainers", "--plans", str(file), "-c", "2d"]) == 1
    error = capsys.readouterr().err
    assert f"configurations.2d.{key} is {json.dumps(value)}; expected: {expected}. Plan: {file}" in error
    assert error.endswith("Recreate the plan: nnUNetv2_plan_experiment.\n")


def test_a_patch_of_more_axes_than_the_spacing_is_refused(tmp_path, capsys):
    plans = default_setting().plans
    plans["configurations"]["2d"]["patch_size"] = [64, 64, 64]
    file = tmp_path / "nnUNetPlans.json"
    file.write_text(json.dumps(plans), encoding="utf-8")
    assert main(["trainers", "--plans", str(file), "-c", "2d"]) == 1
    assert "configurations.2d.spacing is [0.8, 0.8]; expected: one number for each" in capsys.readouterr().err
