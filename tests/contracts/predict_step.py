"""A campaign's step that predicts images with both folds of a 2D model."""

from contracts.made_preprocessed import DATASET

from nnunet_pancext.campaign.kinds.predict import Predict

MODEL = "nnUNetTrainer__nnUNetPlans__2d"
PREDICT = Predict(
    name="predict",
    dataset=DATASET,
    images="images",
    output="predictions",
    trainer="nnUNetTrainer",
    plans="nnUNetPlans",
    configuration="2d",
    folds=("0", "1"),
    device="cpu",
)
