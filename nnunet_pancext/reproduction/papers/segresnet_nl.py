"""SegResNet with non-local blocks: figures and protocol."""

from nnunet_pancext.reproduction.datasets import MSD_ORGAN
from nnunet_pancext.reproduction.protocol import Column, Experiment, Paper, per_slice, per_volume, table

DICE = per_slice("Dice, %", "slice_dice", "pancreas", percent=True)
RECALL = per_slice("recall, %", "slice_recall", "pancreas", percent=True)
SPECIFICITY = per_slice("specificity, %", "slice_specificity", "pancreas", percent=True)

ORDER = 10
SEGRESNET_NL = Paper(
    name="segresnet-nl",
    title="SegResNet + non-local blocks (Liao, Zhang, He and Zhang)",
    hardware="NVIDIA RTX 5060 Ti; batch, epochs and hours not given",
    experiments=(
        Experiment(
            dataset=MSD_ORGAN,
            configuration="2d",
            main="SegResNetNLTrainer",
            probabilities=True,
            tables=(
                table(
                    "Table 2",
                    "number of non-local blocks",
                    (SPECIFICITY, DICE, RECALL),
                    ("no block", "99.98 87.83 88.84", "SegResNetNL0Trainer"),
                    ("1 block", "99.98 89.20 89.81", "SegResNetNL1Trainer"),
                    ("2 blocks, the paper's model", "99.98 91.51 91.97", "SegResNetNLTrainer"),
                    ("3 blocks", "99.98 91.30 91.85", "SegResNetNL3Trainer"),
                    ("4 blocks", "99.98 91.78 92.11", "SegResNetNL4Trainer"),
                ),
                table(
                    "Table 3",
                    "other networks",
                    (DICE, RECALL, Column(title="parameters, M")),
                    ("UMambaEnc", "91.3 91.6 39.26"),
                    ("UNETR", "91.10 90.50 87.56", "MonaiUNETRTrainer"),
                    ("SwinUNETR", "88.89 89.46 25.14", "MonaiSwinUNETRTrainer"),
                    ("2 blocks, the paper's model", "91.51 91.97 6.30"),
                ),
                table(
                    "Figure 3",
                    "precision-recall curve",
                    (Column("AP of voxels", "voxels.average_precision", ("pancreas",), decimals=3),),
                    ("2 blocks, the paper's model", "0.976", "SegResNetNLTrainer"),
                ),
            ),
            further=(per_volume("Dice per volume, %", "dice", "pancreas", percent=True),),
            differences=(
                "The paper names no test patients: the 24 are drawn with a fixed seed.",
                "The paper scores 2D slices. Ours are means over the axial slices that hold pancreas; "
                "whether the paper counts slices without pancreas is not stated.",
                "Specificity is close to 1 for any network: the pancreas is a small part of a slice.",
                "Optimiser, schedule, input size and augmentation are not given: all trainers follow "
                "nnU-Net's recipe, 1000 epochs on the plan's patch.",
                "Our AP is over all voxels of the test volumes; the paper does not say what its AP is over.",
            ),
        ),
    ),
    limits=(
        "The figures themselves are far above what others report: the paper cites 80.34 % pancreas Dice on "
        "the same dataset, and none of its own rows is below 87 %. An aggregation over slices, or test "
        "slices of training patients, would explain it; the text does not settle which.",
        "6.30 M parameters is the count without non-local blocks; with two it is 6.56 M.",
        "Its text defines TN twice and TP never: the first TN, pixels accurately predicted as positive, must "
        "be TP. We follow the formulas.",
        "UMambaEnc is not in this package. UNETR and SwinUNETR are MONAI's in default sizes, and need the "
        "extra `baselines`; the paper's SwinUNETR has another size.",
    ),
)
