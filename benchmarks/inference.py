"""Prints the cost of predicting a CT with the two-stage network and with nnU-Net's ResEnc-L, for one plan.

python benchmarks/inference.py                                     phantoms, hours on two processors
python benchmarks/inference.py --made                              8 patches of noise, organ in 2: minutes
python benchmarks/inference.py --case ct.nii.gz label.nii.gz 7     your own CT, whose label 7 is the organ

nnU-Net's own sliding window, half overlapping and without flips, predicts the whole CT with both networks in
turn; for one plan ResEnc-L is ResEnc-M's network. On a CPU the patches are small. The weights are random, so
the ground truth decides where the second stage looks; the first stage runs nevertheless.
"""

import tempfile
import time
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from statistics import median
from typing import Any

import SimpleITK as sitk
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from report import command_line, machine, print_table
from torch import Tensor, nn
from trainer_steps import CONFIGURATIONS, RESIDUAL, build, plans_for

from nnunet_pancext.phantom import write_phantom_dataset

CASCADE = "PancreasTumorCascadeTrainer"
PHANTOM_SIZE = (48, 256, 256)
MADE_PATCHES = 8
SURE = 15.0  # logit
DATASET_JSON = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "pancreas": 1, "cancer": 2}}


class LooksWhereTheOrganIs(nn.Module):
    """The two-stage network with the output of its first stage replaced by the input's last channel."""

    def __init__(self, cascade: Any) -> None:
        super().__init__()
        self.cascade = cascade
        self.truth = torch.empty(0)
        self.seen: list[bool] = []  # for each patch, whether it held organ
        cascade.stage_1.register_forward_hook(lambda *_: self.truth)

    def forward(self, image: Tensor) -> Tensor:
        image, truth = image[:, :-1], image[:, -1:]
        self.seen.append(bool((truth > 0.5).any()))
        self.truth = self.cascade._pad(truth * 2 * SURE - SURE)
        return self.cascade(image)


def predictor_for(kind: str, dims: int, device: str) -> nnUNetPredictor:
    """Return nnU-Net's predictor with the kind's untrained network."""
    network, (_, *patch) = build(kind, dims, cpu=device == "cpu")
    if kind == RESIDUAL:
        network.decoder.deep_supervision = False
    else:
        network.deep_supervision = False
        network = LooksWhereTheOrganIs(network)
    plans = deepcopy(plans_for(kind))
    plans["configurations"][CONFIGURATIONS[dims]]["patch_size"] = patch
    manager = PlansManager(plans)
    predictor = nnUNetPredictor(
        use_mirroring=False,
        perform_everything_on_device=device != "cpu",
        device=torch.device(device),
        allow_tqdm=False,
    )
    predictor.manual_initialization(
        network.to(device).eval(),
        manager,
        manager.get_configuration(CONFIGURATIONS[dims]),
        None,
        DATASET_JSON,
        kind,
        None,
    )
    return predictor


def read_case(image: Path, label: Path, organ: int | None, dims: int) -> tuple[Tensor, Tensor]:
    """Return CT and organ, (1, z, y, x) each, with the plan's spacing; 2D keeps the slices."""
    plan = PlansManager(plans_for(RESIDUAL)).get_configuration(CONFIGURATIONS[dims])
    ct, mask = sitk.ReadImage(image, sitk.sitkFloat32), sitk.ReadImage(label)
    mask = sitk.Cast(mask > 0 if organ is None else mask == organ, sitk.sitkFloat32)
    spacing = [*plan.spacing[::-1], *ct.GetSpacing()[dims:]]
    size = [
        round(length * old / new)
        for length, old, new in zip(ct.GetSize(), ct.GetSpacing(), spacing, strict=True)
    ]
    arrays = []
    for volume, method in ((ct, sitk.sitkLinear), (mask, sitk.sitkNearestNeighbor)):
        grid = (ct.GetOrigin(), spacing, ct.GetDirection())
        resampled = sitk.Resample(volume, size, sitk.Transform(), method, *grid)
        arrays.append(torch.from_numpy(sitk.GetArrayFromImage(resampled))[None])
    return (arrays[0].clip(-100, 240) - 80) / 80, arrays[1]


def make_case(patch: Sequence[int], dims: int) -> tuple[Tensor, Tensor]:
    """Return noise that nnU-Net predicts in 8 patches along z, and organ in the centre of 2 of them."""
    thick = patch[0] if dims == 3 else 1
    step = thick // 2 or 1  # slices do not overlap
    slices = thick + step * (MADE_PATCHES - 1)
    organ = torch.zeros(1, slices, *patch[-2:])
    rows, columns = (slice(length // 4, length - length // 4) for length in patch[-2:])
    organ[:, thick - step if dims == 3 else 0 : max(thick, 2), rows, columns] = 1
    return torch.randn(organ.shape), organ


def compare(
    case: tuple[Tensor, Tensor], predictors: dict[str, nnUNetPredictor], rounds: int
) -> tuple[dict[str, float], list[bool]]:
    """Return the median seconds of each network, and for each patch whether it held organ."""
    ct, organ = case
    inputs = {RESIDUAL: ct, CASCADE: torch.cat([ct, organ])}
    seconds: dict[str, list[float]] = {kind: [] for kind in inputs}
    seen = predictors[CASCADE].network.seen
    for _ in range(rounds):
        seen.clear()
        for kind, volume in inputs.items():
            start = time.perf_counter()
            predictors[kind].predict_sliding_window_return_logits(volume)
            seconds[kind].append(time.perf_counter() - start)
    return {kind: median(values) for kind, values in seconds.items()}, seen


def main() -> None:
    """Print the table."""
    parser = command_line(__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dims", type=int, choices=(2, 3), nargs="+", default=(2, 3))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--made", action="store_true", help="a quarter of the patches hold organ")
    parser.add_argument("--case", nargs=3, metavar=("CT", "LABEL", "VALUE"), help="instead of phantoms")
    options = parser.parse_args()
    print(machine("torch", "nnunetv2", notes=(options.device,)))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        if options.case:
            image, label, value = options.case
            files = [(Path(image), Path(label), int(value))]
        elif options.made:
            files = [(Path("made"), Path(), None)]
        else:
            task = write_phantom_dataset(Path(folder), cases=2, size=PHANTOM_SIZE, seed=0)
            files = [
                (task / "imagesTr" / path.name, path, None) for path in sorted((task / "labelsTr").iterdir())
            ]
        for dims in options.dims:
            predictors = {kind: predictor_for(kind, dims, options.device) for kind in (RESIDUAL, CASCADE)}
            for image, label, value in files:
                if options.made:
                    patch = predictors[CASCADE].configuration_manager.patch_size
                    case = make_case(patch, dims)
                else:
                    case = read_case(image, label, value, dims)
                seconds, seen = compare(case, predictors, options.rounds)
                rows.append(
                    [
                        f"{dims}D, {image.name}",
                        " x ".join(map(str, case[0].shape[1:])),
                        str(len(seen)),
                        f"{100 * sum(seen) / len(seen):.0f} %",
                        f"{seconds[RESIDUAL]:.1f}",
                        f"{seconds[CASCADE]:.1f}",
                        f"{seconds[CASCADE] / seconds[RESIDUAL]:.2f}",
                    ]
                )
                print(*rows[-1], flush=True)
    heading = ["", "voxels", "patches", "with organ", "ResEnc-L, s", "two-stage network, s", "time ratio"]
    print_table("Prediction of a CT with nnU-Net's sliding window", rows, heading)


if __name__ == "__main__":
    main()
