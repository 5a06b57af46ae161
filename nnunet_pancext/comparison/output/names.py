"""Names of a comparison's trainers, short enough for tables and figures."""

from __future__ import annotations

from itertools import takewhile

from nnunet_pancext.comparison.compare import Comparison


def short_names(comparison: Comparison) -> dict[str, str]:
    """Return the trainers by name without the suffixes that all share."""
    cut = len(_shared_suffix(comparison.scored.models))
    return {model: model[: len(model) - cut] for model in comparison.scored.models}


def omitted_text(comparison: Comparison) -> str:
    """Say what the short names omit; empty if nothing."""
    suffix = _shared_suffix(comparison.scored.models)
    return f"All trainers have the suffix {suffix}, which their names here omit." if suffix else ""


def _shared_suffix(models: list[str]) -> str:
    """Return the parts from an underscore on that all names end with; the first part never counts."""
    endings = (model.split("_")[:0:-1] for model in models) if len(models) > 1 else ()
    shared = takewhile(lambda parts: len(set(parts)) == 1, zip(*endings, strict=False))
    return "".join(f"_{parts[0]}" for parts in reversed(list(shared)))
