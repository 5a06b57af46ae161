"""The step that converts a download into a raw dataset."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.step import Step
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.files import read_json
from nnunet_pancext.nnunet_files.folders import RAW, set_folder

REPORT = "conversion_report.json"
MAX_REMARKS = 20


@dataclass(frozen=True, kw_only=True)
class Convert(Step):
    """`pancext convert LAYOUT SOURCES…`, which publishes a dataset whole or not at all.

    `sources` are folders or archives, `split` and `labels` what the dataset's conversion report calls them,
    and `arguments` further words of the command.
    """

    kind = "convert"

    layout: str
    sources: tuple[str, ...]
    dataset: str
    split: str
    labels: str
    arguments: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"convert {self.layout} to {self.dataset}"

    def result(self, folder: Path) -> Path:
        return self.written_folder(folder)

    def written_folder(self, folder: Path) -> Path:
        return set_folder(RAW) / self.dataset

    def is_done(self, folder: Path) -> bool:
        if not (self.result(folder) / REPORT).is_file():
            return False
        options = self._report(folder).get("options", {})
        split, labels = options.get("split"), options.get("labels")
        if (split, labels) != (self.split, self.labels):
            raise PancextError(
                f"{self.result(folder)} was converted with split {split} and labels {labels}, but the "
                f"campaign's are {self.split} and {self.labels}. Move that dataset away and run again."
            )
        return True

    def command(self, folder: Path) -> list[str]:
        number, name = id_and_name(self.dataset)
        target = ("--split", self.split, "--id", str(number), "--name", name)
        return ["pancext", "convert", self.layout, *self._paths(folder), *self.arguments, *target]

    def prepare(self, folder: Path) -> list[str]:
        """Require the downloads."""
        missing = [path for path in self._paths(folder) if not Path(path).exists()]
        if missing:
            raise PancextError(
                f"{self.dataset}: not converted yet, and its download is missing: "
                f"{', '.join(missing)}. Give it as sources of the step {self.name} in campaign.toml."
            )
        return []

    def remarks(self, folder: Path) -> list[str]:
        """Return what the conversion left out, warned of or noted: the test set may lack some cases."""
        report = self._report(folder)
        problems = [
            f"{what}: {problem.get('case')}: {problem.get('message')}"
            for what, key in (("left out", "left_out"), ("warning", "warnings"))
            for problem in report.get(key, [])
        ]
        if len(problems) > MAX_REMARKS:
            more = len(problems) - MAX_REMARKS
            problems[MAX_REMARKS:] = [f"and {more} more, all in {self.result(folder) / REPORT}"]
        return [*problems, *(f"note: {note}" for note in report.get("notes", []))]

    def _paths(self, folder: Path) -> list[str]:
        return [str(folder / source) for source in self.sources]

    def _report(self, folder: Path) -> dict[str, Any]:
        return read_json(self.result(folder) / REPORT, expect=dict, remedy="Remove it and run again.")


def id_and_name(dataset: str) -> tuple[int, str]:
    """Return 7 and 'Pancreas' of 'Dataset007_Pancreas'; PancextError if it is not such a name."""
    match = re.fullmatch(r"Dataset(\d{3})_([A-Za-z0-9_-]+)", dataset)
    if match is None:
        raise PancextError(f"dataset is {dataset!r}; a new dataset's name is like Dataset007_Pancreas.")
    return int(match[1]), match[2]
