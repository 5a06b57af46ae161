"""The table of trainers: paper, size for a plan, loss, and the suffixes of their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from textwrap import fill
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from nnunet_pancext.architectures.parameters import count_parameters
from nnunet_pancext.errors import PancextError
from nnunet_pancext.trainers import list_trainers
from nnunet_pancext.trainers.machinery.base import PancextTrainer
from nnunet_pancext.trainers.machinery.plan_setting import PlanSetting, Sizes, default_setting
from nnunet_pancext.trainers.machinery.suffixes import SUFFIXES, WEIGHTINGS, describe_suffixes

# How a trainer refuses a plan or a dataset.
REFUSALS = (PancextError, NotImplementedError, ValueError)
REFUSED = "-"
GAP = "  "
WIDTH = 110
NAMES_LAYOUT: dict[str, Any] = {"width": WIDTH, "initial_indent": "    ", "subsequent_indent": "    "}
Trainers = Mapping[str, type[PancextTrainer]]


@dataclass(frozen=True)
class TrainerRow:
    """A row of the table.

    `parameters` holds, by configuration, the number of the network's parameters, without the heads of deep
    supervision, or the trainer's reason for refusing that configuration. `extra` is of this package, where
    one is needed. `remark` is printed below the table.
    """

    name: str
    paper: str
    dimensions: str
    parameters: dict[str, int | str]
    loss: str
    extra: str | None = None
    remark: str | None = None


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
    shared = sizes if setting.plans == standard.plans else {}
    by_dimension = {
        dims: shared.get(name) or standard.sizes(name) for dims, name in (("2D", "2d"), ("3D", "3d_fullres"))
    }
    rows = []
    for name, trainer in (list_trainers() if trainers is None else trainers).items():
        needed = {id(size): size for size in (*sizes.values(), *by_dimension.values())}
        counts = {key: num_parameters(trainer, size) for key, size in needed.items()}
        rows.append(
            TrainerRow(
                name=name,
                paper=trainer.paper,
                dimensions=", ".join(
                    dims for dims, size in by_dimension.items() if isinstance(counts[id(size)], int)
                ),
                parameters={key: counts[id(size)] for key, size in sizes.items()},
                loss=loss_name(trainer),
                extra=trainer.extra,
                remark=trainer.remark,
            )
        )
    return rows


def loss_name(trainer: type[PancextTrainer]) -> str:
    """Return the name of the trainer's loss."""
    name = trainer.loss_name + (trainer.loss_weighting.label if trainer.loss_weighting else "")
    return f"{name} + {trainer.isb_weight:g} ISB" if trainer.isb_weight else name


def explain_suffixes() -> str:
    """Return what each suffix does, which trainers refuse it, and the papers' recipes."""
    trainers = list_trainers()
    *others, last = [suffix.example for suffix in WEIGHTINGS]
    lines = [
        fill(
            f"Suffixes follow a trainer's name in any order, with any number: one of {', '.join(others)} and "
            f"{last}, and each other once:",
            width=WIDTH,
        ),
        describe_suffixes(),
        "",
        "example:  nnUNetv2_train 007 3d_fullres 0 -tr DLKUNetLTrainer_DynamicLoss_100epochs",
        "",
        "Recipes. Preprocessing, sampling, augmentation, batch and patch stay nnU-Net's.",
    ]
    recipes = _group(
        (trainer.paper_recipe.summary if trainer.paper_recipe else None, name)
        for name, trainer in trainers.items()
    )
    for summary, names in recipes.items():
        lines += [f"  {summary}:", fill(", ".join(names), **NAMES_LAYOUT)]
    lines += ["", "Refused:"]
    refused: dict[tuple[str, str], list[str]] = {}  # suffixes by reason and trainers
    for suffix in SUFFIXES:
        refusing = _group((suffix.refuses(trainer), name) for name, trainer in trainers.items())
        for reason, names in refusing.items():
            refused.setdefault((reason, ", ".join(names)), []).append(suffix.example)
    for (reason, listed), examples in refused.items():
        lines += [f"  {', '.join(examples)}: {reason}:", fill(listed, **NAMES_LAYOUT)]
    return "\n".join(lines)


def num_parameters(trainer: type[PancextTrainer], sizes: Sizes) -> int | str:
    """Return the number of parameters of the trainer's network, or why it refuses to build one.

    The network is built on the meta device, without memory for its weights.
    """
    try:
        with torch.device("meta"), _NoInitialisation(), redirect_stdout(StringIO()):
            network = trainer.build_network_architecture(*sizes, enable_deep_supervision=False)
    except REFUSALS as refusal:
        return str(refusal)
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
    extras = _group((trainer.extra, trainer.name) for trainer in rows)
    for extra, names in _group((trainer.extra, name) for name, trainer in (hidden or {}).items()).items():
        extras.setdefault(extra, []).extend(names)
    return "\n".join(
        [
            lines[0],
            "-" * (sum(widths) + len(GAP) * (len(widths) - 1)),
            *lines[1:],
            "",
            *_hidden_line(hidden or {}),
            "(M): millions of parameters, without the heads of deep supervision (nnU-Net's own: with).",
            setting.origin,
            *(
                fill(f'With pip install "nnunet-pancext[{extra}]": {", ".join(names)}.', width=WIDTH)
                for extra, names in extras.items()
            ),
            *(
                fill(f"{', '.join(names)}: {remark}", width=WIDTH)
                for remark, names in _group((row.remark, row.name) for row in rows).items()
            ),
            *_refusals(rows),
            "",
            "Suffixes, in any order, on any trainer that they apply to:",
            describe_suffixes(),
        ]
    )


def _hidden_line(hidden: Trainers) -> list[str]:
    if not hidden:
        return []
    ablations = sum(is_ablation(trainer) for trainer in hidden.values())
    baselines = len(hidden) - ablations
    return [f"{len(hidden)} more with --all: {ablations} ablations, {baselines} that need an extra."]


def _group(pairs: Iterable[tuple[str | None, str]]) -> dict[str, list[str]]:
    """Return the second parts by the first, without those whose first part is empty."""
    groups: dict[str, list[str]] = {}
    for key, name in pairs:
        if key:
            groups.setdefault(key, []).append(name)
    return groups


def _refusals(rows: Iterable[TrainerRow]) -> list[str]:
    """Return a line for each reason, with the trainers that give it and the configurations they refuse."""
    refused: dict[tuple[str, str], list[str]] = {}  # names by configurations and reason
    for row in rows:
        reasons = _group(
            (count if isinstance(count, str) else None, configuration)
            for configuration, count in row.parameters.items()
        )
        for reason, configurations in reasons.items():
            refused.setdefault((", ".join(configurations), reason), []).append(row.name)
    return [
        f"{REFUSED}: {', '.join(names)} {'does' if len(names) == 1 else 'do'} not take {listed}: {reason}"
        for (listed, reason), names in refused.items()
    ]


def _millions(parameters: int | str) -> str:
    return f"{parameters / 1e6:.2f}" if isinstance(parameters, int) else REFUSED
