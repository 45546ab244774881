"""Is the loss smoother along a step, and its gradient steadier, with batch normalisation?

Source: Santurkar et al. 2018, section 3.2, figures 4, 10 and 11. Two arms of one VGG, from equal weights and on equal
batches: plain and bn. From the weights of a step, loss and gradient are taken along the gradient, at lengths of lr/8 to
4 lr; the paper's are lr/2 to 4 lr, and what is said of its figures is measured on those. The same along a random
direction as long as the gradient. Claims say in our words what the paper says in its own, but for what stands in
quotation marks.

Command: `bnlab reproduce loss_landscape data=cifar10 scale=laptop` (17 minutes on two cores that had other work too);
without the two words, a demonstration on digits (3 minutes); `... scale=paper` needs a GPU.

Expected: along the gradient the loss varies less and the gradient moves less with bn, by a factor of two or three and
not of a hundred. Beta is where curvature and step length meet: if it keeps the value 2/lr on a grid with shorter steps
and moves with the rate, the nets are at the edge of stability; if it is four times as large on the longer grid, it only
tells the shortest step (a gradient that is gone behind it gives 1/step, which is 2/lr for lr/2).

The nets on CIFAR-10 are VGG-A, not the paper's VGG-D, of which one plain net in five stood at chance for most of its
steps in `ics_vgg`: no verdict may rest on the others. Medians are taken at equal progress, over the records at which
the training accuracy lies between 0.3 and 0.9 (as in `ics_gradient`); where a sentence is about a phase, over that
share of the run. A record whose loss overflows is left out, which would favour the plain net; on CIFAR-10 none
did.

All metrics, directions, margins, windows and seeds below were fixed before any run of the plan on CIFAR-10. Seen until
then: 1,000 steps of the plain net with seed 900, to size the plan; and the demonstration on digits, after which the net
without batch normalisation alone decides the statement on the penalty. One rule was changed later, after a review and
before any verdict or number of the runs on CIFAR-10 had been seen: the initial phases of P2-12 were the run from 7 to
33 %, which left out its first steps, where the paper's own curves differ less; they are its first third.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial, reduce
from typing import TYPE_CHECKING

import numpy as np

from bnlab import published
from bnlab.claims import Claim, Measured, Part, Published, Verdict
from bnlab.comparisons import (
    BySeed,
    Cell,
    distance_beside,
    geometric_note,
    log_ratio,
    medians,
)
from bnlab.measures import lost_seeds, mean_note, need
from bnlab.plots import published as marks
from bnlab.plots.curves import draw_curve
from bnlab.plots.drawing import Drawing, cells_words, finish, seeds_words
from bnlab.plots.panels import Groups, group_panels
from bnlab.plots.ranges import GREY, UNITS, Ranges, draw_profiles, draw_ranges, length_axis
from bnlab.plots.style import COLUMN, PAGE, legend, look, new_figure, styled
from bnlab.smoothness import (
    LEARN,
    LINES,
    NAMES,
    Comparison,
    Factors,
    Quantity,
    Window,
    along,
    beta,
    change,
    change_range,
    loss_range,
    profile,
    relative,
    settles,
    smaller,
    width,
)
from bnlab.stats import paired_difference

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from bnlab.store import Runs

VARIANTS = ("plain", "bn")
PRIMARY, LOWER = 0.1, 0.025  # a factor of 4 apart, so that the two grids share four step lengths
DECAY = 5e-4
SEEDS = {"digits-smoke": 2, "digits-laptop": 3, "cifar10-laptop": 5, "cifar10-paper": 5}  # of the primary cell
OTHER_SEEDS = SEEDS | {"cifar10-laptop": 3}  # of all others

PAPER = (0.5, 1.0, 2.0, 4.0)  # step lengths in units of lr
GRID = (0.125, 0.25, *PAPER)
SHARED = {PRIMARY: GRID[:4], LOWER: PAPER}  # the same lengths at both rates

PUBLISHED_STEPS = 15_000
SHARES = {  # the paper's windows: to step 1,000, 5,000, 10,000 and 15,000
    name: Window(f"{name} % of the run", share)
    for name, share in {
        "0–7": (0, 1 / 15),
        "7–33": (1 / 15, 1 / 3),
        "33–67": (1 / 3, 2 / 3),
        "67–100": (2 / 3, 1),
    }.items()
}
OPENING, MIDDLE, CLOSING = SHARES["7–33"], SHARES["33–67"], SHARES["67–100"]
INITIAL = Window("0–33 % of the run", (0, 1 / 3))

RATIO_MARGIN = 0.1  # of log10 of a ratio: a factor of 1.26, as in ics_vgg
NEARLY_TWO_ORDERS = 1.5  # a factor of 32
PENALTIES = {0: "no penalty", 1: "5e-4 / 2 of squares", 2: "5e-4 of squares"}  # two readings of one weight decay
NATS = 0.3  # a loss before training that is this near is the same

SANTURKAR = "santurkar2018"
SERIES = {"plain": "standard", "bn": "bn"}
_FIGURE_4 = "medians measured from figure 4 of Santurkar et al. 2018 (one run each)"
_FIGURE_11 = "means measured from figure 11 of Santurkar et al. 2018 (one run each)"
FIGURE_11 = {"plain": (11.1, 12.9, 20.9, 65.6), "bn": (11.1, 11.5, 13.0, 20.3)}  # at the lengths of PAPER, lr 0.1


def cell(variant: str, lr: float = PRIMARY, decay: float = 0.0) -> Cell:
    """The trainings of one net at one rate."""
    seeds = SEEDS if (lr, decay) == (PRIMARY, 0.0) else OTHER_SEEDS
    keys = {"variant": variant, "lr": lr, "optim.weight_decay": decay, "probe.landscape.random_direction": True}
    return Cell(variant, keys, seeds)


def started(variant: str) -> Cell:
    """The single steps of the wide net, with weight decay and without a random line, for the loss before training."""
    return Cell(variant, {"variant": variant, "probe.landscape.random_direction": False}, OTHER_SEEDS)


def compared(
    quantity: Quantity,
    window: Window = LEARN,
    factors: Factors = PAPER,
    line: str = "gradient",
    lr: float = PRIMARY,
    decay: float = 0.0,
) -> Comparison:
    return Comparison(*(cell(variant, lr, decay) for variant in VARIANTS), quantity, factors, window, line)


def _smaller(sides: Comparison, where: str = "", told: Published | None = None, beside: bool = False) -> Part:
    return smaller(sides, RATIO_MARGIN, where, told, beside)


def _told(quantity: Quantity, window: Window) -> Published:
    plain, bn = (published_median(quantity, variant, window) for variant in VARIANTS)
    return Published(round(math.log10(plain / bn), 3), f"{plain:.3g} without, {bn:.3g} with", _FIGURE_4)


def published_median(quantity: Quantity, variant: str, window: Window) -> float:
    """Median of a curve of figure 4 over a share of its steps."""
    steps, values = published_series(quantity, variant)
    low, high = (share * PUBLISHED_STEPS for share in window.share)
    return float(np.median(values[(steps >= low) & (steps <= high)]))


def published_series(quantity: Quantity, variant: str) -> tuple[np.ndarray, np.ndarray]:
    panel = {width: "loss_max", change: "graddiff_max", beta: "beta_eff"}[quantity]
    steps, values = published.curve(SANTURKAR, "fig4", panel, SERIES[variant])
    if quantity is width:
        lower = published.curve(SANTURKAR, "fig4", "loss_min", SERIES[variant])
        values = values - np.interp(steps, *lower)
    return steps, values


def _variations(quantity: Quantity) -> tuple[Part, ...]:
    """Beside a claim: the paper's windows with its numbers, the longer grid, the lower rate, weight decay."""
    by_window = (
        _smaller(compared(quantity, window), window.words, _told(quantity, window), True) for window in SHARES.values()
    )
    others = {
        "steps from lr/8 on": compared(quantity, factors=GRID),
        f"lr {LOWER:g}": compared(quantity, lr=LOWER),
        f"weight decay {DECAY:g}": compared(quantity, decay=DECAY),
    }
    return (*by_window, *(_smaller(sides, where, beside=True) for where, sides in others.items()))


