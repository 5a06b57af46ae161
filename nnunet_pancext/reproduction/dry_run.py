"""What a protocol would do, as a shell script that can be saved and run by hand."""

from __future__ import annotations

import os
from collections.abc import Sequence

from nnunet_pancext.pages.text_table import text_table
from nnunet_pancext.reproduction.choices import Choices, Trial
from nnunet_pancext.reproduction.estimate import estimate, explain
from nnunet_pancext.reproduction.extras import extra_note
from nnunet_pancext.reproduction.places import VARIABLES, is_set, shell_line
from nnunet_pancext.reproduction.plan import plan_steps
from nnunet_pancext.reproduction.protocol import Paper
from nnunet_pancext.reproduction.steps import Prediction, Step, Training, placeholders


def format_dry_run(
    paper: Paper, trials: list[Trial], choices: Choices, *, seconds_per_epoch: float | None = None
) -> str:
    """Return the script: variables, commands, those with a result already as comments, and GPU-hours."""
    steps = plan_steps(trials, choices)
    finished = [step for step in steps if is_set() and step.is_finished()]
    lines = [f"# {paper.name}: {paper.title}", f"# the paper's hardware: {paper.hardware}", "#"]
    lines += [*_variables(), *_unknown_downloads(trials, choices), ""]
    for number, step in enumerate(steps, start=1):
        heading = f"# [{number}/{len(steps)}] {step.title}"
        if isinstance(step, (Training, Prediction)) and (note := extra_note(step.trainer)):
            heading += f"\n# {note}"
        if step in finished:
            lines += [f"{heading}: done, {step.result} is there", f"# {shell_line(step.words)}"]
        else:
            lines += [heading, shell_line(step.words)]
    lines += ["", *_hours(trials, finished, seconds_per_epoch=seconds_per_epoch)]
    return "\n".join(lines)


def _variables() -> list[str]:
    lines = []
    for name, meaning in VARIABLES.items():
        value = os.environ.get(name)
        told = f"is {value}" if value else "is not set; for example:"
        lines.append(f"# {name}: {meaning}; {told}")
        if not value:
            lines.append(f'export {name}="$HOME/nnunet/{name.removeprefix("nnUNet_")}"')
    return lines


def _unknown_downloads(trials: Sequence[Trial], choices: Choices) -> list[str]:
    lines = []
    for dataset in dict.fromkeys(trial.dataset for trial in trials):
        for name, word in zip(dataset.downloads, placeholders(dataset), strict=True):
            if name not in choices.sources:
                lines.append(f"# {word}: the downloaded folder or archive, given by --source {name}=PATH")
    return list(dict.fromkeys(lines))


def _hours(
    trials: Sequence[Trial], finished: Sequence[Step], *, seconds_per_epoch: float | None
) -> list[str]:
    rows = estimate(trials, seconds_per_epoch=seconds_per_epoch, finished=finished)
    table = [["estimated GPU-hours", "configuration", "folds", "epochs", "s/epoch", "hours"]]
    table += [
        [
            row.trainer,
            row.configuration,
            str(row.folds),
            str(row.epochs),
            f"{row.seconds_per_epoch:g}",
            f"{row.hours:.1f}",
        ]
        for row in rows
    ]
    table.append(["all", "", "", "", "", f"{sum(row.hours for row in rows):.1f}"])
    text = text_table(table, ruled_below=(0, -2))
    return [
        f"# {line}".rstrip() for line in (*text.splitlines(), *explain(seconds_per_epoch=seconds_per_epoch))
    ]
