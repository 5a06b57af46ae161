"""The step that trains a fold and validates it."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.measured import Measured, measured_training
from nnunet_pancext.campaign.settings import Settings
from nnunet_pancext.campaign.step import Progress, Step, worker
from nnunet_pancext.campaign.training_length import named_epochs
from nnunet_pancext.io.console_text import counted
from nnunet_pancext.nnunet_commands.progress import TrainingProgress
from nnunet_pancext.nnunet_files.folders import RESULTS
from nnunet_pancext.nnunet_files.model_folder import FINAL
from nnunet_pancext.nnunet_files.plans_file import DEFAULT_PLANS
from nnunet_pancext.nnunet_files.trained_fold import TrainedFold

# Environment variables on which speed, memory or messages depend, and no result: nnU-Net's, and of libraries.
OF_SPEED = re.compile(
    r"(nnUNet|OMP|MKL|OPENBLAS|TORCHINDUCTOR|PYTORCH|NCCL|CUDA)_.*|PANCEXT_PROGRESS_SECONDS"
)


@dataclass(frozen=True, kw_only=True)
class Train(Step):
    """A training with its validation, also of a trainer of nnU-Net or another package.

    `fold` is a number or `all`. With `probabilities` the validation saves them, which ensembles need.
    `next_stages` are the configurations of a cascade that train on the validation's predictions. A training
    that was killed goes on after its last epoch, and a validation after its last case.
    """

    kind = "train"
    uses_gpu = True

    dataset: str
    configuration: str
    fold: str
    trainer: str
    plans: str = DEFAULT_PLANS
    device: str = "cuda"
    probabilities: bool = True
    next_stages: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"train {self.trainer} on {self.dataset}, {self.plans} {self.configuration}, fold {self.fold}"

    @property
    def trained(self) -> TrainedFold:
        """Where nnU-Net writes."""
        return TrainedFold(
            dataset=self.dataset,
            trainer=self.trainer,
            plans=self.plans,
            configuration=self.configuration,
            fold=self.fold,
        )

    def result(self, folder: Path) -> Path:
        return self.trained.folder

    def written_folder(self, folder: Path) -> Path | None:
        return self.trained.folder

    def is_done(self, folder: Path) -> bool:
        return self.trained.is_whole(probabilities=self.probabilities, next_stages=self.next_stages)

    def command(self, folder: Path) -> list[str]:
        words = worker("train", self.dataset, self.configuration, self.fold)
        words += ["-tr", self.trainer, "-p", self.plans, "-device", self.device]
        return [*words, "--npz"] if self.probabilities else words

    def prepare(self, folder: Path) -> list[str]:
        trained = self.trained
        trained.validation_cases()  # an impossible fold is refused before anything is touched
        return trained.prepare()

    def depends_on(self, settings: Settings) -> dict[str, Any]:
        variables = settings.environment.items()
        return {
            "seed": settings.seed,
            "environment": {name: value for name, value in variables if not OF_SPEED.fullmatch(name)},
            RESULTS: settings.folders[RESULTS],
        }

    def measured(self, folder: Path) -> Measured | None:
        trained = self.trained
        measured = measured_training(trained.folder)
        if measured is None or not trained.has_checkpoint(FINAL):
            return measured
        cases, ending = trained.validation_cases() or [], trained.ending
        validated = sum((trained.validation / f"{case}{ending}").is_file() for case in cases)
        text = f"{measured.text}, {validated} of {counted(len(cases), 'case')} validated"
        return replace(measured, text=text)

    def progress(self) -> Progress | None:
        return TrainingProgress(named_epochs(self.trainer))
