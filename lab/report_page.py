"""The lab report as one HTML page: no script, no font, no picture from elsewhere; printed, two sheets of A4."""

from collections.abc import Iterator
from html import escape
from typing import Final

from lab.diagram import svg
from lab.report_figures import Figures
from lab.report_questions import QUESTIONS

STYLE: Final = """
@page { size: A4; margin: 13mm 15mm }
* { box-sizing: border-box }
body { font: 9pt/1.32 Georgia, "DejaVu Serif", serif; color: #111; max-width: 180mm; margin: 0 auto; padding: 1em }
h1 { font-size: 15pt; margin: 0 0 2mm } h2 { font-size: 10.5pt; margin: 3mm 0 1mm }
table { border-collapse: collapse; width: 100% } td { padding: .35mm 2mm .35mm 0; vertical-align: top }
td:first-child { white-space: nowrap; font-weight: bold; width: 27mm }
td { overflow-wrap: anywhere } p { margin: 0 0 1mm } .small { font-size: 8pt; color: #444 }
.fill { border-bottom: .3mm dotted #555; display: block; height: 4.2mm }
svg { display: block; width: 100%; height: auto; max-height: 112mm; margin: 1mm auto 0 }
ol { margin: 0; padding-left: 5mm } li { margin: 0 0 1.6mm; break-inside: avoid }
.line { border-bottom: .2mm solid #aaa; height: 5mm }
.second { break-before: page }
@media print { body { padding: 0; max-width: none } }
@media (prefers-color-scheme: dark) { @media screen { body { background: #fff } } }
"""
ANSWER_LINES: Final = 3
LONGEST: Final = 700
"""Letters of one figure: a list that is longer ends with a number, or page one would not hold it."""


def page(figures: Figures) -> str:
    """The whole page."""
    return "\n".join(_parts(figures))


def _parts(figures: Figures) -> Iterator[str]:
    title = escape(f"Lab report: {figures.heading}")
    yield f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    yield f"<style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n<table>"
    for name, value in figures.title_block():
        cell = '<span class="fill"></span>' if set(value) <= {".", " "} else escape(value)
        yield f"<tr><td>{escape(name)}</td><td>{cell}</td></tr>"
    yield "</table>\n<h2>What was measured</h2>\n<table>"
    for name, value in figures.rows():
        yield f"<tr><td>{escape(name)}</td><td>{escape(shortened(value))}</td></tr>"
    yield "</table>\n<h2>The conversation</h2>"
    yield f'<p class="small">{_code(figures.drawn())}</p>'
    yield from svg(figures.arrows)
    yield '<h2 class="second">Questions</h2>\n<ol>'
    line = '<div class="line"></div>' * ANSWER_LINES
    for question in QUESTIONS:
        see = _code(question.see(figures))
        yield f"<li><p><b>{escape(question.title)}</b> {escape(question.asks)}</p>"
        yield f'<p class="small">In your capture: {see}</p>{line}</li>'
    yield "</ol>\n</body></html>"


def shortened(text: str) -> str:
    """A long list of names, cut at a comma."""
    if len(text) <= LONGEST:
        return text
    kept = text[:LONGEST].rpartition(",")[0] or text[:LONGEST]
    return f"{kept}, and {text[len(kept) :].count(',')} more"


def _code(text: str) -> str:
    """Escaped; what stands between backquotes is code, between asterisks is stressed."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else _stressed(part) for at, part in enumerate(parts))


def _stressed(text: str) -> str:
    return "".join(f"<i>{part}</i>" if at % 2 else part for at, part in enumerate(text.split("*")))
