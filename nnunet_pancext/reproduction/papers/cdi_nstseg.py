"""CDI-NSTSEG: figures and protocol."""

from nnunet_pancext.reproduction.datasets import MSD_TUMOUR
from nnunet_pancext.reproduction.protocol import Experiment, Paper, per_slice, per_volume, table

DICE = per_slice("Dice, %", "slice_dice", "cancer", percent=True)
ACCURACY = per_slice("accuracy, %", "slice_accuracy", "cancer", percent=True)
SPECIFICITY = per_slice("specificity, %", "slice_specificity", "cancer", percent=True)
TUMOUR_RESULTS = table(
    "Comparative Analysis",
    "pancreatic tumours (PTD)",
    (DICE,),
    ("U-Net", "49.13"),
    ("SINet-V2", "53.57"),
    ("CDI-NSTSEG", "57.64", "CDINSTSegTrainer"),
)
ABLATIONS = table(
    "Ablation Studies",
    "modules, scales, refinement and attention, no figures printed",
    (DICE,),
    ("without SFM", "", "CDINSTSegNoSFMTrainer"),
    ("without GLM", "", "CDINSTSegNoGLMTrainer"),
    ("without LFM", "", "CDINSTSegNoLFMTrainer"),
    ("one scale", "", "CDINSTSegOneScaleTrainer"),
    ("scales 0.5 and 1.0", "", "CDINSTSegSmallerScaleTrainer"),
    ("scales 1.0 and 1.5", "", "CDINSTSegLargerScaleTrainer"),
    ("foreground exploration alone", "", "CDINSTSegForegroundTrainer"),
    ("background suppression alone", "", "CDINSTSegBackgroundTrainer"),
    ("squeeze-and-excitation", "", "CDINSTSegSETrainer"),
    ("efficient channel attention", "", "CDINSTSegECATrainer"),
    ("spatial attention module", "", "CDINSTSegSAMTrainer"),
)

ORDER = 50
CDI_NSTSEG = Paper(
    name="cdi-nstseg",
    title="CDI-NSTSEG, multi-scale visual information and non-local target mining",
    hardware="not given",
    experiments=(
        Experiment(
            dataset=MSD_TUMOUR,
            configuration="2d",
            main="CDINSTSegTrainer",
            tables=(TUMOUR_RESULTS, ABLATIONS),
            further=(
                per_volume("Dice per volume, %", "dice", "cancer", percent=True),
                ACCURACY,
                SPECIFICITY,
                per_slice("S-measure", "s_measure", "cancer"),
                per_slice("E-measure", "e_measure", "cancer"),
            ),
            differences=(
                "The text gives 2,537 slices and neither patients nor split. Qiu et al. split as many slices "
                "into 216/65 patients; we draw the same numbers with a fixed seed.",
                "The paper scores slices. Our scores, but for the Dice per volume, are means over the axial "
                "slices that hold tumour, of whole volumes predicted; pancreas is a class of its own beside "
                "the tumour.",
                "The text gives no optimiser, schedule or input size: all trainers follow nnU-Net's recipe, "
                "1000 epochs.",
            ),
        ),
    ),
    other_tables=(
        table(
            "Comparative Analysis",
            "small-intestinal stromal tumours (SISD)",
            (DICE,),
            ("U-Net", "48.62"),
            ("PraNet", "49.87"),
            ("SINet-V2", "50.99"),
            ("CDI-NSTSEG", "58.37"),
        ),
    ),
    limits=(
        "The stromal-tumour images (372 of 41 patients) are not public.",
        "The text at hand prints only the Dice of its six metrics, and no figures for the ablations.",
        "The sets of scales that did worse are named 'single-scale or extreme scales' without their values. "
        "Ours leave out one scale or two.",
        "The paper of the two-stage network (Qiu et al.) prints 59.24 % tumour Dice and the same 49.13 % for "
        "U-Net on as many slices. Whether the splits are the same is unknown.",
    ),
)
