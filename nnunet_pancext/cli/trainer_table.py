"""The table of trainers: paper, size for a plan, loss, and the suffixes of their names."""

from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from textwrap import fill
from typing import Any, TypeVar

import torch
from torch.overrides import TorchFunctionMode

from nnunet_pancext.architectures import count_parameters
from nnunet_pancext.errors import PancextError
from nnunet_pancext.pages.text_table import text_table
from nnunet_pancext.trainers import list_trainers
from nnunet_pancext.trainers.machinery.base import PancextTrainer
from nnunet_pancext.trainers.machinery.plan_setting import UNREADABLE, PlanSetting, Sizes, default_setting
from nnunet_pancext.trainers.machinery.suffixes import SUFFIXES, WEIGHTINGS, describe_suffixes

# How a trainer refuses a plan or a dataset.
REFUSALS = (PancextError, NotImplementedError, ValueError)
WIDTH = 110
Trainers = Mapping[str, type[PancextTrainer]]
Key = TypeVar("Key")


@dataclass(frozen=True)
class TrainerRow:
    """A row of the table.

    `parameters` holds, by configuration, the number of the network's parameters, without the heads of deep
    supervision, or the trainer's reason for refusing that configuration.
    """

    name: str
    trainer: type[PancextTrainer]
    dimensions: str
    parameters: dict[str, int | str]


def main_trainers() -> dict[str, type[PancextTrainer]]:
    """Return the trainers without ablations, and without those that need an extra."""
    return {
        name: trainer
        for name, trainer in list_trainers().items()
        if not is_ablation(trainer) and trainer.extra is None
    }


def is_ablation(trainer: type[PancextTrainer]) -> bool:
    """Return whether a trainer inherits its paper from another one."""
    return "paper" not in vars(trainer)


def overview(setting: PlanSetting, trainers: Trainers | None = None) -> list[TrainerRow]:
    """Return a row for each trainer, by default for all in the order of `list_trainers`.

    Raises:
        PancextError: nnU-Net cannot read a configuration of the plan.
    """
    sizes = {name: setting.sizes(name) for name in setting.configurations}
    standard = default_setting()
    known = sizes if setting.plans == standard.plans else {}
    by_dimension = {
        dims: known.get(name) or standard.sizes(name) for dims, name in (("2D", "2d"), ("3D", "3d_fullres"))
    }
    rows = []
    for name, trainer in (list_trainers() if trainers is None else trainers).items():
        parameters, by_axes = (
            {key: num_parameters(trainer, size) for key, size in group.items()}  # type: ignore[arg-type]
            for group in (sizes, by_dimension)
        )
        accepted = [dims for dims, count in by_axes.items() if isinstance(count, int)]
        rows.append(TrainerRow(name, trainer, ", ".join(accepted), parameters))
    return rows


def loss_name(trainer: type[PancextTrainer]) -> str:
    """Return the name of the trainer's loss."""
    name = trainer.loss_name + (trainer.loss_weighting.label if trainer.loss_weighting else "")
    return f"{name} + {trainer.isb_weight:g} ISB" if trainer.isb_weight else name


def explain_suffixes() -> str:
    """Return what each suffix does, which trainers refuse it, and the papers' recipes."""
    trainers = list_trainers()
    *others, last = [suffix.example for suffix in WEIGHTINGS]
    recipes = _group(
        (trainer.paper_recipe.summary if trainer.paper_recipe else None, name)
        for name, trainer in trainers.items()
    )
    refusing = _group(
        ((suffix.example, reason), name)
        for suffix in SUFFIXES
        for name, trainer in trainers.items()
        if (reason := suffix.refuses(trainer))
    )
    refused = _group(((reason, names), example) for (example, reason), names in refusing.items())
    return "\n".join(
        [
            fill(
                f"Append suffixes to a trainer's name in any order, with any number: at most one of "
                f"{', '.join(others)} and {last}, and each other suffix at most once:",
                width=WIDTH,
            ),
            describe_suffixes(),
            "",
            "example:  nnUNetv2_train 007 3d_fullres 0 -tr DLKUNetLTrainer_DynamicLoss_100epochs",
            "",
            "Recipes. Preprocessing, sampling, augmentation, batch and patch stay nnU-Net's.",
            *(f"  {summary}:\n{_indented(names)}" for summary, names in recipes.items()),
            "",
            "Refused:",
            *(
                f"  {examples}: {reason}:\n{_indented(names)}"
                for (reason, names), examples in refused.items()
            ),
        ]
    )


