"""Is the loss of a deep linear net smoother along a step with batch normalisation?

Source: Santurkar et al. 2018, section 3.2 and figure 10: 25 linear maps of 10 x 10 fit y = A x by gradient descent on
1,000 samples, at lr 1e-6. Every seed draws another A. Step lengths are the paper's, from lr/100 to 31.6 lr, and so is
the loss in scale: half the sum of squares.

Command: `bnlab reproduce linear_landscape data=gaussian_map` (6 minutes on two cores).

Expected: beta close to 2 / lr = 2e6 in both nets, at every step length up to lr, so that it is the edge of stability:
the shortest step alone would give 1e8. Whether bn smooths at all is open.

Without classes there is no equal progress by accuracy, so medians are over the whole run, as the paper's figure shows
it. No loss overflowed, in none of the 1,010 records of either net.

Noted after the runs, of what P2-21 can tell. Losses are float32, those of the plain net near 10^4: over steps up to lr
they change by a few units in the last place (at most 8 in 62 % of its records, in 25 % of bn's), so widths there are in
part rounding. The plain net stalls in 7 of 10 draws: over the last two thirds of its run the loss falls by less than
0.2 %. And whole runs are compared, not equal progress. So P2-21 says how the two nets stand in these runs, not that
normalisation makes the loss rougher at an equal loss.

All metrics, directions, margins, windows and seeds were fixed before the runs of the plan. Seen until then: 1,000 steps
of both nets with seed 900, in which the loss was the wider with bn over the whole grid.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bnlab.claims import Claim, Part, Published
from bnlab.comparisons import Cell
from bnlab.measures import need
from bnlab.plots import published as marks
from bnlab.plots.drawing import Drawing, finish, seeds_words
from bnlab.plots.ranges import GREY, Ranges, draw_profiles, draw_ranges, length_axis
from bnlab.plots.style import PAGE, legend, look, new_figure, styled
from bnlab.smoothness import (
    Comparison,
    Factors,
    Quantity,
    Window,
    beta,
    change,
    change_range,
    loss_range,
    profile,
    settles,
    smaller,
    width,
)

if TYPE_CHECKING:
    from bnlab.store import Runs

VARIANTS = ("plain", "bn")
RATE = 1e-6
GRID = (0.01, 0.1, 1.0, 10.0, 31.6)  # the paper's, in units of lr
SHORT = GRID[:3]  # no longer than a step of training
SEEDS = {"gaussian_map-smoke": 2, "gaussian_map-laptop": 10}
WHOLE, LATE = Window("whole run", (0, 1)), Window("last third of the run", (2 / 3, 1))
RATIO_MARGIN = 0.1  # of log10 of a ratio: a factor of 1.26, as in loss_landscape
_FIGURE_10 = "figure 10 of Santurkar et al. 2018 (one run each)"


def cell(variant: str) -> Cell:
    return Cell(variant, {"variant": variant, "lr": RATE}, SEEDS)


def _smaller(quantity: Quantity, factors: Factors = GRID, line: str = "gradient", where: str = "") -> Part:
    told = Published(None, "7e6 to 2e8 without, 2.0e6 with, in mid-run", _FIGURE_10) if quantity is beta else None
    sides = Comparison(*(cell(variant) for variant in VARIANTS), quantity, factors, WHOLE, line)
    return smaller(sides, RATIO_MARGIN, where, None if where else told, bool(where))


def _settles(factors: Factors, where: str) -> tuple[Part, ...]:
    near = {"rate": RATE, "factors": factors, "window": LATE, "within": RATIO_MARGIN}
    return tuple(
        Part(f"beta is 2 / lr{where}, {look(v).label}", "median of beta", "within 1.26",
             "to spare (0.1 - |log10 of beta lr / 2|)", 0.0, partial(settles, cell=cell(v), **near),
             LATE.words, differs=False, beside=bool(where), arms=(v,))
        for v in VARIANTS
    )  # fmt: skip


QUANTITIES = (width, change, beta)
CLAIMS = (
    Claim(
        id="P2-21",
        says="The smoothing by batch normalisation is present in deep linear networks as well.",
        kind="S",
        source="Santurkar et al. 2018, section 3.2, figure 10",
        tests="The measures of figure 4 along the gradient, plain over bn, medians over the whole run and so not "
        "at an equal loss; beside it steps no longer than those of training, and a random direction.",
        parts=(
            *(_smaller(quantity) for quantity in QUANTITIES),
            *(_smaller(quantity, SHORT, where="steps up to lr") for quantity in QUANTITIES),
            *(_smaller(quantity, line="random", where="random line") for quantity in QUANTITIES),
        ),
        figure="linear_landscape",
    ),
    Claim(
        id="P2-22",
        says="In the deep linear nets the effective beta-smoothness ends at 2e6, 2 / lr (read off figure 10c).",
        kind="S",
        source="Santurkar et al. 2018, figure 10c",
        tests="beta over the paper's step lengths, last third of the run, within a factor of 1.26 of 2 / lr; beside it "
        "beta over steps no longer than those of training.",
        parts=(*_settles(GRID, ""), *_settles(SHORT, ", steps up to lr")),
        published=Published(None, "2.1e6 without, 2.0e6 with, at step 10,000", _FIGURE_10),
        figure="linear_landscape",
    ),
)


@styled
def draw_landscape(runs: Runs) -> Drawing:
    """Figure 10, and under it gradient change and beta against the step length."""
    arms = {variant: cell(variant).of(runs) for variant in VARIANTS}
    need(any(arm.n for arm in arms.values()), runs, "either net")
    figure = new_figure(PAGE, 4.4)
    above, below = figure.subplots(2, 3)
    ranges = {v: Ranges(loss_range(arm, GRID), change_range(arm, GRID), beta(arm, GRID)) for v, arm in arms.items()}
    numbers = [draw_ranges(above, ranges, int(runs.table["steps"].max()), RATE, squares=True)]
    panels = (
        ("gradient_change", "gradient", 1),
        ("beta_smoothness", "gradient", RATE),
        ("beta_smoothness", "random", RATE),
    )
    for ax, (quantity, line, unit) in zip(below, panels):
        frames = {variant: unit * profile(arm, quantity, GRID, WHOLE, line) for variant, arm in arms.items()}
        numbers.append(draw_profiles(ax, frames, f"{quantity}, {line} line"))
        length_axis(ax, GRID)
    for ax, title in zip(below, ("change of the gradient", "beta × lr, along the gradient", "beta × lr, random line")):
        ax.set_title(title)
    for ax in below[1:]:
        ax.axhline(2, color=GREY, linewidth=0.8, zorder=0.5)
    legend(figure, marks.handles(VARIANTS))
    counted = seeds_words({look(v).label: arm.n for v, arm in arms.items()}, cell("bn").planned(runs, 0))
    words = f"{counted}, each with its own map A. Above: from the smallest to the largest value over steps of lr/100 "
    words += "to 31.6 lr along the gradient (a, b), geometric means over seeds; beta (c) with its 95 % t band. Below: "
    words += "medians over the whole run, geometric means and 95 % t bands. Grey: 2 / lr. Published (figure 10, one "
    words += "run): beta 2.0e6 with BN; without, 7e6 to 2e8 in mid-run and 2.1e6 at the end."
    return finish(figure, numbers, runs, words)


FIGURES = {"linear_landscape": draw_landscape}
