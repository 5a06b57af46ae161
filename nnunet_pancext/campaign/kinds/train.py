"""The step that trains a fold and validates it."""

import re
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.campaign.step import Progress, Step, worker
from nnunet_pancext.nnunet_commands.progress import TrainingProgress
from nnunet_pancext.nnunet_files.trained_fold import TrainedFold

EPOCHS = re.compile(r"_(\d+)epochs?(?:_|\Z)")  # in the names of our trainers and of nnU-Net's


@dataclass(frozen=True, kw_only=True)
class Train(Step):
    """A training with its validation, also of a trainer of nnU-Net or another package.

    `fold` is a number or `all`. With `probabilities` the validation saves them, which ensembles need. A
    training that was killed goes on after its last epoch, and a validation after its last case.
    """

    kind = "train"
    uses_gpu = True

    dataset: str
    configuration: str
    fold: str
    trainer: str
    plans: str = "nnUNetPlans"
    device: str = "cuda"
    probabilities: bool = True

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
        return self.trained.is_whole(probabilities=self.probabilities)

    def command(self, folder: Path) -> list[str]:
        words = worker("train", self.dataset, self.configuration, self.fold)
        words += ["-tr", self.trainer, "-p", self.plans, "-device", self.device]
        return [*words, "--npz"] if self.probabilities else words

    def prepare(self, folder: Path) -> list[str]:
        trained = self.trained
        trained.validation_cases()  # an impossible fold is refused before anything is touched
        return trained.prepare()

    def progress(self) -> Progress | None:
        epochs = EPOCHS.search(self.trainer)
        return TrainingProgress(int(epochs[1]) if epochs else None)
