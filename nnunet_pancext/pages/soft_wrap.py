"""Long names that narrow columns may break."""

from __future__ import annotations

import re

# A unit such as mL is one word.
WORDS = re.compile(r"(?<=_)(?=[^_])|(?<=[a-z]{2})(?=[A-Z])")


def soft_wrap(name: str) -> str:
    """Escape a name and let narrow columns break it between its words."""
    from markupsafe import Markup

    return Markup("<wbr>").join(WORDS.split(name))
