"""HTML pages in one file each, rendered from the templates beside the commands that write them."""

import base64
import hashlib
import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_pancext.io.durations import duration_text
from nnunet_pancext.io.files import write_text
from nnunet_pancext.pages.numbers import UNDEFINED, UNDEFINED_MEANING, score_text, volume_text
from nnunet_pancext.pages.pictures import data_uri, picture_uri
from nnunet_pancext.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

PACKAGE = Path(__file__).parents[1]
SCRIPT = Path(__file__).with_name("templates") / "sort.js"
WORDS = re.compile(r"(?<=_)(?=[^_])|(?<=[a-z]{2})(?=[A-Z])")  # a unit such as mL is one word


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell's text, and the number that it sorts by; without one it sorts by its text. nan comes last.

    `link` is the address that a row's first cell leads to, such as #case-1.
    """

    text: str
    value: float | None = None
    link: str = ""

    @property
    def key(self) -> str | None:
        """The attribute `data-value` that the script sorts by; empty for nan."""
        if self.value is None:
            return None
        return "" if math.isnan(self.value) else repr(float(self.value))


def render_page(template: str, **context: Any) -> str:
    """Render a template, given relative to the package, such as demo/page.html; all values are escaped."""
    return _environment().get_template(template).render(**context)


def write_page(target: Path, template: str, **context: Any) -> None:
    """Render a template to a file, atomically."""
    write_text(target, render_page(template, **context))


def soft_wrap(name: str) -> str:
    """Escape a name and let narrow columns break it between its words."""
    from markupsafe import Markup

    return Markup("<wbr>").join(WORDS.split(name))


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = SCRIPT.read_text(encoding="utf-8")
    environment.globals.update(
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        version=__version__,
        UNDEFINED=UNDEFINED,
        UNDEFINED_MEANING=UNDEFINED_MEANING,
        data_uri=data_uri,
        picture_uri=picture_uri,
    )
    environment.filters.update(
        duration=duration_text, score=score_text, soft_wrap=soft_wrap, volume=volume_text
    )
    return environment