def _by_length() -> Iterator[Part]:
    """Figure 11: at half the rate the two arms are alike, at four times the rate they are not."""
    for factor, plain, bn in zip(PAPER, *FIGURE_11.values(), strict=True):
        told = Published(round(math.log10(plain / bn), 3), f"{plain:g} without, {bn:g} with", _FIGURE_11)
        yield _smaller(compared(change, factors=(factor,)), f"step of {factor:g} lr", told, True)


def especially_early(runs: Runs, first: Window, later: Window) -> Measured:
    """How much larger the log ratio of the widths is over the first window than over the later one."""
    early, late = (compared(width, window).sides(runs) for window in (first, later))
    effects = paired_difference(log_ratio(*early), log_ratio(*late))
    return Measured(effects, cell("bn").planned(runs, len(early[1])), lost=lost_seeds(*early, *late))


def _early(first: Window, later: Window, beside: bool = False) -> Part:
    told = [_told(width, window).value for window in (first, later)]
    factors = " and ".join(f"{10**ratio:.2g}" for ratio in told)
    return Part(
        f"the width differs more over {first.words} than over {later.words}",
        "median of largest less smallest loss, per seed",
        "earlier - later > 0",
        "log10 of plain / bn, difference",
        RATIO_MARGIN,
        partial(especially_early, first=first, later=later),
        f"{first.words} against {later.words}",
        beside=beside,
        published=Published(round(told[0] - told[1], 3), f"factors of {factors}", _FIGURE_4),
    )


