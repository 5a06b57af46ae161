"""The two-stage network for pancreatic tumours: figures and protocol."""

from nnunet_pancext.reproduction.datasets import MSD_TUMOUR, NIH_LISTED
from nnunet_pancext.reproduction.protocol import Column, Experiment, Paper, per_slice, per_volume, table

MAIN = "PancreasTumorCascadeTrainer_PaperRecipe"


def metrics(label: str) -> tuple[Column, ...]:
    """Return the columns of Tables 1 and 2."""
    return (
        per_slice("Dice", "slice_dice", label),
        per_slice("sensitivity", "slice_recall", label),
        per_slice("specificity", "slice_specificity", label),
    )


TUMOUR_RESULTS = table(
    "Table 1",
    "tumour on MSD",
    metrics("cancer"),
    ("U-Net++", "0.4289 0.3966 0.9971"),
    ("Attention U-Net", "0.4317 0.5714 0.9977", "AttentionUNetTrainer"),
    ("ResNet50", "0.4695 0.6056 0.9972"),
    ("Res-UNet", "0.5264 0.7110 0.9960"),
    ("U-Net", "0.4913 0.6846 0.9971"),
    ("Dense-UNet", "0.5276 0.6133 0.9977"),
    ("nnU-Net", "0.5456 0.7268 0.9981", "nnUNetTrainer"),
    ("C2FNAS", "0.5636 0.6856 0.9982"),
    ("V-NAS", "0.5730 0.6325 0.9942"),
    ("U-Shiftformer", "0.5307 0.6833 0.9970"),
    ("DHT-Net", "0.5618 0.6779 0.9975"),
    ("HyperSegNAS", "0.5488 0.7123 0.9968"),
    ("IAG-Net", "0.5762 0.7342 0.9969"),
    ("cascade", "0.5924 0.6824 0.9988", MAIN),
)
PANCREAS_RESULTS = table(
    "Table 2",
    "pancreas on NIH",
    metrics("pancreas"),
    ("U-Net", "0.7470 0.5131 0.9964"),
    ("Attention U-Net", "0.8437 0.7764 0.9970", "AttentionUNetTrainer"),
    ("Nishio et al.", "0.7890 0.6883 0.9977"),
    ("Li et al.", "0.8303 0.7207 0.9965"),
    ("LMNS-Net", "0.8537 0.8115 0.9978"),
    ("Fixed-point", "0.8257 0.6294 0.9968"),
    ("RSTN", "0.8508 0.8466 0.9987"),
    ("Yu et al.", "0.8453 0.8009 0.9972"),
    ("Zhang et al.", "0.8490 0.7852 0.9975"),
    ("RTUNet", "0.8625 0.8916 0.9981"),
    ("cascade", "0.8763 0.9126 0.9988", MAIN),
)
ABLATION = table(
    "Table 3",
    "modules, tumour on MSD",
    (per_slice("Dice", "slice_dice", "cancer"),),
    ("U (U-Net)", "0.4913"),
    ("M", "0.5234", "PancreasTumorCascadeMTrainer_PaperRecipe"),
    ("M-P", "0.5319", "PancreasTumorCascadeMPTrainer_PaperRecipe"),
    ("M-P-T", "0.5533", "PancreasTumorCascadeMPTTrainer_PaperRecipe"),
    ("M-P-T-L", "0.5651", "PancreasTumorCascadeMPTLTrainer_PaperRecipe"),
    ("M-P-T-L-F (cascade)", "0.5924", MAIN),
)
FOCUSING_SIDES = table(
    "Figure 10",
    "branches of the focusing module, tumour on MSD, plotted; the text gives no numbers",
    (per_slice("Dice", "slice_dice", "cancer"),),
    ("false positives alone", "", "PancreasTumorCascadeFalsePositiveTrainer_PaperRecipe"),
    ("false negatives alone", "", "PancreasTumorCascadeFalseNegativeTrainer_PaperRecipe"),
)
TRANSFER = table(
    "Beyond the paper",
    "T read as weights that stage 2 takes from stage 1",
    (per_slice("Dice", "slice_dice", "cancer"),),
    (
        "cascade whose stage 2 starts phase I with stage 1's backbone",
        "",
        "PancreasTumorCascadeTransferTrainer_PaperRecipe",
    ),
)
COMMON_DIFFERENCES = (
    "The paper trains and tests on PNG slices that hold the target. Here whole volumes are predicted; "
    "Dice, sensitivity and specificity are means over the axial slices that hold the target.",
    "nnU-Net's preprocessing, patch, batch, sampling and augmentation stay beside the paper's optimiser, "
    "rate and 2 + 4 + 50 epochs; the paper's epoch is a pass over its slices, ours 250 iterations.",
    "Attention U-Net and stock nnU-Net follow nnU-Net's recipe, 1000 epochs.",
)

ORDER = 20
PANCREAS_TUMOR_CASCADE = Paper(
    name="pancreas-tumor-cascade",
    title="pancreatic-tumour cascade with focusing modules and ISB loss (Qiu et al.)",
    hardware="NVIDIA GeForce RTX 1080 (as printed), batch 1, 56 epochs",
    experiments=(
        Experiment(
            dataset=MSD_TUMOUR,
            configuration="2d",
            main=MAIN,
            tables=(TUMOUR_RESULTS, ABLATION, FOCUSING_SIDES, TRANSFER),
            further=(per_volume("Dice per volume", "dice", "cancer"),),
            differences=(
                "The paper names no test patients: the 65 are drawn with a fixed seed.",
                *COMMON_DIFFERENCES,
            ),
        ),
        Experiment(
            dataset=NIH_LISTED,
            configuration="2d",
            main=MAIN,
            tables=(PANCREAS_RESULTS,),
            further=(per_volume("Dice per volume", "dice", "pancreas"),),
            differences=(
                "The paper names no test patients. MC-Net's list has as many; of its 82 patients the "
                "images of 0025 (test) and 0070 (train) were withdrawn, so 61 train and 19 test.",
                *COMMON_DIFFERENCES,
            ),
        ),
    ),
    limits=(
        "Two rows of Table 2 are impossible: a mean sensitivity of 0.5131 (U-Net) allows no mean Dice above "
        "0.678, and 0.6294 (Fixed-point) none above 0.773, even at full precision; 0.7470 and 0.8257 are "
        "printed.",
        "The text gives the MSD slices a distance of 5 mm; in the download it is 0.7 to 7.5 mm. How slices "
        "were chosen for the 2,537 PNG files is not stated.",
        "The learning rate is 1e-5 in the text and 1e-3 with polynomial decay in the authors' code.",
        "The margin of the window and the widths of stage 1 are not given.",
        "Figure 10 was not at hand, and the text has no figures of it. The paper does not say what T "
        "migrates: the saliency change in the trainers of Table 3, and the weights of stage 1 in a separate "
        "trainer.",
        "The other methods of Tables 1 and 2 are not in this package; several are quoted from their papers, "
        "with other splits.",
    ),
)
