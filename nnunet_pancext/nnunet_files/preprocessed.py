"""A dataset in nnUNet_preprocessed: where its cases are, and which of them are whole."""

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.io.label_maps import find_cases
from nnunet_pancext.nnunet_files.case_files import CaseFiles, training_files
from nnunet_pancext.nnunet_files.dataset_json import NAME, read_dataset_json
from nnunet_pancext.nnunet_files.folders import PREPROCESSED, RAW, existing_folder, set_folder
from nnunet_pancext.nnunet_files.plans_file import CASCADE, SECOND_STAGE_DATA, configuration_of

FINGERPRINT, TRUTH = "dataset_fingerprint.json", "gt_segmentations"
ENDINGS = (".pkl", ".b2nd", "_seg.b2nd", ".npz", ".npy", "_seg.npy")  # the first marks a case that is whole
B2ND_MAGIC = b"b2frame\0"
COPY_TOLERANCE_S = 1.0  # nnU-Net copies label maps with their times, rounded


@dataclass(frozen=True, kw_only=True)
class Preprocessed:
    """A configuration of a dataset's plans; the dataset is given by the name of its folder."""

    dataset: str
    plans: str
    configuration: str

    @property
    def folder(self) -> Path:
        """The dataset's folder, there or not; PancextError where nnUNet_preprocessed is not set."""
        return set_folder(PREPROCESSED) / self.dataset

    @property
    def plans_file(self) -> Path:
        return self.folder / f"{self.plans}.json"

    @cached_property
    def content(self) -> dict[str, Any] | None:
        """The plans; None where there are none, or only a part that a killed planner left."""
        return valid_json(self.plans_file)

    @property
    def truth(self) -> Path:
        """The folder of the label maps that nnU-Net's validation compares with."""
        return self.folder / TRUTH

    @property
    def settings(self) -> dict[str, Any]:
        """The plan's settings of the configuration; PancextError where there are none."""
        remedy = "nnU-Net leaves out 3d_lowres and the cascade where images are small. Choose another."
        return configuration_of(self.content or {}, self.configuration, source=self.plans_file, remedy=remedy)

    @property
    def is_planned(self) -> bool:
        """Whether the plans have the configuration, and nnU-Net's other two files are there and whole."""
        try:
            return bool(self.settings) and None not in (
                valid_json(self.folder / FINGERPRINT),
                valid_json(self.folder / NAME),
            )
        except PancextError:
            return False

    @property
    def data(self) -> Path:
        """The folder of the preprocessed cases; without plans, as nnU-Net's planners would name it."""
        try:
            name = self.settings.get("data_identifier")
        except PancextError:
            name = None
        base = SECOND_STAGE_DATA if self.configuration == CASCADE else self.configuration
        return self.folder / str(name or f"{self.plans}_{base}")

    def missing(self, cases: Mapping[str, CaseFiles]) -> list[str]:
        """Return the cases that are not whole, or older than one of their files."""
        return [case for case, files in cases.items() if not is_whole_case(self.data, case, made_from=files)]

    def left_over(self, cases: Iterable[str]) -> set[str]:
        """Return the preprocessed cases that are none of `cases`: nnU-Net would train fold all on them."""
        return preprocessed_cases(self.data) - set(cases)

    def labels_to_copy(self, cases: Mapping[str, CaseFiles], ending: str) -> dict[Path, Path]:
        """Return the label maps that nnU-Net's validation lacks, by the paths of their copies."""
        copies = {self.truth / f"{case}{ending}": files.label for case, files in cases.items()}
        return {copy: label for copy, label in copies.items() if label and not _is_copied(label, copy)}

    def copied_cases(self) -> dict[str, CaseFiles]:
        """Return the cases whose label maps were copied, without their files."""
        ending = read_dataset_json(self.folder / NAME).file_ending
        return dict.fromkeys(sorted(find_cases(self.truth, ending)), CaseFiles())


def valid_json(path: Path) -> dict[str, Any] | None:
    """Return the content of a JSON file that nnU-Net writes; None if it is missing or was left unfinished."""
    if not path.is_file():
        return None
    try:
        return read_json(path, expect=dict)
    except PancextError:
        return None


def cases_of(dataset: str) -> tuple[dict[str, CaseFiles], str]:
    """Return the raw dataset's training cases and the ending of its files; PancextError without any."""
    declared = read_dataset_json(existing_folder(RAW) / dataset / NAME)
    cases = {case: files for case, files in training_files(declared).items() if files.images}
    return cases, declared.file_ending


def preprocessed_cases(data: Path) -> set[str]:
    """Return the cases that nnU-Net would find in a folder, whole or not."""
    names = [path.name for path in data.iterdir()] if data.is_dir() else []
    return {
        name.removesuffix(ending)
        for ending in (".b2nd", ".npz")
        for name in names
        if name.endswith(ending) and not name.endswith("_seg.b2nd")
    }


def files_of_case(data: Path, case: str) -> list[Path]:
    """Return the files of a preprocessed case that are there, the one that marks it whole first."""
    return [path for ending in ENDINGS if (path := data / f"{case}{ending}").is_file()]


def is_whole_case(data: Path, case: str, *, made_from: CaseFiles) -> bool:
    """Whether a preprocessed case is whole, which its few first and last bytes show, and not outdated."""
    is_packed = (data / f"{case}.npz").is_file()
    endings = (".npz", ".pkl") if is_packed else (".b2nd", "_seg.b2nd", ".pkl")
    if not all(_is_whole_file(data / f"{case}{ending}") for ending in endings):
        return False
    sources = [*made_from.images.values(), *([made_from.label] if made_from.label else [])]
    made_at = (data / f"{case}.pkl").stat().st_mtime
    return all(source.stat().st_mtime <= made_at for source in sources if source.is_file())


def _is_whole_file(path: Path) -> bool:
    try:
        size = path.stat().st_size
        if path.suffix == ".npz":
            return zipfile.is_zipfile(path)
        with path.open("rb") as file:
            if path.suffix == ".b2nd":  # whose header holds the length of the whole
                header = file.read(24)
                return header[2:10] == B2ND_MAGIC and int.from_bytes(header[16:24], "big") == size
            file.seek(max(0, size - 1))
            return file.read(1) == b"."  # a pickle's last instruction
    except OSError:
        return False


def _is_copied(source: Path, copy: Path) -> bool:
    """Whether the copy of a label map is there, of the same size, and the original no newer."""
    try:
        original, copied = source.stat(), copy.stat()
    except OSError:
        return False
    return original.st_size == copied.st_size and original.st_mtime <= copied.st_mtime + COPY_TOLERANCE_S
