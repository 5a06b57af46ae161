"""Names of a comparison's trainers, short enough for tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence

from nnunet_pancext.comparison.compare import Comparison


def short_names(comparison: Comparison) -> dict[str, str]:
    """Trainers by name without the suffixes that all share."""
    models = comparison.scored.models
    cut = len(_shared_suffix(models))
    return {model: model[: len(model) - cut] for model in models}


def left_out_text(comparison: Comparison) -> str:
    """Say what the short names leave out; empty where that is nothing."""
    suffix = _shared_suffix(comparison.scored.models)
    return f"All trainers have the suffix {suffix}, which their names here leave out." if suffix else ""


def _shared_suffix(models: Sequence[str]) -> str:
    """The parts from an underscore on with which all of several names end."""
    if len(models) < 2:
        return ""
    suffixes = [model.split("_")[1:] for model in models]
    shared: list[str] = []
    for parts in zip(*(reversed(suffix) for suffix in suffixes), strict=False):
        if len(set(parts)) > 1:
            break
        shared.insert(0, parts[0])
    return "".join(f"_{part}" for part in shared)