def _indented(names: str) -> str:
    return fill(names, width=WIDTH, initial_indent="    ", subsequent_indent="    ")


@cache
def num_parameters(trainer: type[PancextTrainer], sizes: Sizes) -> int | str:
    """Return the number of parameters of the trainer's network, or why it refuses to build one.

    The network is built on the meta device, without memory for its weights.

    Raises:
        PancextError: the plan is malformed.
    """
    try:
        with torch.device("meta"), _NoInitialisation(), redirect_stdout(StringIO()):
            network = trainer.build_network_architecture(*sizes, enable_deep_supervision=False)
    except REFUSALS as refusal:
        return str(refusal)
    except UNREADABLE as error:
        raise PancextError(
            f"{trainer.__name__} cannot be built from this plan ({type(error).__name__}: {error}). "
            "Recreate the plan: nnUNetv2_plan_experiment."
        ) from error
    return count_parameters(network)


class _NoInitialisation(TorchFunctionMode):
    """Skips what works in place, above all the initialisation of weights, which takes most of the time."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = func.__name__, kwargs or {}
        if name.endswith("_") and not name.endswith("__"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def format_overview(rows: Iterable[TrainerRow], setting: PlanSetting, hidden: Trainers | None = None) -> str:
    """Return the aligned table, its assumptions, refusals with reasons, and the suffixes.

    `hidden` are the trainers that are left out.
    """
    rows, hidden = list(rows), hidden or {}
    headings = [f"{setting.headings.get(name, name)} (M)" for name in setting.configurations]
    cells = [["trainer", "paper", "dimensions", *headings, "loss"]]
    for row in rows:
        millions = [f"{n / 1e6:.2f}" if isinstance(n, int) else "-" for n in row.parameters.values()]
        cells.append([row.name, row.trainer.paper, row.dimensions, *millions, loss_name(row.trainer)])
    needing = [*((row.name, row.trainer) for row in rows), *hidden.items()]
    extras = _group((trainer.extra, name) for name, trainer in needing)
    remarks = _group((row.trainer.remark, row.name) for row in rows)
    paragraphs = [
        *(f'With pip install "nnunet-pancext[{extra}]": {names}.' for extra, names in extras.items()),
        *(f"{names}: {remark}" for remark, names in remarks.items()),
    ]
    ablations = sum(map(is_ablation, hidden.values()))
    others = len(hidden) - ablations
    left_out = f"{len(hidden)} more with --all: {ablations} ablations, {others} that need an extra."
    return "\n".join(
        [
            text_table(cells, left=(0, 1, 2, len(cells[0]) - 1)),
            "",
            *([left_out] if hidden else []),
            "(M): millions of parameters, without deep supervision heads (nnU-Net's own: with them).",
            setting.origin,
            *(fill(paragraph, width=WIDTH) for paragraph in paragraphs),
            *_refusals(rows),
            "",
            "Suffixes, in any order, on any trainer that they apply to:",
            describe_suffixes(),
        ]
    )


def _group(pairs: Iterable[tuple[Key | None, str]]) -> dict[Key, str]:
    """Return the second parts by the first, separated by commas, without those whose first part is None."""
    groups: dict[Key, str] = {}
    for key, name in pairs:
        if key is not None:
            groups[key] = f"{groups[key]}, {name}" if key in groups else name
    return groups


def _refusals(rows: Iterable[TrainerRow]) -> list[str]:
    reasons = _group(
        ((row.name, reason), configuration)
        for row in rows
        for configuration, reason in row.parameters.items()
        if isinstance(reason, str)
    )
    refused = _group(((names, reason), row) for (row, reason), names in reasons.items())
    return [
        f"-: {names} {'do' if ', ' in names else 'does'} not take {configurations}: {reason}"
        for (configurations, reason), names in refused.items()
    ]
