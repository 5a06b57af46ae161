"""Groups of cases by the true size of a label."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnunet_pancext.comparison.scored_cases import ScoredCases
from nnunet_pancext.comparison.statistics import Values
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.summary_statistics import SummaryStatistics, summary_statistics

MILLIMETRES, MILLILITRES = "mm", "mL"
# AJCC Cancer Staging Manual, 8th edition, exocrine pancreas: T1 is at most 2 cm in greatest dimension,
# T2 more than 2 and at most 4 cm, T3 more than 4 cm.
TNM_EDGES_MM = (20.0, 40.0)
TNM_STAGES = (" (T1)", " (T2)", " (T3)")
LESION = re.compile(r"tumou?r|lesion|cancer|carcinoma|metasta|cyst", re.IGNORECASE)
ENTRY = re.compile(r"(?P<label>.+)=(?P<edges>[\d.,]+)\s*(?P<unit>mm|ml)", re.IGNORECASE)
MM3_PER_ML = 1000
FEWEST = 3  # cases, to make terciles of


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where to cut a label's sizes: volumes in mL, or diameters in mm of the sphere of that volume.

    `remarks` follow the title of each group.
    """

    label: str
    edges: tuple[float, ...]
    unit: str
    remarks: tuple[str, ...] = ()

    def groups(self, volumes_ml: Values) -> list[tuple[str, NDArray[np.bool_]]]:
        """Return title and cases of each group; a size on an edge is in the lower one.

        Cases without the label in the truth are in no group.
        """
        sizes = diameter_mm(volumes_ml) if self.unit == MILLIMETRES else volumes_ml
        ends = [0.0, *self.edges, math.inf]
        groups = []
        for index, (low, high) in enumerate(pairwise(ends)):
            title = f"{self._title(low, high)}{self.remarks[index] if self.remarks else ''}"
            groups.append((title, (sizes > low) & (sizes <= high)))
        return groups

    def _title(self, low: float, high: float) -> str:
        if low == 0:
            return f"up to {high:.4g} {self.unit}"
        return (
            f"over {low:.4g} {self.unit}" if math.isinf(high) else f"over {low:.4g} to {high:.4g} {self.unit}"
        )


@dataclass(frozen=True, kw_only=True)
class StratumRow:
    """One metric of one model in the cases of one group."""

    model: str
    label: str
    metric: str
    stratum: str
    spread: SummaryStatistics


def parse_cut(text: str, labels: Sequence[str]) -> Cut:
    """Read a cut as the command takes it: `tumour=10,20,40mm` or `pancreas=60,90mL`.

    Raises:
        PancextError: it is not of this form, names no label, or its edges do not rise from above 0.
    """
    found = ENTRY.fullmatch(text.strip())
    try:
        edges = tuple(float(edge) for edge in found["edges"].split(",")) if found else ()
    except ValueError:
        edges = ()
    if not found or not edges:
        raise PancextError(f"--strata {text!r} is not LABEL=EDGES with a unit. Write it as tumour=20,40mm.")
    if found["label"] not in labels:
        raise PancextError(f"--strata {text!r} names no label; there are: {', '.join(labels)}.")
    if edges[0] <= 0 or any(high <= low for low, high in pairwise(edges)):
        raise PancextError(f"--strata {text!r}: the edges must rise from above 0.")
    unit = MILLIMETRES if found["unit"].lower() == "mm" else MILLILITRES
    return Cut(label=found["label"], edges=edges, unit=unit)


def default_cuts(scored: ScoredCases, *, dataset_json: Mapping[str, Any]) -> list[Cut]:
    """Return the cuts where the user gives none: TNM's for lesions, terciles of volume for other labels.

    A lesion is what dataset.json calls so, `"pancext": {"lesion": 2}`, or else what its name says. The union
    of all labels, which dataset.json does not declare, is not cut.
    """
    cuts = []
    for label in scored.labels:
        if label not in dataset_json["labels"]:
            continue
        if is_lesion(label, dataset_json):
            cuts.append(Cut(label=label, edges=TNM_EDGES_MM, unit=MILLIMETRES, remarks=TNM_STAGES))
            continue
        volumes = scored.true_volumes_ml(label)
        present = volumes[volumes > 0]
        if len(present) < FEWEST:
            continue
        edges = tuple(float(edge) for edge in np.quantile(present, [1 / 3, 2 / 3]))
        if edges[0] < edges[1]:
            cuts.append(Cut(label=label, edges=edges, unit=MILLILITRES))
    return cuts


def is_lesion(label: str, dataset_json: Mapping[str, Any]) -> bool:
    """Whether a label is a lesion and not an organ."""
    entry = dataset_json.get("pancext")
    value = entry.get("lesion") if isinstance(entry, dict) else None
    if value is not None:
        return bool(dataset_json["labels"].get(label) == value)
    return LESION.search(label) is not None


def stratum_rows(scored: ScoredCases, cuts: Sequence[Cut], metrics: Sequence[str]) -> list[StratumRow]:
    """Return each metric of each model in each group, groups in the order of size."""
    rows = []
    for cut in cuts:
        for title, chosen in cut.groups(scored.true_volumes_ml(cut.label)):
            for model in scored.models:
                for metric in metrics:
                    values = scored.values(model, cut.label, metric)[chosen]
                    rows.append(
                        StratumRow(
                            model=model,
                            label=cut.label,
                            metric=metric,
                            stratum=title,
                            spread=summary_statistics(values),
                        )
                    )
    return rows


def diameter_mm(volumes_ml: Values) -> Values:
    """Diameter of the sphere of each volume."""
    return np.cbrt(6 * MM3_PER_ML * volumes_ml / math.pi)
