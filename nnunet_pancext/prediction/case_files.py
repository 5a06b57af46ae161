"""The files that a prediction of a case writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

from nnunet_pancext.prediction.case_result import Wanted

SEGMENTATION = ".seg.dcm"


@dataclass(frozen=True, kw_only=True)
class CaseFiles:
    """Where the results of a case are written."""

    out: Path
    case: str
    ending: str

    @property
    def label_map(self) -> Path:
        return self.out / f"{self.case}{self.ending}"

    @property
    def record(self) -> Path:
        return self.out / f"{self.case}.json"

    @property
    def probabilities(self) -> Path:
        return self.out / f"{self.case}.npz"

    @property
    def properties(self) -> Path:
        return self.out / f"{self.case}.pkl"

    @property
    def entropy(self) -> Path:
        return self.out / f"{self.case}_entropy.nii.gz"

    @property
    def segmentation(self) -> Path:
        return self.out / f"{self.case}{SEGMENTATION}"

    def of_fold(self, fold: str) -> Path:
        return self.out / f"fold_{fold}" / f"{self.case}{self.ending}"

    def of_options(self, options: Any) -> list[Path]:
        """Return what a prediction with these recorded options wrote beside label map and record."""
        if not isinstance(options, dict):
            return []
        label_maps_of_folds = self.out.glob(f"fold_*/{escape(self.label_map.name)}")
        return [
            *([self.probabilities, self.properties] if options.get("save_probabilities") else []),
            *([self.entropy] if options.get("entropy") else []),
            *(label_maps_of_folds if options.get("per_fold") else []),
        ]

    def all(self, wanted: Wanted, folds: Sequence[str]) -> list[Path]:
        """Return every file that is written, the record last."""
        return [
            self.label_map,
            *([self.probabilities, self.properties] if wanted.save_probabilities else []),
            *([self.entropy] if wanted.entropy else []),
            *([self.of_fold(fold) for fold in folds] if wanted.per_fold else []),
            self.record,
        ]
