"""Texts of the prediction page from a case's record: facts, lesions and table rows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nnunet_pancext.io.console_text import counted, shown_name
from nnunet_pancext.io.durations import duration_text
from nnunet_pancext.pages.numbers import UNDEFINED, volume_text
from nnunet_pancext.pages.page import Cell

Record = Mapping[str, Any]
"""The content of a CASE.json."""

EXACT, FAST = "exact", "fast"  # nnU-Net's own prediction; windows that are not of its grid
NOT_MEASURED = "not measured for this model"
MOST_VOLUMES = 8  # columns of the table over all cases
DIRECTIONS = (("L", "R"), ("P", "A"), ("S", "I"))  # above and below zero
MB_PER_GB = 1000


def is_measured(records: Sequence[Record]) -> bool:
    """Whether the images have the thickness and spacing that volumes need."""
    return any(volume is not None for record in records for volume in record["volumes_ml"].values())


def lists_lesions(records: Sequence[Record]) -> bool:
    """Whether some label was taken for a lesion, as far as the records have the options."""
    return any(record.get("options", {}).get("lesions", True) for record in records)


def found_lesions(record: Record) -> int:
    """Return the number of lesions, listed or not."""
    return len(record["lesions"]) + int(record.get("lesions_left_out", 0))


def case_table(records: Sequence[Record], links: Sequence[str]) -> tuple[list[str], list[list[Cell]]]:
    """Return headings and rows of the table over all cases; `links` lead to their cards."""
    largest = [record["lesions"][0] if record["lesions"] else {} for record in records]
    columns: dict[str, list[Cell]] = {
        "case": [
            Cell(text=shown_name(record["case"]), link=link)
            for record, link in zip(records, links, strict=True)
        ]
    }
    if is_measured(records):
        for name in list(records[0]["volumes_ml"])[:MOST_VOLUMES]:
            columns[f"{name}, mL"] = [
                _number(record["volumes_ml"].get(name), volume_text) for record in records
            ]
    if lists_lesions(records):
        columns["lesions"] = [_number(found_lesions(record), str) for record in records]
    for heading, name, form in (
        ("largest lesion, mL", "volume_ml", volume_text),
        ("its diameter, mm", "longest_axial_diameter_mm", "{:.1f}".format),
    ):
        numbers = [lesion.get(name) for lesion in largest]
        if any(number is not None for number in numbers):
            columns[heading] = [_number(number, form) for number in numbers]
    for heading, name in (("windows run", "run"), ("windows left out", "left_out")):
        columns[heading] = [_number(record["windows"][name], str) for record in records]
    columns["time"] = [_number(record["seconds"].get("total"), duration_text) for record in records]
    columns["whole image run because"] = [Cell(text=record.get("fallback") or "") for record in records]
    return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


def volume_facts(record: Record) -> list[tuple[str, str]]:
    """Return the volume of each label as text; of many labels, only those that were found."""
    volumes = {name: volume for name, volume in record["volumes_ml"].items() if volume is not None}
    found = {name: volume for name, volume in volumes.items() if volume or len(volumes) <= MOST_VOLUMES}
    facts = [(name, f"{volume_text(volume)} mL") for name, volume in found.items()]
    absent = len(volumes) - len(found)
    return [*facts, ("not found", f"{absent} labels")] if absent else facts


def lesion_table(record: Record, *, most: int) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of the `most` largest lesions; columns that hold nothing are left out."""
    lesions = record["lesions"][:most]
    columns = {
        "volume, mL": [_text(lesion["volume_ml"], volume_text) for lesion in lesions],
        "voxels": [str(lesion["voxels"]) for lesion in lesions],
        "longest axial diameter, mm": [
            _text(lesion["longest_axial_diameter_mm"], "{:.1f}".format) for lesion in lesions
        ],
        "centre, mm": [place_text(lesion["centre_mm"]) for lesion in lesions],
        "peak probability": [_text(lesion["peak_probability"], "{:.2f}".format) for lesion in lesions],
        "mean probability": [_text(lesion["mean_probability"], "{:.2f}".format) for lesion in lesions],
        "mean entropy": [_text(lesion["mean_entropy"], "{:.2f}".format) for lesion in lesions],
    }
    kept = {name: texts for name, texts in columns.items() if set(texts) != {UNDEFINED}}
    headings = ["lesion", "label", *kept]
    rows = [
        [str(number), lesion["label"], *(texts[number - 1] for texts in kept.values())]
        for number, lesion in enumerate(lesions, 1)
    ]
    return headings, rows


