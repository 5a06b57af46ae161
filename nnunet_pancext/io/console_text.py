"""Text of unknown origin, made safe to print."""


def printable(text: str, *, most: int = 80) -> str:
    """Return text that cannot steer a terminal or fail to be encoded, cut after `most` characters.

    Escape sequences, control characters other than line breaks and tabs, and lone surrogates become "?".
    """
    shown = "".join(char if char.isprintable() or char in "\n\t" else "?" for char in text[:most])
    return shown + "…" * (len(text) > most)
