"""The frame of the HTML reports: their styles and the places for their parts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from string import Template

from nnunet_pancext.pages.tables import SORTABLE_SCRIPT, SORTABLE_STYLE
from nnunet_pancext.version import __version__


def render_page(
    *, title: str, parts: Sequence[str], notes: str = "", style: str = "", scripted: bool = False
) -> str:
    """Return the whole page; `title` is plain text, `parts` and `notes` are HTML.

    `style` is added to the house's. With `scripted` the tables of `sortable_table` sort and filter.
    """
    script = f"<script>{SORTABLE_SCRIPT}</script>" if scripted else ""
    # Only this very script may run.
    digest = base64.b64encode(hashlib.sha256(SORTABLE_SCRIPT.encode()).digest()).decode()
    return PAGE.substitute(
        title=escape(title),
        style="\n".join(filter(None, (STYLE, SORTABLE_STYLE if scripted else "", style))),
        policy=f"; script-src 'sha256-{digest}'" if scripted else "",
        notes=notes,
        parts="\n".join(part for part in parts if part),
        script=script,
        version=escape(__version__),
    )


def section(heading: str, body: str) -> str:
    """Return a part of the page under a heading; nothing for an empty body."""
    return f"<section>\n<h2>{escape(heading)}</h2>\n{body}\n</section>" if body else ""


def notes_html(notes: Sequence[str]) -> str:
    """Return warnings to be read first; nothing where there are none."""
    if not notes:
        return ""
    items = "\n".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<aside class="notes" aria-label="Please note">\n<ul>\n{items}\n</ul>\n</aside>'


def facts_html(facts: Sequence[tuple[str, str]]) -> str:
    """Return pairs of name and value; nothing where there are none."""
    if not facts:
        return ""
    items = "\n".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f'<dl class="facts">\n{items}\n</dl>'


# The policy forbids every request, so that the page shows the same without a network.
PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
$style
</style>
</head>
<body>
<header>
<h1>$title</h1>
$notes
</header>
<main>
$parts
</main>
<footer>Written by nnunet_pancext $version. For research, not for clinical use.</footer>
$script
</body>
</html>
""")

STYLE = """\
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f5f6f7; --ink: #1b1f23; --soft: #5a636d; --line: #d9dde1;
  --accent: #1f6f8b; --warn: #8a4b00; --warn-panel: #fff4e2; --warn-line: #e0a040;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --panel: #1d2125; --ink: #e6e8ea; --soft: #9aa4ae; --line: #343a40;
    --accent: #6fc3dd; --warn: #ffc878; --warn-panel: #2d2414; --warn-line: #a8742a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2.5rem 1.5rem; max-width: 72rem;
  background: var(--page); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
h1 { margin: 0 0 1.25rem; font-size: 1.75rem; line-height: 1.2; font-weight: 650;
  overflow-wrap: anywhere; }
h2 { margin: 0 0 .75rem; font-size: 1.15rem; font-weight: 650; overflow-wrap: anywhere; }
section { margin-top: 2.5rem; }
p { margin: .5rem 0 0; max-width: 48rem; }
.soft, figcaption, footer { color: var(--soft); font-size: .875rem; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); }

.notes { padding: .75rem 1rem; background: var(--warn-panel); color: var(--warn);
  border-left: 4px solid var(--warn-line); border-radius: 4px; }
.notes ul { margin: 0; padding: 0; list-style: none; }
.notes li + li { margin-top: .5rem; }

.headlines { display: flex; flex-wrap: wrap; gap: 1rem; margin: 0; }
.headlines > div { flex: 1 1 11rem; max-width: 24rem; padding: .9rem 1.1rem;
  background: var(--panel); border-radius: 8px; }
.headlines dt { font-size: .875rem; color: var(--soft); overflow-wrap: anywhere; }
.headlines dd { margin: 0; }
.headlines .number { font-size: 2.1rem; line-height: 1.25; font-weight: 600;
  font-variant-numeric: tabular-nums; }
.headlines .first .number { color: var(--accent); }
.headlines .soft { font-size: .8rem; }

.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .925rem; }
th, td { padding: .4rem .75rem; text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
th { font-weight: 600; }
thead th { color: var(--soft); font-size: .8rem; vertical-align: bottom; }
thead th[scope=colgroup] { color: var(--ink); font-size: .925rem; text-align: center;
  border-bottom: 1px solid var(--line); }
thead tr:last-child th, thead th[rowspan] { border-bottom: 2px solid var(--line); }
tbody td, tbody th { border-bottom: 1px solid var(--line); }
tfoot th, tfoot td { font-weight: 650; }
thead th[rowspan], tbody th, tfoot th { padding-left: 0; text-align: left; }
td.dice, thead .dice { padding-left: 1.75rem; }
td.dice { font-weight: 600; }

.gallery { display: grid; gap: 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
.charts { display: grid; gap: 1.5rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); }
figure { margin: 0; max-width: 52rem; break-inside: avoid; }
figure img { display: block; width: 100%; height: auto; border-radius: 6px; }
.charts img { border-radius: 0; }
figcaption { margin-top: .4rem; overflow-wrap: anywhere; }
figcaption b { color: var(--ink); font-weight: 600; }

.facts { display: grid; gap: 0 2rem; margin: 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.facts > div { display: flex; gap: 1rem; padding: .4rem 0; border-bottom: 1px solid var(--line); }
.facts dt { flex: 0 0 9rem; color: var(--soft); }
.facts dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }

.commands { margin: 0; padding: 0; list-style: none; }
.commands li { padding: .75rem 0; border-bottom: 1px solid var(--line); break-inside: avoid; }
.commands .head { display: flex; justify-content: space-between; gap: 1rem; }
.commands .head span:last-child { color: var(--soft); white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.commands pre { margin: .4rem 0; padding: .5rem .75rem; background: var(--panel); border-radius: 4px;
  font: .825rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.bar { height: 4px; background: var(--panel); border-radius: 2px; }
.bar div { height: 100%; min-width: 2px; background: var(--accent); border-radius: 2px; }

@media print {
  :root {
    color-scheme: light;
    --page: #ffffff; --panel: #f5f6f7; --ink: #000000; --soft: #444444; --line: #cccccc;
    --accent: #1f6f8b; --warn: #8a4b00; --warn-panel: #fff4e2; --warn-line: #e0a040;
  }
  body { padding: 0; max-width: none; font-size: 10pt; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .scroll { overflow: visible; }
  .gallery, .charts { grid-template-columns: 1fr 1fr; }
  .gallery figure:only-child { grid-column: 1 / -1; }
  section { margin-top: 1.5rem; }
  h2 { break-after: avoid; }
  tr { break-inside: avoid; }
}"""
