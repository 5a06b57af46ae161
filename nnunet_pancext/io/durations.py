"""Durations as text."""


def duration_text(seconds: float) -> str:
    """Return a duration as 4.2 s, 3 min 05 s or 2 h 07 min."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def rough_duration(seconds: float) -> str:
    """Return an estimated duration as 4 s, 3 min or 2 h 07 min."""
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 3570 else duration_text(seconds)
