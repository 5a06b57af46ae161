"""Text of unknown origin, made safe to print."""


def printable(text: str, *, most: int = 80) -> str:
    """Return text that cannot steer a terminal or fail to be encoded, cut after `most` characters.

    Control characters, line breaks among them, and lone surrogates become "?".
    """
    shown = "".join(char if char.isprintable() else "?" for char in text[:most])
    return shown + "…" * (len(text) > most)
