"""Templates around documents. All text is escaped; there is no inline script and no inline style."""

from __future__ import annotations

import functools
from pathlib import Path

from markupsafe import Markup

from bnlab import __version__
from bnlab.pages.documents import encode
from bnlab.pages.site import Page, all_pages
from bnlab.plots.looks import COMPARED

HERE = Path(__file__).resolve().parent
EARLY = "theme.js"  # before anything is drawn
# In the order in which they are loaded: each uses only those before it.
SCRIPTS = (
    "vendor/uPlot.iife.min.js",
    "dom.js",
    "format.js",
    "address.js",
    "badges.js",
    "controls.js",
    "table.js",
    "looks.js",
    "charts.js",
    "scales.js",
    "binned.js",
    "panel.js",
    "bands.js",
    "ridges.js",
    "heatmap.js",
)
SCRIPTS += (
    "live.js",
    "curves.js",
    "stepper.js",
    "distributions.js",
    "families.js",
    "overview.js",
    "claims.js",
    "runs.js",
    "experiment.js",
    "run.js",
    "compare.js",
    "start.js",
)
STYLES = ("vendor/uPlot.min.css", "app.css", "distributions.css")


@functools.cache
def templates():
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined
    )


def page_html(page: Page, names: dict[str, str], document: dict) -> str:
    """A whole page of the server, with its document inside."""
    return (
        templates()
        .get_template("page.html")
        .render(
            page=page,
            title=page.title(names),
            menu=[p for p in all_pages() if p.in_menu],
            early=EARLY,
            scripts=SCRIPTS,
            styles=STYLES,
            blocks={"data": Markup(encode(document)), "looks": Markup(encode(looks_document()))},
            version=__version__,
        )
    )


def looks_document() -> dict:
    """Label, colour, dash (lengths drawn and left out) and marker of everything that figures compare."""
    return {
        key: {"label": look.label, "colour": look.colour, "dash": _dashes(look.dash), "marker": look.marker}
        for looks in reversed(COMPARED)
        for key, look in looks.items()
    }


def _dashes(style: object) -> list[float]:
    """In multiples of the line's width; empty for a line in one piece."""
    return [] if style == "-" else list(style[1])


@functools.cache
def static_files() -> dict[str, bytes]:
    """Every file that pages load, by the name they load it under."""
    folder = HERE / "static"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
