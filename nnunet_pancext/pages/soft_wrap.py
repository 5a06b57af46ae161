"""Long names that narrow columns may break."""

from __future__ import annotations

import re
from html import escape

# A unit such as mL is one word.
WORDS = re.compile(r"(?<=_)(?=[^_])|(?<=[a-z]{2})(?=[A-Z])")


def soft_wrap(name: str) -> str:
    """An escaped name that a narrow column may break where its words meet."""
    return "<wbr>".join(escape(word) for word in WORDS.split(name))
