"""The card of a predicted case on the page: its pictures, tables and facts, and what is left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.targets import Targets
from nnunet_pancext.figures.overlay import PREDICTION, line_style
from nnunet_pancext.io.console_text import counted, shown_name
from nnunet_pancext.pages.numbers import volume_text
from nnunet_pancext.prediction.report.pictures import (
    DisplayedCase,
    Labels,
    field_around,
    largest_structure,
    read_case,
    write_planes,
)
from nnunet_pancext.prediction.report.texts import (
    Record,
    found_lesions,
    lesion_table,
    run_facts,
    volume_facts,
)

MOST_PICTURES = 300  # browsers cannot open a page with thousands
MOST_DRAWN, MOST_LISTED = 5, 10  # lesions of a case, which then fits on a sheet of paper
MOST_IN_LEGEND = 6  # labels; of more, only those that were found


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of a case, and what it shows."""

    file: Path
    caption: str


@dataclass
class Card:
    """What is shown of one case: pictures of the `whole` and of its `lesions`, `remarks` on what is missing.

    `legend` has name, colour and style of each line.
    """

    record: Record
    anchor: str
    whole: list[Picture] = field(default_factory=list)
    lesions: list[Picture] = field(default_factory=list)
    legend: list[dict[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def case(self) -> str:
        """The name of the case."""
        return shown_name(self.record["case"])

    @property
    def volumes(self) -> list[tuple[str, str]]:
        """The volume of each label."""
        return volume_facts(self.record)

    @property
    def lesion_table(self) -> tuple[list[str], list[list[str]]]:
        """Headings and rows of the largest lesions."""
        return lesion_table(self.record, most=MOST_LISTED)

    @property
    def unlisted(self) -> str:
        """How many lesions are not in the table; empty if none."""
        number = found_lesions(self.record) - min(MOST_LISTED, len(self.record["lesions"]))
        return counted(number, "smaller lesion") if number else ""

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What was run, and left out."""
        return run_facts(self.record)


def pictures_of_each(records: Sequence[Record]) -> list[int]:
    """Return how many pictures each case may have: first one for each, then those of lesions, in order."""
    left = max(0, MOST_PICTURES - len(records))
    most = []
    for number, record in enumerate(records):
        lesions = min(left, MOST_DRAWN, len(record["lesions"]))
        left -= lesions
        most.append(1 + lesions if number < MOST_PICTURES else 0)
    return most


def draw_card(
    card: Card,
    *,
    image: Path | sitk.Image | None,
    label_map: Path | None,
    targets: Targets,
    is_ct: bool,
    most: int,
    folder: Path,
) -> None:
    """Draw at most `most` pictures of a case into `folder` and add them to its card, or why not."""
    if most == 0:
        card.remarks.append(f"There is no picture: a page has at most {MOST_PICTURES}.")
        return
    gone = [what for what, file in (("image", image), ("label map", label_map)) if _is_gone(file)]
    if gone or image is None or label_map is None:
        missing = " and the ".join(gone)
        card.remarks.append(f"There is no picture: the {missing} of this case cannot be found.")
        return
    try:
        case = read_case(image, label_map, is_ct=is_ct)
    except (PancextError, RuntimeError) as error:  # SimpleITK's are RuntimeErrors
        card.remarks.append(f"There is no picture. {_without_folders(str(error), image, label_map)}")
        return
    labels = {name: targets.regions[name] for name in targets.declared}
    largest, centre = largest_structure(case, labels)
    file = folder / f"{card.anchor}.png"
    write_planes(file, case, voxel=centre, field=case.whole, labels=labels)
    through = f", through the centre of {largest or 'the image'}" if len(case.planes) > 1 else ""
    card.whole.append(Picture(file=file, caption=f"The whole image{through}"))
    card.legend += _legend(case, labels)
    if not largest:
        card.remarks.append("Nothing was found: every voxel is background.")
    for number, lesion in enumerate(card.record["lesions"][: most - 1], 1):
        voxel, file = case.displayed(lesion["voxel"]), folder / f"{card.anchor}-{number}.png"
        around = field_around(case, voxel, targets.regions[lesion["label"]])
        write_planes(file, case, voxel=voxel, field=around, labels=labels)
        card.lesions.append(Picture(file=file, caption=_lesion_caption(number, lesion)))
    left_out = found_lesions(card.record) - len(card.lesions)
    if left_out:
        lesions = counted(left_out, "smaller lesion" if card.lesions else "lesion")
        card.remarks.append(f"Not drawn: {lesions}.")


def _lesion_caption(number: int, lesion: Mapping[str, Any]) -> str:
    volume_ml = lesion["volume_ml"]
    size = "" if volume_ml is None else f", {volume_text(volume_ml)} mL"
    return f"Lesion {number}, {lesion['label']}{size}"


def _is_gone(file: Path | sitk.Image | None) -> bool:
    return file is None or (isinstance(file, Path) and not file.is_file())


def _without_folders(text: str, *files: Path | sitk.Image) -> str:
    """Return a message with names of files instead of paths, which may tell who wrote them."""
    for file in files:
        if isinstance(file, Path):
            text = text.replace(str(file), shown_name(file.name))
    return text


def _legend(case: DisplayedCase, labels: Labels) -> list[dict[str, str]]:
    entries = []
    for index, (name, values) in enumerate(labels.items()):
        is_found = case.count(values) > 0
        if is_found or len(labels) <= MOST_IN_LEGEND:
            style = line_style(PREDICTION, index)
            suffix = "" if is_found else " (none)"
            entries.append({"name": name + suffix, "colour": style["color"], "line": style["linestyle"]})
    return entries
