"""Where the demo keeps its files."""

import shutil
from pathlib import Path

from nnunet_pancext.errors import PancextError
from nnunet_pancext.nnunet_files.folders import DUTIES

MARKER = ".pancext_demo"


class Workspace:
    """The demo's output folder: results at the top, intermediate files under `work`.

    `overlays` has one image per test case, `predictions` the segmentations after nnU-Net's postprocessing,
    `raw_predictions` those before it, and `logs` the output of each command. `work` is removed at the end
    unless the user keeps it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.report = root / "demo_report.html"
        self.metrics = root / "metrics.csv"
        self.overlays = root / "overlays"
        self.predictions = root / "predictions"
        self.logs = root / "logs"
        self.work = root / "work"
        self.raw_predictions = self.work / "raw_predictions"

    def nnunet_folders(self) -> dict[str, Path]:
        """Return the folders of nnU-Net's three environment variables."""
        return {variable: self.work / variable for variable in DUTIES}


def open_workspace(root: Path) -> Workspace:
    """Return an empty workspace, replacing an earlier demo; PancextError if `root` holds something else."""
    workspace = Workspace(root.resolve())
    try:
        if root.exists() and not (root.is_dir() and (not any(root.iterdir()) or (root / MARKER).is_file())):
            raise PancextError(
                f"{root} holds something else than a demo. Give another output folder with --out."
            )
        if root.is_dir():
            for path in root.iterdir():
                if path.name != MARKER:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        root.mkdir(parents=True, exist_ok=True)
        (root / MARKER).touch()
        results = (workspace.overlays, workspace.predictions, workspace.logs)
        for folder in (*results, *workspace.nnunet_folders().values()):
            folder.mkdir(parents=True)
    except OSError as error:
        raise PancextError(
            f"cannot write to {root}: {error.strerror}. Give another folder with --out."
        ) from error
    return workspace
