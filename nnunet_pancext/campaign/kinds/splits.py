"""The step that writes a dataset's own folds where nnU-Net reads them."""

from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.campaign.step import Step
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.nnunet_files.folders import PREPROCESSED, RAW, set_folder
from nnunet_pancext.nnunet_files.splits_final import SPLITS_FILE, holds


@dataclass(frozen=True, kw_only=True)
class Splits(Step):
    """`pancext splits apply DATASET`: the folds in the raw dataset's `split.json` become nnU-Net's."""

    kind = "splits"

    dataset: str

    @property
    def title(self) -> str:
        return f"put the folds of {self.dataset} where nnU-Net reads them"

    def result(self, folder: Path) -> Path:
        return set_folder(PREPROCESSED) / self.dataset / SPLITS_FILE

    def is_done(self, folder: Path) -> bool:
        placed, split = self.result(folder), set_folder(RAW) / self.dataset / "split.json"
        if not placed.is_file() or not split.is_file():
            return False
        folds = read_json(split, expect=dict, remedy="Remove it and run again.").get("folds", [])
        if not holds(placed, folds):
            raise PancextError(
                f"{placed} holds other folds than {split}, the dataset's own. Move it and the models "
                "trained on it away, and run again."
            )
        return True

    def command(self, folder: Path) -> list[str]:
        return ["pancext", "splits", "apply", self.dataset]
