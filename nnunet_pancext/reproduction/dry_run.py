"""What a protocol would do, as a shell script that can be saved and run by hand."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import astuple

from nnunet_pancext.architectures.monai_networks import INSTALL
from nnunet_pancext.nnunet_files.folders import DUTIES, all_folders_set, starts_with_variable
from nnunet_pancext.pages.text_table import text_table
from nnunet_pancext.reproduction.estimate import estimate, explain
from nnunet_pancext.reproduction.plan import plan_steps
from nnunet_pancext.reproduction.protocol import Paper
from nnunet_pancext.reproduction.run import needs_extra
from nnunet_pancext.reproduction.selection import PlannedRun, Selection
from nnunet_pancext.reproduction.steps import Step, placeholders


def format_dry_run(
    paper: Paper, runs: list[PlannedRun], selection: Selection, *, seconds_per_epoch: float | None = None
) -> str:
    """Return the script: variables, commands (finished ones as comments) and GPU-hours."""
    steps = plan_steps(runs, selection)
    finished = [step for step in steps if all_folders_set() and step.is_finished()]
    lines = [f"# {paper.name}: {paper.title}", f"# the paper's hardware: {paper.hardware}", "#"]
    lines += [*_variables(), *_missing_downloads(runs, selection), ""]
    for number, step in enumerate(steps, start=1):
        heading = f"# [{number}/{len(steps)}] {step.title}"
        if needs_extra(step.trainer):
            heading += f"\n# {step.trainer} needs an extra: {INSTALL}"
        command = shell_line(step.words)
        if step in finished:
            lines += [f"{heading}: done, {step.result} exists", f"# {command}"]
        else:
            lines += [heading, command]
    lines += ["", *_hours(runs, finished, seconds_per_epoch=seconds_per_epoch)]
    return "\n".join(lines)


def shell_line(words: Iterable[str]) -> str:
    """Return the command as a shell takes it, with nnU-Net's variables left for the shell."""
    return " ".join(f'"{word}"' if starts_with_variable(word) else shlex.quote(word) for word in words)


def _variables() -> list[str]:
    lines = []
    for name, meaning in DUTIES.items():
        value = os.environ.get(name)
        lines.append(f"# {name}: {meaning}; {f'is {value}' if value else 'is not set; for example:'}")
        if not value:
            lines.append(f'export {name}="$HOME/nnunet/{name.removeprefix("nnUNet_")}"')
    return lines


def _missing_downloads(runs: Sequence[PlannedRun], selection: Selection) -> list[str]:
    lines = [
        f"# {placeholder}: the downloaded folder or archive, given by --source {name}=PATH"
        for run in runs
        for name, placeholder in placeholders(run.dataset).items()
        if name not in selection.sources
    ]
    return list(dict.fromkeys(lines))


def _hours(
    runs: Sequence[PlannedRun], finished: Sequence[Step], *, seconds_per_epoch: float | None
) -> list[str]:
    rows = estimate(runs, seconds_per_epoch=seconds_per_epoch, finished=finished)
    table = [
        ["estimated GPU-hours", "configuration", "folds", "epochs", "s/epoch", "hours"],
        *([*map(str, astuple(row)[:4]), f"{row.seconds_per_epoch:g}", f"{row.hours:.1f}"] for row in rows),
        ["all", "", "", "", "", f"{sum(row.hours for row in rows):.1f}"],
    ]
    text = text_table(table, ruled_below=(0, -2))
    lines = (*text.splitlines(), *explain(seconds_per_epoch=seconds_per_epoch))
    return [f"# {line}".rstrip() for line in lines]
