"""Pages of running text, tables and figures, set by matplotlib alone."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Sequence

from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path

from bnlab.plots.drawing import DOTS_PER_INCH, Drawing, settle
from bnlab.plots.style import FONT, PAGE, paper_style

WIDTH, HEIGHT = 595.0, 842.0  # points: A4
POINTS = 72.0  # to the inch
MEASURE = PAGE * POINTS  # width of the text
LEFT = (WIDTH - MEASURE) / 2
TOP, BOTTOM = 56.0, 786.0  # first and last line, from the upper edge
LEADING = 1.25  # of the size of the type
FAMILY = (FONT, "DejaVu Sans")  # the second for characters that the first lacks; both come with matplotlib
GAP = 6.0  # between columns of a table
GREY, RULE = "#555555", "#999999"


class Paper:
    """Pages that fill from the top; what does not fit begins the next. Sizes are in points.

    `before`: pages of what comes before these, whose numbers go on from there.
    """

    def __init__(self, before: int = 0) -> None:
        self.before = before
        self.pages: list[Figure] = []
        self.y = BOTTOM

    def new_page(self) -> None:
        page = Figure(figsize=(WIDTH / POINTS, HEIGHT / POINTS), dpi=POINTS)
        FigureCanvasAgg(page)
        self.pages.append(page)
        self._write(f"{self.before + len(self.pages)}", WIDTH / 2 - 4, 816, 8, colour=GREY)
        self.y = TOP

    def room(self, height: float) -> None:
        """Begin a page if less than this is left on the present one."""
        if not self.pages or (self.y + height > BOTTOM and self.y > TOP):
            self.new_page()

    def space(self, height: float) -> None:
        self.y += height

    def heading(self, text: str, size: float = 12.0, keep: float = 60.0) -> None:
        """`keep`: so much of what follows stays on the same page."""
        self.room(size * LEADING * len(wrap(text, MEASURE, size, "bold")) + keep)
        self.paragraph(text, size, weight="bold", after=3)

    def paragraph(
        self, text: str, size: float = 9.0, weight: str = "normal", colour: str = "black", indent: float = 0.0,
        after: float = 4.0,
    ) -> None:  # fmt: skip
        for line in wrap(text, MEASURE - indent, size, weight):
            self.room(size * LEADING)
            self.y += size * LEADING
            self._write(line, LEFT + indent, self.y, size, weight, colour)
        self.y += after

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[float], size: float) -> None:
        """Cells are wrapped within `widths`, whose sum is at most the measure. The heads are repeated on each page."""
        self._row(heads, widths, size, "bold", keep=3 * size * LEADING)
        for row in rows:
            for part in _parts(_wrapped(row, widths, size), size):
                if self.y + _height(part, size) > BOTTOM:
                    self.new_page()
                    self._row(heads, widths, size, "bold")
                self._lines(part, widths, size)
        self.y += 8

    def _row(self, cells: Sequence[str], widths: Sequence[float], size: float, weight: str, keep: float = 0.0) -> None:
        wrapped = _wrapped(cells, widths, size, weight)
        self.room(_height(wrapped, size) + keep)
        self._lines(wrapped, widths, size, weight)

    def _lines(self, cells: list[list[str]], widths: Sequence[float], size: float, weight: str = "normal") -> None:
        x = LEFT
        for lines, width in zip(cells, widths):
            for k, line in enumerate(lines):
                self._write(line, x, self.y + (k + 1) * size * LEADING, size, weight)
            x += width
        self.y += _height(cells, size)
        self._rule(self.y - 1.5)

    def picture(self, drawing: Drawing, label: str) -> None:
        """The figure itself, as it was drawn, under its label; never wider than the text or higher than a page."""
        settle(drawing.figure)
        width, height = drawing.figure.get_size_inches() * POINTS
        self.room(height + 16)
        self.paragraph(label, 9, weight="bold", after=2)
        left = LEFT + (MEASURE - width) / 2
        self.pages[-1].add_artist(_Placed(drawing.figure, left, HEIGHT - self.y - height, width, height))
        self.y += height + 12

    def _write(self, text: str, x: float, y: float, size: float, weight: str = "normal", colour: str = "black") -> None:
        look = {"fontsize": size, "fontweight": weight, "color": colour, "fontfamily": list(FAMILY)}
        self.pages[-1].text(x / WIDTH, 1 - y / HEIGHT, text, va="baseline", parse_math=False, **look)

    def _rule(self, y: float) -> None:
        ends = [LEFT / WIDTH, (LEFT + MEASURE) / WIDTH]
        self.pages[-1].add_artist(Line2D(ends, [1 - y / HEIGHT] * 2, color=RULE, linewidth=0.3))


def pdf(pages: Sequence[Figure], title: str) -> bytes:
    """The pages as a file, without a date: the same pages have the same bytes."""
    buffer = io.BytesIO()
    with paper_style(), PdfPages(buffer, metadata={"Title": title, "Creator": "bnlab", "CreationDate": None}) as file:
        for page in pages:
            file.savefig(page, dpi=DOTS_PER_INCH)
    return buffer.getvalue()


class _Placed(Artist):
    """A figure drawn on the page of another. Its own box is moved there, and everything in it with the box."""

    def __init__(self, drawn: Figure, left: float, bottom: float, width: float, height: float) -> None:
        super().__init__()
        self.drawn = drawn
        self.place = (left, bottom, left + width, bottom + height)

    def draw(self, renderer) -> None:
        self.drawn.set_dpi(POINTS)  # the unit of a PDF, whatever the resolution of the images in it
        x0, y0, x1, y1 = (edge / POINTS for edge in self.place)
        self.drawn.bbox_inches.p0, self.drawn.bbox_inches.p1 = (x0, y0), (x1, y1)
        self.drawn.draw(renderer)


def wrap(text: str, width: float, size: float, weight: str = "normal") -> list[str]:
    """Lines of at most this width. A word that is too long is broken; what cannot be printed is written as escapes."""
    lines, line, used = [], "", 0.0
    for word in _pieces(_printable(text).split(), width, size, weight):
        wide = text_width(word, size, weight)
        gap = text_width(" ", size, weight) if line else 0.0
        if line and used + gap + wide > width:
            lines.append(line)
            line, used, gap = "", 0.0, 0.0
        line, used = f"{line} {word}" if line else word, used + gap + wide
    return [*lines, line] if line else lines


def _pieces(words: Sequence[str], width: float, size: float, weight: str) -> Iterator[str]:
    for word in words:
        while text_width(word, size, weight) > width and len(word) > 1:
            fits = max((k for k in range(1, len(word)) if text_width(word[:k], size, weight) <= width), default=1)
            yield word[:fits]
            word = word[fits:]
        yield word


def _printable(text: str) -> str:
    shown = (c if c.isprintable() or c.isspace() else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)


@functools.lru_cache(maxsize=50_000)
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """In points."""
    font = FontProperties(family=list(FAMILY), size=size, weight=weight)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]


def _wrapped(cells: Sequence[str], widths: Sequence[float], size: float, weight: str = "normal") -> list[list[str]]:
    return [wrap(str(cell), width - GAP, size, weight) for cell, width in zip(cells, widths)]


def _parts(cells: list[list[str]], size: float) -> Iterator[list[list[str]]]:
    """A row in pieces that a page can hold."""
    most = int((BOTTOM - TOP) / (size * LEADING)) - 6
    for start in range(0, max(len(lines) for lines in cells) or 1, most):
        yield [lines[start : start + most] for lines in cells]


def _height(cells: list[list[str]], size: float) -> float:
    return max(1, *(len(lines) for lines in cells)) * size * LEADING + 4
