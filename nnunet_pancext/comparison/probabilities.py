"""Whether the models kept the probabilities of their validation cases, and curves out of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Lock

from nnunet_pancext.evaluation.probabilities import (
    HOW_VALIDATION_HAS_THEM,
    PrecisionRecall,
    VoxelHistogram,
    precision_recall,
)
from nnunet_pancext.evaluation.scores import CaseScores
from nnunet_pancext.nnunet_files.models import Model


class VoxelTally:
    """Adds up the voxels of all cases by label and model: a histogram of each case would fill the memory."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[str, VoxelHistogram]] = {}
        self._lock = Lock()

    def take(self, model: str, scores: CaseScores) -> CaseScores:
        """Add the histograms of a case, and return its scores without them. Threads may call it at once."""
        with self._lock:
            for label, histogram in scores.histograms.items():
                of_label = self._sums.setdefault(label, {})
                of_label[model] = of_label[model] + histogram if model in of_label else histogram
        return replace(scores, histograms={})

    def curves(self) -> dict[str, dict[str, PrecisionRecall]]:
        """Return the precision-recall curve of each label by model."""
        return {
            label: {model: precision_recall(histogram) for model, histogram in of_label.items()}
            for label, of_label in self._sums.items()
        }


def why_no_probabilities(models: Sequence[Model], cases: Mapping[int, Sequence[str]]) -> str:
    """Say which models lack probabilities of how many cases; empty where all have those of every case."""
    number = sum(map(len, cases.values()))
    found = {
        model.name: sum(
            (model.validation(fold) / f"{case}.npz").is_file()
            for fold, names in cases.items()
            for case in names
        )
        for model in models
    }
    if not any(found.values()):
        return f"No trainer has probabilities: {HOW_VALIDATION_HAS_THEM}."
    lacking = [
        f"{name} has probabilities of {have or 'none'} of {number} cases"
        for name, have in found.items()
        if have < number
    ]
    return f"{'; '.join(lacking)}: {HOW_VALIDATION_HAS_THEM}." if lacking else ""
