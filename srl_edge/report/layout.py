"""The look of a report: one HTML document that needs nothing else, and tables in it."""

from collections.abc import Sequence
from html import escape

from srl_edge.report import plots

Table = list[dict[str, str]]  # rows, each with the same headers and its own cells
CSS = """
:root { color-scheme: light dark; --page: #fff; --ink: #17202b; --muted: #566270; --rule: #e3e7ec;
  --soft: #f5f7f9; --mark: #cfe6fb; --blue: #0a62a8; --orange: #ad4a00; --green: #00714f; }
@media (prefers-color-scheme: dark) {
  :root { --page: #12161c; --ink: #e8ecf1; --muted: #a0acb9; --rule: #2b333d;
    --soft: #1a2028; --mark: #174a75; --blue: #6cb8ff; --orange: #ffa561; --green: #4fd3a6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1040px; padding: 44px 28px; background: var(--page);
  color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
section { padding: 36px 0 8px; }
h1 { font-size: clamp(26px, 5vw, 38px); margin: 4px 0 10px; line-height: 1.15; }
h2 { font-size: 22px; margin: 0 0 6px; } h3 { font-size: 16px; margin: 14px 0 6px; }
p { margin: 0 0 14px; max-width: 74ch; } ol { margin: 2px 0 12px; } a { color: var(--blue); }
nav { display: flex; flex-wrap: wrap; gap: 4px 20px; margin-top: 26px; font-size: 14px; }
.quiet, figcaption, thead th, .who { color: var(--muted); }
.numbers { display: grid; grid-template-columns: repeat(4, 1fr); gap: 16px; margin: 26px 0 0; }
.numbers div { display: flex; flex-direction: column-reverse; justify-content: flex-end;
  background: var(--soft); border-radius: 10px; padding: 16px; }
.numbers dt { color: var(--muted); font-size: 14px; line-height: 1.4; }
.numbers dd { margin: 0 0 4px; font-size: 28px; font-weight: 650; white-space: nowrap; }
.verdict { border-left: 4px solid var(--blue); padding: 2px 0 2px 14px; }
.scroll { overflow-x: auto; margin: 14px 0 20px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; line-height: 1.4;
  font-variant-numeric: tabular-nums; }
#data table { max-width: 600px; }
th, td { text-align: right; padding: 8px 0 8px 18px; border-bottom: 1px solid var(--rule);
  vertical-align: top; white-space: nowrap; }
thead th { vertical-align: bottom; white-space: normal; }
th:first-child { text-align: left; white-space: normal; min-width: 11em; padding: 8px 8px 8px 0;
  position: sticky; left: 0; background: var(--page); }
#parity :is(th, td):last-child { text-align: left; white-space: normal; min-width: 15em; }
td[class] { color: var(--orange); font-weight: 650; } td.pass { color: var(--green); }
article { border: 1px solid var(--rule); border-radius: 10px; padding: 4px 20px 16px;
  margin: 18px 0; }
.step { white-space: pre-wrap; overflow-wrap: anywhere; margin: 2px 0 10px; }
.who { font-size: 13px; font-weight: 650; margin: 0; }
mark { background: var(--mark); color: inherit; box-shadow: 0 2px 0 var(--blue); }
.terms dt { font-weight: 650; } .terms dd { margin: 0 0 10px; max-width: 80ch; }
pre { background: var(--soft); padding: 14px 16px; overflow-x: auto; font-size: 13px; }
@media (max-width: 760px) {
  body { padding: 26px 18px; }
  .numbers { grid-template-columns: 1fr 1fr; gap: 10px; }
  .numbers dd { font-size: 21px; } }
"""


def document(
    kind: str, name: str, summary: str, numbers: Sequence[Sequence[str]],
    parts: Sequence[tuple[str, str, str]],
) -> str:  # fmt: skip
    """A whole page under a name, with the few numbers that matter, each with its label.

    parts: id, title and HTML of each section; all else is text, and is escaped here.
    """
    sections = "".join(
        f'<section id="{key}"><h2>{title}</h2>\n{body}</section>' for key, title, body in parts
    )
    links = "".join(f'<a href="#{key}">{title}</a>' for key, title, _ in parts)
    listed = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for value, label in numbers
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(name)}: srl-edge report</title>
<style>{CSS}{plots.CSS}</style>
</head><body><header>
<p class="quiet">{escape(kind)}</p>
<h1>{escape(name)}</h1>
<p>{escape(summary)}</p>
<dl class="numbers">{listed}</dl>
<nav aria-label="Parts of the report">{links}</nav>
</header><main>
{sections}
</main></body></html>
"""


def table(rows: Table) -> str:
    """Rows as an HTML table that scrolls by itself where it is wide."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in rows[0])
    body = ""
    for first, *cells in (row.values() for row in rows):
        body += f'<tr><th scope="row">{escape(first)}</th>'
        for cell in cells:
            kind = f' class="{cell}"' if cell in ("pass", "FAIL") else ""
            body += f"<td{kind}>{escape(cell)}</td>"
    html = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll" tabindex="0" role="region" aria-label="table">{html}</div>'
