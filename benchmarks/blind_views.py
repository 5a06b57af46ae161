"""Prints how views in which the two-stage network's first stage detects nothing affect the tumour.

python benchmarks/blind_views.py            ten minutes on two processors

nnU-Net averages log-probabilities over flips and overlapping patches. A narrow network is trained on the
demo's phantoms. Then its first stage is degraded by lowering the bias, and new phantoms are predicted with
different bounds of the logits outside stage 2's window (`UNSEEN_LOGIT_BOUND`), all from the same views.
"""

import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from phantom_learning import make_new_cases, silence
from report import command_line, machine, print_table
from torch import Tensor, nn

from nnunet_pancext.architectures import class_probabilities, pancreas_tumor_cascade
from nnunet_pancext.architectures.class_probabilities import compose_log_probabilities
from nnunet_pancext.demo.pipeline import run_demo
from nnunet_pancext.demo.workspace import Workspace
from nnunet_pancext.evaluation.overlap import count_overlap

LABELS = "pancreas+tumour"
BOUNDS = (15.0, 10.0, 7.0, 5.0)
SHIFTS = (0.0, 4.0, 8.0, 13.0, 18.0, 25.0, 32.0)
TRAINER = "NarrowCascadeTrainer"
# nnU-Net finds a trainer in the folders of nnUNet_extTrainer.
DEFINITION = f"""from nnunet_pancext.trainers import find_trainer


class {TRAINER}(find_trainer("PancreasTumorCascadeTrainer_20epochs_30iterations")):
    network_options = {{"base_channels": 16}}
"""


class AllBounds(nn.Module):
    """Returns the class log-probabilities with each bound, the logit of p1, and whether stage 2 ran."""

    def __init__(self, cascade: Any) -> None:
        super().__init__()
        self.cascade = cascade

    def forward(self, image: Tensor) -> Tensor:
        composed: list[Tensor] = []

        def compose(organ_logits: Tensor, lesion_logits: Any, windows: Any, **options: Any) -> Tensor:
            for bound in BOUNDS:
                with mock.patch.object(class_probabilities, "UNSEEN_LOGIT_BOUND", bound):
                    composed.append(
                        compose_log_probabilities(organ_logits, lesion_logits, windows, **options)
                    )
            looked = torch.full_like(organ_logits, float(windows is not None))
            composed.extend([organ_logits, looked])
            return composed[0]

        with mock.patch.object(pancreas_tumor_cascade, "compose_log_probabilities", compose):
            self.cascade(image)
        return torch.cat(composed, dim=1)


def dice(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Return the Dice of two masks, nan if both are empty."""
    return count_overlap(prediction, truth).dice


def measure(predictor: nnUNetPredictor, cases: list[tuple[np.ndarray, np.ndarray]], shift: float) -> list:
    """Return the rows of the table for one shift of stage 1's bias."""
    network = predictor.network
    with torch.no_grad():
        network.cascade.stage_1.head.seg_layers.bias -= shift
    organ, blind = [], []
    lesion: dict[float, list[float]] = {bound: [] for bound in BOUNDS}
    for image, truth in cases:
        output = predictor.predict_sliding_window_return_logits(torch.from_numpy(image)).float().numpy()
        organ.append(dice(output[-2] > 0, truth > 0))
        blind.append(1 - output[-1][truth == 2].mean() if (truth == 2).any() else float("nan"))
        for number, bound in enumerate(BOUNDS):
            classes = output[3 * number : 3 * number + 3].argmax(0)
            lesion[bound].append(dice(classes == 2, truth == 2))
    with torch.no_grad():
        network.cascade.stage_1.head.seg_layers.bias += shift
    shared = [f"{np.nanmean(organ):.3f}", f"{100 * np.nanmean(blind):.0f} %"]
    return [*shared, *(f"{np.nanmean(values):.3f}" for values in lesion.values())]


def train(folder: Path) -> None:
    """Train the narrow network as the demo does, and write new phantoms."""
    (folder / "trainer").mkdir()
    (folder / "trainer" / "narrow_cascade.py").write_text(DEFINITION, encoding="utf-8")
    make_new_cases(folder, LABELS)
    with mock.patch.dict(os.environ, nnUNet_extTrainer=str(folder / "trainer")):
        run_demo(out=folder / "demo", trainer=TRAINER, labels=LABELS, keep=True)


def load(folder: Path) -> tuple[nnUNetPredictor, list[tuple[np.ndarray, np.ndarray]]]:
    """Return nnU-Net's predictor of the trained network with all bounds, and the preprocessed phantoms."""
    (model,) = Workspace(folder / "demo").nnunet_folders()["nnUNet_results"].glob("*/*__*__*")
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    with mock.patch.dict(os.environ, nnUNet_extTrainer=str(folder / "trainer")):
        predictor.initialize_from_trained_model_folder(str(model), (0,), "checkpoint_final.pth")
    preprocessor = DefaultPreprocessor(verbose=False)
    plans = (predictor.plans_manager, predictor.configuration_manager, predictor.dataset_json)
    cases = []
    for truth in sorted(folder.glob("cases/**/*.nii.gz")):
        if truth.name.endswith("_0000.nii.gz"):
            continue
        (image,) = folder.glob(f"cases/**/{truth.name.removesuffix('.nii.gz')}_0000.nii.gz")
        data, label, _ = preprocessor.run_case([str(image)], str(truth), *plans)
        cases.append((data, label[0]))
    predictor.network = AllBounds(predictor.network).eval()
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=3 * len(BOUNDS) + 2)
    return predictor, cases


def main() -> None:
    """Train, predict, print."""
    command_line(__doc__).parse_args()
    print(machine("torch", "nnunetv2"), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        with silence():
            train(Path(folder))
            predictor, cases = load(Path(folder))
        rows = []
        for shift in SHIFTS:
            rows.append([f"{shift:g}", *measure(predictor, cases, shift)])
            print(*rows[-1], file=sys.stderr, flush=True)
    headings = [f"bound {bound:g}" for bound in BOUNDS]
    print_table(
        f"Tumour Dice of {len(cases)} new phantoms by the logit bound in blind views",
        rows,
        ["lowered by", "Dice of stage 1", "blind views of the tumour", *headings],
    )


if __name__ == "__main__":
    main()
