import pytest
from contracts.made_preprocessed import made_plans
from contracts.trainer import TrainerContract
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_pancext.trainers import AttentionUNetTrainer, MultiHeadAttentionUNetTrainer


class TestAttentionUNetTrainer(TrainerContract):
    trainer = AttentionUNetTrainer


@pytest.mark.parametrize(
    ("trainer", "heads"), [(AttentionUNetTrainer, 1), (MultiHeadAttentionUNetTrainer, 3)]
)
def test_the_name_sets_the_number_of_heads(trainer, heads):
    plans = PlansManager(made_plans())
    network = trainer.build_network_architecture(plans, plans.get_configuration("2d"), 1, 2)
    assert [len(skip.gates) for skip in network.gated_skips] == [heads] * 3
