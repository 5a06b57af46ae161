"""Where the demo keeps its files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError

MARKER = ".pancext_demo"
REPORT_NAME = "demo_report.html"


@dataclass(frozen=True)
class Workspace:
    """The demo's output folder: what it shows at the top, what it needs on the way under `work`."""

    root: Path

    @property
    def report(self) -> Path:
        """The page to open."""
        return self.root / REPORT_NAME

    @property
    def metrics(self) -> Path:
        """The scores as a table."""
        return self.root / "metrics.csv"

    @property
    def overlays(self) -> Path:
        """One picture per predicted case."""
        return self.root / "overlays"

    @property
    def predictions(self) -> Path:
        """The predicted segmentations, after nnU-Net's postprocessing."""
        return self.root / "predictions"

    @property
    def raw_predictions(self) -> Path:
        """The predicted segmentations before postprocessing."""
        return self.work / "raw_predictions"

    @property
    def logs(self) -> Path:
        """What each command printed."""
        return self.root / "logs"

    @property
    def work(self) -> Path:
        """Source data and nnU-Net's folders; removed at the end unless they are to be kept."""
        return self.root / "work"

    def nnunet_folders(self) -> dict[str, Path]:
        """nnU-Net's three environment variables and their folders."""
        names = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
        return {name: self.work / name for name in names}


def open_workspace(root: Path) -> Workspace:
    """Return an empty workspace at `root`, in place of an earlier demo's if there is one.

    Raises:
        PancextError: `root` holds something else, or cannot be written.
    """
    workspace = Workspace(root.resolve())
    try:
        if root.exists() and not (root.is_dir() and (not any(root.iterdir()) or (root / MARKER).is_file())):
            raise PancextError(f"{root} holds something else than a demo. Give another folder with --out.")
        if root.is_dir():
            for path in root.iterdir():
                if path.name != MARKER:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        root.mkdir(parents=True, exist_ok=True)
        (root / MARKER).touch()
        for folder in (
            workspace.overlays,
            workspace.predictions,
            workspace.logs,
            *workspace.nnunet_folders().values(),
        ):
            folder.mkdir(parents=True)
    except OSError as error:
        raise PancextError(
            f"cannot write to {root}: {error.strerror}. Give another folder with --out."
        ) from error
    return workspace
