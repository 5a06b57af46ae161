"""The datasets that the protocols train on. Papers that share one share its trainings."""

from nnunet_pancext.reproduction.protocol import Dataset

MSD_ORGAN = Dataset(
    layout="msd",
    title="MSD Task07_Pancreas, tumour as part of the pancreas, 257 train and 24 test",
    downloads=("msd",),
    dataset_id=900,
    name="PancreasOrgan",
    split="257/24",
    labels="pancreas",
    options=("--labels", "pancreas"),
)
MSD_TUMOUR = Dataset(
    layout="msd",
    title="MSD Task07_Pancreas, pancreas and tumour, 216 train and 65 test",
    downloads=("msd",),
    dataset_id=901,
    name="PancreasTumour",
    split="216/65",
    labels="pancreas+tumour",
    options=("--labels", "pancreas+tumour"),
)
NIH_LISTED = Dataset(
    layout="nih",
    title="NIH Pancreas-CT, MC-Net's list of 62 train and 20 test",
    downloads=("nih-images", "nih-labels"),
    dataset_id=902,
    name="NIHPancreasListed",
    split="mcnet-62/20",
    labels="pancreas",
)
NIH_DRAWN = Dataset(
    layout="nih",
    title="NIH Pancreas-CT, 60 train and 20 test",
    downloads=("nih-images", "nih-labels"),
    dataset_id=903,
    name="NIHPancreasDrawn",
    split="60/20",
    labels="pancreas",
)
SYNAPSE = Dataset(
    layout="synapse",
    title="Synapse multi-organ CT, eight organs, TransUNet's 18 train and 12 test",
    downloads=("synapse",),
    dataset_id=904,
    name="SynapseEight",
    split="transunet-18/12",
    labels="8 organs",
    options=("--organs", "8"),
)
ACDC = Dataset(
    layout="acdc",
    title="ACDC, nnFormer's list of 70 train, 10 validation and 20 test patients",
    downloads=("acdc",),
    dataset_id=905,
    name="ACDCListed",
    split="nnformer-70/10/20",
    labels="heart",
    own_folds=1,
)