def place_text(centre_mm: Sequence[float] | None) -> str:
    """Return a place in the patient, as in L 12 P 40 S 103; without directions in a 2D image."""
    if centre_mm is None:
        return UNDEFINED
    if len(centre_mm) < len(DIRECTIONS):
        return " x ".join(f"{place:.0f}" for place in centre_mm)
    letters = (pair[0] if place >= 0 else pair[1] for place, pair in zip(centre_mm, DIRECTIONS, strict=True))
    return " ".join(f"{letter} {abs(place):.0f}" for letter, place in zip(letters, centre_mm, strict=True))


def run_facts(record: Record) -> list[tuple[str, str]]:
    """Return what was run and left out, how long it took, and what the speed changes."""
    seconds = dict(record["seconds"])
    total = seconds.pop("total", None)
    steps = ", ".join(f"{step} {duration_text(spent)}" for step, spent in seconds.items() if spent)
    stages = record.get("stages") or []
    growths, memory_mb = record.get("growths"), record.get("peak_memory_mb")
    speed = record["speed"]
    facts = [("speed", speed), ("windows", windows_text(record["windows"], speed=speed))]
    if len(stages) > 1:
        facts += [(stage["configuration"], windows_text(stage["windows"], speed=speed)) for stage in stages]
    if record.get("fallback"):
        facts.append(("whole image", f"run, because {record['fallback']}"))
    if growths:
        rounds = "a round" if growths == 1 else f"{growths} rounds"
        facts.append(
            ("growth", f"{rounds} of further windows, because the foreground reached the edge of those run")
        )
    if total is not None:
        facts.append(("time", duration_text(total) + (f" ({steps})" if steps else "")))
    if memory_mb:
        facts.append(("peak memory", f"{memory_mb / MB_PER_GB:.1f} GB"))
    change = "none" if speed == EXACT else self_test_text(record.get("self_test"))
    facts.append(("change of Dice", change))
    return [(name, text) for name, text in facts if text]


def windows_text(windows: Mapping[str, int], *, speed: str = "") -> str:
    """Return how many windows were run and left out, and at how many forward passes."""
    run, coarse = windows["run"], windows.get("coarse", 0)
    whole = run + windows["left_out"]
    if speed == FAST:
        text = f"{run} own windows run; nnU-Net's prediction has {whole}"
    else:
        text = f"{run} of {whole} run, {windows['left_out']} left out"
    if coarse:
        text += f"; {coarse} in the coarse pass"
    forwards, of_whole = windows.get("forwards"), windows.get("whole_image_forwards")
    if forwards and of_whole:
        text += f"; {forwards} forward passes, {of_whole} for the whole image"
    return text


def self_test_text(self_test: Any) -> str:
    """Return what the model's self-test measured of the speed, label by label."""
    labels = self_test.get("labels") if isinstance(self_test, Mapping) else None
    if not isinstance(labels, Mapping):
        return NOT_MEASURED
    texts = [
        f"{name} {_signed(figures['dice_change']['mean'])} (largest loss "
        f"{figures['dice_change']['largest_loss']:.4f})"
        for name, figures in labels.items()
    ]
    shifted = self_test.get("shifted_grid", {}).get("labels", {})
    noise = [f"{name} {_signed(figures['dice_change']['mean'])}" for name, figures in shifted.items()]
    text = f"{', '.join(texts)}; mean of {counted(self_test['cases'], 'validation case')}"
    return text + (f"; nnU-Net's own prediction on a shifted grid: {', '.join(noise)}" if noise else "")


def model_facts(record: Record) -> list[tuple[str, str]]:
    """Return the networks and versions behind a prediction."""
    models = record.get("model") or []
    facts = []
    for number, model in enumerate(models, 1):
        folds = ", ".join(map(str, model.get("folds") or []))
        parts = [model.get(part) for part in ("trainer", "plans", "configuration", "checkpoint")]
        text = ", ".join([*filter(None, parts), *([f"folds {folds}"] if folds else [])])
        facts.append(("model" if len(models) == 1 else f"model {number}", text))
    versions = record.get("versions") or {}
    facts += [("versions", ", ".join(f"{name} {version}" for name, version in versions.items()))]
    return [(name, text) for name, text in facts if text]


def model_title(record: Record) -> str:
    """Return trainers and configurations, those of an ensemble joined by a plus."""
    models = record.get("model") or []
    return " + ".join(
        ", ".join(filter(None, (model.get("trainer"), model.get("configuration")))) for model in models
    )


def _number(number: float | None, form: Any) -> Cell:
    if number is None:
        return Cell(text=UNDEFINED, value=math.nan)
    return Cell(text=form(number), value=number)


def _signed(change: float) -> str:
    return f"{change:+.4f}".replace("-", "\N{MINUS SIGN}")


def _text(number: float | None, form: Any) -> str:
    return UNDEFINED if number is None else form(number)
