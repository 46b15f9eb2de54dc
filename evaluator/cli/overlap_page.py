"""Report of ``overlap`` as one HTML file: counts and places, never a text of the set or corpus.

It needs no other file, no script and no network.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from evaluator.contract.overlaps import LIKENESS

MOST_ITEMS = 500
"""Most items whose places are listed; the JSON report has all."""
_STYLE = """
:root{color-scheme:light dark;--line:#8886}
body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%}
h1{font-size:1.5rem;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:1.5rem 0 .5rem}
th,td{text-align:left;white-space:nowrap;padding:.3rem .8rem .3rem 0}
th,td{border-bottom:1px solid var(--line)}
th{vertical-align:bottom}
@media(max-width:40rem){
  th,td{white-space:normal;padding-right:.4rem;font-size:.85rem}
  td.n{white-space:nowrap}
  .file{overflow-wrap:anywhere;min-width:4.5rem}
}
.n{text-align:right;font-variant-numeric:tabular-nums}
"""


def page(report: Mapping[str, Any], *, set_name: str) -> str:
    """Return the report as HTML. ``report`` is what ``report.json`` holds."""
    scored = any("n_others" in row for row in report["rows"])
    parts = [
        f"<h1>Overlap of {escape(set_name)} with a corpus</h1>",
        f"<p>{report['items']:,} items, compared with {report['characters']:,} characters in"
        f" {report['files']:,} file{'' if report['files'] == 1 else 's'}."
        f" {escape(report['caution'])}</p>",
        _counts(report["rows"], scored=scored),
        _places(report["matches"]),
    ]
    if report["files_of_another_kind"]:
        parts.append(f"<p>Not read: {report['files_of_another_kind']:,} files of another kind.</p>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Overlap of {escape(set_name)}</title><style>{_STYLE}</style></head>\n<body>"
        + "\n".join(parts)
        + "</body></html>\n"
    )


def _counts(rows: Sequence[Mapping[str, Any]], *, scored: bool) -> str:
    """Return the table of counts, with both scores as in phi-1's pruning table.

    Measures without any match are named below it.
    """
    headings = ["Measure", "At least", "Items", "Share, %"]
    if scored:
        headings += ["Similar, right", "Similar, %", "Non-similar, right", "Non-similar, %"]
    found = {row["measure"] for row in rows if row["overlapping"]}
    without: list[str] = []
    lines = []
    for row in rows:
        measure = row["measure"]
        if found and measure not in found:
            if measure not in without:
                without.append(measure)
            continue
        likeness = f"{row['threshold']:.2f}" if measure in LIKENESS else "–"
        share = f"{100 * row['overlapping'] / row['items']:.1f}"
        cells = [measure, likeness, f"{row['overlapping']:,}", share]
        if scored:
            cells += _score(row, "overlapping")
            cells += _score(row, "others")
        lines.append(cells)
    table = _table("Items with a match, by measure and threshold", headings, lines)
    if without:
        table += f"<p>No item has a match by: {escape(', '.join(without))}.</p>"
    return table


def _score(row: Mapping[str, Any], part: str) -> tuple[str, str]:
    """Return right of all, and the share in percent; of no items there is none."""
    right = row[f"right_{part}"]
    n = row[f"n_{part}"]
    if not n:
        return "–", "–"
    return f"{right:,} of {n:,}", f"{100 * right / n:.1f}"


def _places(matches: Sequence[Mapping[str, Any]]) -> str:
    """Return the best match of each item by each measure: the file and the document in it.

    The strongest come first, so that a list that is cut has them.
    """
    if not matches:
        return "<p>No item has a match.</p>"

    def rank(match: Mapping[str, Any]) -> float:
        value: float = match["best"][0]["value"]
        return -value

    strongest = sorted(matches, key=rank)
    lines = []
    for match in strongest[:MOST_ITEMS]:
        best = match["best"][0]
        line = [
            str(match["item"]),
            match["measure"],
            f"{best['value']:.2f}",
            f"{best['document']:,}",
            best["file"],
        ]
        lines.append(line)
    caption = "Where to look: the best match of each item, the strongest first"
    if len(matches) > MOST_ITEMS:
        caption += f" ({MOST_ITEMS:,} of {len(matches):,}; report.json has all)"
    return _table(caption, ["Item", "Measure", "Value", "Document", "File"], lines)


def _table(
    caption: str,
    headings: Sequence[str],
    lines: Iterable[Sequence[str]],
) -> str:
    words = {"Measure": "", "File": ' class="file"'}
    classes = [words.get(heading, ' class="n"') for heading in headings]
    head = ""
    for css, heading in zip(classes, headings, strict=True):
        head += f'<th scope="col"{css}>{heading}</th>'
    rows = []
    for line in lines:
        cells = ""
        for css, cell in zip(classes, line, strict=True):
            cells += f"<td{css}>{escape(cell)}</td>"
        rows.append(f"<tr>{cells}</tr>")
    body = "\n".join(rows)
    return (
        f"<h2>{caption}</h2>"
        f'<div class="wide" tabindex="0" role="region" aria-label="{caption}"><table>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )
