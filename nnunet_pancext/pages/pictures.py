"""Figures inside an HTML page."""

import base64
from dataclasses import dataclass
from pathlib import Path

from nnunet_pancext.errors import PancextError

MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml"}


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart as SVG, and its ranges in words as alternative text."""

    svg: str
    text: str


@dataclass(frozen=True, kw_only=True)
class CaseFigure:
    """The figure of a case, and why it is shown, such as "worst, tumour"."""

    case: str
    why: str
    picture: Path


def picture_uri(path: Path) -> str:
    """Return an existing image file, with a suffix of `MEDIA_TYPES`, as a data URI."""
    media_type = MEDIA_TYPES.get(path.suffix.lower())
    if media_type is None:
        raise PancextError(
            f"Cannot embed {path} in the report: its suffix {path.suffix!r} is not one of "
            f"{', '.join(MEDIA_TYPES)}. Convert the image first."
        )
    if not path.is_file():
        raise PancextError(f"The image {path} does not exist. Write it before the report, or leave it out.")
    return data_uri(path.read_bytes(), media_type)


def data_uri(content: bytes | str, media_type: str = "image/svg+xml") -> str:
    """Return an image as a data URI."""
    encoded = content.encode() if isinstance(content, str) else content
    return f"data:{media_type};base64,{base64.b64encode(encoded).decode()}"
