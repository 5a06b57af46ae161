"""The step that scores predicted label maps."""

from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.campaign.step import Step
from nnunet_pancext.campaign.up_to_date import are_up_to_date
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.label_maps import find_cases
from nnunet_pancext.nnunet_files.dataset_json import NAME, read_dataset_json


@dataclass(frozen=True, kw_only=True)
class Evaluate(Step):
    """`pancext evaluate`: metrics.csv and summary.json of a folder of predictions.

    With `probabilities` those of the predictions are scored too.
    """

    kind = "evaluate"

    predictions: str
    truth: str
    output: str
    probabilities: bool = False

    @property
    def title(self) -> str:
        return f"evaluate {self.predictions}"

    def result(self, folder: Path) -> Path:
        return folder / self.output

    def is_done(self, folder: Path) -> bool:
        predictions, truth, out = folder / self.predictions, folder / self.truth, self.result(folder)
        names = ("summary.json", *(("pr_curve.csv",) if self.probabilities else ()))
        try:
            ending = _ending(predictions, truth)
        except PancextError:
            return False
        label_maps = (
            side / f"{case}{ending}"
            for case in find_cases(truth, ending) | find_cases(predictions, ending)
            for side in (predictions, truth)
        )
        return are_up_to_date((out / name for name in names), made_from=label_maps)

    def command(self, folder: Path) -> list[str]:
        predictions, truth, out = (str(folder / path) for path in (self.predictions, self.truth, self.output))
        options = ("--probabilities",) if self.probabilities else ()
        return ["pancext", "evaluate", predictions, truth, "-o", out, *options]


def _ending(predictions: Path, truth: Path) -> str:
    """Return the ending of the label maps as `pancext evaluate` finds it."""
    files = (folder / NAME for folder in (predictions, truth, truth.resolve().parent))
    return next((read_dataset_json(file).file_ending for file in files if file.is_file()), ".nii.gz")
