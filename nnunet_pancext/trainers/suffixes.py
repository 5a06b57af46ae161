"""What may follow a trainer's name, in any order: `SegResNetNLTrainer_50epochs_20iterations`.

A variant is a class of that very name. nnU-Net names folders after the class and writes the name into each
checkpoint, so a variant can be continued, predicted with, exported and imported like any trainer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nnunet_pancext.errors import PancextError

ITERATIONS_PER_VALIDATION_ITERATION = 5  # nnU-Net: 250 iterations an epoch, 50 in validation


@dataclass(frozen=True)
class Suffix:
    """One kind of suffix: what it looks like, what it does, and the class attributes it sets."""

    example: str
    explanation: str
    pattern: re.Pattern[str]
    attributes: Callable[[str], dict[str, Any]]


SUFFIXES = (
    Suffix(
        example="_50epochs",
        explanation="train for that many epochs (nnU-Net: 1000)",
        pattern=re.compile(r"([1-9]\d*)epochs"),
        attributes=lambda number: {"num_epochs": int(number)},
    ),
    Suffix(
        example="_20iterations",
        explanation="that many iterations an epoch (nnU-Net: 250), a fifth of it in validation",
        pattern=re.compile(r"([1-9]\d*)iterations"),
        attributes=lambda number: {
            "num_iterations_per_epoch": int(number),
            "num_val_iterations_per_epoch": max(1, int(number) // ITERATIONS_PER_VALIDATION_ITERATION),
        },
    ),
)


def variant_attributes(trainer: str, words: list[str]) -> dict[str, Any]:
    """Return the class attributes that the suffixes `words` (without underscores) set on `trainer`.

    Raises:
        PancextError: a word is no known suffix, or one kind of suffix is given twice.
    """
    attributes: dict[str, Any] = {}
    seen: dict[str, str] = {}
    for word in words:
        suffix, number = _match(trainer, word)
        if suffix.example in seen:
            raise PancextError(
                f"{trainer}_{'_'.join(words)} says both _{seen[suffix.example]} and _{word}: keep one."
            )
        seen[suffix.example] = word
        attributes.update(suffix.attributes(number))
    return attributes


def describe_suffixes() -> str:
    """Return the known suffixes, a line each."""
    width = max(len(suffix.example) for suffix in SUFFIXES)
    return "\n".join(f"  {suffix.example:<{width}}  {suffix.explanation}" for suffix in SUFFIXES)


def _match(trainer: str, word: str) -> tuple[Suffix, str]:
    for suffix in SUFFIXES:
        found = suffix.pattern.fullmatch(word)
        if found:
            return suffix, found.group(1)
    raise PancextError(
        f"{trainer} knows no suffix _{word}. These may follow its name, in any order, with any number:\n"
        f"{describe_suffixes()}"
    )
