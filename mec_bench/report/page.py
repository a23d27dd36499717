"""The frame of a report's page: HTML elements, style and the few lines of script."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from mec_bench.report.cells import Cell, Sheet

STYLE = """
:root { color-scheme: light dark; --ink: #1b1d21; --paper: #ffffff; --soft: #5d6470;
  --line: #d9dde3; --band: #f5f6f8; --warn: #fff4dc; --edge: #e69f00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #16181c; --soft: #a0a7b2;
  --line: #343941; --band: #1e2126; --warn: #33290f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 82rem; padding: 2rem 1.25rem 4rem; color: var(--ink);
  background: var(--paper); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 3rem 0 .5rem; padding-top: .5rem;
  border-top: 2px solid var(--ink); }
h3 { font-size: 1rem; margin: 1.75rem 0 .4rem; }
p, li { max-width: 50rem; }
p.note, figcaption, .lead { color: var(--soft); }
p.note, figcaption { font-size: .86rem; margin: .35rem 0; }
nav ul { columns: 2; padding-left: 1.2rem; margin: .5rem 0; }
a { color: inherit; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .84rem; font-variant-numeric: tabular-nums;
  min-width: 60%; }
th, td { padding: .28rem .55rem; text-align: right; vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 9rem;
  overflow-wrap: anywhere; }
