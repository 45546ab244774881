"""Plain tables for the terminal: quick for ten thousand rows, and the same in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[str] = ()) -> str:
    """Left-aligned columns two spaces apart, those named in `right` flush right; empty columns are left out."""
    cells = [[str(cell) for cell in row] for row in rows]
    kept = [i for i in range(len(header)) if any(row[i] for row in cells)] or list(range(len(header)))
    widths = {i: max(len(header[i]), *(len(row[i]) for row in cells), 0) for i in kept}
    lines = [[header[i] for i in kept], *([row[i] for i in kept] for row in cells)]
    aligned = [
        "  ".join(cell.rjust(widths[i]) if header[i] in right else cell.ljust(widths[i]) for i, cell in zip(kept, line))
        for line in lines
    ]
    return "\n".join(line.rstrip() for line in aligned)


def overrides_text(overrides: dict[str, object]) -> str:
    return " ".join(f"{key}={_compact(value)}" for key, value in overrides.items())


def _compact(value: object) -> str:
    return str(value).replace(" ", "").replace("'", "")


def minutes_text(minutes: float) -> str:
    """`about 40 s`, `about 12 min`, `about 3.5 h`; 0 stands for never measured."""
    if not minutes:
        return "time not measured"
    if minutes < 1:
        return f"about {max(minutes * 60, 1):.0f} s"
    return f"about {minutes:.2g} min" if minutes < 100 else f"about {minutes / 60:.2g} h"


def count_text(count: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
