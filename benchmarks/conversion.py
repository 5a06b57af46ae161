"""Prints the cost of a conversion compared with a plain copy, and with reading and writing by SimpleITK.

python benchmarks/conversion.py [--work FOLDER] [--jobs 2] [--rounds 2]

Writes 2 GB of CTs in MSD's layout and 0.3 GB in the NIH's under FOLDER (default: a temporary one), needs as
much again for the copies, and removes everything.
"""

import gzip
import json
import os
import platform
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import SimpleITK as sitk
from report import command_line, machine, measure_alone, print_table
from run import ENVIRONMENT

from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.dataset_conversion.layouts.nih import convert_nih
from nnunet_pancext.dataset_conversion.target import place
from nnunet_pancext.io.parallel import for_each

SIZE_ZYX = (160, 512, 512)
SPACING = (0.8, 0.8, 2.5)
MSD_CASES, NIH_CASES = 36, 4
MSD_KINDS = {
    "shutil.copy2 of all files": "copy",
    "the converter's hard links of all files": "link",
    "convert msd": "msd",
}
NIH_KINDS = {
    "SimpleITK: read series, write .nii.gz": "simpleitk",
    "convert nih": "nih",
}


def made_ct(number: int, *, noise_hu: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the HU of an organ in fat with noise of this width, and the organ's mask."""
    random = np.random.default_rng(number)
    hu = random.integers(-90 - noise_hu // 2, -90 + noise_hu // 2, SIZE_ZYX, dtype=np.int16)
    mask = np.zeros(SIZE_ZYX, np.uint8)
    z, y, x = np.ogrid[:60, :90, :150]
    organ = ((z - 30) / 28) ** 2 + ((y - 45) / 40) ** 2 + ((x - 75) / 70) ** 2 < 1
    place_ = np.s_[30:90, 180:270, 120 + number : 270 + number]
    mask[place_] = organ
    hu[place_][organ] += 180
    return hu, mask


def compressed(array: np.ndarray, path: Path) -> tuple[bytes, bytes]:
    """Return a .nii.gz of the array in two separately compressed parts: the first slice, and the rest."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING)
    sitk.WriteImage(image, str(path))
    content = path.read_bytes()
    path.unlink()
    middle = len(content) - array[1:].nbytes
    return gzip.compress(content[:middle], 1), gzip.compress(content[middle:], 1)


def make_msd(folder: Path) -> None:
    """Write labelled cases in the layout of Task07_Pancreas that differ only in their first slice.

    The rest is compressed once, so that writing them does not take longer than the measurement.
    """
    names = [f"pancreas_{number:03d}.nii.gz" for number in range(MSD_CASES)]
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    hu, mask = made_ct(0, noise_hu=600)  # compressed little, so that files are large
    first, body = compressed(hu, folder / "plain.nii")
    header = gzip.decompress(first)[: -hu[0].nbytes]
    label = b"".join(compressed(mask, folder / "plain.nii"))
    for number, name in enumerate(names):
        hu[0] = number
        (folder / "imagesTr" / name).write_bytes(gzip.compress(header + hu[0].tobytes(), 1) + body)
        (folder / "labelsTr" / name).write_bytes(label)
    declared = {
        "labels": {"0": "background", "1": "pancreas"},
        "training": [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names],
    }
    (folder / "dataset.json").write_text(json.dumps(declared), encoding="utf-8")


def make_nih(folder: Path) -> None:
    """Write series and labels in the layout of The Cancer Imaging Archive."""
    (folder / "labels").mkdir(parents=True)
    for number in range(1, NIH_CASES + 1):
        hu, mask = made_ct(number, noise_hu=60)
        series = folder / "images" / f"PANCREAS_{number:04d}" / "study" / "series"
        series.mkdir(parents=True)
        write_series(series, hu, number=number)
        label = b"".join(compressed(mask, folder / "plain.nii"))
        (folder / "labels" / f"label{number:04d}.nii.gz").write_bytes(label)


def write_series(folder: Path, hu: np.ndarray, *, number: int) -> None:
    """Write a file for each slice."""
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for index, pixels in enumerate(hu):
        image = sitk.GetImageFromArray(pixels[None])
        image.SetSpacing(SPACING)
        for tag, value in {
            "0008|0060": "CT",
            "0020|000e": f"1.2.826.0.1.3680043.2.1125.{number}",
            "0020|0032": f"0\\0\\{index * SPACING[2]}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{index:03d}.dcm"))
        writer.Execute(image)


def files_of(folder: Path) -> list[Path]:
    """Return the images and labels of the MSD layout."""
    return sorted(folder.glob("*Tr/*.nii.gz"))


def read_and_write(series: Path, target: Path) -> None:
    """Read a DICOM series and write it as .nii.gz with SimpleITK."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(series)))
    sitk.WriteImage(reader.Execute(), str(target), useCompression=True, imageIO="NiftiImageIO")


def work_of(kind: str, *, data: Path, out: Path, jobs: int) -> Callable[[], object]:
    """Return the work to be timed."""
    msd, nih = data / "msd", data / "nih"
    options = {"raw_root": out, "jobs": jobs, "show_progress": False}

    def each(do: Callable[[Path], object], items: list[Path]) -> None:
        for_each(do, items, jobs=jobs, title=kind, show_progress=False)

    def flat(path: Path) -> Path:
        return out / f"{path.parent.name}-{path.name}"

    return {
        "copy": lambda: each(lambda path: shutil.copy2(path, flat(path)), files_of(msd)),
        "link": lambda: each(lambda path: place(path, flat(path)), files_of(msd)),
        "msd": lambda: convert_msd(msd, **options),
        "simpleitk": lambda: each(
            lambda path: read_and_write(path, out / f"{path.parents[1].name}.nii.gz"),
            sorted((nih / "images").glob("*/*/*")),
        ),
        "nih": lambda: convert_nih(nih / "images", nih / "labels", **options),
    }[kind]


def measure(kind: str, *, data: Path, jobs: int) -> None:
    """Time one kind in this process, print seconds and megabytes, and remove its output."""
    out = data / "out"
    out.mkdir()
    work = work_of(kind, data=data, out=out, jobs=jobs)
    # Late imports should not be timed.
    import nnunetv2.utilities.crossval_split  # noqa: F401

    os.sync()  # so that the writes of an earlier one are not timed
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, start_cpu = time.perf_counter(), time.process_time()
    work()
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    shutil.rmtree(out)
    print(json.dumps({"seconds": seconds, "cpu": cpu, "megabytes": added / 1024}))


def rows_of(kinds: dict[str, str], *, data: Path, jobs: int, rounds: int) -> list[list[str]]:
    """Measure the kinds in turn, several rounds, and return rows of ratios to the first.

    Processor seconds are reliable on a busy machine too.
    """
    turns = [
        {
            kind: measure_alone(
                "conversion.py",
                *("--work", data, "--jobs", jobs, "--child", kind),
                environment=ENVIRONMENT,
            )
            for kind in kinds.values()
        }
        for _ in range(rounds)
    ]
    first = next(iter(kinds.values()))
    return [
        [
            title,
            *(
                text
                for key in ("seconds", "cpu")
                for text in (
                    f"{median(turn[kind][key] for turn in turns):.3f}",
                    f"{median(turn[kind][key] / turn[first][key] for turn in turns):.3g}",
                )
            ),
            f"{median(turn[kind]['megabytes'] for turn in turns):.0f}",
        ]
        for title, kind in kinds.items()
    ]


def main(*, data: Path, jobs: int, rounds: int) -> None:
    """Write the data, measure and print."""
    make_msd(data / "msd")
    make_nih(data / "nih")
    python = (f"Python {platform.python_version()}",)
    described = machine("SimpleITK", "pydicom", "numpy", notes=python)
    print(f"{described}; load {os.getloadavg()[0]:.1f} before the start")
    gigabytes = sum(path.stat().st_size for path in files_of(data / "msd")) / 1e9
    slices = MSD_CASES * SIZE_ZYX[0]
    heading = ["", "seconds", "time ratio", "processor seconds", "ratio", "MB"]
    rows = rows_of(MSD_KINDS, data=data, jobs=jobs, rounds=rounds)
    print_table(
        f"{MSD_CASES} CTs with labels, {slices} slices, {gigabytes:.2f} GB, {jobs} jobs", rows, heading
    )
    gigabytes = sum(path.stat().st_size for path in (data / "nih").rglob("*.dcm")) / 1e9
    slices = NIH_CASES * SIZE_ZYX[0]
    rows = rows_of(NIH_KINDS, data=data, jobs=jobs, rounds=rounds)
    print_table(f"{NIH_CASES} DICOM series, {slices} slices, {gigabytes:.2f} GB, {jobs} jobs", rows, heading)
    print(f"\nload {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    parser = command_line(__doc__)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--child")
    parsed = parser.parse_args()
    if parsed.child:
        measure(parsed.child, data=parsed.work, jobs=parsed.jobs)
    else:
        with tempfile.TemporaryDirectory(dir=parsed.work) as folder:
            main(data=Path(folder), jobs=parsed.jobs, rounds=parsed.rounds)
