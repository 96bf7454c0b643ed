"""Layout: tables and columns as plain text, as wide as the terminal allows."""

import shutil
import textwrap
from collections.abc import Sequence


def width() -> int:
    """Characters in a line."""
    return max(60, min(140, shutil.get_terminal_size((120, 24)).columns))


def wrapped(text: str) -> str:
    """A paragraph."""
    return textwrap.fill(" ".join(text.split()), width())


def columns(rows: list[tuple[str, str]]) -> str:
    """Terms and their explanations in two columns; a long term has a line of its own."""
    left = min(max((len(term) for term, _ in rows), default=0), 36)
    lines = []
    for term, text in rows:
        broken = textwrap.wrap(" ".join(text.split()), width() - left - 4) or [""]
        first = [] if len(term) <= left else [f"  {term}"]
        lead = "" if first else term
        lines += first + [f"  {(lead if i == 0 else ''):<{left}}  {line}".rstrip() for i, line in enumerate(broken)]
    return "\n".join(lines)


def grid(rows: Sequence[Sequence[str]]) -> str:
    """A table: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(cell.rjust(wide) if i else cell.ljust(wide) for i, (cell, wide) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def number(value: float) -> str:
    """A figure with four digits that count; a dash where there is none."""
    return "–" if value != value else f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def between(low: float, high: float) -> str:
    """An interval; a dash where there is none."""
    return "–" if low != low else f"{number(low)} to {number(high)}"
