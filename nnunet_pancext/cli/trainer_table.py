"""Every trainer on one page: paper, size for a plan, loss, and what may follow its name."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from textwrap import fill
from typing import Any

import torch

from nnunet_pancext.architectures import count_parameters
from nnunet_pancext.errors import PancextError
from nnunet_pancext.losses import DynamicWeights, LossWeighting, PhaseWeights
from nnunet_pancext.trainers import list_trainers
from nnunet_pancext.trainers.machinery.base import PancextTrainer
from nnunet_pancext.trainers.machinery.plan_setting import PlanSetting, Sizes, default_setting
from nnunet_pancext.trainers.machinery.suffixes import SUFFIXES, describe_suffixes

# How a trainer says that a plan or a dataset is not for it.
REFUSALS = (PancextError, NotImplementedError, ValueError)
WEIGHTINGS: dict[type[LossWeighting], str] = {PhaseWeights: ", phase-based", DynamicWeights: ", dynamic"}
REFUSED = "-"
GAP = "  "
NAMES_LAYOUT: dict[str, Any] = {"width": 110, "initial_indent": "    ", "subsequent_indent": "    "}


@dataclass(frozen=True)
class TrainerRow:
    """What the table says of one trainer.

    `parameters` holds, by configuration, how many the network has, without the heads of deep supervision,
    or the trainer's reason for refusing that configuration. `extra` is of the package, where one is needed.
    `remark` is what else to know before training.
    """

    name: str
    paper: str
    dimensions: str
    parameters: dict[str, int | str]
    loss: str
    extra: str | None = None
    remark: str | None = None


def overview(setting: PlanSetting) -> list[TrainerRow]:
    """Return a row for each trainer of the package, in the order of `list_trainers`.

    Raises:
        PancextError: nnU-Net cannot read a configuration of the plan.
    """
    sizes = {configuration: setting.sizes(configuration) for configuration in setting.configurations}
    standard = default_setting()
    by_dimension = {f"{dims}D": standard.sizes(name) for dims, name in ((2, "2d"), (3, "3d_fullres"))}
    return [
        TrainerRow(
            name=name,
            paper=trainer.paper,
            dimensions=", ".join(
                dims for dims, size in by_dimension.items() if isinstance(num_parameters(trainer, size), int)
            ),
            parameters={key: num_parameters(trainer, size) for key, size in sizes.items()},
            loss=loss_name(trainer),
            extra=trainer.extra,
            remark=trainer.remark,
        )
        for name, trainer in list_trainers().items()
    ]


def loss_name(trainer: type[PancextTrainer]) -> str:
    """Return what the trainer's loss is called."""
    weighting = trainer.loss_weighting
    name = trainer.loss_name + (WEIGHTINGS.get(weighting, "") if weighting else "")
    return f"{name} + {trainer.isb_weight:g} ISB" if trainer.isb_weight else name


def explain_suffixes() -> str:
    """Return what each suffix does, which trainers refuse which, and what the papers' recipes are."""
    trainers = list_trainers()
    recipes: dict[str, list[str]] = {}
    for name, trainer in trainers.items():
        if trainer.paper_recipe:
            recipes.setdefault(trainer.paper_recipe.summary, []).append(name)
    lines = [
        "Suffixes follow a trainer's name in any order, with any number; one of _OrdinaryLoss, _PhaseLoss,",
        "_DynamicLoss, and each other once:",
        describe_suffixes(),
        "",
        "example:  nnUNetv2_train 007 3d_fullres 0 -tr DLKUNetLTrainer_DynamicLoss_100epochs",
        "",
        "Recipes. Preprocessing, sampling, augmentation, batch and patch stay nnU-Net's.",
    ]
    for summary, names in recipes.items():
        lines += [f"  {summary}:", fill(", ".join(names), **NAMES_LAYOUT)]
    lines += ["", "Refused:"]
    refused: dict[tuple[str, str], list[str]] = {}  # suffixes by reason and trainers
    for suffix in SUFFIXES:
        refusing: dict[str, list[str]] = {}
        for name, trainer in trainers.items():
            reason = suffix.refuses(trainer)
            if reason:
                refusing.setdefault(reason, []).append(name)
        for reason, names in refusing.items():
            refused.setdefault((reason, ", ".join(names)), []).append(suffix.example)
    for (reason, listed), examples in refused.items():
        lines += [f"  {', '.join(examples)}: {reason}:", fill(listed, **NAMES_LAYOUT)]
    return "\n".join(lines)


