"""Do SGD, momentum, RMSprop and Adam all move gamma and beta, and leave the running statistics alone?

Source: article S1, Programming Implementation. Gamma and beta are ordinary parameters (Ioffe and Szegedy 2015,
section 3) with the gradients sum g x_hat and sum g, which `exact_identities` checks; running statistics are buffers,
moved by the forward pass (algorithm 2).
Command: `bnlab reproduce optimizers data=mnist` (about a minute on two cores).
Expected: with each optimiser gamma and beta leave 1 and 0 in every layer; an update of the weights changes no running
statistic by a single bit.

Fixed before the runs: 5 seeds; of the layers the one that moved least, mean over units of |gamma - 1| and of |beta|,
mean of the last fifth of a run, above 0.001. That is a thousandth of gamma's first value and ten thousand times the
rounding of float32. Beside it, that the nets learn: test accuracy above 90 %. No optimiser is compared with another.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bnlab.claims import Claim, Part, Verdict, combine, judge_part
from bnlab.comparisons import Cell
from bnlab.exact import Identity
from bnlab.measures import Effects, layer_metrics, level, mean_of_layers, metric, need, over_window
from bnlab.plots.curves import diverged_at, draw_curve, step_axis
from bnlab.plots.drawing import Drawing, finish, seeds_words
from bnlab.plots.published import handles
from bnlab.plots.style import PAGE, legend, look, new_figure, styled

if TYPE_CHECKING:
    import pandas as pd

    from bnlab.store import Runs

# Seeds of each optimiser as the YAML plans them.
SEEDS = {"digits-smoke": 2, "mnist-laptop": 5}
KEYS = {
    "sgd": {"optim.name": "sgd", "optim.momentum": 0.0},
    "momentum": {"optim.name": "sgd", "optim.momentum": 0.9},
    "rmsprop": {"optim.name": "rmsprop"},
    "adam": {"optim.name": "adam"},
}
CELLS = {name: Cell(name, keys, SEEDS) for name, keys in KEYS.items()}
MOVES = {"gamma leaves 1": "affine/gamma_change", "beta leaves 0": "affine/beta"}
ACCURACY = "curves/test_accuracy"
MOVED, LEARNS = 0.001, 0.9


def least(name: str):
    """Of all layers, the value of the one that has the smallest, per seed."""

    def measured(runs: Runs, cell: Cell) -> Effects:
        chosen = cell.of(runs)
        found = [over_window(chosen, metric) for metric in layer_metrics(chosen, name)]
        return {s: min((of_layer[s] for of_layer in found), default=math.nan) for s in (found[0] if found else {})}

    return measured


def _moves(optimizer: str, words: str) -> Part:
    name = MOVES[words]
    what = "mean |gamma - 1|" if "gamma" in words else "mean |beta|"
    measure = level(CELLS[optimizer], least(name), lambda v: v - MOVED, f"{what}, least of the layers,")
    return Part(f"{words}, {look(optimizer).label}", f"{name}/*", f"{what} > {MOVED:g} in every layer",
                f"above {MOVED:g} ({what})", 0.0, measure, arms=(optimizer,))  # fmt: skip


def _learns(optimizer: str) -> Part:
    measure = level(CELLS[optimizer], metric(ACCURACY, chance=0.1), lambda v: v - LEARNS, "test accuracy")
    return Part(f"the net learns, {look(optimizer).label}", ACCURACY, f"> {LEARNS:g}", f"accuracy above {LEARNS:g}",
                0.0, measure, beside=True)  # fmt: skip


MOVING = tuple(_moves(optimizer, words) for optimizer in CELLS for words in MOVES)
LEARNING = tuple(_learns(optimizer) for optimizer in CELLS)
UNTOUCHED = Identity("no update touches running statistics", "affine/statistics_moved", 0.0, unit="largest change")


def judge(runs: Runs) -> Verdict:
    """All parts, and over all updates that were looked at, the exact one."""
    statistical = [judge_part(part, runs) for part in (*MOVING, *LEARNING)]
    return combine([*statistical, UNTOUCHED.judge(runs)])


CLAIMS = (
    Claim(
        id="S1-14",
        says="We can also use Adam or RMSprop or momentum in order to update the parameters Beta and Gamma for Batch "
        "normalization layer.",
        kind="E",
        source="article S1, Programming Implementation; Ioffe and Szegedy 2015, section 3",
        tests="With each optimiser gamma and beta of every layer leave 1 and 0, and no update changes a running "
        "statistic; that their gradients are sum g x_hat and sum g is tested in exact_identities.",
        parts=(*MOVING, *LEARNING),
        figure="affine",
        test=judge,
    ),
)


@styled
def affine(runs: Runs) -> Drawing:
    """Gamma and beta of each optimiser on their way, averaged over layers, and the test accuracy."""
    arms = {name: cell.of(runs) for name, cell in CELLS.items()}
    need(any(arm.n for arm in arms.values()), runs, "any optimiser")
    figure = new_figure(PAGE, 2.6)
    panels = {"distance of gamma from 1": "affine/gamma_change", "distance of beta from 0": "affine/beta"}
    titles = {**panels, "test accuracy (%)": ACCURACY}
    numbers = []
    for ax, (title, name) in zip(figure.subplots(1, 3), titles.items()):
        for optimizer, arm in arms.items():
            series = mean_of_layers(arm, name) if name in panels.values() else 100 * arm.series(name)
            drawn = draw_curve(ax, series, look(optimizer), diverged_at(arm))
            numbers.append(drawn.assign(variant=optimizer, metric=name))
        ax.set_title(title)
        step_axis(ax, float(runs.table["steps"].max()))
        if name in panels.values():
            ax.set_ylim(bottom=0)
        else:
            ax.set_ylim(*_beyond_the_start(numbers[-len(arms) :]))
    legend(figure, handles(list(CELLS)))
    words = f"Mean and 95 % t band; {seeds_words({look(o).label: arm.n for o, arm in arms.items()}, _planned(runs))}. "
    words += "Distances: mean over units, then over hidden layers. Rates: SGD 0.1, with "
    words += "momentum 0.9: 0.01, RMSprop and Adam: 0.001."
    return finish(figure, numbers, runs, words)


def _beyond_the_start(drawn: list[pd.DataFrame]) -> tuple[float, float]:
    """A range of accuracies without those of the untrained nets, which would flatten all others."""
    learnt = [value for curve in drawn for value in curve.loc[curve["step"] > 0, "mean"]]
    return min(learnt, default=0.0) - 1, 100


def _planned(runs: Runs) -> int:
    return next(iter(CELLS.values())).planned(runs, 0)


FIGURES = {"affine": affine}
