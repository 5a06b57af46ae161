"""The fonts of figures: installed ones that have the characters of each text, and what replaces others."""

import re
import sys
from collections.abc import Iterable
from functools import cache
from threading import Event

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

LAST_RESORT = "Last Resort"  # matplotlib's own, of boxes for every character
_ANNOUNCED = Event()


def use_installed_fonts(figure: Figure, *, stand_in: bool = True) -> None:
    """Give every text of a figure fonts that have its characters.

    A character that no installed font has is replaced by its number, such as U+80F0, unless not `stand_in`.
    """
    for text in figure.findobj(Text):
        content = text.get_text()
        families, missing = _families(frozenset(content))
        if len(families) > 1:
            text.set(fontfamily=families, fontweight="normal")  # few have a bold face
        if stand_in and missing:
            text.set_text(_numbered(content, missing))
            _announce(content)


def drawable_label(label: str, value: int) -> str:
    """Return a label's name as figures show it: "label 2" if no installed font has its characters."""
    if not _families(frozenset(label))[1]:
        return label
    _announce(label)
    return f"label {value}"


@cache
def _families(characters: frozenset[str]) -> tuple[list[str], set[str]]:
    """Return matplotlib's families, the fewest others that have the characters, and those that none has."""
    default = font_manager.FontProperties()
    families = list(default.get_family())
    missing = _without(font_manager.findfont(default), characters - {"\n"})
    while missing:
        left = {name: _without(path, missing) for name, path in _installed_fonts().items()}
        best = min(left, key=lambda name: (len(left[name]), "sans" not in name.lower(), name), default="")
        if not best or left[best] == missing:
            break
        families.append(best)
        missing = left[best]
    return families, missing


@cache
def _installed_fonts() -> dict[str, str]:
    """Return the files of upright fonts by family."""
    fonts = font_manager.fontManager
    listed = {font.fname for font in fonts.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in listed:  # matplotlib keeps its list for years, and fonts may have been installed since
            try:
                fonts.addfont(path)
            except Exception:  # FreeType raises several kinds for a font that it cannot read
                continue
    return {
        font.name: font.fname
        for font in fonts.ttflist
        if font.style == "normal" and LAST_RESORT not in font.name
    }


def _without(path: str, characters: Iterable[str]) -> set[str]:
    """Return the characters that a font does not have."""
    font = font_manager.get_font(path)
    return {character for character in characters if not font.get_char_index(ord(character))}


def _numbered(text: str, missing: set[str]) -> str:
    run = re.compile(f"[{re.escape(''.join(missing))}]+")
    return run.sub(lambda match: " ".join(f"U+{ord(character):04X}" for character in match[0]), text)


def _announce(text: str) -> None:
    """Say once that a font is missing."""
    if not _ANNOUNCED.is_set():
        _ANNOUNCED.set()
        print(
            f"note      No installed font has all characters of {text!r}: figures show label values, and "
            "numbers such as U+80F0, instead. Install one, such as fonts-noto-cjk for Chinese, Japanese and "
            "Korean.",
            file=sys.stderr,
        )
