"""The step that plans a dataset and preprocesses its cases for one configuration."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.measured import Measured
from nnunet_pancext.campaign.set_aside import set_aside
from nnunet_pancext.campaign.settings import Settings
from nnunet_pancext.campaign.step import Progress, Step, worker
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.nnunet_files.folders import PREPROCESSED
from nnunet_pancext.nnunet_files.plans_file import DEFAULT_PLANS
from nnunet_pancext.nnunet_files.preprocessed import Preprocessed, cases_of
from nnunet_pancext.nnunet_files.splits_final import SPLITS_FILE
from nnunet_pancext.splits.folds import FOLDS

CASE_LINE = "preprocessed "  # what the worker prints after each case


@dataclass(frozen=True, kw_only=True)
class Preprocess(Step):
    """nnU-Net's plans where there are none, its folds, and the cases that are missing.

    `planner` is the class of nnU-Net that makes the plans, by default the one whose plans have this name.
    Several steps may preprocess one dataset at the same time, and a killed one goes on with the next case.
    """

    kind = "preprocess"

    dataset: str
    plans: str = DEFAULT_PLANS
    configuration: str
    planner: str = ""

    @property
    def title(self) -> str:
        return f"preprocess {self.dataset}, {self.plans} {self.configuration}"

    @property
    def preprocessed(self) -> Preprocessed:
        """Where the step writes."""
        return Preprocessed(dataset=self.dataset, plans=self.plans, configuration=self.configuration)

    def result(self, folder: Path) -> Path:
        return self.preprocessed.data

    def is_done(self, folder: Path) -> bool:
        target = self.preprocessed
        if not target.is_planned:
            return False
        try:
            cases, ending = cases_of(self.dataset)
        except PancextError:  # the raw dataset may have been removed: nnU-Net no longer needs it
            cases = target.copied_cases()
            return bool(cases) and not target.missing(cases)
        return (
            ((target.folder / SPLITS_FILE).is_file() or len(cases) < FOLDS)
            and not target.missing(cases)
            and not target.left_over(cases)
            and not target.labels_to_copy(cases, ending)
        )

    def command(self, folder: Path) -> list[str]:
        words = worker("preprocess", self.dataset, self.plans, self.configuration)
        return [*words, "--planner", self.planner] if self.planner else words

    def set_aside(self, folder: Path) -> None:
        target = self.preprocessed
        data = target.data
        if self.planner:
            set_aside(target.plans_file)
        set_aside(data)

    def depends_on(self, settings: Settings) -> dict[str, Any]:
        return {PREPROCESSED: settings.folders[PREPROCESSED]}

    def measured(self, folder: Path) -> Measured:
        target = self.preprocessed
        try:
            cases, _ = cases_of(self.dataset)
        except PancextError:
            cases = target.copied_cases()
        done = len(cases) - len(target.missing(cases))
        return Measured(text=f"{done} of {counted(len(cases), 'case')} preprocessed")

    def progress(self) -> Progress | None:
        return lambda line: line if line.startswith(CASE_LINE) else None
