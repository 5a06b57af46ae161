"""DLKUNet: figures and protocol."""

from nnunet_pancext.reproduction.datasets import ACDC, SYNAPSE
from nnunet_pancext.reproduction.protocol import Column, Experiment, Paper, per_volume, table

ORGANS = ("aorta", "gallbladder", "left kidney", "right kidney", "liver", "pancreas", "spleen", "stomach")
STRUCTURES = {"RV": "right ventricle", "Myo": "myocardium", "LV": "left ventricle"}
PARAMETERS = Column(title="parameters, M")
FLOPS = Column(title="FLOPs, G")
ORGAN_DICE = tuple(per_volume(f"{organ}, %", "dice", organ, percent=True) for organ in ORGANS)
MEAN_DICE = per_volume("Dice, %", "dice", *ORGANS, percent=True)
HEART_DICE = per_volume("Dice, %", "dice", *STRUCTURES.values(), percent=True)
SMALL, MEDIUM, LARGE = (f"DLKUNet{size}Trainer_PaperRecipe" for size in "SML")


SYNAPSE_RESULTS = table(
    "Table 2",
    "eight organs on Synapse",
    (PARAMETERS, FLOPS, MEAN_DICE, per_volume("HD95, mm", "hd95_mm", *ORGANS), *ORGAN_DICE),
    ("R50 U-Net", "147.80 41.09 74.68 36.87 87.74 63.66 80.60 78.19 93.74 56.90 85.87 74.16"),
    ("U-Net", "34.52 65.52 76.85 39.7 89.07 69.37 77.77 68.60 93.43 53.98 86.67 75.58"),
    (
        "Att-U-Net",
        "34.87 66.63 77.77 36.2 89.55 68.88 77.98 71.11 93.5 58.04 87.30 75.75",
        "AttentionUNetTrainer",
    ),
    ("TransUNet", "96.07 88.91 77.48 32.69 87.23 63.16 81.87 77.02 94.09 55.86 85.08 75.62"),
    ("Swin-Unet", "27.17 6.16 79.13 21.55 85.47 66.53 83.28 79.61 94.29 56.58 90.66 76.6"),
    ("DLKUNet-S", "1.13 15.95 79.74 28.95 87.46 66.27 84.15 76.06 92.74 64.72 90.38 76.17", SMALL),
    ("DLKUNet-M", "4.49 22.84 80.82 22.78 88.14 72.39 85.20 81.13 92.88 60.46 90.79 75.54", MEDIUM),
    ("DLKUNet-L", "17.70 29.64 81.21 13.89 87.39 67.4 87.64 83.47 92.45 63.44 90.99 76.92", LARGE),
)
SYNAPSE_LOSSES = table(
    "Figure 5",
    "loss on Synapse, curves without figures",
    (MEAN_DICE,),
    ("DLKUNet-L, ordinary loss", "", f"{LARGE}_OrdinaryLoss"),
)
ACDC_RESULTS = table(
    "Table 3",
    "three structures on ACDC",
    (
        PARAMETERS,
        HEART_DICE,
        *(per_volume(f"{short}, %", "dice", name, percent=True) for short, name in STRUCTURES.items()),
    ),
    ("R50 U-Net", "147.80 87.55 87.1 80.63 94.92"),
    ("R50 Att-U-Net", "34.87 86.75 87.58 79.20 93.47"),
    ("R50 ViT", "97.96 87.57 86.07 81.88 94.75"),
    ("TransUNet", "96.07 89.71 88.86 84.53 95.73"),
    ("Swin-Unet", "27.17 90 88.55 85.62 95.83"),
    ("DLKUNet-S", "1.13 91.71 89.82 89.56 95.75", f"{SMALL}_DynamicLoss"),
    ("DLKUNet-M", "4.49 91.74 89.48 89.94 95.81", f"{MEDIUM}_DynamicLoss"),
    ("DLKUNet-L", "17.70 91.93 89.52 90.19 96.09", f"{LARGE}_DynamicLoss"),
)
ACDC_LOSSES = table(
    "Figure 6",
    "loss on ACDC, curves without figures",
    (HEART_DICE,),
    ("DLKUNet-L, phase-based loss", "", LARGE),
)
COMMON_DIFFERENCES = (
    "nnU-Net's preprocessing, patch and batch (paper: 224² and 12), sampling and augmentation (paper: "
    "flips and rotations by 90°) stay beside the paper's optimiser, schedule, epochs and loss.",
    "The paper does not say how it chose its epoch; its curves over the epochs are of the test set. We take "
    "the last.",
)

