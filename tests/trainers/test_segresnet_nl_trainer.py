import pytest
from contracts.made_preprocessed import made_plans
from contracts.trainer import TrainerContract
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_pancext import trainers
from nnunet_pancext.trainers import SegResNetNLTrainer


class TestSegResNetNLTrainer(TrainerContract):
    trainer = SegResNetNLTrainer


@pytest.mark.parametrize(
    ("name", "blocks"),
    [("SegResNetNLTrainer", 2), *((f"SegResNetNL{number}Trainer", number) for number in range(5))],
)
def test_the_name_sets_the_number_of_non_local_blocks(name, blocks):
    plans = PlansManager(made_plans())
    network = getattr(trainers, name).build_network_architecture(
        plans, plans.get_configuration("2d"), 1, 2, enable_deep_supervision=True
    )
    assert len(network.non_local_blocks) == blocks


def test_the_plans_first_strides_are_the_networks():
    plans = PlansManager(made_plans())
    network = SegResNetNLTrainer.build_network_architecture(
        plans, plans.get_configuration("3d_fullres"), 1, 2
    )
    assert network.strides == ((1, 2, 2), (2, 2, 2), (2, 2, 2))