def two_orders(runs: Runs, window: Window) -> Measured:
    """How far log10 of plain over bn lies above what counts as nearly two orders of magnitude."""
    return compared(change, window)(runs).raised(-NEARLY_TWO_ORDERS)


def _two_orders(window: Window, told: Published | None = None) -> Part:
    return Part(
        f"plain / bn of the gradient change, {window.words}",
        "median of the largest gradient change over the step lengths, per seed",
        f"log10 of plain / bn > {NEARLY_TWO_ORDERS:g}",
        f"above {NEARLY_TWO_ORDERS:g} (log10 of plain / bn)",
        0.0,
        partial(two_orders, window=window),
        window.words,
        beside=told is not None,
        published=told,
        arms=("plain / bn",),
    )


def betas(runs: Runs, variant: str, window: Window, factors: Factors, lr: float = PRIMARY) -> BySeed:
    arm = cell(variant, lr).of(runs)
    return window.medians(arm, beta(arm, factors))


def at_edge(runs: Runs, variant: str) -> Measured:
    """How much nearer beta is to 2 / lr than a factor of 1.26, in log10."""
    return settles(runs, cell(variant), PRIMARY, PAPER, CLOSING, RATIO_MARGIN)


def floor(runs: Runs, variant: str) -> Measured:
    """log2 of beta on the grid from lr/8 over beta on that from lr/2, less 1.

    Where the shortest step alone sets beta the logarithm is 2, where it has no say 0.
    """
    longer, paper = (betas(runs, variant, LEARN, factors) for factors in (GRID, PAPER))
    effects = {seed: ratio / math.log10(2) - 1 for seed, ratio in log_ratio(longer, paper).items()}
    note = geometric_note({"beta from lr/8 on": longer, "from lr/2 on": paper})
    return Measured(effects, cell(variant).planned(runs, len(effects)), note, lost_seeds(longer, paper))


