"""Groups of cases by the true size of a label."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnunet_pancext.comparison.paired import Row
from nnunet_pancext.comparison.scored_cases import ScoredCases
from nnunet_pancext.comparison.statistics import Values
from nnunet_pancext.errors import PancextError
from nnunet_pancext.evaluation.scores import summary_statistics

MILLIMETRES, MILLILITRES = "mm", "mL"
# AJCC Cancer Staging Manual, 8th edition, exocrine pancreas: T1 is at most 2 cm in greatest dimension,
# T2 more than 2 and at most 4 cm, T3 more than 4 cm.
TNM_EDGES_MM = (20.0, 40.0)
TNM_STAGES = (" (T1)", " (T2)", " (T3)")
LESION = re.compile(r"tumou?r|lesion|cancer|carcinoma|metasta|cyst", re.IGNORECASE)
ENTRY = re.compile(r"(?P<label>.+)=(?P<edges>[\d.,]+)\s*(?P<unit>mm|ml)", re.IGNORECASE)
MM3_PER_ML = 1000
FEWEST = 3  # cases to form terciles


@dataclass(frozen=True, kw_only=True)
class Stratification:
    """Groups of a label's sizes: volumes in mL, or diameters in mm of the sphere of that volume.

    `remarks` follow the title of each group.
    """

    label: str
    edges: tuple[float, ...]
    unit: str
    remarks: tuple[str, ...] = ()

    def groups(self, volumes_ml: Values) -> list[tuple[str, NDArray[np.bool_]]]:
        """Return title and cases of each group; a size on an edge is in the lower one.

        Cases without the label in the ground truth are in no group.
        """
        sizes = diameter_mm(volumes_ml) if self.unit == MILLIMETRES else volumes_ml
        groups = []
        for index, (low, high) in enumerate(pairwise((0.0, *self.edges, math.inf))):
            over = f"over {low:.4g}" if low else ""
            up_to = "" if math.isinf(high) else f"to {high:.4g}" if low else f"up to {high:.4g}"
            remark = self.remarks[index] if self.remarks else ""
            title = f"{' '.join(filter(None, (over, up_to)))} {self.unit}{remark}"
            groups.append((title, (sizes > low) & (sizes <= high)))
        return groups


def parse_stratification(text: str, labels: Sequence[str]) -> Stratification:
    """Read `tumour=10,20,40mm` or `pancreas=60,90mL`.

    Raises:
        PancextError: it is not of this form, names no label, or its edges do not rise from above 0.
    """
    match = ENTRY.fullmatch(text.strip())
    try:
        edges = tuple(map(float, match["edges"].split(","))) if match else ()
    except ValueError:
        edges = ()
    if not match or not edges:
        raise PancextError(f"--strata {text!r} is not LABEL=EDGES with a unit. Write it as tumour=20,40mm.")
    if match["label"] not in labels:
        raise PancextError(f"--strata {text!r} names no label; there are: {', '.join(labels)}.")
    if edges[0] <= 0 or any(high <= low for low, high in pairwise(edges)):
        raise PancextError(f"--strata {text!r}: the edges must rise from above 0.")
    unit = MILLIMETRES if match["unit"].lower() == "mm" else MILLILITRES
    return Stratification(label=match["label"], edges=edges, unit=unit)


def default_stratifications(scored: ScoredCases, *, dataset_json: Mapping[str, Any]) -> list[Stratification]:
    """Group lesions by TNM's edges and other labels by terciles of their volume.

    The union of all labels, which dataset.json does not declare, is not grouped, and nothing is without
    volumes.
    """
    stratifications = []
    if not scored.has_volumes:
        return []
    for label in scored.labels:
        if label not in dataset_json["labels"]:
            continue
        volumes = scored.true_volumes_ml(label)
        present = volumes[volumes > 0]
        if _is_lesion(label, dataset_json):
            tnm = Stratification(label=label, edges=TNM_EDGES_MM, unit=MILLIMETRES, remarks=TNM_STAGES)
            stratifications.append(tnm)
        elif len(present) >= FEWEST:
            low, high = np.quantile(present, [1 / 3, 2 / 3]).tolist()
            if low < high:
                stratifications.append(Stratification(label=label, edges=(low, high), unit=MILLILITRES))
    return stratifications


def _is_lesion(label: str, dataset_json: Mapping[str, Any]) -> bool:
    """Return whether a label is a lesion: by `"pancext": {"lesion": 2}` in dataset.json, else by its name."""
    entry = dataset_json.get("pancext")
    value = entry.get("lesion") if isinstance(entry, dict) else None
    if value is not None:
        return bool(dataset_json["labels"].get(label) == value)
    return LESION.search(label) is not None


def stratum_rows(
    scored: ScoredCases, stratifications: Sequence[Stratification], metrics: Sequence[str]
) -> list[Row]:
    """Return each metric of each model in each group, groups in the order of size."""
    return [
        Row(
            model=model,
            label=stratification.label,
            metric=metric,
            stratum=title,
            spread=summary_statistics(scored.values(model, stratification.label, metric)[chosen]),
        )
        for stratification in stratifications
        for title, chosen in stratification.groups(scored.true_volumes_ml(stratification.label))
        for model in scored.models
        for metric in metrics
    ]


def diameter_mm(volumes_ml: Values) -> Values:
    """Return the diameter of the sphere of each volume."""
    return np.cbrt(6 * MM3_PER_ML * volumes_ml / math.pi)
