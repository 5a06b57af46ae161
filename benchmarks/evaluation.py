"""Prints time and memory of `pancext evaluate` compared with nnU-Net's and MONAI's metrics, run in turn.

python benchmarks/evaluation.py                  20 cases of 100 x 512 x 512
python benchmarks/evaluation.py --cases 4

nnU-Net computes only Dice and IoU, `pancext evaluate` every metric; both read the same files. MONAI and our
surface distances compute HD95, ASSD and NSD of the same masks in memory. Each runs in a process of its own.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from report import command_line, machine, print_table
from scipy import ndimage

SHAPE = (100, 512, 512)
SPACING_MM = (2.5, 0.8, 0.8)
LABELS = {"background": 0, "pancreas": 1, "cancer": 2}
SURFACE_CASES = 3


def make_case(number: int) -> np.ndarray:
    """Return a label map with a curved organ of about 90 mL and a lesion of about 6 mL."""
    rng = np.random.default_rng(number)
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    label_map = np.zeros(SHAPE, dtype=np.uint8)
    centre = rng.uniform((45, 240, 200), (55, 260, 220))
    for step in np.linspace(0, 1, 12):
        middle = centre + np.array([10 * np.sin(2 * step), -30 * np.sin(3 * step), 110 * step])
        radius_mm = 12 + 4 * np.cos(5 * step)
        distance = sum(
            ((axis - at) * spacing) ** 2
            for axis, at, spacing in zip((z, y, x), middle, SPACING_MM, strict=True)
        )
        label_map[distance < radius_mm**2] = 1
        if step == 0:
            label_map[distance < (0.8 * radius_mm) ** 2] = 2
    return label_map


def write_cases(folder: Path, cases: int) -> None:
    """Write ground truth, and predictions that are shifted by about a voxel and have false components."""
    for name in ("truth", "predictions"):
        (folder / name).mkdir()
    for number in range(cases):
        truth = make_case(number)
        rng = np.random.default_rng(1000 + number)
        prediction = np.roll(truth, rng.integers(-2, 3, size=3), axis=(0, 1, 2))
        prediction[ndimage.binary_erosion(prediction == 2)] = 2
        for place in rng.integers((10, 100, 100), (90, 400, 400), size=(5, 3)):
            prediction[tuple(slice(at, at + 4) for at in place)] = 1
        for name, array in (("truth", truth), ("predictions", prediction)):
            image = sitk.GetImageFromArray(array)
            image.SetSpacing(SPACING_MM[::-1])
            sitk.WriteImage(image, str(folder / name / f"case_{number:03d}.nii.gz"))
    declared = {"labels": LABELS, "file_ending": ".nii.gz", "channel_names": {"0": "CT"}}
    for name in ("truth", "predictions"):
        (folder / name / "dataset.json").write_text(
            json.dumps({**declared, "numTraining": cases}), encoding="utf-8"
        )


def measure(code: str) -> tuple[float, float]:
    """Return the seconds and the peak memory in MB that the code prints last."""
    timed = f"import time\n{code}"
    done = subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    seconds, megabytes = map(float, done.stdout.split()[-2:])
    return seconds, megabytes


PRINT = """
import resource
usage = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(seconds, usage / 1024)
"""

NNUNET = """
from nnunetv2.evaluation.evaluate_predictions import compute_metrics_on_folder
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
if __name__ == "__main__":
    start = time.perf_counter()
    folders = {truth!r}, {predictions!r}, {out!r}
    compute_metrics_on_folder(*folders, SimpleITKIO(), ".nii.gz", [1, 2], num_processes={jobs})
    seconds = time.perf_counter() - start
"""

OURS = """
from nnunet_pancext.cli.main import main
start = time.perf_counter()
assert main(["evaluate", {predictions!r}, {truth!r}, "-o", {out!r}, "--jobs", "{jobs}"]) == 0
seconds = time.perf_counter() - start
"""

SURFACE_START = """
import numpy as np, SimpleITK as sitk
from pathlib import Path
read = lambda path: sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
files = sorted(Path({truth!r}).glob("*.nii.gz"))[:{cases}]
pairs = [(read(Path({predictions!r}) / file.name) > 0, read(file) > 0) for file in files]
"""

MONAI = """
import torch, warnings
warnings.simplefilter("ignore")
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
start = time.perf_counter()
for pair in pairs:
    prediction, truth = (torch.from_numpy(mask)[None, None].float() for mask in pair)
    options = dict(include_background=True, spacing={spacing!r})
    compute_hausdorff_distance(prediction, truth, percentile=95, **options)
    compute_average_surface_distance(prediction, truth, symmetric=True, **options)
    compute_surface_dice(prediction, truth, class_thresholds=[1.0], **options)
seconds = time.perf_counter() - start
"""

OUR_SURFACE = """
from nnunet_pancext.evaluation.surface import surface_distances
start = time.perf_counter()
for prediction, truth in pairs:
    distances = surface_distances(prediction, truth, spacing_mm={spacing!r})
    distances.hd95_mm, distances.assd_mm, distances.nsd(1)
seconds = time.perf_counter() - start
"""


def main() -> None:
    """Print both tables."""
    parser = command_line(__doc__)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(machine("numpy", "scipy", "nnunetv2", "monai"), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_cases(folder, options.cases)
        words = {
            "predictions": str(folder / "predictions"),
            "truth": str(folder / "truth"),
            "jobs": options.jobs,
            "spacing": list(SPACING_MM),
            "cases": min(SURFACE_CASES, options.cases),
        }
        whole = {
            "nnU-Net, Dice and IoU": NNUNET.format(**words, out=str(folder / "nnunet.json")),
            "pancext evaluate, every metric": OURS.format(**words, out=str(folder / "pancext")),
        }
        surface = {
            "MONAI": (SURFACE_START + MONAI).format(**words),
            "nnunet_pancext": (SURFACE_START + OUR_SURFACE).format(**words),
        }
        sizes = " x ".join(map(str, SHAPE))
        compare(f"{options.cases} cases of {sizes}, {options.jobs} at a time", whole, rounds=options.rounds)
        title = f"HD95, ASSD and NSD of {words['cases']} cases, masks in memory"
        compare(title, surface, rounds=options.rounds)


def compare(title: str, programs: dict[str, str], *, rounds: int) -> None:
    """Run the programs in turn and print the median of each."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, code in programs.items():
            taken[name].append(measure(code + PRINT))
    medians = {
        name: [statistics.median(column) for column in zip(*runs, strict=True)]
        for name, runs in taken.items()
    }
    base = next(iter(medians.values()))
    rows = [
        [name, f"{seconds:.2f}", f"{megabytes:.0f}", f"{seconds / base[0]:.2f}"]
        for name, (seconds, megabytes) in medians.items()
    ]
    print_table(title, rows, ["", "seconds", "MB", "time ratio"])


if __name__ == "__main__":
    main()