def edge(runs: Runs, variant: str) -> Measured:
    """log4 of beta at the lower rate over beta at the higher one, at the same step lengths, less 1/2.

    Where beta is as 1 / lr the logarithm is 1, where the rate has no say 0.
    """
    low = betas(runs, variant, LEARN, SHARED[LOWER], LOWER)
    high = {seed: v for seed, v in betas(runs, variant, LEARN, SHARED[PRIMARY]).items() if seed in low}
    effects = {seed: ratio / math.log10(PRIMARY / LOWER) - 0.5 for seed, ratio in log_ratio(low, high).items()}
    note = geometric_note({f"beta at lr {LOWER:g}": low, f"at {PRIMARY:g}": high})
    return Measured(effects, cell(variant, LOWER).planned(runs, len(low)), note, lost_seeds(low, high))


def _each_arm(label: str, metric: str, unit: str, direction: str, measure, window: Window) -> tuple[Part, ...]:
    return tuple(
        Part(f"{label}, {look(v).label}", metric, direction, unit, 0.0, partial(measure, variant=v), window.words,
             differs=False, arms=(v,))
        for v in VARIANTS
    )  # fmt: skip


def start_loss(runs: Runs, variant: str, penalties: int) -> BySeed:
    """The smallest loss over the paper's step lengths before the first update, as figure 4a shows it at step 0.

    The recorded penalty, DECAY / 2 times the sum of squares of all parameters, is in it so many times.
    """
    arm = started(variant).of(runs)
    loss, penalised = arm.series("curves/train_loss"), arm.series("landscape/loss")
    rises = reduce(np.minimum, along(arm, "loss_change", PAPER))
    return medians((loss + penalties * (penalised - loss) + rises).reindex([0]))


def as_published(runs: Runs, variant: str, penalties: int) -> Measured:
    """How much nearer than NATS the loss before training is to the published one."""
    losses = start_loss(runs, variant, penalties)
    effects = {seed: NATS - abs(loss - published_start(variant)) for seed, loss in losses.items()}
    planned = started(variant).planned(runs, len(losses))
    return Measured(effects, planned, mean_note("loss", losses.values()), lost_seeds(losses))


def published_start(variant: str) -> float:
    return float(published.curve(SANTURKAR, "fig4", "loss_min", SERIES[variant])[1][0])


def _starts(penalties: int) -> tuple[Part, ...]:
    return tuple(
        Part(
            f"loss before training, {PENALTIES[penalties]}, {look(variant).label}",
            "smallest loss over the paper's step lengths at step 0; VGG-D of full width, Glorot weights",
            f"within {NATS:g} of the published one",
            f"nats to spare ({NATS:g} - distance)",
            0.0,
            partial(as_published, variant=variant, penalties=penalties),
            "step 0",
            differs=False,
            beside=penalties > 0 or variant == "bn",  # whose loss before training hangs on the size of the batch
            published=Published(None, f"{published_start(variant):.3f}", "figure 4a of Santurkar et al. 2018, step 0"),
            arms=(variant,),
        )
        for variant in VARIANTS
    )


def _distances(quantity: Quantity, unit: str) -> Callable[[Runs], Iterator[Verdict]]:
    """Our mean curves against those of figure 4, at equal shares of the run; on CIFAR-10, where it was drawn."""

    def yielded(runs: Runs) -> Iterator[Verdict]:
        for variant in VARIANTS if runs.data == "cifar10" else ():
            arm = cell(variant).of(runs)
            series = quantity(arm, PAPER)
            if len(series):
                series = series.set_axis(series.index * PUBLISHED_STEPS / arm.table["steps"].max())
            label = f"{NAMES[quantity]}, {look(variant).label}: distance from figure 4 at equal shares of the run"
            yield distance_beside(label, unit, series, published_series(quantity, variant),
                                  cell(variant).planned(runs, arm.n))  # fmt: skip

    return yielded


