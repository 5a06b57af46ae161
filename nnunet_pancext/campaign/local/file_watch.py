"""Watches `campaign.toml`, which may be edited during a run."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from nnunet_pancext.campaign.changes import recorded_options
from nnunet_pancext.campaign.definition import FILE, Campaign, read_campaign
from nnunet_pancext.campaign.step import Step
from nnunet_pancext.errors import PancextError


class FileWatch:
    """What `campaign.toml` says now, compared with what it said when a run began.

    `problem` is why it cannot be used now; "" if it can. `look` brings all up to date.
    """

    def __init__(self, folder: Path, campaign: Campaign) -> None:
        self.folder = folder
        self.before = self.now = campaign
        self.problem = ""
        self._stamp: tuple[int, int] | None = None

    def look(self) -> None:
        """Read the file again if it was written since."""
        try:
            status = (self.folder / FILE).stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                now = read_campaign(self.folder)
                self.now = self.before if now == self.before else now
                self._stamp, self.problem = stamp, ""
        except OSError as error:
            self._stamp, self.problem = None, f"Cannot read {self.folder / FILE}: {error.strerror}."
        except PancextError as error:  # it may be half written
            self._stamp, self.problem = None, str(error)

    def has_changed(self, names: Collection[str] | None = None) -> bool:
        """Whether steps are others now, or those that they need; without names, whether any step is."""
        if self.now is self.before:
            return False
        return _entries(self.now, names) != _entries(self.before, names)


def _entries(campaign: Campaign, names: Collection[str] | None) -> tuple[Any, ...]:
    steps = campaign.steps if names is None else campaign.with_needs(names)
    entries: dict[Step, dict[str, Any]] = {step: recorded_options(step, campaign) for step in steps}
    return dict(campaign.folders), entries
