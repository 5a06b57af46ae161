"""Trainers of Attention U-Net and of its multi-head upgrade."""

from torch.optim import Adam

from nnunet_pancext.architectures.attention_unet import AttentionUNet
from nnunet_pancext.losses import DiceOnlyWeights
from nnunet_pancext.trainers.machinery.network import NetworkTrainer
from nnunet_pancext.trainers.machinery.paper_recipe import PaperRecipe


def attention_unet_learning_rate(epoch: int, num_epochs: int) -> float:
    """Return 1e-4, halved every 250 of 1000 epochs; other lengths in proportion."""
    return 1e-4 * 0.5 ** (4 * epoch // num_epochs)


class AttentionUNetTrainer(NetworkTrainer):
    """Attention U-Net with one gate on each gated skip, trained by nnU-Net's recipe.

    The paper's recipe: Adam and the Dice loss are from the text (Oktay et al. 2018), the numbers from the
    authors' public configuration for CT (github.com/ozan-oktay/Attention-Gated-Networks,
    config_unet_ct_multi_att_dsv.json and the step schedule's factor in models/networks_other.py).
    """

    paper = "Attention U-Net (Oktay et al.)"
    order = 50
    attention = "attention gates"
    network_class = AttentionUNet
    network_options = {"num_heads": 1}
    small_options = {"base_channels": 4}
    num_downsamplings = 4
    paper_recipe = PaperRecipe(
        optimizer=Adam,
        learning_rate=attention_unet_learning_rate,
        weight_decay=1e-6,
        num_epochs=1000,
        loss_weighting=DiceOnlyWeights,
        summary="Adam, lr 1e-4 halved every 250 of 1000 epochs, decay 1e-6, Dice loss alone",
    )


class MultiHeadAttentionUNetTrainer(AttentionUNetTrainer):
    """Attention U-Net with three gates side by side on each gated skip."""

    paper = "Attention U-Net, multi-head upgrade"
    network_options = {"num_heads": 3}