def _measure(
    id: str, quantity: Quantity, drawn: str, says: str, tests: str, unit: str, figure: str, more: tuple[Part, ...] = ()
) -> Claim:
    """The claim that bn has less of a measure of figure 4 while the nets learn; `more` stands beside it."""
    return Claim(
        id=id,
        says=says,
        kind="S",
        source=f"{SOURCE}, {drawn}",
        tests=tests,
        parts=(_smaller(compared(quantity)), *more, *_variations(quantity)),
        published=_told(quantity, OPENING),
        figure=figure,
        distances=_distances(quantity, unit),
    )


RANDOM = tuple(_smaller(compared(q, line="random"), "random line") for q in (width, change, beta))
SOURCE = "Santurkar et al. 2018, section 3.2"

CLAIMS = (
    _measure(
        "P2-11", width, "figure 4a",
        "Along the gradient, the loss of a net without batch normalisation takes a very wide range of values, in "
        "contrast to that of a net with it.",
        "Largest less smallest loss over steps of 1/2 to 4 times the rate, plain over bn, while they learn; "
        "beside it the paper's windows, a longer grid, a lower rate, weight decay.",
        "nats", "landscape",
    ),
    Claim(
        id="P2-12",
        says="The range of the loss of a net without batch normalisation is wide especially in the initial phases of "
        "training.",
        kind="S",
        source=f"{SOURCE}, figure 4a",
        tests="log10 of plain over bn of the width, over the first third of the run, less the same over its last; "
        "beside it the first third less the middle one, and the first without its own first fifth less the last.",
        parts=(_early(INITIAL, CLOSING), _early(INITIAL, MIDDLE, beside=True), _early(OPENING, CLOSING, beside=True)),
        figure="landscape",
    ),
    _measure(
        "P2-13", change, "figures 4b and 11",
        "Along the gradient, the gradient of a net with batch normalisation stays nearer to that at the start: it "
        "is more predictive.",
        "Largest distance of the gradient over steps of 1/2 to 4 times the rate, plain over bn, while they "
        "learn; beside it every step length, and the distance in units of the gradient.",
        "loss per weight", "predictiveness",
        (*_by_length(), _smaller(compared(relative), beside=True)),
    ),
    Claim(
        id="P2-14",
        says="The gradient predictiveness differs significantly, by “close to two orders of magnitude”, "
        "especially early in training.",
        kind="X",
        source=f"{SOURCE}, figure 4b",
        tests=f"log10 of plain over bn of the largest gradient change, against {NEARLY_TWO_ORDERS:g}; beside it the "
        "opening of the run, and that there is a difference at all.",
        parts=(
            _two_orders(LEARN),
            _two_orders(OPENING, _told(change, OPENING)),
            _smaller(compared(change), beside=True),
        ),
        published=_told(change, OPENING),
        figure="landscape",
    ),
    _measure(
        "P2-15", beta, "figure 4c",
        "The effective beta-smoothness of nets with and without batch normalisation differs consistently: it is "
        "smaller with it.",
        "Largest ||g(w - a g) - g|| / (a ||g||) over steps of 1/2 to 4 times the rate, plain over bn, while they "
        "learn; beside it the paper's windows, a longer grid, a lower rate, weight decay.",
        "loss per weight squared", "beta",
    ),
    Claim(
        id="P2-16",
        says="The loss behaves in a similar way along random directions too.",
        kind="S",
        source=f"{SOURCE} (no figure)",
        tests="The measures of figure 4 along a random direction as long as the gradient, plain over bn, while they "
        "learn.",
        parts=RANDOM,
        figure="directions",
    ),
    Claim(
        id="P2-17",
        says="With and without batch normalisation the effective beta-smoothness settles at 20, which is 2 / lr (read "
        "off figure 4c).",
        kind="S",
        source=f"{SOURCE}, figure 4c",
        tests="beta over steps of 1/2 to 4 times the rate, last third of the run, within a factor of 1.26 of 2 / lr.",
        parts=_each_arm(
            "beta is 2 / lr",
            "median of beta",
            "to spare (0.1 - |log10 of beta lr / 2|)",
            "within 1.26",
            at_edge,
            CLOSING,
        ),
        published=Published(None, "20.0 without, 20.0 with, from step 5,000 on", _FIGURE_4),
        figure="beta",
    ),
    Claim(
        id="P2-18",
        says="That value tells the shortest step of the grid: the gradient is gone behind it, which gives 1 / step.",
        kind="S",
        source=f"an explanation of figure 4c of {SOURCE}, which its grid leaves open",
        tests="beta on a grid with steps four times as short, over beta on the paper's grid, while the nets learn: 4 "
        "if the shortest step sets it, 1 if not, and the middle decides.",
        parts=_each_arm(
            "the shortest step sets beta", "median of beta", "above 1 (log2 of the ratio)", "ratio > 2", floor, LEARN
        ),
        figure="beta",
    ),
    Claim(
        id="P2-19",
        says="That value is the edge of stability: training goes to where the curvature along the gradient is as "
        "1 / lr.",
        kind="S",
        source=f"an explanation of figure 4c of {SOURCE}, which its one rate leaves open",
        tests="beta at a quarter of the rate over beta at the rate, at the same step lengths, while the nets learn: 4 "
        "if the rate sets it, 1 if not, and the middle decides.",
        parts=_each_arm(
            "the rate sets beta", "median of beta", "above 1/2 (log4 of the ratio)", "ratio > 2", edge, LEARN
        ),
        figure="beta",
    ),
    Claim(
        id="P2-20",
        says="What figure 4a shows is the loss of training, of which the text names no penalty.",
        kind="X",
        source=f"{SOURCE}, figure 4a",
        tests="The loss before training of VGG-D at full width, without a penalty, against the published one; "
        "beside it that with 5e-4 / 2 and with 5e-4 times the sum of squares of all parameters.",
        parts=tuple(part for penalties in PENALTIES for part in _starts(penalties)),
        published=Published(None, "4.27 without, 4.19 with batch normalisation at step 0; ln 10 is 2.30", "figure 4a"),
        figure="start",
    ),
)  # fmt: skip


