"""Published numbers in a figure: always thin and black with hollow markers, always called published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from bnlab.plots.style import PUBLISHED, Look, look
from bnlab.published import CREDIT, smoothed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

SERIES = {"plain": "standard", "bn": "bn", "bn_noise": "noisy_bn"}  # our arms in Santurkar et al.'s figures 2 and 8


def overlay(
    ax: Axes, source: str, key: tuple[str, str, str], own: Look, width: int = 1, scale: float = 1.0
) -> pd.DataFrame:
    """A published curve in the dash and marker of the arm it belongs to, but thin, black and hollow.

    `width`: running mean over so many of its records; `scale`: what its values are multiplied by. Returns step, mean,
    n (its one run).
    """
    import pandas as pd

    steps, values = smoothed(source, key, width)
    values = scale * values
    ax.plot(
        steps, values, color=PUBLISHED.colour, linewidth=0.5, linestyle=own.dash, marker=own.marker, markersize=2.8,
        markerfacecolor="white", markeredgewidth=0.5, markevery=max(1, len(steps) // 20), zorder=1.5,
    )  # fmt: skip
    return pd.DataFrame({"step": steps, "mean": values, "n": 1})


def mark(ax: Axes, points: Mapping[str, tuple[float, float]], below: float | None = None) -> pd.DataFrame:
    """Hollow black markers at variant -> (x, y); a y under `below` becomes an arrow down from there."""
    import pandas as pd

    for variant, (x, y) in points.items():
        hidden = below is not None and y < below
        shape = "v" if hidden else look(variant).marker
        ax.plot(
            [x], [below if hidden else y], linestyle="none", marker=shape, markersize=3.8, markerfacecolor="white",
            markeredgecolor=PUBLISHED.colour, markeredgewidth=0.6, zorder=4, clip_on=False,
        )  # fmt: skip
    rows = [(variant, "published", y, 1) for variant, (_, y) in points.items()]
    return pd.DataFrame(rows, columns=["variant", "kind", "value", "n"])


def handle(source: str, line: bool = True) -> Line2D:
    """The legend entry of what was published."""
    return Line2D(
        [], [], color=PUBLISHED.colour, linewidth=0.5 if line else 0.0, marker=PUBLISHED.marker, markersize=3,
        markerfacecolor="white", markeredgewidth=0.5, label=f"published ({CREDIT[source]}, one run)",
    )  # fmt: skip


def handles(variants: Sequence[str], line: bool = True) -> list[Line2D]:
    """Legend entries of the variants, in the order given."""
    return [entry(look(variant), line) for variant in variants]


def entry(own: Look, line: bool = True) -> Line2D:
    """The legend entry of one look."""
    dash = own.dash if line else "none"
    return Line2D([], [], color=own.colour, linestyle=dash, marker=own.marker, label=own.label)