ORDER = 30
DLKUNET = Paper(
    name="dlkunet",
    title="DLKUNet with phase-based and dynamic Dice/CE weighting",
    hardware="NVIDIA A800, 400 epochs at 224²",
    experiments=(
        Experiment(
            dataset=SYNAPSE,
            configuration="2d",
            main=LARGE,
            tables=(SYNAPSE_RESULTS, SYNAPSE_LOSSES),
            differences=(
                "Our HD95 is in mm, over the cases in which both prediction and ground truth contain the "
                "organ. The paper prints mm; TransUNet's evaluation code, which others use on this split, "
                "counts in voxels and gives 0 for a missed organ.",
                "The paper's HD95 (Eq. 6) is the 95th percentile of the pooled distances of both directions. "
                "Ours is the larger of the two directions' percentiles, so it is at least as high, apart "
                "from the interpolation between two distances.",
                "Att-U-Net is another network than ours: the paper's has 34.87 M parameters, "
                "`AttentionUNetTrainer` has 2.21 M in 2D.",
                "Stock nnU-Net and `AttentionUNetTrainer` follow nnU-Net's recipe, 1000 epochs.",
                *COMMON_DIFFERENCES,
            ),
        ),
        Experiment(
            dataset=ACDC,
            configuration="2d",
            main=f"{LARGE}_DynamicLoss",
            folds=("0",),
            tables=(ACDC_RESULTS, ACDC_LOSSES),
            differences=(
                "Two lists of 70/10/20 patients circulate and the paper does not say which it used; we use "
                "nnFormer's. Fold 0 trains on its 70 patients.",
                "Stock nnU-Net follows its own recipe, 1000 epochs.",
                *COMMON_DIFFERENCES,
            ),
        ),
    ),
    other_tables=(
        table(
            "Table 4",
            "input size, DLKUNet-L on Synapse",
            (MEAN_DICE, *ORGAN_DICE),
            ("224²", "81.21 87.39 67.40 87.64 83.47 92.41 63.44 90.99 76.92"),
            ("512²", "81.47 91.08 70.07 87.16 84.30 94.48 65.39 90.59 68.68"),
        ),
        table(
            "Table 5",
            "kernels, DLKUNet-L on Synapse",
            (MEAN_DICE,),
            ("depthwise 3, large 5 and 7", "81.21"),
            ("depthwise 5, large 5 and 7", "80.61"),
            ("depthwise 7, large 5 and 7", "80.62"),
            ("depthwise 3, large 3 and 7", "80.68"),
            ("depthwise 3, large 5 and 5", "79.25"),
        ),
    ),
    limits=(
        "Table 2's R50 U-Net row has 74.68 for eight organs whose mean is 77.61. The liver of DLKUNet-L is "
        "92.45 in Table 2 and 92.41 in Table 4.",
        "The text lowers the learning rate by 90 % every 20 epochs and then sets 1e-5 after epoch 200, which "
        "would raise it again, from 1e-12. It is multiplied by 0.9 here.",
        "20 ACDC test samples with 40 slices cannot be whole volumes; what the 40 are is not stated.",
        "The FLOPs column charges transposed convolutions four times over; see the page on DLKUNet.",
        "nnU-Net's plan sets the input size, so Table 4 has no trainer. The kernels of Table 5 and the "
        "widths of Figure 9 are options of the network without a trainer of their own.",
        "The other networks of Tables 2 and 3 are not in this package.",
    ),
)
