"""Trainers of a protocol whose networks want more than the default installation."""

from __future__ import annotations

from nnunet_pancext.architectures.monai_networks import INSTALL, monai_networks
from nnunet_pancext.errors import PancextError
from nnunet_pancext.trainers import find_trainer


def needs_extra(trainer: str) -> bool:
    """Whether the network of a trainer, by name, is of an optional package."""
    found = find_trainer(trainer)
    return found is not None and found.extra is not None


def extra_note(trainer: str) -> str:
    """Say what to install for a trainer, in a few words; nothing where it runs as it is."""
    return f"{trainer} needs an extra: {INSTALL}" if needs_extra(trainer) else ""


def why_it_cannot_run(trainer: str) -> str | None:
    """Return what a trainer lacks here, and how to get it; None where it lacks nothing."""
    if not needs_extra(trainer):
        return None
    try:
        monai_networks()
    except PancextError as error:
        return str(error)
    return None