@styled
def draw_landscape(runs: Runs) -> Drawing:
    """Figure 4: ranges over the step lengths during training, and under them the medians that claims rest on."""
    _need(runs)
    figure = new_figure(PAGE, 4.6)
    above, below = figure.subplots(2, 3)
    arms = {variant: cell(variant).of(runs) for variant in VARIANTS}
    ranges = {v: Ranges(loss_range(arm, PAPER), change_range(arm, PAPER), beta(arm, PAPER)) for v, arm in arms.items()}
    numbers = [draw_ranges(above, ranges, int(_cells(runs, [PRIMARY]).table["steps"].max()), PRIMARY)]
    numbers.append(group_panels(below, [_window_groups(runs, quantity) for quantity in (width, change, beta)]))
    for ax, unit in zip(below, UNITS.values()):
        ax.set_ylabel(unit)
        ax.set_xlabel("% of the run")
        ax.tick_params(axis="x", labelsize=5.5)
    legend(figure, [*marks.handles(VARIANTS), *_published_handle(runs)], 3)
    words = "Above: from the smallest to the largest value over steps of 1/2 to 4 lr along the gradient (a, b), means "
    words += "over seeds; beta (c) with its 95 % t band. Below: medians over shares of the run and while the training "
    words += "accuracy is between 0.3 and 0.9; dots are seeds, bars 95 % t intervals of geometric means."
    return finish(figure, numbers, _cells(runs, [PRIMARY]), f"{_counted(runs)} {words}")


