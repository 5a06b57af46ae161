"""What a protocol would do, as a shell script that can be saved and run by hand."""

import shlex
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from nnunet_pancext.architectures.monai_networks import INSTALL
from nnunet_pancext.campaign.definition import Campaign
from nnunet_pancext.campaign.kinds.convert import Convert
from nnunet_pancext.campaign.planning.estimate import Estimate, estimate_trainings
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.campaign.training_length import STOCK_LENGTH, training_length
from nnunet_pancext.nnunet_files.folders import DUTIES, nnunet_folder
from nnunet_pancext.pages.text_table import text_table
from nnunet_pancext.reproduction.campaign import missing_downloads, placeholders, plan_protocol
from nnunet_pancext.reproduction.folder import finished_steps
from nnunet_pancext.reproduction.protocol import Paper
from nnunet_pancext.reproduction.requirements import needs_extra
from nnunet_pancext.reproduction.selection import PlannedRun, Selection

# Assumed, not measured: a stock nnU-Net epoch of 250 iterations on a data-centre GPU with enough CPU cores.
SECONDS_PER_EPOCH = {"2d": 30.0, "3d_fullres": 60.0, "3d_lowres": 60.0}


def format_dry_run(
    paper: Paper,
    runs: Sequence[PlannedRun],
    selection: Selection,
    folder: Path,
    *,
    seconds_per_epoch: float | None = None,
) -> str:
    """Return the script: variables, commands (finished ones as comments) and GPU-hours."""
    given = {name: nnunet_folder(name) for name in DUTIES}
    unset = [name for name, path in given.items() if path is None]
    folders = {
        name: str((path or Path.home() / "nnunet" / name.removeprefix("nnUNet_")).absolute())
        for name, path in given.items()
    }
    campaign = plan_protocol(runs, selection, folders=folders)
    are_there = not unset and all(Path(path).is_dir() for path in folders.values())
    finished = finished_steps(campaign, folder) if are_there else []
    lines = [f"# {paper.name}: {paper.title}", f"# the paper's hardware: {paper.hardware}", "#"]
    for name, meaning in DUTIES.items():
        state = "is not set; for example:" if name in unset else f"is {campaign.folders[name]}"
        lines.append(f"# {name}: {meaning}; {state}")
    lines += [f"export {name}={shlex.quote(value)}" for name, value in campaign.variables.items()]
    datasets = {run.dataset.folder: run.dataset for run in runs}
    words = {}  # of the missing downloads, which stand in the commands
    for step in campaign.steps:
        if isinstance(step, Convert):
            dataset = datasets[step.dataset]
            for name in missing_downloads(step, dataset):
                word = placeholders(dataset)[name]
                words[str(folder / word)] = word
                lines.append(f"# {word}: the downloaded folder or archive, given by --source {name}=PATH")
    lines.append("")
    for number, step in enumerate(campaign.steps, start=1):
        heading = f"# [{number}/{len(campaign.steps)}] {step.title}"
        trainer = getattr(step, "trainer", "")
        if needs_extra(trainer):
            heading += f"\n# {trainer} needs an extra: {INSTALL}"
        command = shlex.join(words.get(word, word) for word in step.command(folder))
        if step in finished:
            lines += [f"{heading}: done, {step.result(folder)} exists", f"# {command}"]
        else:
            lines += [heading, command]
    lines += ["", *_hours(campaign, finished, seconds_per_epoch=seconds_per_epoch)]
    return "\n".join(lines)


def _hours(campaign: Campaign, finished: Sequence[Step], *, seconds_per_epoch: float | None) -> list[str]:
    rows = estimate(campaign, done=[step.name for step in finished], seconds_per_epoch=seconds_per_epoch)
    table = [
        ["estimated GPU-hours", "configuration", "folds", "epochs left", "s/epoch", "hours"],
        *(
            [
                row.model.trainer,
                row.model.configuration,
                str(row.trainings),
                str(row.epochs_left),
                f"{row.seconds_per_epoch:.3g}",
                f"{row.hours:.1f}",
            ]
            for row in rows
        ),
        ["all", "", "", "", "", f"{sum(row.hours or 0 for row in rows):.1f}"],
    ]
    if seconds_per_epoch is None:
        listed = ", ".join(f"{name} {seconds:g} s" for name, seconds in SECONDS_PER_EPOCH.items())
        basis = f"assumed, not measured: {listed}"
    else:
        basis = f"as given: {seconds_per_epoch:g} s"
    lines = [
        *text_table(table, ruled_below=(0, -2)).splitlines(),
        "An estimate: the epochs left of all folds x seconds per epoch. The seconds are those in the",
        f"trainer's logs, else {basis}",
        f"for an epoch of {STOCK_LENGTH.iterations} iterations, the same for every network, though some cost",
        "several times stock nnU-Net's (benchmarks/README.md).",
        "Prediction and validation are extra; with fold all, every training case is predicted once.",
        "Measure your own with nnUNetv2_train DATASET CONFIGURATION 0 -tr nnUNetTrainerBenchmark_5epochs",
        "and pass it as --seconds-per-epoch.",
    ]
    return [f"# {line}".rstrip() for line in lines]


def estimate(
    campaign: Campaign, *, done: Collection[str] = (), seconds_per_epoch: float | None = None
) -> list[Estimate]:
    """Return the campaign's estimates, with given or assumed seconds where none were measured."""
    return [
        replace(
            row,
            seconds_per_epoch=row.seconds_per_epoch
            or (seconds_per_epoch or SECONDS_PER_EPOCH[row.model.configuration])
            * training_length(row.model.trainer).iterations
            / STOCK_LENGTH.iterations,
        )
        for row in estimate_trainings(campaign, done=done)
    ]
