"""The step that lets nnU-Net find the best configuration of a trainer, with its postprocessing."""

from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.campaign.step import Step, worker
from nnunet_pancext.campaign.up_to_date import are_up_to_date
from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.best_configuration import read_best_configuration
from nnunet_pancext.nnunet_files.model_folder import ModelName
from nnunet_pancext.nnunet_files.trained_fold import trained_folds

FOLDER = "best"


@dataclass(frozen=True, kw_only=True)
class Best(Step):
    """A configuration or an ensemble of two, and whether to keep only the largest components.

    What nnU-Net writes into one file of the dataset, for the latest trainer alone, is kept for each here.
    """

    kind = "best"

    dataset: str
    trainer: str
    plans: tuple[str, ...]
    configurations: tuple[str, ...]
    folds: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"find the best configuration of {self.trainer}, {self.dataset}"

    @property
    def models(self) -> list[ModelName]:
        """The models to choose from."""
        return [
            ModelName(self.trainer, plans, configuration)
            for configuration in self.configurations
            for plans in self.plans
        ]

    def result(self, folder: Path) -> Path:
        return folder / best_file(self.dataset, self.trainer)

    def is_done(self, folder: Path) -> bool:
        file = self.result(folder)
        try:
            best = read_best_configuration(file)
        except PancextError:
            return False
        folds = trained_folds(self.dataset, self.models, self.folds)
        return best.postprocessing.is_file() and are_up_to_date(
            [file], made_from=(fold.summary for fold in folds)
        )

    def command(self, folder: Path) -> list[str]:
        options = (
            *("--plans", *self.plans, "--configurations", *self.configurations, "--folds", *self.folds),
            *("--out", self.result(folder)),
        )
        return worker("best", self.dataset, self.trainer, *options)


def best_file(dataset: str, trainer: str) -> Path:
    """Return the file of a trainer's choice, below the campaign's folder."""
    return Path(FOLDER) / f"{dataset}-{trainer}.json"
