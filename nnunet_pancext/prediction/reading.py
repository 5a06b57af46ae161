"""Reading the image of a case: every file is checked to its end, then nnU-Net's own reader reads it."""

import io
import math
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from numpy.typing import NDArray

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.io.images import only_thread_in_itk, quiet_itk
from nnunet_pancext.io.nifti_affine import first_header
from nnunet_pancext.io.unreadable import NIFTI, UnreadableImage, as_unreadable
from nnunet_pancext.nnunet_files.dataset_json import DatasetJson
from nnunet_pancext.prediction.cases import Case
from nnunet_pancext.prediction.models import COPY_AGAIN, PLANS, ChosenModel
from nnunet_pancext.raw_cases.case_checks import compare_geometry, fault_text, inspect, rounded
from nnunet_pancext.raw_cases.geometry import Geometry
from nnunet_pancext.raw_cases.reader_choice import reader_of
from nnunet_pancext.raw_cases.readers import NibabelReader, SimpleITKReader
from nnunet_pancext.raw_cases.source import name_of

HERE = Path()  # files are named as they were given
ON_ONE_GRID = "Resample all channels of the case onto one grid."
MOST_VOXELS = 1 << 32  # of an image on the network's grid: 16 GiB in single precision
ONE_BY_ONE = (
    "Save each channel as an image of its own, CASE_0000, CASE_0001, …; of a series, the one to predict."
)


@dataclass(frozen=True, kw_only=True)
class CaseImage:
    """Voxels (channel, slice, row, column) with the properties that nnU-Net's reader gives them.

    `geometry` is that of the voxels, from the first file; `stored` is that of the file where the reader turns
    its axes. `warnings` say what may be wrong with it.
    """

    voxels: NDArray[np.float32]
    properties: dict[str, Any]
    geometry: Geometry
    warnings: tuple[str, ...] = ()
    stored: Geometry | None = None


class CaseReader:
    """The reader of a model's plan.

    Raises:
        PancextError: nnU-Net does not have it.
    """

    def __init__(self, model: ChosenModel) -> None:
        self.model, self.dataset = model, model.dataset
        self.reader_class = _reader_class(model)
        self.reader = reader_of(self.reader_class)

    @property
    def name(self) -> str:
        """The name of nnU-Net's class."""
        return self.reader.name

    @property
    def endings(self) -> tuple[str, ...]:
        """Endings of the files that it reads, the dataset's own first; also .nii where it reads .nii.gz."""
        known = [self.dataset.file_ending, *self.reader_class.supported_file_endings]
        plain = NIFTI[:1] if NIFTI[1] in known else ()
        return tuple(dict.fromkeys([*known, *plain]))

    def is_whole(self, label_map: Path) -> bool:
        """Whether a label map that was written can be read to its end."""
        try:
            self.reader.scan(label_map, is_label=True)
        except (UnreadableImage, OSError):
            return False
        return True

    def read(self, case: Case) -> CaseImage:
        """Read a case whose files are whole, on one grid, and as many channels as the model takes.

        Raises:
            PancextError: they are not, or hold something other than an image that can be predicted.
        """
        if case.fault:
            raise PancextError(case.fault)
        for file in case.files:
            if not file.exists() and not file.is_symlink():
                raise PancextError(f"{name_of(file, HERE)} is not there. Check its name and folder.")
        with quiet_itk():
            geometries = [self._checked(file) for file in case.files]
            for file, geometry in zip(case.files[1:], geometries[1:], strict=True):
                if differences := compare_geometry(
                    geometries[0],
                    geometry,
                    label_name=name_of(file, HERE),
                    image_name=name_of(case.files[0], HERE),
                    remedy=ON_ONE_GRID,
                ):
                    raise PancextError(next(iter(differences.values())))
            voxels, properties = self._read(case.files)
        _require_channels(case, len(voxels), self.dataset)
        if not np.isfinite(voxels).all():
            raise PancextError(
                f"{name_of(case.files[0], HERE)}: the case has values beyond the range of single precision, "
                "in which nnU-Net computes. Replace them, e.g. by -1024 HU in CT."
            )
        _require_size(case, voxels.shape[1:], properties, self.model)
        return CaseImage(
            voxels=voxels,
            properties=properties,
            geometry=geometries[0],
            warnings=tuple(_warnings(case.files[0], geometries[0], self.model)),
            stored=self._stored_geometry(case.files[0]),
        )

    def _checked(self, file: Path) -> Geometry:
        """Return the geometry of a file that was read to its end."""
        problems: dict[str, str] = {}
        _require_spacing(file)
        scan, geometry = inspect(file, "image", root=HERE, problems=problems, reader=self.reader)
        if problems:
            raise PancextError(_for_prediction(next(iter(problems.values()))))
        assert scan is not None
        assert geometry is not None
        if scan.further and isinstance(self.reader, SimpleITKReader):
            raise PancextError(
                f"{name_of(file, HERE)} holds {1 + len(scan.further)} volumes (4D), for which nnU-Net cannot "
                f"write a label map. {ONE_BY_ONE}"
            )
        return geometry

    def _stored_geometry(self, file: Path) -> Geometry | None:
        """Return the geometry of a file whose axes the reader turns; None of any other."""
        reader = self.reader
        if not isinstance(reader, SimpleITKReader | NibabelReader) or not reader.reorients:
            return None
        return replace(reader, reorients=False).geometry(file, is_label=False)

    def _read(self, files: Sequence[Path]) -> tuple[NDArray[np.float32], dict[str, Any]]:
        try:
            with (
                only_thread_in_itk(),
                redirect_stdout(io.StringIO()),
                np.errstate(over="ignore"),
            ):  # it prints
                return self.reader_class().read_images(tuple(map(str, files)))
        except Exception as error:  # of whatever library nnU-Net's class uses
            name = name_of(files[0], HERE)
            if isinstance(error, RuntimeError) and str(error):
                raise PancextError(fault_text(name, as_unreadable(error, files[0]))) from error
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise PancextError(f"{name} cannot be read by nnU-Net's {self.name} ({reason}).") from error


