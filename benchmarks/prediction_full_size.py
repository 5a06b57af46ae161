"""Prints what prediction takes at full size: windows, forward passes, seconds from a measured window, memory.

python benchmarks/prediction_full_size.py                           a phantom of 96 x 512 x 512 voxels
python benchmarks/prediction_full_size.py --case label.nii.gz 7     and a CT whose organ is label 7

The plan is nnU-Net's for MSD pancreas: patches of 40 x 224 x 224, eight mirrorings, 2.5 x 0.8 x 0.8 mm.
Windows are counted by running each speed with a network that sees exactly the organ; it takes next to no time
and memory, so the memory is that of logits and export. The seconds of a forward pass are those of the plan's
own network, with glibc's default allocator for stock and with freed memory kept for the others.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import SimpleITK as sitk
import torch
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from report import command_line, forget_peak, machine, measure_alone, memory_mb, print_table
from torch import Tensor, nn

from nnunet_pancext.checkpoints.trained_network import build_network, find_installed_trainer, sizes_of
from nnunet_pancext.inference.export import export
from nnunet_pancext.inference.predict import WAYS, Speed, predict_logits
from nnunet_pancext.inference.prepared_image import PreparedImage
from nnunet_pancext.inference.trained_folds import CountingPredictor, LoadedFolds
from nnunet_pancext.io.label_maps import read_label_map
from nnunet_pancext.phantom import write_phantom_dataset
from nnunet_pancext.trainers.machinery.allocator import keep_freed_memory
from nnunet_pancext.trainers.machinery.default_plan import default_plans

CONFIGURATION = "3d_fullres"
SIZE = (96, 512, 512)
DATASET_JSON: dict[str, Any] = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "pancreas": 1},
    "file_ending": ".nii.gz",
}
STOCK, KEPT = "default", "kept"
PASSES = 2  # timed, after one to warm up


class SeesTheOrgan(nn.Module):
    """Gives the logits of background and organ for an image that is 1 in the organ and 0 elsewhere."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([0.5 - image, image - 0.5], 1) * 20


def made_folds() -> LoadedFolds:
    """Return the plan with the network that sees the organ."""
    plans = PlansManager(default_plans())
    predictor = CountingPredictor(device=torch.device("cpu"), use_mirroring=True)
    configuration = plans.get_configuration(CONFIGURATION)
    predictor.manual_initialization(
        SeesTheOrgan(), plans, configuration, [], DATASET_JSON, "nnUNetTrainer", (0, 1, 2)
    )
    return LoadedFolds(predictor, [predictor.network])


def prepared(organ: sitk.Image, spacing_mm: Sequence[float], *, resample: bool) -> PreparedImage:
    """Return an organ's mask as an image of the plan's spacing (slice, row, column)."""
    if resample:
        wanted = [float(length) for length in reversed(spacing_mm)]
        size = [
            round(length * old / new)
            for length, old, new in zip(organ.GetSize(), organ.GetSpacing(), wanted, strict=True)
        ]
        grid = (organ.GetOrigin(), wanted, organ.GetDirection())
        organ = sitk.Resample(organ, size, sitk.Transform(), sitk.sitkNearestNeighbor, *grid)
    data = torch.from_numpy(sitk.GetArrayFromImage(organ)).float()[None]
    shape = tuple(data.shape[1:])
    properties = {
        "spacing": list(spacing_mm),
        "shape_before_cropping": shape,
        "shape_after_cropping_and_before_resampling": shape,
        "bbox_used_for_cropping": [[0, length] for length in shape],
    }
    return PreparedImage(data, properties)


def read_organ(label: Path, value: int | None) -> sitk.Image:
    """Return the mask of a label, of any label without a value."""
    label_map = read_label_map(label)
    return sitk.Cast(label_map > 0 if value is None else label_map == value, sitk.sitkUInt8)


