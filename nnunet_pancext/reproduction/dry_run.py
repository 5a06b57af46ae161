"""What a protocol would do, as a shell script that can be saved and run by hand."""

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

from nnunet_pancext.architectures.monai_networks import INSTALL
from nnunet_pancext.nnunet_files.folders import DUTIES, nnunet_folder, starts_with_variable
from nnunet_pancext.pages.text_table import text_table
from nnunet_pancext.reproduction.plan import STOCK_LENGTH, TRAIN, plan_steps, training_length
from nnunet_pancext.reproduction.protocol import Paper
from nnunet_pancext.reproduction.run import needs_extra
from nnunet_pancext.reproduction.selection import PlannedRun, Selection
from nnunet_pancext.reproduction.steps import Step, placeholders

# Assumed, not measured: a stock nnU-Net epoch of 250 iterations on a data-centre GPU with enough CPU cores.
SECONDS_PER_EPOCH = {"2d": 30.0, "3d_fullres": 60.0, "3d_lowres": 60.0}


def format_dry_run(
    paper: Paper, runs: list[PlannedRun], selection: Selection, *, seconds_per_epoch: float | None = None
) -> str:
    """Return the script: variables, commands (finished ones as comments) and GPU-hours."""
    steps = plan_steps(runs, selection)
    finished = [step for step in steps if all(map(nnunet_folder, DUTIES)) and step.is_finished()]
    lines = [f"# {paper.name}: {paper.title}", f"# the paper's hardware: {paper.hardware}", "#"]
    missing = [
        f"# {placeholder}: the downloaded folder or archive, given by --source {name}=PATH"
        for run in runs
        for name, placeholder in placeholders(run.dataset).items()
        if name not in selection.sources
    ]
    lines += [*_variables(), *dict.fromkeys(missing), ""]
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
        value = nnunet_folder(name)
        lines.append(f"# {name}: {meaning}; {f'is {value}' if value else 'is not set; for example:'}")
        if not value:
            lines.append(f'export {name}="$HOME/nnunet/{name.removeprefix("nnUNet_")}"')
    return lines


def _hours(
    runs: Sequence[PlannedRun], finished: Sequence[Step], *, seconds_per_epoch: float | None
) -> list[str]:
    rows = estimate(runs, seconds_per_epoch=seconds_per_epoch, finished=finished)
    table = [
        ["estimated GPU-hours", "configuration", "folds", "epochs", "s/epoch", "hours"],
        *([*map(str, astuple(row)[:4]), f"{row.seconds_per_epoch:g}", f"{row.hours:.1f}"] for row in rows),
        ["all", "", "", "", "", f"{sum(row.hours for row in rows):.1f}"],
    ]
    if seconds_per_epoch is None:
        listed = ", ".join(f"{name} {seconds:g} s" for name, seconds in SECONDS_PER_EPOCH.items())
        basis = f"assumed, not measured: {listed}"
    else:
        basis = f"as given: {seconds_per_epoch:g} s"
    lines = [
        *text_table(table, ruled_below=(0, -2)).splitlines(),
        "An estimate: unfinished folds x epochs x seconds per epoch. The seconds are",
        f"{basis} for an epoch of {STOCK_LENGTH.iterations} iterations,",
        "the same for every network, though some cost several times stock nnU-Net's (benchmarks/README.md).",
        "Prediction and validation are extra; with fold all, every training case is predicted once.",
        "Measure your own with nnUNetv2_train DATASET CONFIGURATION 0 -tr nnUNetTrainerBenchmark_5epochs",
        "and pass it as --seconds-per-epoch.",
    ]
    return [f"# {line}".rstrip() for line in lines]


@dataclass(frozen=True, kw_only=True)
class EstimateRow:
    """The estimated training of one trainer."""

    trainer: str
    configuration: str
    folds: int
    epochs: int
    seconds_per_epoch: float

    @property
    def hours(self) -> float:
        """For all folds."""
        return self.folds * self.epochs * self.seconds_per_epoch / 3600


def estimate(
    runs: Sequence[PlannedRun], *, seconds_per_epoch: float | None, finished: Sequence[Step] = ()
) -> list[EstimateRow]:
    """Return a row per trainer; finished folds are not counted."""
    # dataset, configuration and trainer of nnUNetv2_train DATASET CONFIGURATION FOLD -tr TRAINER
    trained = Counter((*step.words[1:3], step.trainer) for step in finished if step.words[0] == TRAIN)
    return [
        EstimateRow(
            trainer=trainer,
            configuration=run.configuration,
            folds=len(run.folds) - trained[str(run.dataset.dataset_id), run.configuration, trainer],
            epochs=length.epochs,
            seconds_per_epoch=(seconds_per_epoch or SECONDS_PER_EPOCH[run.configuration])
            * length.iterations
            / STOCK_LENGTH.iterations,
        )
        for run in runs
        for trainer in run.trainers
        for length in [training_length(trainer)]
    ]
