"""Scores as parts of an HTML page: headline numbers, table, caption."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from nnunet_pancext.evaluation.scores import CaseScores, count_defined, mean_dice
from nnunet_pancext.evaluation.targets import FOREGROUND, read_targets
from nnunet_pancext.pages.numbers import UNDEFINED, UNDEFINED_MEANING, score_text, volume_text


def headlines_html(scores: Sequence[CaseScores], labels: Mapping[str, int | list[int]]) -> str:
    """The mean Dice of each label, that of the foreground first."""
    if not scores:
        return "<p>No case was scored.</p>"
    items = []
    for index, name in enumerate(read_targets(labels).regions):
        defined = count_defined(scores, name)
        cases = f"{defined} case{'' if defined == 1 else 's'}"
        over = f"over {cases}" if defined == len(scores) else f"over {cases} of {len(scores)}"
        items.append(
            f"<div{_class('first', index == 0)}><dt>Mean Dice, {escape(name)}</dt>"
            f'<dd class="number">{score_text(mean_dice(scores, name))}</dd><dd class="soft">{over}</dd></div>'
        )
    union = f'<p class="soft">{FOREGROUND}: all labels taken as one.</p>' if len(items) > 1 else ""
    return f'<dl class="headlines">\n{"".join(items)}\n</dl>\n{union}'


def score_table_html(scores: Sequence[CaseScores], labels: Mapping[str, int | list[int]]) -> str:
    """A table of cases (rows) and labels (groups of columns): Dice, predicted and true volume."""
    if not scores:
        return ""
    names = list(read_targets(labels).regions)
    groups = "".join(f'<th colspan="3" scope="colgroup">{escape(name)}</th>' for name in names)
    columns = "".join(
        f'<th scope="col"{_class("dice", name == "Dice")}>{name}</th>'
        for name in ("Dice", "predicted, mL", "truth, mL")
    )
    rows = []
    for case in scores:
        cells = "".join(
            f'<td class="dice">{score_text(values.dice)}</td>'
            f"<td>{volume_text(values.volume_ml)}</td><td>{volume_text(values.truth_volume_ml)}</td>"
            for values in (case.labels[name] for name in names)
        )
        rows.append(f'<tr><th scope="row">{escape(case.case)}</th>{cells}</tr>')
    means = "".join(
        f'<td class="dice">{score_text(mean_dice(scores, name))}</td><td></td><td></td>' for name in names
    )
    undefined = any(math.isnan(case.labels[name].dice) for case in scores for name in names)
    explanation = f'\n<p class="soft">{UNDEFINED}: {escape(UNDEFINED_MEANING)}</p>' if undefined else ""
    body = "\n".join(rows)
    return (
        '<div class="scroll" role="region" aria-label="Dice and volumes by case" tabindex="0">\n'
        "<table>\n<thead>\n"
        f'<tr><th rowspan="2" scope="col">Case</th>{groups}</tr>\n<tr>{columns * len(names)}</tr>\n</thead>\n'
        f'<tbody>\n{body}\n</tbody>\n<tfoot>\n<tr><th scope="row">Mean</th>{means}</tr>\n</tfoot>\n'
        f"</table>\n</div>{explanation}"
    )


def case_caption(case: CaseScores, labels: Mapping[str, int | list[int]]) -> str:
    """The Dice of each label of a case in one line of plain text."""
    return ", ".join(f"{name} {score_text(case.labels[name].dice)}" for name in read_targets(labels).regions)


def _class(name: str, applies: bool) -> str:
    return f' class="{name}"' if applies else ""
