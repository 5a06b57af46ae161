"""Writing the results of a case: each file is whole, or not there."""

import errno
import json
import os
import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from io import StringIO
from os.path import realpath
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import SimpleITK as sitk
from numpy.typing import NDArray

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.disk import NO_ROOM, free_bytes, write_errors_as_pancext
from nnunet_pancext.io.files import PARTIAL_PREFIX, atomic_path, read_json, write_json
from nnunet_pancext.io.images import itk_reason, only_thread_in_itk, write_compressed
from nnunet_pancext.io.unreadable import UnreadableImage
from nnunet_pancext.prediction.reading import CaseReader
from nnunet_pancext.raw_cases.geometry import Geometry

OUT = "-o"
GROUND_TRUTH = ("labelsTr", "labelsTs", "gt_segmentations")  # nnU-Net's folders
ABANDONED_S = 600
NOT_WHOLE = "Check the disk and the space on it, and run the same command again."


@contextmanager
def written(target: Path) -> Iterator[Path]:
    """Yield a temporary path that becomes `target`, in a folder that is created.

    Raises:
        PancextError: the disk is full, or the folder cannot be written to.
    """
    with write_errors_as_pancext(target, option=OUT):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with atomic_path(target) as partial:
                yield partial
        except RuntimeError as error:  # SimpleITK's, for every reason
            raise PancextError(f"cannot write {target} ({itk_reason(error)}). {NOT_WHOLE}") from error


def write_label_map(
    label_map: NDArray[np.integer], target: Path, *, properties: dict[str, Any], reader: CaseReader
) -> dict[str, Any]:
    """Write a label map by nnU-Net's writer, and read it to its end: some writers do not report a full disk.

    Return what the writer puts into a JSON file of the case's name: the spacing, which a TIFF does not store.

    Raises:
        PancextError: as `written`, or the file is not whole.
    """
    with written(target) as partial:
        beside = partial.with_name(partial.name.removesuffix(partial.suffix) + ".json")
        try:
            with only_thread_in_itk(), redirect_stdout(StringIO()):
                reader.reader_class().write_seg(label_map, str(partial), properties)
            content = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
        finally:
            beside.unlink(missing_ok=True)
        try:
            reader.reader.scan(partial, is_label=True)
        except UnreadableImage as error:
            if free_bytes(target) < label_map.nbytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise PancextError(f"{target} was not written completely: it {error}. {NOT_WHOLE}") from error
    return content


def write_probabilities(probabilities: NDArray[np.float32], properties: dict[str, Any], target: Path) -> None:
    """Write `target`, a .npz, and beside it a .pkl, as nnUNetv2_predict --save_probabilities does."""
    with written(target) as partial, partial.open("wb") as file:
        np.savez_compressed(file, probabilities=probabilities)
    with written(target.with_suffix(".pkl")) as partial:
        partial.write_bytes(pickle.dumps(properties))


def write_map(
    values: NDArray[np.float32], target: Path, *, geometry: Geometry, stored: Geometry | None = None
) -> None:
    """Write values (slice, row, column) with this `geometry`, turned to the `stored` one if given."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values[0] if len(geometry.size) == 2 else values))
    image.SetSpacing(geometry.spacing_mm)
    image.SetOrigin(geometry.origin_mm)
    image.SetDirection(geometry.direction)
    if stored is not None and len(stored.size) == 3:
        axes = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(stored.direction)
        image = sitk.DICOMOrient(image, axes)
    with written(target) as partial:
        write_compressed(image, partial)


def write_document(content: Any, target: Path) -> None:
    """Write JSON; raises PancextError as `written`."""
    with write_errors_as_pancext(target, option=OUT):
        write_json(target, content)


def remove(target: Path) -> None:
    """Remove a file if there is one; raises PancextError as `written`."""
    with write_errors_as_pancext(target, option=OUT):
        target.unlink(missing_ok=True)


def is_other_document(file: Path, content: Any) -> bool:
    """Whether a file is there that does not hold this content as JSON."""
    try:
        return file.exists() and read_json(file) != content
    except PancextError:
        return True


def belongs_to_nnunet(folder: Path) -> bool:
    """Whether a folder is a dataset or a trained model, or is in a fold of one."""
    folder = Path(realpath(folder))
    folds = [above for above in (folder, *folder.parents) if above.name.startswith("fold_")]
    return (
        (folder / "imagesTr").is_dir()
        or (folder / "dataset_fingerprint.json").is_file()
        or any(folder.glob("fold_*/*.pth"))
        or any(any(fold.glob("*.pth")) for fold in folds)
    )


def is_disk_full(error: PancextError) -> bool:
    """Whether a file could not be written because there is no room."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in {*NO_ROOM, errno.EFBIG}


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files of killed processes, but not those of another machine at work."""
    for path in (*folder.glob(f"{PARTIAL_PREFIX}*"), *folder.glob(f"fold_*/{PARTIAL_PREFIX}*")):
        number = path.name.removeprefix(PARTIAL_PREFIX).split("-")[0]
        if not number.isdecimal() or psutil.pid_exists(int(number)):
            continue
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_S:
                path.unlink()
