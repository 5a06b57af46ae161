"""The cases to predict: the files given, or the files of a folder in nnU-Net's naming."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import shown_name

FIRST = "_0000"
MOST_NAMED = 3
NAMING = "CASE_0000{ending}, with _0001 and so on for further channels"
RESERVED = ("dataset", "plans", "evaluation")  # of other outputs


@dataclass(frozen=True, kw_only=True)
class Case:
    """A case, and its files in the order of the channels; `fault` says why it cannot be predicted."""

    name: str
    files: tuple[Path, ...]
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class FoundCases:
    """The cases in the order given, and files of folders that belong to none."""

    cases: list[Case]
    left_out: list[Path]


def find_cases(inputs: Iterable[Path], *, endings: Sequence[str], num_channels: int) -> FoundCases:
    """Return the cases of files and folders.

    A file of a model with one channel may have any name: the case is the name without ending and `_0000`. In
    a folder, and for several channels, files are named as in nnU-Net, CASE_0000.nii.gz.

    Args:
        inputs: files and folders.
        endings: of files that the model reads; the dataset's own is the first.
        num_channels: that the model takes.

    Raises:
        PancextError: there is no case, a file has another ending, or two files are of the same channel.
    """
    channels: dict[str, dict[int, Path]] = {}
    left_out: list[Path] = []

    def add(case: str, channel: int, file: Path) -> None:
        if case.casefold() in RESERVED:
            raise PancextError(
                f"{file}: a case cannot be called {case}: the output folder has another file of this name. "
                "Rename it."
            )
        known = channels.setdefault(case, {}).setdefault(channel, file)
        if known is not file:
            raise PancextError(
                f"{known} and {file} are both channel {channel} of the case {shown_name(case)}. Give each "
                "case once, and cases of the same name separately, with another -o."
            )

    for path in inputs:
        if path.is_dir():
            found = [file for file in sorted(path.iterdir()) if not file.name.startswith(".")]
            images = [file for file in found if _ending_of(file, endings) and not file.is_dir()]
            named = [(file, parts) for file in images if (parts := _parse(file, endings))]
            left_out += sorted(set(images) - {file for file, _ in named})
            if not named:
                raise PancextError(_empty_folder(path, found, endings=endings))
            for file, (case, channel) in named:
                add(case, channel, file)
            continue
        ending = _ending_of(path, endings)
        if not ending:
            raise PancextError(_unknown_ending(path, endings=endings))
        parts = _parse(path, endings)
        if parts is None or (num_channels == 1 and parts[1] != 0):
            parts = path.name[: -len(ending)], 0
        add(*parts, path)
    cases = [_case(name, files, num_channels=num_channels) for name, files in channels.items()]
    if not cases:
        raise PancextError("There is nothing to predict. Give files, or a folder of them.")
    return FoundCases(cases=cases, left_out=left_out)


def is_in_naming(file: Path, endings: Sequence[str]) -> bool:
    """Whether a file is called as nnU-Net's images are, CASE_0000 with one of the endings."""
    return _parse(file, endings) is not None and not file.is_dir() and not file.name.startswith(".")


def require_case_name(name: str, *, option: str) -> None:
    """Raise PancextError unless a case's name can be used as a file name."""
    if name.casefold() in RESERVED:
        raise PancextError(
            f"{option} {name}: the output folder has another file of this name. Choose another."
        )
    if not re.fullmatch(r"[^\W_][\w.+=@ -]{0,99}", name) or name != name.strip():
        raise PancextError(
            f"{option} {name!a}: a name has letters, digits, and in between spaces and . _ - + = @, at most "
            "100 of them. Choose another."
        )


def _case(name: str, files: dict[int, Path], *, num_channels: int) -> Case:
    """Return the case; a single file may hold all channels, so their number is checked when it is read."""
    numbers = sorted(files)
    fault = ""
    if numbers != list(range(len(numbers))):
        there = ", ".join(shown_name(files[number].name) for number in numbers)
        gap = next(number for number in range(num_channels + 1) if number not in files)
        fault = f"the file of channel {gap}, *_{gap:04d}, is missing; found: {there}. Add it."
    return Case(name=name, files=tuple(files[number] for number in numbers), fault=fault)


def _ending_of(file: Path, endings: Sequence[str]) -> str:
    """Return the longest ending that the file has, as it is written there; empty if none."""
    known = [ending for ending in endings if file.name.lower().endswith(ending.lower())]
    longest = len(max(known, key=len, default=""))
    return file.name[-longest:] if 0 < longest < len(file.name) else ""


def _parse(file: Path, endings: Sequence[str]) -> tuple[str, int] | None:
    """Return case and channel of a name such as CASE_0000.nii.gz; None if it is called otherwise."""
    ending = _ending_of(file, endings)
    match = re.fullmatch(r"(.+)_(\d{4})", file.name[: len(file.name) - len(ending)], re.ASCII | re.DOTALL)
    return (match[1], int(match[2])) if match and ending else None


def _empty_folder(folder: Path, files: Sequence[Path], *, endings: Sequence[str]) -> str:
    naming = NAMING.format(ending=endings[0])
    if not files:
        return f"{folder} is empty. Give a folder of images called {naming}."
    there = ", ".join(shown_name(file.name) for file in files[:MOST_NAMED])
    others = "There are" if len(files) <= MOST_NAMED else "The first files there are"
    return (
        f"{folder} holds no image called {naming}, and no DICOM file. {others} {there}. Rename "
        "the images, or, for a model with one channel, give the files themselves."
    )


def _unknown_ending(path: Path, *, endings: Sequence[str]) -> str:
    if not path.exists():
        return f"There is no {path}. Give files that end in {' or '.join(endings)}, or a folder of them."
    return (
        f"{path} does not end in {' or '.join(endings)}, which this model reads. Convert it, for example "
        "with SimpleITK or 3D Slicer."
    )
