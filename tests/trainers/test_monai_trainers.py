"""MONAI's networks as baselines: the contract, the plan's patch, and what happens without MONAI."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from contracts.made_preprocessed import made_plans, use_folders
from contracts.trainer import TrainerContract as AnyTrainerContract
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_pancext import trainers
from nnunet_pancext.architectures import count_parameters
from nnunet_pancext.cli.trainer_table import format_overview, overview
from nnunet_pancext.errors import NNUNetCommandError, PancextError
from nnunet_pancext.trainers import (
    MonaiAttentionUnetTrainer,
    MonaiSegResNetTrainer,
    MonaiSwinUNETRTrainer,
    MonaiUNETRTrainer,
)
from nnunet_pancext.trainers.machinery.plan_setting import default_setting

MONAI_TRAINERS = {name: found for name, found in trainers.list_trainers().items() if name.startswith("Monai")}
# What does not depend on the network, once it takes any number of channels and classes.
FEW = ("3d_lowres", "3d_cascade_fullres", "one foreground", "two foregrounds", "ignore", "regions")
INSTALL = r'pip install "nnunet-pancext\[baselines\]"'


class TrainerContract(AnyTrainerContract):
    # MONAI's heads have names of their own, which nnU-Net does not know.
    test_pretrained_weights_carry_over_to_other_labels = None


class TestMonaiSegResNetTrainer(TrainerContract):
    trainer = MonaiSegResNetTrainer
    resumed = "2d"

    def test_losses_named_by_suffixes_take_the_one_output(self, folders):
        kind = self.variant("_DynamicLoss_ISBLoss_1epochs_1iterations")
        trainer = self.make("2d", trainer=kind)
        trainer.run_training()
        assert np.isfinite(trainer.logger.get_value("train_losses", step=-1))
        compound = trainer.loss.loss
        found = (trainer.loss.weight, compound.weight_dice, compound.weight_ce)
        assert found == pytest.approx((0.4, 1.0, 0.7), abs=1e-3)


class TestMonaiAttentionUnetTrainer(TrainerContract):
    trainer = MonaiAttentionUnetTrainer
    resumed = "2d"
    left_out = FEW


class TestMonaiUNETRTrainer(TrainerContract):
    trainer = MonaiUNETRTrainer
    resumed = "2d"
    left_out = FEW


class TestMonaiSwinUNETRTrainer(TrainerContract):
    trainer = MonaiSwinUNETRTrainer
    resumed = "2d"
    left_out = FEW


def build(trainer, configuration, **changes):
    plans = made_plans()
    plans["configurations"][configuration].update(changes)
    manager = PlansManager(plans)
    return trainer.build_network_architecture(manager, manager.get_configuration(configuration), 1, 2)


def test_unetr_is_built_for_the_plans_patch():
    assert build(MonaiUNETRTrainer, "3d_fullres", patch_size=[28, 96, 80]).image_size == (32, 96, 80)


def test_padding_is_printed(capsys):
    build(MonaiSegResNetTrainer, "3d_fullres", patch_size=[28, 32, 32])
    assert "28 x 32 x 32 are padded with zeros to 32 x 32 x 32" in capsys.readouterr().out
    build(MonaiSegResNetTrainer, "2d")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", MONAI_TRAINERS)
def test_a_papers_recipe_is_refused(name):
    with pytest.raises(PancextError, match="a baseline follows nnU-Net's recipe"):
        trainers.find_trainer(f"{name}_PaperRecipe")


def test_deep_supervision_is_refused(tmp_path, monkeypatch):
    use_folders(monkeypatch, tmp_path)
    kind = type("Probe", (MonaiSegResNetTrainer,), {"enable_deep_supervision": True})
    contract = TestMonaiSegResNetTrainer()
    with pytest.raises(NNUNetCommandError, match="Probe has one output: leave enable_deep_supervision False"):
        contract.make("2d", trainer=kind)


def test_the_overview_names_the_extra_and_the_sizes_of_the_built_in_plan(monkeypatch):
    monkeypatch.setattr("nnunet_pancext.cli.trainer_table.list_trainers", lambda: MONAI_TRAINERS)
    setting = default_setting()
    rows = {row.name: row for row in overview(setting)}
    manager = PlansManager(setting.plans)
    network = MonaiSegResNetTrainer.build_network_architecture(
        manager, manager.get_configuration("3d_fullres"), 1, 2
    )
    assert rows["MonaiSegResNetTrainer"].parameters["3d_fullres"] == count_parameters(network)
    text = " ".join(format_overview(rows.values(), setting).split())
    assert f'With pip install "nnunet-pancext[baselines]": {", ".join(MONAI_TRAINERS)}.' in text


def test_without_monai_the_overview_lists_them_and_gives_the_reason_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "monai", None)
    monkeypatch.setattr("nnunet_pancext.cli.trainer_table.list_trainers", lambda: MONAI_TRAINERS)
    setting = default_setting()
    lines = format_overview(overview(setting), setting).splitlines()
    assert [line.split()[0] for line in lines[2 : 2 + len(MONAI_TRAINERS)]] == list(MONAI_TRAINERS)
    (reason,) = (line for line in lines if line.startswith("-: "))
    assert reason.startswith(f"-: {', '.join(MONAI_TRAINERS)} do not take 2d, 3d_fullres: ")
    assert 'pip install "nnunet-pancext[baselines]"' in reason


@pytest.mark.parametrize("name", MONAI_TRAINERS)
def test_without_monai_the_error_names_the_extra(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "monai", None)
    with pytest.raises(NNUNetCommandError, match=INSTALL):
        build(MONAI_TRAINERS[name], "2d")


@pytest.mark.slow
def test_a_process_without_monai_finds_them_and_ends_without_a_traceback():
    program = (
        "import sys; sys.modules['monai'] = None\n"
        "from contracts.made_preprocessed import made_plans\n"
        "from nnunetv2.utilities.plans_handling.plans_handler import PlansManager\n"
        "from nnunet_pancext.trainer_bridge import nnunet_pancext_bridge as bridge\n"
        "found = bridge.MonaiUNETRTrainer_50epochs\n"
        "print(found.num_epochs)\n"
        "plans = PlansManager(made_plans())\n"
        "found.build_network_architecture(plans, plans.get_configuration('2d'), 1, 2)\n"
    )
    tests = Path(__file__).resolve().parents[1]
    ended = subprocess.run([sys.executable, "-c", program], cwd=tests, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[-1] == "50"
    assert "Traceback" not in ended.stderr
    assert 'pip install "nnunet-pancext[baselines]"' in ended.stderr.splitlines()[-1]
