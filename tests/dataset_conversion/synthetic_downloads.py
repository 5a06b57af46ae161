"""A small synthetic download of every layout that can be converted."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import synthetic_slices
import synthetic_synapse
from synthetic_acdc import add_patient
from synthetic_msd_task import make_msd_task
from synthetic_nih import SyntheticDownload

from nnunet_pancext.dataset_conversion.layouts.acdc import convert_acdc
from nnunet_pancext.dataset_conversion.layouts.msd import convert_msd
from nnunet_pancext.dataset_conversion.layouts.nih import convert_nih
from nnunet_pancext.dataset_conversion.layouts.png_slices import convert_slices
from nnunet_pancext.dataset_conversion.layouts.synapse import convert_synapse
from nnunet_pancext.dataset_conversion.report import ConversionResult

Convert = Callable[..., ConversionResult]


def msd(folder: Path) -> Convert:
    return partial(convert_msd, make_msd_task(folder / "Task07_Pancreas").folder)


def nih(folder: Path) -> Convert:
    download = SyntheticDownload(folder)
    for number in (1, 2, 13, 31, 32):
        download.add(number)
    return partial(convert_nih, download.images, download.labels)


def synapse(folder: Path) -> Convert:
    for number in range(1, 6):
        synthetic_synapse.add(folder / "RawData", number)
    synthetic_synapse.add(folder / "RawData", 61, test="Testing")
    return partial(convert_synapse, folder / "RawData", organs=13)


def acdc(folder: Path) -> Convert:
    for number in range(1, 6):
        add_patient(folder / "database" / "training", number)
    add_patient(folder / "database" / "testing", 101)
    return partial(convert_acdc, folder / "database")


def slices(folder: Path) -> Convert:
    return partial(convert_slices, synthetic_slices.make(folder / "pngs", value=1))


LAYOUTS: dict[str, Callable[[Path], Convert]] = {
    "msd": msd,
    "nih": nih,
    "synapse": synapse,
    "acdc": acdc,
    "slices": slices,
}
"""Each writes a download and returns its conversion, which wants `raw_root` and takes the options."""