def _reader_class(model: ChosenModel) -> Any:
    from nnunetv2.imageio.reader_writer_registry import recursive_find_reader_writer_by_name

    name = model.plans.get("image_reader_writer")
    try:
        with redirect_stdout(io.StringIO()):
            return recursive_find_reader_writer_by_name(name)
    except Exception as error:  # also of a module that a user added there
        raise PancextError(
            f"{model.folder / PLANS} names the image reader {str(name)[:80]!r}, which this nnU-Net does not "
            f"have. Install the version that trained the model. {COPY_AGAIN}"
        ) from error


def _for_prediction(message: str) -> str:
    """Return the message about a file of a dataset, from which a case can be removed, for one to predict."""
    return message.removesuffix(", or remove the case.") + "." * message.endswith(", or remove the case.")


def _require_channels(case: Case, found: int, dataset: DatasetJson) -> None:
    names = dataset.channel_names
    if found == len(names):
        return
    files = counted(len(case.files), "file")
    listed = f" ({', '.join(names)})" if all(names) else ""
    raise PancextError(
        f"{name_of(case.files[0], HERE)}: the case has {counted(found, 'channel')} in {files}; the "
        f"model takes {len(names)}{listed}. Give one file per channel in this order, CASE_0000, CASE_0001, …"
    )


def _require_size(
    case: Case, shape: Sequence[int], properties: Mapping[str, Any], model: ChosenModel
) -> None:
    """Refuse an image whose spacing makes it vanish, or enormous, on the network's grid."""
    order = model.plans.get("transpose_forward", range(len(shape)))
    spacing_mm = [float(properties["spacing"][axis]) for axis in order]
    kept = [shape[axis] for axis in order]
    target_mm = list(model.settings.get("spacing", ()))
    target_mm = [*spacing_mm[: len(kept) - len(target_mm)], *target_mm]  # in 2D slices keep their distance
    sizes = [
        round(length * step / wanted)
        for length, step, wanted in zip(kept, spacing_mm, target_mm, strict=True)
    ]
    if min(sizes) < 1 or math.prod(sizes) > MOST_VOXELS:
        raise PancextError(
            f"{name_of(case.files[0], HERE)} has a spacing of {rounded(spacing_mm)} mm, so on the network's "
            f"grid of {rounded(target_mm)} mm it would have {' x '.join(map(str, sizes))} voxels. Correct "
            "the spacing in its header."
        )


def _require_spacing(file: Path) -> None:
    """Refuse a NIfTI header with a spacing of 0, which readers replace by 1 without a word."""
    header = _nifti_header(file)
    if header is None:
        return
    axes = min(3, max(0, int(header["dim"][0])))
    steps = np.asarray(header["pixdim"][1 : 1 + axes], float)
    if not np.isfinite(steps).all() or (steps == 0).any():
        raise PancextError(
            f"{name_of(file, HERE)} has the spacing {tuple(steps.tolist())} in its header (pixdim). Write "
            "the header again, as exported by the scanner."
        )


def _warnings(file: Path, geometry: Geometry, model: ChosenModel) -> list[str]:
    """Return what is missing in the geometry of a volume."""
    if len(geometry.size) < 3:
        return []
    warnings = []
    median_mm = model.plans.get("original_median_spacing_after_transp", [])
    is_unit = all(step == 1 for step in geometry.spacing_mm)
    if is_unit and any(step != 1 for step in median_mm):
        warnings.append(
            f"{name_of(file, HERE)} has no spacing other than 1 x 1 x 1 mm; the model was trained on images "
            f"of about {' x '.join(f'{step:g}' for step in median_mm)} mm. If it was not recorded, label "
            "map and volumes are wrong: correct the header."
        )
    header = _nifti_header(file)
    if header is not None and not header["qform_code"] > 0 and not header["sform_code"] > 0:
        warnings.append(
            f"{name_of(file, HERE)} has no orientation in its header (qform and sform are not set). Check "
            "that its axes run as in the training images."
        )
    return warnings


def _nifti_header(file: Path) -> Nifti1Header | None:
    if not file.name.lower().endswith(NIFTI) or not file.is_file():
        return None
    header = first_header(file)
    known = header is not None and int(header["sizeof_hdr"]) == 348
    return header if known else None
