"""The step that compares the trained models of a dataset."""

from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.campaign.step import Step
from nnunet_pancext.campaign.up_to_date import are_up_to_date
from nnunet_pancext.nnunet_files.trained_fold import trained_folds

RESULT_FILES = ("comparison.csv", "comparison.tex", "comparison.html")  # each written whole or not at all


@dataclass(frozen=True, kw_only=True)
class Compare(Step):
    """`pancext compare`; `models` are TRAINER__PLANS__CONFIGURATION, the first is the reference."""

    kind = "compare"

    dataset: str
    models: tuple[str, ...]
    folds: tuple[str, ...]
    output: str

    @property
    def title(self) -> str:
        return f"compare {len(self.models)} models, {self.dataset}"

    def result(self, folder: Path) -> Path:
        return folder / self.output

    def page(self, folder: Path) -> Path:
        return self.result(folder) / "comparison.html"

    def is_done(self, folder: Path) -> bool:
        folds = trained_folds(self.dataset, self.models, self.folds)
        return are_up_to_date(
            (self.result(folder) / name for name in RESULT_FILES), made_from=(fold.summary for fold in folds)
        )

    def command(self, folder: Path) -> list[str]:
        models = ("-tr", *self.models, "-f", *self.folds)
        return ["pancext", "compare", self.dataset, *models, "-o", str(self.result(folder))]
