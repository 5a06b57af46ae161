"""A table that sorts by a click on a heading and filters by a word, on a page without a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from nnunet_pancext.pages.soft_wrap import soft_wrap


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What a cell shows, and the number that it sorts by; text sorts by itself, nan comes last."""

    text: str
    value: float | None = None


def sortable_table(
    heading: Sequence[str], rows: Sequence[Sequence[Cell]], *, name: str, filterable: bool = True
) -> str:
    """Return a table of cells with the names of the columns above; `name` says what it holds.

    Without scripts it is the table in the order of `rows`.
    """
    columns = "".join(
        f'<th scope="col"><button type="button">{soft_wrap(one)}</button></th>' for one in heading
    )
    body = "\n".join(
        f"<tr>{''.join(_cell(cell, first=not at) for at, cell in enumerate(row))}</tr>" for row in rows
    )
    search = (
        f'<label class="filter">Filter <input type="search" aria-label="Filter {escape(name)}"></label>\n'
        if filterable
        else ""
    )
    return (
        f'<div class="sortable">\n{search}'
        f'<div class="scroll" role="region" aria-label="{escape(name)}" tabindex="0">\n'
        f"<table>\n<thead>\n<tr>{columns}</tr>\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>\n</div>"
    )


def _cell(cell: Cell, *, first: bool) -> str:
    key = ""
    if cell.value is not None:
        key = f' data-value="{"" if math.isnan(cell.value) else repr(float(cell.value))}"'
    tag, scope = ("th", ' scope="row"') if first else ("td", "")
    return f"<{tag}{scope}{key}>{escape(cell.text)}</{tag}>"


SORTABLE_STYLE = """\
.sortable thead button { all: unset; cursor: pointer; font: inherit; color: inherit; }
.sortable thead button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.sortable thead button::after { content: "\\2195"; padding-left: .35em; opacity: .35; }
.sortable th[aria-sort=ascending] button::after { content: "\\2191"; opacity: 1; }
.sortable th[aria-sort=descending] button::after { content: "\\2193"; opacity: 1; }
.sortable thead th:first-child { text-align: left; padding-left: 0; }
.filter { display: block; margin-bottom: .5rem; color: var(--soft); font-size: .875rem; }
.filter input { font: inherit; color: var(--ink); background: var(--panel); padding: .25rem .5rem;
  border: 1px solid var(--line); border-radius: 4px; }
@media print { .filter { display: none; } .sortable thead button::after { content: none; } }"""

SORTABLE_SCRIPT = """\
for (const part of document.querySelectorAll('.sortable')) {
  const body = part.querySelector('tbody');
  const headings = [...part.querySelectorAll('thead th')];
  const key = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.value === undefined) return cell.textContent;
    if (cell.dataset.value === '') return NaN;
    return Number(cell.dataset.value.replace('inf', 'Infinity'));
  };
  headings.forEach((heading, column) => heading.querySelector('button').addEventListener('click', () => {
    const down = heading.getAttribute('aria-sort') === 'ascending';
    headings.forEach(other => other.removeAttribute('aria-sort'));
    heading.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const undefinedLast = value => typeof value === 'number' && Number.isNaN(value);
    const rows = [...body.rows].sort((one, other) => {
      const a = key(one, column), b = key(other, column);
      if (undefinedLast(a) || undefinedLast(b)) return undefinedLast(a) - undefinedLast(b);
      const order = typeof a === 'string' || typeof b === 'string'
        ? String(a).localeCompare(String(b), undefined, {numeric: true})
        : a < b ? -1 : a > b ? 1 : 0;
      return down ? -order : order;
    });
    body.append(...rows);
  }));
  const filter = part.querySelector('input[type=search]');
  if (filter) filter.addEventListener('input', () => {
    const wanted = filter.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
}"""