def _window_groups(runs: Runs, quantity: Quantity) -> Groups:
    windows = SHARES | {"learning": LEARN}
    values = {name: dict(zip(VARIANTS, compared(quantity, w).sides(runs))) for name, w in windows.items()}
    told = {name: {v: published_median(quantity, v, w) for v in VARIANTS} for name, w in SHARES.items()}
    title = {width: "width of a", change: "upper edge of b", beta: "c"}[quantity]
    return Groups(f"median, {title}", values, told if runs.data == "cifar10" else {}, log=True)


@styled
def draw_predictiveness(runs: Runs) -> Drawing:
    """Figure 11: how far the gradient has changed after a step of each length, at three stages of training."""
    _need(runs)
    figure = new_figure(PAGE, 4.2)
    axes = figure.subplots(len(LINES), 3, sharex=True, sharey="row")
    numbers = []
    for row, line in zip(axes, LINES):
        for ax, window in zip(row, (OPENING, LEARN, CLOSING)):
            numbers.append(_profile_panel(ax, runs, line, window))
            ax.set_title(window.words if line == "gradient" else "")
        row[0].set_ylabel(f"along {'the gradient' if line == 'gradient' else 'a random direction'}\nloss per weight")
    for ax in axes.flat:
        length_axis(ax, GRID)
        ax.label_outer()
    if runs.data == "cifar10":
        numbers += [_figure_11(ax) for ax in axes[0]]
    legend(figure, [*marks.handles(VARIANTS), *_published_handle(runs)], 3)
    words = (
        "Distance of the gradient after a step from that before it: median over the records of a seed, geometric mean "
    )
    words += "and 95 % t band over seeds."
    words += " The published means are of the whole run." if runs.data == "cifar10" else ""
    return finish(figure, numbers, _cells(runs, [PRIMARY]), f"{_counted(runs)} {words}")


def _profile_panel(ax: Axes, runs: Runs, line: str, window: Window) -> pd.DataFrame:
    frames = {v: profile(cell(v).of(runs), "gradient_change", GRID, window, line) for v in VARIANTS}
    return draw_profiles(ax, frames, f"{line}, {window.words}")


def _figure_11(ax: Axes) -> pd.DataFrame:
    import pandas as pd

    points = {v: list(zip(PAPER, FIGURE_11[v])) for v in VARIANTS}
    drawn = [marks.mark(ax, {v: point}).assign(step=point[0]) for v, each in points.items() for point in each]
    return pd.concat(drawn, ignore_index=True).assign(panel="published")


@styled
def draw_beta(runs: Runs) -> Drawing:
    """beta at each step length while the nets learn, at both rates, in units of 1 / lr and as it is."""
    _need(runs)
    figure = new_figure(PAGE, 2.7)
    axes = figure.subplots(1, 3)
    drawn = []
    for ax, lr in zip(axes, (PRIMARY, LOWER)):
        for variant in VARIANTS:
            frame = profile(cell(variant, lr).of(runs), "beta_smoothness", GRID, LEARN)
            found = draw_curve(ax, lr * frame, look(variant), log=True)
            drawn.append(found.assign(variant=variant, panel=f"beta lr, lr {lr:g}"))
            found = draw_curve(axes[2], frame.set_axis(frame.index * lr), _at_rate(variant, lr), log=True)
            drawn.append(found.assign(variant=variant, panel=f"beta, lr {lr:g}"))
        ax.plot(GRID, [1 / f for f in GRID], color=GREY, linewidth=0.8, linestyle=":", zorder=0.5)
        ax.axhline(2, color=GREY, linewidth=0.8, zorder=0.5)
        length_axis(ax, GRID)
        ax.set(title=f"lr {lr:g}", ylabel="beta × lr" if lr == PRIMARY else "")
    axes[2].set(title="both rates (light: the lower)", xlabel="step length", ylabel=f"beta ({UNITS['beta']})",
                xscale="log", yscale="log")  # fmt: skip
    legend(figure, marks.handles(VARIANTS))
    words = "Median over the records with a training accuracy between 0.3 and 0.9, geometric mean and 95 % t band over "
    words += "seeds. Grey: 2 / lr (line), and 1 / step, which is what a gradient gives that is gone behind it (dotted)."
    shown = _cells(runs, [PRIMARY, LOWER])
    return finish(figure, drawn, shown, f"{_counted(runs, (PRIMARY, LOWER))} {words}")