def measure(speed: Speed, label: Path, value: int | None) -> dict[str, Any]:
    """Return windows, forward passes and the peak memory that a prediction adds."""
    if speed != "exact":  # exact is measured as stock here
        keep_freed_memory()
    folds = made_folds()
    # a phantom has the size that was asked for: the same patient in other voxels
    image = prepared(read_organ(label, value), folds.configuration.spacing, resample=value is not None)
    before = memory_mb("VmRSS")
    forget_peak()
    logits = predict_logits(folds, image, speed=speed)
    label_map, _ = export(folds, image, logits)
    passes = logits.passes
    return {
        "shape": " x ".join(map(str, image.data.shape[1:])),
        "organ": int(image.data.sum()),
        "differing": int((label_map != image.data[0].numpy()).sum()),
        "windows": passes.windows,
        "coarse": passes.coarse_windows,
        "forwards": passes.forwards,
        "megabytes": memory_mb("VmHWM") - before,
    }


def time_pass(allocator: str) -> dict[str, Any]:
    """Return the seconds of a forward pass of the plan's network over a patch."""
    if allocator == KEPT:
        keep_freed_memory()
    sizes = sizes_of(default_plans(), DATASET_JSON, CONFIGURATION)
    network = build_network(find_installed_trainer("nnUNetTrainer"), sizes).eval()
    patch = torch.randn(1, 1, *sizes.configuration_manager.patch_size)
    seconds = []
    with torch.inference_mode():
        for _ in range(1 + PASSES):
            started = time.process_time()
            network(patch)
            seconds.append(time.process_time() - started)
    return {"seconds": min(seconds[1:])}


def rows_of(label: Path, value: int | None, seconds: dict[str, float]) -> list[list[str]]:
    """Return the table's row of each way; that of `exact` has stock's windows."""
    script = Path(__file__).name
    words = [str(label), "" if value is None else str(value)]
    measured: dict[str, Any] = {speed: measure_alone(script, "--child", speed, *words) for speed in WAYS}
    stock = measured["exact"]
    rows = []
    for way, found in {"stock": stock, **measured}.items():
        took = found["forwards"] * seconds[STOCK if way == "stock" else KEPT]
        rows.append(
            [
                way,
                found["shape"],
                f"{found['windows']} + {found['coarse']}",
                str(found["forwards"]),
                f"{stock['forwards'] / found['forwards']:.1f}",
                f"{took / 60:.1f}",
                f"{stock['forwards'] * seconds[STOCK] / took:.1f}",
                f"{found['megabytes']:.0f}",
                f"{found['megabytes'] / stock['megabytes']:.2f}",
                f"{found['differing']} of {found['organ']}",
            ]
        )
    return rows


def main() -> None:
    """Print the table."""
    parser = command_line(__doc__)
    parser.add_argument("--case", nargs=2, metavar=("LABELS", "VALUE"), help="besides the phantom")
    parser.add_argument("--size", type=int, nargs=3, default=SIZE, help="of the phantom")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        what, *words = options.child
        label = Path(words[0]) if words else Path()
        answer = measure(what, label, int(words[1]) if words[1] else None) if words else time_pass(what)
        print(json.dumps(answer))
        return
    threads = f"{torch.get_num_threads()} thread(s)"
    print(machine("torch", "nnunetv2", notes=(threads,)), flush=True)
    script = Path(__file__).name
    seconds = {way: measure_alone(script, "--child", way)["seconds"] for way in (STOCK, KEPT)}
    print(f"\nA forward pass: {seconds[STOCK]:.2f} s, and {seconds[KEPT]:.2f} s with freed memory kept.")
    with tempfile.TemporaryDirectory() as folder:
        task = write_phantom_dataset(
            Path(folder), cases=1, size=tuple(options.size), seed=0, show_progress=False
        )
        rows = rows_of(next((task / "labelsTr").iterdir()), None, seconds)
    if options.case:
        rows += rows_of(Path(options.case[0]), int(options.case[1]), seconds)
    heading = [
        "",
        "voxels",
        "windows + coarse",
        "forwards",
        "fewer",
        "minutes",
        "times sooner",
        "added MB",
        "of stock's",
        "voxels differing",
    ]
    print_table("At full size", rows, heading)


if __name__ == "__main__":
    main()
