"""A CT series as a case: its volume is written for the model's own reader for as long as it is needed."""

import hashlib
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.disk import write_errors_as_pancext
from nnunet_pancext.io.images import quiet_itk, write_compressed
from nnunet_pancext.model_sharing.unpack import sha256_of
from nnunet_pancext.prediction.cases import Case
from nnunet_pancext.raw_cases.dicom_series import DicomSeries, read_series
from nnunet_pancext.raw_cases.source import BadCase

VOLUME = "ct.nii"


@dataclass(frozen=True, kw_only=True)
class OpenedSeries:
    """A checked series, the folder below which messages name its files, and what may be wrong with it."""

    series: DicomSeries
    root: Path
    warnings: tuple[str, ...] = ()


class CtSource:
    """A CT series, opened when it is first needed: one on a server is downloaded then.

    `folder` is where temporary files of the case may lie. `open_series` raises PancextError or BadCase.
    """

    def __init__(self, *, uid: str, folder: Path, open_series: Callable[[Path], OpenedSeries]) -> None:
        self.uid, self.folder, self._open = uid, folder, open_series

    @cached_property
    def opened(self) -> OpenedSeries:
        """The series; raises PancextError."""
        try:
            return self._open(self.folder)
        except BadCase as error:
            raise PancextError(for_prediction(error)) from error

    @property
    def series(self) -> DicomSeries:
        """The series; raises PancextError."""
        return self.opened.series

    def facts(self) -> list[dict[str, Any]]:
        """Return the record's entry: the hash is of the files, in the order of their slices.

        Raises:
            PancextError: a file cannot be read.
        """
        digest = hashlib.sha256()
        for file in self.series.files:
            try:
                digest.update(bytes.fromhex(sha256_of(file)))
            except OSError as error:
                raise PancextError(f"{file} cannot be read ({error.strerror}). Is it still there?") from error
        return [{"series": self.uid, "files": len(self.series.files), "sha256": digest.hexdigest()}]

    def volume(self) -> Path:
        """Write the volume in HU, unless it is there, and return its file.

        Raises:
            PancextError: the pixels cannot be read, or the disk is full.
        """
        target = self.folder / VOLUME
        if target.exists():
            return target
        try:
            with quiet_itk():
                volume = read_series(self.series, root=self.opened.root)
        except BadCase as error:
            raise PancextError(for_prediction(error)) from error
        with write_errors_as_pancext(target, option="-o"):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_compressed(volume, target)
        return target

    def close(self, *, keep_volume: bool = False) -> None:
        """Remove the temporary files; with `keep_volume` all but that of a series that was opened."""
        if keep_volume and "opened" in self.__dict__:
            with suppress(PancextError):  # which the case has failed with
                self.volume()
        for path in self.folder.glob("*") if self.folder.is_dir() else ():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif not keep_volume:
                path.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class DicomCase(Case):
    """A CT series to predict. `files` are those that are known before it is opened."""

    source: CtSource


def image_of(case: Case) -> Path | None:
    """Return the image of a case's first channel, written if it is not there; None where it is gone."""
    if not isinstance(case, DicomCase):
        return case.files[0]
    try:
        return case.source.volume()
    except PancextError:
        return None


def for_prediction(error: BadCase) -> str:
    """Return a message about a case of a dataset, from which it can be removed, for one to predict."""
    return str(error).replace(", or remove the case", "")
