"""An inspection as text for the console, and as values for JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from nnunet_pancext.checkpoints.plan_names import ALLOW, ALLOWLIST
from nnunet_pancext.io.console_text import printable
from nnunet_pancext.io.disk import megabytes
from nnunet_pancext.model_sharing.inspect import Inspection, ModelFacts

SCHEMA_VERSION = 1
HASH_DIGITS = 16
MOST_LISTED = 5
LONGEST_LINE = 5000  # characters; the labels of whole-body models take 3,000


def inspection_text(inspection: Inspection) -> str:
    """Return a paragraph for each model, what is left out, and whether the models can be run here."""
    parts = [
        "\n".join(printable(line, most=LONGEST_LINE) for line in _lines(model)) for model in inspection.models
    ]
    if inspection.sha256:
        parts.insert(0, f"{printable(inspection.source.name)}    sha256 {inspection.sha256}")
    if inspection.left_out:
        listed = ", ".join(map(printable, inspection.left_out[:MOST_LISTED]))
        more = len(inspection.left_out) - MOST_LISTED
        parts.append(f"not imported: {listed}" + (f" and {more} more" if more > 0 else ""))
    if any(ALLOWLIST in problem for problem in inspection.problems):
        parts.append(ALLOW)
    parts.append("No code from the file was run.")
    return "\n\n".join(parts)


def inspection_json(inspection: Inspection) -> dict[str, Any]:
    """Return the inspection as JSON values."""
    return {
        "version": SCHEMA_VERSION,
        "source": str(inspection.source),
        "sha256": inspection.sha256,
        "runs_here": not inspection.problems,
        "models": [{**asdict(model), "folds": list(model.folds)} for model in inspection.models],
        "left_out": list(inspection.left_out),
    }


def _lines(model: ModelFacts) -> Iterator[str]:
    yield f"{model.dataset}/{model.name}"
    yield f"  trainer        {model.trainer}"
    yield f"  plan           {model.plans}, {model.configuration}"
    if model.patch_size:
        spacing = " x ".join(f"{step:.3g}" for step in model.spacing_mm)
        yield f"  patch          {' x '.join(map(str, model.patch_size))} voxels of {spacing} mm"
    yield f"  channels       {', '.join(model.channels) or '-'}"
    yield f"  labels         {', '.join(f'{name} {value}' for name, value in model.labels.items()) or '-'}"
    for checkpoint in model.checkpoints:
        epochs = "unknown" if checkpoint.epochs is None else str(checkpoint.epochs)
        size = f"{checkpoint.parameters:,} weights, {megabytes(checkpoint.bytes)}"
        digest = f"sha256 {checkpoint.sha256[:HASH_DIGITS]}"
        yield f"  fold {checkpoint.fold:<10}{checkpoint.file}, epoch {epochs}, {size}, {digest}"
    if not model.problems:
        yield "  runs here      yes"
    else:
        yield "  runs here      no:"
        yield from (f"    {problem}" for problem in model.problems)
