"""What may follow a trainer's name, in any order: `DLKUNetLTrainer_DynamicLoss_100epochs`.

A variant is a class of that very name. nnU-Net names folders after the class and writes the name into each
checkpoint, so a variant can be continued, predicted with, exported and imported like any trainer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.losses import ISB_WEIGHT, DynamicWeights, OrdinaryWeights, PhaseWeights
from nnunet_pancext.trainers.machinery.base import PancextTrainer

ITERATIONS_PER_VALIDATION_ITERATION = 5  # nnU-Net: 250 iterations an epoch, 50 in validation


@dataclass(frozen=True)
class Suffix:
    """One suffix: what it looks like and does, and the class attributes it sets.

    kind: of suffixes of one kind a name may have only one.
    attributes: from the trainer and the number in the suffix (empty where it has none).
    refuses: the reason why it cannot follow a trainer's name, or nothing.
    """

    example: str
    kind: str
    explanation: str
    pattern: re.Pattern[str]
    attributes: Callable[[type[PancextTrainer], str], dict[str, Any]]
    refuses: Callable[[type[PancextTrainer]], str | None] = lambda trainer: None


def _recipe_attributes(trainer: type[PancextTrainer], _: str) -> dict[str, Any]:
    return trainer.paper_recipe.attributes() if trainer.paper_recipe else {}


def _refuses_recipe(trainer: type[PancextTrainer]) -> str | None:
    return None if trainer.paper_recipe else trainer.refuses_paper_recipe


def _refuses_weighting(trainer: type[PancextTrainer]) -> str | None:
    return trainer.refuses_loss_weighting


def _refuses_isb(trainer: type[PancextTrainer]) -> str | None:
    return trainer.refuses_isb_loss


def _weighting(example: str, explanation: str, weighting: type) -> Suffix:
    return Suffix(
        example=example,
        kind="loss",
        explanation=explanation,
        pattern=re.compile(example.removeprefix("_") + "()"),
        attributes=lambda trainer, number: {"loss_weighting": weighting},
        refuses=_refuses_weighting,
    )


# In the order in which they take effect: what is named beside a recipe replaces that part of it.
SUFFIXES = (
    Suffix(
        example="_PaperRecipe",
        kind="recipe",
        explanation="the paper's optimiser, schedule, epochs and loss; other suffixes replace their part",
        pattern=re.compile("PaperRecipe()"),
        attributes=_recipe_attributes,
        refuses=_refuses_recipe,
    ),
    Suffix(
        example="_50epochs",
        kind="epochs",
        explanation="train for that many epochs (nnU-Net: 1000)",
        pattern=re.compile(r"([1-9]\d*)epochs"),
        attributes=lambda trainer, number: {"num_epochs": int(number)},
    ),
    Suffix(
        example="_20iterations",
        kind="iterations",
        explanation="that many iterations an epoch (nnU-Net: 250), a fifth of it in validation",
        pattern=re.compile(r"([1-9]\d*)iterations"),
        attributes=lambda trainer, number: {
            "num_iterations_per_epoch": int(number),
            "num_val_iterations_per_epoch": max(1, int(number) // ITERATIONS_PER_VALIDATION_ITERATION),
        },
    ),
    _weighting("_OrdinaryLoss", "Dice + CE, 1 and 1 (nnU-Net's)", OrdinaryWeights),
    _weighting("_PhaseLoss", "0.6 Dice + 0.4 CE, from half of the epochs on 0.7 and 0.3", PhaseWeights),
    _weighting("_DynamicLoss", "Dice falls from 1 to 0.3, CE rises from 0.7 to 1", DynamicWeights),
    Suffix(
        example="_ISBLoss",
        kind="boundary loss",
        explanation=f"{ISB_WEIGHT} times the inter-class shared boundary loss beside it (3 or more classes)",
        pattern=re.compile("ISBLoss()"),
        attributes=lambda trainer, number: {"isb_weight": ISB_WEIGHT},
        refuses=_refuses_isb,
    ),
)


def variant_attributes(trainer: type[PancextTrainer], words: list[str]) -> dict[str, Any]:
    """Return the class attributes that the suffixes `words` (without underscores) set on `trainer`.

    Raises:
        PancextError: a word is no suffix that this trainer takes, or two words are of one kind.
    """
    found: dict[Suffix, tuple[str, str]] = {}
    kinds: dict[str, str] = {}
    for word in words:
        suffix, number = _match(trainer, word)
        if suffix.kind in kinds:
            raise PancextError(
                f"{trainer.__name__}_{'_'.join(words)} says both _{kinds[suffix.kind]} and _{word}: "
                f"keep one. {_possible(trainer)}"
            )
        kinds[suffix.kind] = word
        found[suffix] = (word, number)
    attributes: dict[str, Any] = {}
    for suffix in SUFFIXES:
        if suffix in found:
            attributes.update(suffix.attributes(trainer, found[suffix][1]))
    return attributes


def is_named_suffix(word: str) -> bool:
    """Return whether a word (without underscore) is a suffix without a number; nnU-Net has some with one."""
    return any(f"_{word}" == suffix.example for suffix in SUFFIXES if not suffix.example[1].isdigit())


def describe_suffixes(trainer: type[PancextTrainer] | None = None) -> str:
    """Return the known suffixes, a line each; those that `trainer` takes, where one is given."""
    suffixes = [suffix for suffix in SUFFIXES if trainer is None or not suffix.refuses(trainer)]
    width = max(len(suffix.example) for suffix in suffixes)
    return "\n".join(f"  {suffix.example:<{width}}  {suffix.explanation}" for suffix in suffixes)


def _match(trainer: type[PancextTrainer], word: str) -> tuple[Suffix, str]:
    problem = f"{trainer.__name__} knows no suffix _{word}."
    for suffix in SUFFIXES:
        found = suffix.pattern.fullmatch(word)
        if found:
            refusal = suffix.refuses(trainer)
            if refusal is None:
                return suffix, found.group(1)
            problem = f"{trainer.__name__} does not take _{word}: {refusal}."
    raise PancextError(f"{problem} {_possible(trainer)}")


def _possible(trainer: type[PancextTrainer]) -> str:
    return f"These may follow its name, in any order, with any number:\n{describe_suffixes(trainer)}"
