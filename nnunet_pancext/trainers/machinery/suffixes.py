"""Suffixes of trainers' names, in any order: `DLKUNetLTrainer_DynamicLoss_100epochs`.

A variant is a class of that name. nnU-Net names folders after the class and writes the name into checkpoints,
so a variant can be continued, predicted with, exported and imported like any trainer.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.losses import ISB_WEIGHT, LossWeighting
from nnunet_pancext.trainers.machinery.base import PancextTrainer

ITERATIONS_PER_VALIDATION_ITERATION = 5  # nnU-Net: 250 iterations an epoch, 50 in validation


@dataclass(frozen=True, kw_only=True)
class Suffix:
    """A suffix, and the class attributes that it sets.

    kind: a name may have one suffix of each kind.
    pattern: matches the suffix without its underscore; a group is its number.
    attributes: from the trainer and the number, 0 without one.
    refuses: the reason why a trainer does not take it, or None.
    """

    example: str
    kind: str
    explanation: str
    pattern: str
    attributes: Callable[[type[PancextTrainer], int], dict[str, Any]]
    refuses: Callable[[type[PancextTrainer]], str | None] = lambda trainer: None


def _weighting(weighting: type[LossWeighting]) -> Suffix:
    suffix = str(weighting.suffix)
    return Suffix(
        example=suffix,
        kind="loss",
        explanation=weighting.explanation,
        pattern=suffix[1:],
        attributes=lambda trainer, number: {"loss_weighting": weighting},
        refuses=lambda trainer: trainer.refuses_loss_weighting,
    )


WEIGHTINGS = tuple(_weighting(kind) for kind in LossWeighting.__subclasses__() if kind.suffix)
# In the order in which they take effect: a suffix replaces its part of a recipe.
SUFFIXES = (
    Suffix(
        example="_PaperRecipe",
        kind="recipe",
        explanation="the paper's optimiser, schedule, epochs and loss; other suffixes replace their part",
        pattern="PaperRecipe",
        attributes=lambda trainer, number: trainer.paper_recipe.attributes() if trainer.paper_recipe else {},
        refuses=lambda trainer: None if trainer.paper_recipe else trainer.refuses_paper_recipe,
    ),
    Suffix(
        example="_50epochs",
        kind="epochs",
        explanation="train for that many epochs (nnU-Net: 1000)",
        pattern=r"([1-9]\d*)epochs",
        attributes=lambda trainer, number: {"num_epochs": number},
    ),
    Suffix(
        example="_20iterations",
        kind="iterations",
        explanation="that many iterations an epoch (nnU-Net: 250), a fifth of it in validation",
        pattern=r"([1-9]\d*)iterations",
        attributes=lambda trainer, number: {
            "num_iterations_per_epoch": number,
            "num_val_iterations_per_epoch": max(1, number // ITERATIONS_PER_VALIDATION_ITERATION),
        },
    ),
    *WEIGHTINGS,
    Suffix(
        example="_ISBLoss",
        kind="boundary loss",
        explanation=f"add {ISB_WEIGHT} times the inter-class shared boundary loss (3 or more classes)",
        pattern="ISBLoss",
        attributes=lambda trainer, number: {"isb_weight": ISB_WEIGHT},
        refuses=lambda trainer: trainer.refuses_isb_loss,
    ),
)


def variant_attributes(trainer: type[PancextTrainer], words: list[str]) -> dict[str, Any]:
    """Return the class attributes that the suffixes `words` (without underscores) set on `trainer`.

    Raises:
        PancextError: `trainer` does not take one of them, or two are of one kind.
    """
    chosen: dict[str, tuple[int, str, dict[str, Any]]] = {}  # by kind: position, word and attributes
    for word in words:
        suffix, number = _match(trainer, word)
        if suffix.kind in chosen:
            raise PancextError(
                f"{trainer.__name__}_{'_'.join(words)} has both _{chosen[suffix.kind][1]} and _{word}: "
                f"keep one. {_possible(trainer)}"
            )
        chosen[suffix.kind] = SUFFIXES.index(suffix), word, suffix.attributes(trainer, number)
    in_order = sorted(chosen.values(), key=itemgetter(0))
    return {name: value for _, _, attributes in in_order for name, value in attributes.items()}


def is_named_suffix(word: str) -> bool:
    """Return whether a word (without underscore) is a suffix without a number; nnU-Net has some with one."""
    return any(word == suffix.pattern for suffix in SUFFIXES)


def describe_suffixes(trainer: type[PancextTrainer] | None = None) -> str:
    """Return a line for each suffix: all, or those that `trainer` takes."""
    suffixes = [suffix for suffix in SUFFIXES if trainer is None or not suffix.refuses(trainer)]
    width = max(len(suffix.example) for suffix in suffixes)
    return "\n".join(f"  {suffix.example:<{width}}  {suffix.explanation}" for suffix in suffixes)


def _match(trainer: type[PancextTrainer], word: str) -> tuple[Suffix, int]:
    problem = f"{trainer.__name__} has no suffix _{word}."
    for suffix in SUFFIXES:
        match = re.fullmatch(suffix.pattern, word)
        if match:
            refusal = suffix.refuses(trainer)
            if refusal is None:
                return suffix, int(match[1]) if match.groups() else 0
            problem = f"{trainer.__name__} does not take _{word}: {refusal}."
    raise PancextError(f"{problem} {_possible(trainer)}")


def _possible(trainer: type[PancextTrainer]) -> str:
    return f"These may follow its name, in any order, with any number:\n{describe_suffixes(trainer)}"