def _at_rate(variant: str, lr: float):
    own = look(variant)
    return own if lr == PRIMARY else replace(own, colour=LIGHT[variant])


LIGHT = {"plain": "#e8a882", "bn": "#8fb0d6"}


@styled
def draw_directions(runs: Runs) -> Drawing:
    """The measures of figure 4 along the gradient and along a random direction, while the nets learn."""
    _need(runs)
    figure = new_figure(PAGE, 2.5)
    axes = figure.subplots(1, 3)
    panels = [
        Groups(NAMES[q], {line: dict(zip(VARIANTS, compared(q, line=line).sides(runs))) for line in LINES}, log=True)
        for q in (width, change, beta)
    ]
    numbers = group_panels(axes, panels)
    for ax, unit in zip(axes, UNITS.values()):
        ax.set_ylabel(unit)
    legend(figure, marks.handles(VARIANTS, line=False))
    words = (
        "Medians over the records with a training accuracy between 0.3 and 0.9, steps of 1/2 to 4 lr; dots are seeds, "
    )
    words += "bars 95 % t intervals of geometric means. The random direction is as long as the gradient."
    return finish(figure, [numbers], _cells(runs, [PRIMARY]), f"{_counted(runs)} {words}")


@styled
def draw_start(runs: Runs) -> Drawing:
    """The loss before training, without and with the penalty, beside the published one."""
    arms = {variant: started(variant).of(runs) for variant in VARIANTS}
    need(any(arm.n for arm in arms.values()), runs, "single steps before training")
    figure = new_figure(COLUMN, 2.4)
    values = {name: {v: start_loss(runs, v, times) for v in VARIANTS} for times, name in PENALTIES.items()}
    told = {name: {v: published_start(v) for v in VARIANTS} for name in PENALTIES.values()}
    ax = figure.subplots()
    numbers = group_panels([ax], [Groups("loss before training", values, told)])
    ax.set(ylabel="smallest over 1/2 to 4 lr (nats)", ylim=(0, None))
    legend(figure, [*marks.handles(VARIANTS, line=False), marks.handle(SANTURKAR, line=False)], 1)
    counted = seeds_words({look(v).label: arm.n for v, arm in arms.items()}, started("bn").planned(runs, 0))
    shown = runs.select(**{"probe.landscape.random_direction": False})
    return finish(figure, [numbers], shown, f"Mean and 95 % t interval, {counted}. Dots: seeds.")


def _cells(runs: Runs, rates: list[float]) -> Runs:
    """Both nets at these rates, without weight decay."""
    return runs.select(**{key: value for key, value in cell("bn").keys.items() if key != "variant"} | {"lr": rates})


def _need(runs: Runs) -> None:
    need(any(cell(variant).of(runs).n for variant in VARIANTS), runs, f"either net at lr {PRIMARY:g}")


def _counted(runs: Runs, rates: tuple[float, ...] = (PRIMARY,)) -> str:
    counts = {lr: {look(v).label: cell(v, lr).of(runs).n for v in VARIANTS} for lr in rates}
    counted = {f"lr {lr:g}": (arms, cell("bn", lr).planned(runs, 0)) for lr, arms in counts.items()}
    return f"{cells_words(counted)}."


def _published_handle(runs: Runs) -> list:
    return [marks.handle(SANTURKAR, line=False)] if runs.data == "cifar10" else []


FIGURES = {
    "landscape": draw_landscape,
    "predictiveness": draw_predictiveness,
    "beta": draw_beta,
    "directions": draw_directions,
    "start": draw_start,
}
