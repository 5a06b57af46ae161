"""Tables in Markdown, as the benchmarks print them."""

from __future__ import annotations


def print_table(title: str, rows: list[list[str]], heading: list[str]) -> None:
    """Print a table in Markdown."""
    print(f"\n### {title}\n")
    for row in (heading, ["---"] * len(heading), *rows):
        print("| " + " | ".join(row) + " |", flush=True)
