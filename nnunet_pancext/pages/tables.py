"""Cells of the tables that readers sort by a click on a heading and filter by a word."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell's text, and the number that it sorts by; without one it sorts by its text. nan comes last."""

    text: str
    value: float | None = None

    @property
    def key(self) -> str | None:
        """The attribute `data-value` that the script sorts by; empty for nan."""
        if self.value is None:
            return None
        return "" if math.isnan(self.value) else repr(float(self.value))