def num_parameters(trainer: type[PancextTrainer], sizes: Sizes) -> int | str:
    """Return the number of parameters of the trainer's network, or why it refuses to build one.

    The network is built without memory for its weights, so that any size is instant.
    """
    try:
        with torch.device("meta"), redirect_stdout(StringIO()):
            network = trainer.build_network_architecture(
                sizes.plans_manager,
                sizes.configuration_manager,
                sizes.num_input_channels,
                sizes.num_output_channels,
                enable_deep_supervision=False,
            )
    except REFUSALS as refusal:
        return str(refusal)
    return count_parameters(network)


def format_overview(rows: Iterable[TrainerRow], setting: PlanSetting) -> str:
    """Return the aligned table, what it assumes, refusals with their reasons, and the suffixes."""
    rows = list(rows)
    headings = [setting.headings.get(name, name) for name in setting.configurations]
    cells = [
        ["trainer", "paper", "dimensions", *(f"{heading} (M)" for heading in headings), "loss"],
        *(
            [row.name, row.paper, row.dimensions, *map(_millions, row.parameters.values()), row.loss]
            for row in rows
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numbers = range(3, 3 + len(headings))
    lines = [
        GAP.join(
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    return "\n".join(
        [
            lines[0],
            "-" * (sum(widths) + len(GAP) * (len(widths) - 1)),
            *lines[1:],
            "",
            "(M): millions of parameters, without the heads of deep supervision (nnU-Net's own: with).",
            setting.origin,
            *_extras(rows),
            *_remarks(rows),
            *_refusals(rows),
            "",
            "Suffixes, in any order, on any trainer that they apply to:",
            describe_suffixes(),
        ]
    )


def _extras(rows: Iterable[TrainerRow]) -> list[str]:
    """Return a line for each extra of the package, with the trainers that need it."""
    return [
        fill(f'With pip install "nnunet-pancext[{extra}]": {", ".join(listed)}.', width=NAMES_LAYOUT["width"])
        for extra, listed in _names_by(rows, "extra").items()
    ]


def _remarks(rows: Iterable[TrainerRow]) -> list[str]:
    """Return each remark, with the trainers that it is about."""
    return [
        fill(f"{', '.join(listed)}: {remark}", width=NAMES_LAYOUT["width"])
        for remark, listed in _names_by(rows, "remark").items()
    ]


def _names_by(rows: Iterable[TrainerRow], attribute: str) -> dict[str, list[str]]:
    """Return the trainers' names by that attribute's value, without those that have none."""
    names: dict[str, list[str]] = {}
    for row in rows:
        value = getattr(row, attribute)
        if value:
            names.setdefault(value, []).append(row.name)
    return names


def _refusals(rows: Iterable[TrainerRow]) -> list[str]:
    """Return a line for each reason, with the trainers that give it and the configurations they refuse."""
    refused: dict[tuple[str, str], list[str]] = {}  # names by configurations and reason
    for row in rows:
        reasons: dict[str, list[str]] = {}
        for configuration, found in row.parameters.items():
            if isinstance(found, str):
                reasons.setdefault(found, []).append(configuration)
        for reason, configurations in reasons.items():
            refused.setdefault((", ".join(configurations), reason), []).append(row.name)
    return [
        f"{REFUSED}: {', '.join(names)} {'does' if len(names) == 1 else 'do'} not take {listed}: {reason}"
        for (listed, reason), names in refused.items()
    ]


def _millions(parameters: int | str) -> str:
    return f"{parameters / 1e6:.2f}" if isinstance(parameters, int) else REFUSED
