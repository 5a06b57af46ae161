import pytest
import torch
from contracts.made_preprocessed import made_trainer, make_preprocessed, use_folders
from contracts.trainer import ContinuedRunContract
from torch import nn
from torch.optim import Adam

from nnunet_pancext.trainers import find_trainer
from nnunet_pancext.trainers.attention_unet import AttentionUNetTrainer, attention_unet_learning_rate
from nnunet_pancext.trainers.dlkunet import DLKUNetSTrainer, dlkunet_learning_rate


class TestDLKUNetSRecipe(ContinuedRunContract):
    trainer = DLKUNetSTrainer
    recipe = "_DynamicLoss_PaperRecipe"
    resumed = "2d"


class TestAttentionUNetRecipe(ContinuedRunContract):
    trainer = AttentionUNetTrainer
    recipe = "_PaperRecipe"
    resumed = "2d"


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [(0, 1e-3), (19, 1e-3), (20, 9e-4), (40, 8.1e-4), (199, 3.87420489e-4), (200, 1e-5), (399, 1e-5)],
)
def test_dlkunets_learning_rate(epoch, expected):
    assert dlkunet_learning_rate(epoch, 400) == pytest.approx(expected)


@pytest.mark.parametrize(("epoch", "expected"), [(0, 1e-3), (5, 9e-4), (49, 3.87420489e-4), (50, 1e-5)])
def test_a_shorter_training_shortens_the_schedule(epoch, expected):
    assert dlkunet_learning_rate(epoch, 100) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("epoch", "expected"), [(0, 1e-4), (249, 1e-4), (250, 5e-5), (500, 2.5e-5), (999, 1.25e-5)]
)
def test_attention_unets_learning_rate(epoch, expected):
    assert attention_unet_learning_rate(epoch, 1000) == pytest.approx(expected)


def test_the_schedule_is_the_same_after_a_continuation():
    recipe = DLKUNetSTrainer.paper_recipe
    optimizer, schedule = recipe.configure([nn.Parameter(torch.zeros(1))], num_epochs=400)
    schedule.step(123)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-3 * 0.9**6)


@pytest.mark.parametrize(
    ("name", "learning_rate", "weight_decay"),
    [
        ("DLKUNetSTrainer", 1e-3, 1e-5),
        ("DLKUNetMTrainer", 1e-3, 1e-5),
        ("DLKUNetLTrainer", 1e-3, 1e-5),
        ("AttentionUNetTrainer", 1e-4, 1e-6),
        ("MultiHeadAttentionUNetTrainer", 1e-4, 1e-6),
    ],
)
def test_the_papers_optimiser(tmp_path, monkeypatch, name, learning_rate, weight_decay):
    use_folders(monkeypatch, tmp_path)
    trainer = made_trainer(find_trainer(f"{name}_PaperRecipe"))
    trainer.network = nn.Linear(2, 3)
    optimizer, _ = trainer.configure_optimizers()
    assert type(optimizer) is Adam
    (group,) = optimizer.param_groups
    assert group["params"] == [trainer.network.weight, trainer.network.bias]
    assert (group["lr"], group["weight_decay"]) == (learning_rate, weight_decay)
    assert (group["betas"], group["eps"], group["amsgrad"]) == ((0.9, 0.999), 1e-8, False)


def test_a_trainer_with_the_papers_recipe_trains_by_it(tmp_path, monkeypatch):
    use_folders(monkeypatch, tmp_path)
    make_preprocessed(tmp_path)
    monkeypatch.setattr(DLKUNetSTrainer, "network_options", {"num_levels": 3, "base_channels": 4})
    kind = find_trainer("DLKUNetSTrainer_PaperRecipe_4epochs_1iterations")
    trainer = made_trainer(kind)
    trainer.run_training()
    assert isinstance(trainer.optimizer, Adam)
    assert trainer.logger.get_value("lrs", None) == pytest.approx([1e-3, 1e-3 * 0.9**5, 1e-5, 1e-5])
    assert trainer.logger.get_value("loss_weight_dice", None) == [0.6, 0.6, 0.7, 0.7]