thead th { border-bottom: 1.5px solid var(--ink); vertical-align: bottom; white-space: normal; }
thead button { all: unset; cursor: pointer; font-weight: 600; }
thead button:focus-visible { outline: 2px solid var(--edge); outline-offset: 2px; }
th[aria-sort=ascending] button::after { content: " \\25b2"; font-size: .7em; }
th[aria-sort=descending] button::after { content: " \\25bc"; font-size: .7em; }
tbody tr:nth-child(even) { background: var(--band); }
tbody, tfoot { border-bottom: 1px solid var(--line); }
tfoot td { color: var(--soft); }
table.text td, table.text th { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.warning { background: var(--warn); border-left: 4px solid var(--edge); padding: .4rem .8rem;
  margin: .6rem 0; max-width: none; }
figure { margin: 1rem 0; }
figure svg { width: 100%; height: auto; font-family: inherit; }
details { margin: .4rem 0; }
summary { cursor: pointer; }
details dl { margin: .4rem 0 .8rem 1.1rem; display: grid; grid-template-columns: 8rem 1fr;
  gap: .15rem 1rem; font-size: .86rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media print {
  :root { color-scheme: light; --ink: #000; --paper: #fff; --soft: #444; --line: #bbb;
    --band: #f3f3f3; --warn: #fff; }
  @page { size: A4 landscape; margin: 14mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  .scroll { overflow: visible; }
  h2, h3 { break-after: avoid; }
  figure, tr, .warning { break-inside: avoid; }
  table { font-size: 8pt; }
  th, td { padding: .2rem .35rem; }
}
"""

SCRIPT = """
document.querySelectorAll("table.sortable").forEach(function (table) {
  var heads = Array.from(table.tHead.rows[0].cells), body = table.tBodies[0];
  heads.forEach(function (head, column) {
    head.querySelector("button").addEventListener("click", function () {
      var before = head.getAttribute("aria-sort");
      var down = before ? before === "ascending" : column > 0;
      heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      function key(row) { return row.cells[column].dataset.value; }
      Array.from(body.rows).sort(function (one, two) {
        var a = key(one), b = key(two), order;
        if (a === "" || b === "") { return (a === "") - (b === ""); }
        order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
        return down ? -order : order;
      }).forEach(function (row) { body.appendChild(row); });
    });
  });
});
addEventListener("beforeprint", function () {
  document.querySelectorAll("details").forEach(function (one) { one.open = true; });
});
"""


def page(title: str, body: Iterable[str]) -> str:
    """Return a whole page that needs no other file.

    Parameters
    ----------
    title : str
        Plain text.
    body : iterable of str
        HTML elements.

    Returns
    -------
    str

    Examples
    --------
    >>> page("a", []).splitlines()[0]
    '<!DOCTYPE html>'
    """
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        *body,
        f"<script>{SCRIPT}</script>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def sheet(content: Sheet, italic: frozenset[str] = frozenset()) -> str:
    """Return a table that its readers can sort, with its notes.

    Parameters
    ----------
    content : Sheet
        What to show.
    italic : frozenset of str
        Labels in italics: rules.

    Returns
    -------
    str

    Examples
    --------
    >>> "&lt;b&gt;" in sheet(Sheet(("label",), ("a hint",), ((Cell("<b>"),),)))
    True
    """
    heads = "".join(
        f'<th scope="col" title="{escape(hint)}"><button type="button">{escape(header)}</button>'
        "</th>"
        for header, hint in zip(content.headers, content.hints, strict=True)
    )
    body = "\n".join(_row(row, italic) for row in content.rows)
    foot = "\n".join(_row(row, italic) for row in content.fixed)
    return "\n".join(
        [
            '<div class="scroll"><table class="sortable">',
            f"<thead><tr>{heads}</tr></thead>",
            f"<tbody>\n{body}\n</tbody>",
            *([f"<tfoot>\n{foot}\n</tfoot>"] if foot else []),
            "</table></div>",
            *(note(one) for one in content.notes),
        ]
    )


def _row(row: tuple[Cell, ...], italic: frozenset[str]) -> str:
    cells = []
    for index, cell in enumerate(row):
        text = escape(cell.text)
        if index == 0 and cell.text in italic:
            text = f"<i>{text}</i>"
        # Text sorts by itself; a dash holds nothing and stays last.
        key = repr(cell.value) if cell.value is not None else cell.text * (index == 0)
        text += f" {escape(cell.mark)}" if cell.mark else ""
        cells.append(f'<td data-value="{escape(key)}">{text}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def text_table(headers: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of plain text that stays as it is.

    Parameters
    ----------
    headers : iterable of str
        One per column.
    rows : iterable of iterable of str
        Plain text.

    Returns
    -------
    str

    Examples
    --------
    >>> "<td>&amp;</td>" in text_table(["a"], [["&"]])
    True
    """
    head = "".join(f'<th scope="col">{escape(header)}</th>' for header in headers)
    body = "\n".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return (
        f'<div class="scroll"><table class="text"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def heading(level: int, text: str, name: str = "") -> str:
    """Return a heading.

    Parameters
    ----------
    level : int
        1 to 6.
    text : str
        Plain text.
    name : str
        To link to.

    Returns
    -------
    str

    Examples
    --------
    >>> heading(2, "a & b", "top")
    '<h2 id="top">a &amp; b</h2>'
    """
    mark = f' id="{escape(name)}"' if name else ""
    return f"<h{level}{mark}>{escape(text)}</h{level}>"


def note(text: str, kind: str = "note") -> str:
    """Return a paragraph.

    Parameters
    ----------
    text : str
        Plain text.
    kind : {"note", "lead", "warning"}
        How it looks.

    Returns
    -------
    str

    Examples
    --------
    >>> note("a")
    '<p class="note">a</p>'
    """
    return f'<p class="{kind}">{escape(text)}</p>'


def figure(drawing: str, caption: str) -> str:
    """Return a figure with its caption.

    Parameters
    ----------
    drawing : str
        An SVG element.
    caption : str
        Plain text.

    Returns
    -------
    str

    Examples
    --------
    >>> figure("<svg></svg>", "a")
    '<figure><svg></svg><figcaption>a</figcaption></figure>'
    """
    return f"<figure>{drawing.strip()}<figcaption>{escape(caption)}</figcaption></figure>"


def folded(summary: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return names and values that unfold.

    Parameters
    ----------
    summary : str
        Plain text, always visible.
    pairs : iterable of (str, str)
        Plain text.

    Returns
    -------
    str

    Examples
    --------
    >>> folded("a", [("b", "c")])
    '<details><summary>a</summary><dl><dt>b</dt><dd>c</dd></dl></details>'
    """
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return f"<details><summary>{escape(summary)}</summary><dl>{listed}</dl></details>"
