"""Whole figures from stored runs: curves side by side, ridges by row and arm, groups of per-seed numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bnlab.plots import published
from bnlab.plots.binned import common_limits
from bnlab.plots.curves import averaged, diverged_at, draw_curve, fill_diverged, smoothed, step_axis
from bnlab.plots.moments import GroupValues, draw_groups, offset
from bnlab.plots.ridges import coarser, draw_ridges, spread_steps
from bnlab.plots.style import Look, look, say_empty

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from bnlab.store import Runs

RIDGES = 16  # steps shown of those recorded
WIDE = 12.0  # beyond this many units a linear axis would hide the normalised arms, which have unit variance


@dataclass(frozen=True)
class Line:
    """One curve: a metric of one arm. `width`: averaged within a seed over stretches of so many steps."""

    arm: Runs
    variant: str
    metric: str
    width: int = 1
    look: Look | None = None


@dataclass(frozen=True)
class Groups:
    """One panel of per-seed numbers. `marks` are published values: group -> variant -> value.

    `resolution`: what the published figure can show at least; a value below it is an arrow down from there.
    """

    title: str
    values: GroupValues
    marks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    log: bool = False
    resolution: float | None = None


def accuracy_lines(ax: Axes, lines: Sequence[Line], chance: float) -> pd.DataFrame:
    """Accuracies in per cent over training; an arm stands at chance after it diverged, with a cross where it did."""
    import pandas as pd

    drawn = []
    for line in lines:
        series = smoothed(_in_per_cent(line, chance), line.width)
        numbers = draw_curve(ax, series, line.look or look(line.variant), diverged_at(line.arm))
        drawn.append(numbers.assign(variant=line.variant, metric=line.metric))
    last = max((float(line.arm.table["steps"].max()) for line in lines if line.arm.n), default=1.0)
    step_axis(ax, last)
    return pd.concat(drawn, ignore_index=True)


def accuracy_series(line: Line, chance: float) -> pd.DataFrame:
    """The accuracies of a line, per cent, over all its stretches: index step, a column per seed."""
    series = _in_per_cent(line, chance)
    return averaged(series, line.width) if line.width > 1 else series


def _in_per_cent(line: Line, chance: float) -> pd.DataFrame:
    ended = diverged_at(line.arm)
    return 100 * fill_diverged(_to_the_end(line, ended), ended, chance)


def _to_the_end(line: Line, ended: Mapping[int, float]) -> pd.DataFrame:
    """The series, with rows at every divergence and at the last step, so that chance is drawn up to there."""
    series = line.arm.series(line.metric)
    if not ended:
        return series
    return series.reindex(series.index.union([*ended.values(), float(line.arm.table["steps"].max())]))


def look_closer(ax: Axes, numbers: Sequence[pd.DataFrame]) -> None:
    """A range that shows the last nine tenths of every curve: the first records would flatten all else."""
    late = [value for drawn in numbers for value in drawn.loc[drawn["step"] >= drawn["step"].max() / 10, "mean"]]
    if late:
        low, high = min(late), max(late)
        ax.set_ylim(low - 0.05 * (high - low) - 0.1, high + 0.1 * (high - low) + 0.1)


def share_range(axes: Sequence[Axes]) -> None:
    """One y range for these panels: down to a little below the lowest end of a curve, so that the race is seen."""
    curves = [line.get_ydata() for ax in axes for line in ax.get_lines() if len(line.get_ydata()) > 1]
    if not curves:
        return
    end, top = min(curve[-1] for curve in curves), max(max(curve) for curve in curves)
    span = max(top - end, 0.5)
    for ax in axes:
        ax.set_ylim(max(0.0, end - 0.8 * span), min(100 + 0.05 * span, top + 0.15 * span))


def ridge_grid(axes, rows: Mapping[str, str], arms: Mapping[str, Runs]) -> pd.DataFrame:
    """Ridges in a grid of axes: a row per metric (label -> metric), a column per arm (each of one run).

    Panels of a row share their x axis, which is asinh where one arm is WIDE; a panel without a record says so.
    Returns variant, metric, step, x, density.
    """
    import pandas as pd

    drawn = []
    for line, (label, metric) in zip(axes, rows.items()):
        found = {variant: _shown(arm.histograms(metric)) for variant, arm in arms.items()}
        limits = common_limits(pd.concat(found.values()))
        for ax, (variant, histograms) in zip(line, found.items()):
            numbers = _ridge_panel(ax, histograms, look(variant).colour, limits)
            drawn.append(numbers.assign(variant=variant, metric=metric))
            ax.tick_params(axis="y", labelleft=ax is line[0] or not len(found[next(iter(arms))]))
        line[0].set_ylabel(f"{label}\ntraining step")
    for ax, variant in zip(axes[0], arms):
        ax.set_title(look(variant).label)
    return pd.concat(drawn, ignore_index=True)


def _ridge_panel(ax: Axes, histograms: pd.DataFrame, colour: str, limits: tuple[float, float]) -> pd.DataFrame:
    wide = max(-limits[0], limits[1]) > WIDE
    if not len(histograms):
        say_empty(ax, "no record")
    return draw_ridges(ax, _smoothed(histograms), colour, limits, wide)


def _smoothed(histograms: pd.DataFrame) -> pd.DataFrame:
    """Neighbouring bins joined, but in histograms so wide that their bins are coarse already."""
    import pandas as pd

    fine = histograms["hi"] - histograms["lo"] < 2 * WIDE
    return pd.concat([coarser(histograms[fine]), histograms[~fine]])


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["step"].isin(spread_steps(rows["step"].tolist(), RIDGES))]


def group_panels(axes, panels: Sequence[Groups]) -> pd.DataFrame:
    """One panel per element, with the published values as hollow black markers beside their arms."""
    import pandas as pd

    drawn = []
    for ax, panel in zip(axes, panels):
        numbers = [draw_groups(ax, panel.values, panel.log)]
        for group, marks in panel.marks.items():
            numbers.append(_marks(ax, panel, group, marks).assign(group=group))
        ax.set_title(panel.title)
        drawn.append(pd.concat(numbers, ignore_index=True).assign(panel=panel.title))
    return pd.concat(drawn, ignore_index=True)


def _marks(ax: Axes, panel: Groups, group: str, marks: Mapping[str, float]) -> pd.DataFrame:
    variants = list(dict.fromkeys(variant for arms in panel.values.values() for variant in arms))
    place = list(panel.values).index(group)
    points = {v: (place + offset(v, variants) - 0.085, value) for v, value in marks.items() if v in variants}
    return published.mark(ax, points, panel.resolution)
