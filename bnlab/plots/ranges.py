"""Loss, gradient and smoothness along lines through the weights, during training (Santurkar et al. 2018, figure 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.ticker import NullFormatter

from bnlab.plots.curves import draw_curve, draw_span, step_axis
from bnlab.plots.style import look

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

LOSS, CHANGE, BETA = "a) loss", "b) change of the gradient", "c) effective beta-smoothness"
UNITS = {"loss": "nats", "change": "loss per weight", "beta": "loss per weight²"}
GREY = "#8a8a8a"


@dataclass(frozen=True)
class Ranges:
    """Of one arm, each with the index step and a column per seed: extremes over the step lengths, and beta."""

    loss: tuple[pd.DataFrame, pd.DataFrame]
    change: tuple[pd.DataFrame, pd.DataFrame]
    beta: pd.DataFrame


def draw_ranges(
    axes: Sequence[Axes], arms: Mapping[str, Ranges], last: int, rate: float, squares: bool = False
) -> pd.DataFrame:
    """Three panels: bands from the least to the largest loss and gradient change, and beta with its 95 % t band.

    `last` is the last step; 2 over `rate`, the learning rate, is a grey line. `squares`: the loss is one of squared
    outputs, and its axis logarithmic. Returns variant, panel, step, and low, high (bands) or mean, low, high (beta).
    """
    import pandas as pd

    drawn = []
    for variant, found in arms.items():
        own = look(variant)
        spans = {LOSS: (found.loss, squares), CHANGE: (found.change, True)}
        for ax, (panel, (span, log)) in zip(axes, spans.items()):
            drawn.append(draw_span(ax, *span, own, log).assign(variant=variant, panel=panel))
        drawn.append(draw_curve(axes[2], found.beta, own, log=True).assign(variant=variant, panel=BETA))
    for ax, title, unit in zip(axes, (LOSS, CHANGE, BETA), UNITS.values()):
        ax.set(title=title, ylabel=unit, yscale="log")
        step_axis(ax, last)
    axes[0].set(yscale="log" if squares else "linear", ylabel="squared outputs" if squares else UNITS["loss"])
    axes[2].axhline(2 / rate, color=GREY, linewidth=0.8, zorder=0.5)
    axes[2].annotate("2 / lr", (1, 2 / rate), xycoords=("axes fraction", "data"), xytext=(2, 0),
                     textcoords="offset points", fontsize=6, va="center", color=GREY)  # fmt: skip
    return pd.concat(drawn, ignore_index=True)


def draw_profiles(ax: Axes, profiles: Mapping[str, pd.DataFrame], panel: str) -> pd.DataFrame:
    """A curve per variant over the step lengths (index; a column per seed): geometric mean and 95 % t band.

    Returns step, which is the length, mean, low, high, n, variant, panel.
    """
    import pandas as pd

    drawn = [draw_curve(ax, frame, look(v), log=True).assign(variant=v) for v, frame in profiles.items()]
    return pd.concat(drawn, ignore_index=True).assign(panel=panel)


def length_axis(ax: Axes, factors: Sequence[float]) -> None:
    """A logarithmic x axis of step lengths in units of the learning rate, marked where they are."""
    ax.set(xscale="log", yscale="log", xlabel="step length / lr")
    ax.set_xticks(factors, [f"{factor:g}".lstrip("0") for factor in factors])
    ax.xaxis.set_minor_formatter(NullFormatter())
