"""The pancreatic-tumour cascade: figures and protocol."""

from __future__ import annotations

from nnunet_pancext.reproduction.columns import per_slice, per_volume
from nnunet_pancext.reproduction.datasets import MSD_TUMOUR, NIH_LISTED
from nnunet_pancext.reproduction.protocol import Column, Experiment, Paper, Row, Table

MAIN = "PancreasTumorCascadeTrainer_PaperRecipe"


def metrics(label: str) -> tuple[Column, ...]:
    """Return the columns of Tables 1 and 2."""
    return (
        per_slice("Dice", "slice_dice", label),
        per_slice("sensitivity", "slice_recall", label),
        per_slice("specificity", "slice_specificity", label),
    )


TUMOUR_RESULTS = Table(
    source="Table 1",
    title="tumour on MSD",
    columns=metrics("cancer"),
    rows=(
        Row(method="U-Net++", figures=("0.4289", "0.3966", "0.9971")),
        Row(method="Attention U-Net", figures=("0.4317", "0.5714", "0.9977"), trainer="AttentionUNetTrainer"),
        Row(method="ResNet50", figures=("0.4695", "0.6056", "0.9972")),
        Row(method="Res-UNet", figures=("0.5264", "0.7110", "0.9960")),
        Row(method="U-Net", figures=("0.4913", "0.6846", "0.9971")),
        Row(method="Dense-UNet", figures=("0.5276", "0.6133", "0.9977")),
        Row(method="nnU-Net", figures=("0.5456", "0.7268", "0.9981"), trainer="nnUNetTrainer"),
        Row(method="C2FNAS", figures=("0.5636", "0.6856", "0.9982")),
        Row(method="V-NAS", figures=("0.5730", "0.6325", "0.9942")),
        Row(method="U-Shiftformer", figures=("0.5307", "0.6833", "0.9970")),
        Row(method="DHT-Net", figures=("0.5618", "0.6779", "0.9975")),
        Row(method="HyperSegNAS", figures=("0.5488", "0.7123", "0.9968")),
        Row(method="IAG-Net", figures=("0.5762", "0.7342", "0.9969")),
        Row(method="cascade", figures=("0.5924", "0.6824", "0.9988"), trainer=MAIN),
    ),
)
PANCREAS_RESULTS = Table(
    source="Table 2",
    title="pancreas on NIH",
    columns=metrics("pancreas"),
    rows=(
        Row(method="U-Net", figures=("0.7470", "0.5131", "0.9964")),
        Row(method="Attention U-Net", figures=("0.8437", "0.7764", "0.9970"), trainer="AttentionUNetTrainer"),
        Row(method="Nishio et al.", figures=("0.7890", "0.6883", "0.9977")),
        Row(method="Li et al.", figures=("0.8303", "0.7207", "0.9965")),
        Row(method="LMNS-Net", figures=("0.8537", "0.8115", "0.9978")),
        Row(method="Fixed-point", figures=("0.8257", "0.6294", "0.9968")),
        Row(method="RSTN", figures=("0.8508", "0.8466", "0.9987")),
        Row(method="Yu et al.", figures=("0.8453", "0.8009", "0.9972")),
        Row(method="Zhang et al.", figures=("0.8490", "0.7852", "0.9975")),
        Row(method="RTUNet", figures=("0.8625", "0.8916", "0.9981")),
        Row(method="cascade", figures=("0.8763", "0.9126", "0.9988"), trainer=MAIN),
    ),
)
ABLATION = Table(
    source="Table 3",
    title="modules, tumour on MSD",
    columns=(per_slice("Dice", "slice_dice", "cancer"),),
    rows=(
        Row(method="U (U-Net)", figures=("0.4913",)),
        Row(method="M", figures=("0.5234",), trainer="PancreasTumorCascadeMTrainer_PaperRecipe"),
        Row(method="M-P", figures=("0.5319",), trainer="PancreasTumorCascadeMPTrainer_PaperRecipe"),
        Row(method="M-P-T", figures=("0.5533",), trainer="PancreasTumorCascadeMPTTrainer_PaperRecipe"),
        Row(method="M-P-T-L", figures=("0.5651",), trainer="PancreasTumorCascadeMPTLTrainer_PaperRecipe"),
        Row(method="M-P-T-L-F (cascade)", figures=("0.5924",), trainer=MAIN),
    ),
)
FOCUSING_SIDES = Table(
    source="Figure 10",
    title="branches of the focusing module, tumour on MSD, plotted; the text gives no numbers",
    columns=(per_slice("Dice", "slice_dice", "cancer"),),
    rows=(
        Row(
            method="false positives alone",
            figures=("",),
            trainer="PancreasTumorCascadeFalsePositiveTrainer_PaperRecipe",
        ),
        Row(
            method="false negatives alone",
            figures=("",),
            trainer="PancreasTumorCascadeFalseNegativeTrainer_PaperRecipe",
        ),
    ),
)
TRANSFER = Table(
    source="Beyond the paper",
    title="T read as weights that stage 2 takes from stage 1",
    columns=(per_slice("Dice", "slice_dice", "cancer"),),
    rows=(
        Row(
            method="cascade whose stage 2 starts phase I with stage 1's backbone",
            figures=("",),
            trainer="PancreasTumorCascadeTransferTrainer_PaperRecipe",
        ),
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
        "Two rows of Table 2 cannot be: a mean sensitivity of 0.5131 (U-Net) allows no mean Dice above "
        "0.678, and 0.6294 (Fixed-point) none above 0.773, even at full precision; 0.7470 and 0.8257 are "
        "printed.",
        "The text gives the MSD slices a distance of 5 mm; in the download it is 0.7 to 7.5 mm. How slices "
        "were chosen for the 2,537 PNG files is not said.",
        "The learning rate is 1e-5 in the text and 1e-3 with polynomial decay in the authors' code.",
        "The margin of the window and the widths of stage 1 are not given.",
        "Figure 10 was not at hand, and the text has no figures of it. What T migrates is not said: the "
        "saliency change in the trainers of Table 3, and the weights of stage 1 in a trainer of its own.",
        "The other methods of Tables 1 and 2 are not in this package; several are quoted from their papers, "
        "with other splits.",
    ),
)
