"""CSV tables: ten significant digits, nan and inf as such, nothing where an entry does not apply."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_pancext.io.files import atomic_path


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the rows, each with an entry for every name in `header`, atomically."""
    from pandas import DataFrame  # half a second, which only the commands that write tables need

    texts = [[_text(row[name]) for name in header] for row in rows]
    with atomic_path(path) as partial:
        DataFrame(texts, columns=header).to_csv(partial, index=False, lineterminator="\n", encoding="utf-8")


def _text(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, (float, np.floating)) else str(value)
