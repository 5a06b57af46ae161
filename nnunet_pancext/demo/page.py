"""The demo's results: one self-contained HTML file with facts and notes, and a table of plain text."""

import math
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nnunet_pancext.demo.split import Split
from nnunet_pancext.evaluation.scores import CaseScores, mean_dice
from nnunet_pancext.evaluation.targets import read_targets
from nnunet_pancext.evaluation.totals_table import case_caption, headlines
from nnunet_pancext.nnunet_commands.runner import CommandRecord
from nnunet_pancext.pages.numbers import UNDEFINED, UNDEFINED_MEANING, score_text
from nnunet_pancext.pages.page import write_page
from nnunet_pancext.pages.pictures import CaseFigure
from nnunet_pancext.pages.text_table import text_table

ONE_RUN = "This is one training with one seed. Another seed gives other numbers."
# From benchmarks/demo_spread.py; its table is in benchmarks/README.md.
SPREAD = (
    "This is one training with one seed. With 8 seeds, and 3 instruction sets for 4 of them, the mean Dice "
    "of this demo was between 0.69 and 0.86."
)


def write_report(
    target: Path,
    *,
    scores: Sequence[CaseScores],
    labels: Mapping[str, int | list[int]],
    overlays: Mapping[str, Path],
    commands: Sequence[CommandRecord],
    **content: Any,
) -> None:
    """Write the report atomically, without parts that have no content.

    `overlays` are image files by case. The further `content` is the page's `title`, `facts` (pairs of name
    and value), `training` (charts by title) and `notes` (warnings at the top of the page).
    """
    scored = {case.case: case for case in scores}
    regions = list(read_targets(labels).regions)
    write_page(
        target,
        "demo/page.html",
        headlines=headlines(scores, labels),
        scores=scores,
        regions=regions,
        means=[mean_dice(scores, name) for name in regions] if scores else [],
        has_undefined=_has_undefined(scores, regions),
        figures=[
            CaseFigure(
                case=case,
                why=f"Dice: {case_caption(scored[case], labels)}" if case in scored else "not scored",
                picture=path,
            )
            for case, path in overlays.items()
        ],
        commands=commands,
        total_seconds=sum(record.seconds for record in commands),
        **content,
    )


def format_table(scores: Sequence[CaseScores], labels: dict[str, int]) -> str:
    """Return the Dice of each case (row) and label (column) and their mean over the cases, aligned."""
    names = list(read_targets(labels).regions)
    rows = [
        ["Dice", *names],
        *([case.case, *(score_text(case.labels[name].dice) for name in names)] for case in scores),
        ["mean", *(score_text(mean_dice(scores, name)) for name in names)],
    ]
    table = text_table(rows, ruled_below=(0, -2))
    return f"{table}\n{UNDEFINED}: {UNDEFINED_MEANING}" if _has_undefined(scores, names) else table


def _has_undefined(scores: Sequence[CaseScores], names: Sequence[str]) -> bool:
    return any(math.isnan(case.labels[name].dice) for case in scores for name in names)


def collect_facts(
    *, trainer: str, configuration: str, plans: Mapping[str, Any], split: Split, device: str, seed: str
) -> list[tuple[str, str]]:
    """Return pairs of name and value; `plans` is the content of nnU-Net's plans file."""
    configurations = plans["configurations"]
    plan = configurations[configuration]
    plan = {**configurations.get(plan.get("inherits_from"), {}), **plan}
    versions = ", ".join(f"{name} {version(name)}" for name in ("nnunet-pancext", "nnunetv2", "torch"))
    trained, validated, predicted = map(len, (split.training, split.validation, split.test))
    cases = f"{trained} trained on, {validated} validated on, {predicted} predicted"
    if split.test_was_trained_on:
        cases = f"{trained} trained and validated on, {predicted} of them predicted"
    return [
        ("Trainer", trainer),
        ("Configuration", configuration),
        ("Patch size", f"{' x '.join(map(str, plan['patch_size']))} voxels"),
        ("Batch size", str(plan["batch_size"])),
        ("Spacing", f"{' x '.join(f'{step:.2f}' for step in plan['spacing'])} mm"),
        ("Cases", cases),
        ("Seed", seed),
        ("Versions", f"{versions}, Python {platform.python_version()}"),
        ("Machine", f"{platform.machine()}, {os.cpu_count()} processors, {device}"),
    ]


def collect_notes(*, phantoms: bool, device: str, split: Split, as_measured: bool = False) -> list[str]:
    """Return what a reader must not overlook; `as_measured`: `SPREAD` holds for these settings."""
    notes = [SPREAD if as_measured else ONE_RUN]
    if split.test_was_trained_on:
        notes.append(
            "The predicted case was also trained on, because there are fewer cases than folds. "
            "These numbers say nothing about new patients."
        )
    if phantoms:
        notes.append("The CTs are synthetic: they show that the pipeline works, not how good a network is.")
    if device == "cpu":
        notes.append(
            "Without a GPU the patch is smaller than the plan's, to train in minutes. Real training uses the "
            "plan's."
        )
    return notes
