"""What holds for all steps of a campaign."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SEED = "PANCEXT_SEED"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The entries at the top of `campaign.toml`.

    `environment` are variables of every step beside nnU-Net's three, `folders`.
    """

    device: str
    seed: int | None
    folders: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, str]:
        """All environment variables of the steps."""
        seed = {} if self.seed is None else {SEED: str(self.seed)}
        return {**self.environment, **self.folders, **seed}
