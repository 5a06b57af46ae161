"""Pictures inside an HTML page."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from nnunet_pancext.errors import PancextError

MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml"}


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A picture as SVG, and the ranges that it shows in words, for those who do not see it."""

    svg: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A case to show, why ("worst, tumour") and where its picture is."""

    case: str
    why: str
    picture: Path


def picture_html(path: Path, *, text: str) -> str:
    """An `img` element that carries the picture itself; `text` says what it shows to those who do not see it.

    Raises:
        PancextError: the picture is missing, or its ending is not one of `MEDIA_TYPES`.
    """
    media_type = MEDIA_TYPES.get(path.suffix.lower())
    if media_type is None:
        raise PancextError(
            f"Cannot put {path} into the report: its ending {path.suffix!r} is not one of "
            f"{', '.join(MEDIA_TYPES)}. Convert the picture first."
        )
    if not path.is_file():
        raise PancextError(f"There is no picture at {path}. Write it before the report, or leave it out.")
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<img src="data:{media_type};base64,{content}" alt="{escape(text)}">'


def charts_html(charts: Mapping[str, Chart], *, captions: bool = True) -> str:
    """Charts by title as pictures that say their ranges to those who do not see them; nothing without any."""
    figures = []
    for title, chart in charts.items():
        content = base64.b64encode(chart.svg.encode()).decode("ascii")
        caption = f"<figcaption>{escape(title)}</figcaption>" if captions else ""
        source = f"data:image/svg+xml;base64,{content}"
        figures.append(
            f'<figure><img src="{source}" alt="{escape(f"{title}. {chart.text}")}">{caption}</figure>'
        )
    return f'<div class="charts">\n{"".join(figures)}\n</div>' if figures else ""
