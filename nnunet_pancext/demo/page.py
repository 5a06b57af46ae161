"""The report of a run as one HTML file that needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from nnunet_pancext.evaluation.score_html import case_caption, headlines_html, score_table_html
from nnunet_pancext.evaluation.scores import CaseScores
from nnunet_pancext.io.durations import duration_text
from nnunet_pancext.io.files import atomic_path
from nnunet_pancext.nnunet_commands.runner import CommandRecord
from nnunet_pancext.pages.page import facts_html, notes_html, render_page, section
from nnunet_pancext.pages.pictures import Chart, charts_html, picture_html


def write_report(
    target: Path,
    *,
    title: str,
    facts: list[tuple[str, str]],
    scores: list[CaseScores],
    labels: dict[str, int],
    overlays: dict[str, Path],
    commands: list[CommandRecord],
    training: Mapping[str, Chart],
    notes: list[str],
) -> None:
    """Write the report atomically; pictures are embedded and all texts escaped.

    `facts` are pairs of name and value, `overlays` pictures by case name, `training` charts by title, `notes`
    warnings to be read first. A part for which nothing is given is left out.

    Raises:
        PancextError: a picture is missing or of an unknown kind, or a case was not scored for a label.
    """
    parts = [
        section("Results", headlines_html(scores, labels)),
        section("Dice and volumes", score_table_html(scores, labels)),
        section("Cases", _gallery(overlays, scores=scores, labels=labels)),
        section("Training", charts_html(training)),
        section("Run", facts_html(facts)),
        section("Commands", _commands(commands)),
    ]
    content = render_page(title=title, parts=parts, notes=notes_html(notes))
    with atomic_path(target) as partial:
        partial.write_text(content, encoding="utf-8")


def _gallery(overlays: dict[str, Path], *, scores: Sequence[CaseScores], labels: dict[str, int]) -> str:
    if not overlays:
        return ""
    scored = {case.case: case for case in scores}
    figures = []
    for case, path in overlays.items():
        caption = f"Dice: {case_caption(scored[case], labels)}" if case in scored else "not scored"
        figures.append(
            f"<figure>\n{picture_html(path, text=f'CT slices of {case} with contours')}\n"
            f"<figcaption><b>{escape(case)}</b> · {escape(caption)}</figcaption>\n</figure>"
        )
    return f'<div class="gallery">\n{"".join(figures)}\n</div>'


def _commands(commands: Sequence[CommandRecord]) -> str:
    if not commands:
        return ""
    total = sum(record.seconds for record in commands)
    items = []
    for record in commands:
        share = 100 * record.seconds / total if total > 0 else 0
        items.append(
            f'<li><div class="head"><span>{escape(record.title)}</span>'
            f"<span>{duration_text(record.seconds)}</span></div>"
            f"<pre><code>{escape(record.command)}</code></pre>"
            f'<div class="bar" aria-hidden="true"><div style="width:{share:.1f}%"></div></div></li>'
        )
    return (
        f'<ol class="commands">\n{"".join(items)}\n</ol>\n'
        f'<p class="soft">{duration_text(total)} in all. The bars show the share of each command.</p>'
    )
