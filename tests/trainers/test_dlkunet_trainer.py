from __future__ import annotations

import pytest
from contracts.made_preprocessed import made_plans
from contracts.trainer import TrainerContract
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_pancext import trainers
from nnunet_pancext.trainers import DLKUNetLTrainer, DLKUNetMTrainer, DLKUNetSTrainer


class TestDLKUNetSTrainer(TrainerContract):
    trainer = DLKUNetSTrainer
    small = {"base_channels": 4}
    resumed = "2d"


class TestDLKUNetMTrainer(TrainerContract):
    trainer = DLKUNetMTrainer
    small = {"base_channels": 4}
    resumed = "2d"


class TestDLKUNetLTrainer(TrainerContract):
    trainer = DLKUNetLTrainer
    small = {"base_channels": 4}
    resumed = "2d"


@pytest.mark.parametrize(("size", "levels"), [("S", 3), ("M", 4), ("L", 5)])
def test_the_name_says_how_many_levels(size, levels):
    plans = PlansManager(made_plans())
    network = getattr(trainers, f"DLKUNet{size}Trainer").build_network_architecture(
        plans, plans.get_configuration("2d"), 1, 2
    )
    assert len(network.encoder) == levels


def test_flat_kernels_of_the_plan_are_the_networks():
    content = made_plans()
    arguments = content["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    arguments["kernel_sizes"] = [[1, 3, 3], *arguments["kernel_sizes"][1:]]
    plans = PlansManager(content)
    network = DLKUNetSTrainer.build_network_architecture(plans, plans.get_configuration("3d_fullres"), 1, 2)
    assert tuple(network.encoder[0].attention.gate[1].kernel_size) == (1, 7, 7)
    assert tuple(network.encoder[1].attention.gate[1].kernel_size) == (7, 7, 7)
