"""A fault of a case, or of the dataset itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nnunet_pancext.io.files import shown_json

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Finding:
    """A fault: an error spoils a training, a warning deserves a look."""

    level: str
    kind: str
    message: str

    def __str__(self) -> str:
        return f"{self.level}: {self.kind}: {self.message}"


def refused(
    content: Mapping[str, Any], key: str, *, expected: str, remedy: str, level: str = ERROR
) -> Finding:
    """Return the finding that dataset.json lacks this key, or has a value that nnU-Net does not expect."""
    has = f'"{key}": {shown_json(content[key])}' if key in content else f'no "{key}"'
    return Finding(level, key, f"dataset.json has {has}; nnU-Net expects {expected}. {remedy}")
