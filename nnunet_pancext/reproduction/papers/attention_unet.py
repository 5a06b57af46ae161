"""Attention U-Net and its multi-head upgrade: figures and protocol."""

from nnunet_pancext.reproduction.datasets import NIH_DRAWN
from nnunet_pancext.reproduction.protocol import Column, Experiment, Paper, table


def spread(title: str, metric: str, *, scale: int, decimals: int) -> Column:
    """Return mean ± standard deviation over the cases."""
    return Column(title, f"per_volume.{metric}.mean", ("pancreas",), scale, decimals, has_spread=True)


ORDER = 40
ATTENTION_UNET = Paper(
    name="attention-unet",
    title="Attention U-Net (Oktay et al.), as reviewed by Das, and a multi-head upgrade",
    hardware="not given; the review's own run: 70 epochs on 60 patients",
    experiments=(
        Experiment(
            dataset=NIH_DRAWN,
            configuration="3d_fullres",
            main="AttentionUNetTrainer_PaperRecipe",
            tables=(
                table(
                    "Training Results",
                    "pancreas on NIH (TCIA CT-82)",
                    (
                        spread("Dice, %", "dice", scale=100, decimals=1),
                        spread("precision, %", "precision", scale=100, decimals=1),
                        spread("recall, %", "recall", scale=100, decimals=1),
                        spread("surface distance, mm", "assd_mm", scale=1, decimals=2),
                    ),
                    (
                        "Attention U-Net, as quoted",
                        ("81.5 ± 6.8", "81.5 ± 9.3", "83.5 ± 5.7", "2.33 ± 0.86"),
                        "AttentionUNetTrainer_PaperRecipe",
                    ),
                    ("Attention U-Net, the review's run", ("65 to 70", "67 to 71", "68 to 72", "3.0 to 3.5")),
                    ("multi-head gates, proposed", "", "MultiHeadAttentionUNetTrainer_PaperRecipe"),
                ),
            ),
            differences=(
                "No test patients are named. Two of the 82 images were withdrawn: 60 train and 20 test, "
                "drawn with a fixed seed.",
                "nnU-Net's preprocessing, patch, batch and augmentation stay beside the authors' optimiser, "
                "schedule and loss.",
                "Our surface distance is the mean of all distances from both surfaces, in mm.",
            ),
        ),
    ),
    other_tables=(
        table(
            "Related Work",
            "hierarchical 3D FCN, Dice in %; what the three groups of columns are is not printed",
            tuple(
                Column(title=f"{organ} {group}")
                for group in ("(a)", "(b)", "(c)")
                for organ in ("liver", "spleen", "pancreas")
            ),
            ("mean", "93.6 89.7 68.5 94.9 91.4 81.2 95.4 92.8 82.2"),
            ("SD", "2.5 8.2 8.2 2.1 8.9 10.2 2.0 8.0 10.2"),
            ("median", "94.2 91.8 70.3 95.4 94.2 83.1 96.0 95.4 84.5"),
            ("lowest", "78.2 20.6 32.0 80.4 22.3 1.9 80.9 21.7 1.8"),
            ("highest", "96.8 95.7 82.3 97.3 97.4 91.3 97.7 98.1 92.2"),
        ),
    ),
    limits=(
        "The review quotes figures from the original paper without saying which training they belong to; "
        "its own run used an unnamed part of the patients and gives ranges for results.",
        "No figure is given for several heads.",
        "The coarse-to-fine 3D FCN was trained on data that the review does not name. nnU-Net's 3d_lowres "
        "and 3d_cascade_fullres are that idea, and every trainer here runs in them.",
    ),
)
