"""What do the learnt scale and offset behind batch normalisation come to, and what are they good for?

Source: article S3, Rescaling of Offsetting. Goerner's printed accuracies (scripts 4.0 and 4.1): sigmoid 98 % with both,
97.3 without offsets, 98.1 without scales, 96 with neither; ReLU the same with and without.
Command: `bnlab reproduce scale_and_offset data=mnist` (5 minutes on two cores); without `data=mnist` the digits
demonstration (seconds).
Expected: gamma and beta end far from 1 and 0, so that what leaves the layer has neither mean 0 nor deviation 1; the
sigmoid net loses accuracy without offsets, the ReLU net loses nothing without scales.

The sentence is wrong as written: the normalisation comes before gamma and beta and is as accurate with any values of
theirs, and what they do is to undo it where that helps the net (Ioffe and Szegedy 2015, section 3). Nothing ensures
that they are optimal. In a ReLU net no one gamma can be: a positive factor on a unit's gamma and beta passes through
the ReLU, and the next layer's weights take it back. Tested is what can be: that gamma and beta do not keep what the
layer emits normalised, which decides; and beside it, what the net gains by them.

Fixed before the runs: 10 seeds, 3,000 of his 10,001 iterations, the decay of the rate shortened alike (300 for 1,000).
Distances: mean over units and layers of |gamma - 1| and of |beta|, last fifth of a run, below 0.1 if the sentence is
right, a tenth of a normalised value's standard deviation. In ReLU nets beta starts at 0.1, so that only gamma tells.
Accuracy: mean of the last fifth, margin 0.1 percentage points (ten test images); pairs per seed. One run of 300 steps
was timed, its outcome not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnlab.claims import Claim, Part, Published
from bnlab.comparisons import Cell, mean_of
from bnlab.measures import Effects, gap, layer_metrics, level, mean_of_layers, metric, need, over_window
from bnlab.plots.curves import diverged_at, draw_curve, step_axis
from bnlab.plots.drawing import Drawing, finish, seeds_words
from bnlab.plots.looks import look
from bnlab.plots.panels import Line, accuracy_lines
from bnlab.plots.published import handles, mark
from bnlab.plots.style import PAGE, legend, new_figure, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from bnlab.store import Runs

ACCURACY, CHANCE = "curves/test_accuracy", 0.1
GAMMA, BETA = "affine/gamma_change", "affine/beta"
SEEDS = {"digits-smoke": 2, "digits-laptop": 3, "mnist-laptop": 10}
LEARNT = {"both": (True, True), "no_offset": (False, True), "no_scale": (True, False), "neither": (False, False)}
NAMES = {"sigmoid": "sigmoid", "relu": "ReLU"}
NEAR, MARGIN = 0.1, 0.001
CODE = "tensorflow-mnist-tutorial, comments of scripts 4.0 and 4.1 (printed, one run each of 10,001 iterations)"
PRINTED = {
    "sigmoid": {"both": 0.98, "no_offset": 0.973, "no_scale": 0.981, "neither": 0.96},
    "relu": {"both": 0.985, "no_scale": 0.985, "neither": 0.985},
}


def cell(activation: str, learnt: str) -> Cell:
    """The runs of one net with scale and offset, one of them, or neither."""
    center, scale = LEARNT[learnt]
    keys = {"model.activation": activation, "norm.center": center, "norm.scale": scale}
    return Cell(learnt, keys, SEEDS)


CELLS = {activation: {learnt: cell(activation, learnt) for learnt in told} for activation, told in PRINTED.items()}


def mean_distance(name: str):
    """Mean over layers of a distance, over the last fifth of the run, per seed."""

    def measured(runs: Runs, one: Cell) -> Effects:
        chosen = one.of(runs)
        return mean_of([over_window(chosen, of_layer) for of_layer in layer_metrics(chosen, name)])

    return measured


def _kept(activation: str, name: str, words: str) -> Part:
    measure = level(CELLS[activation]["both"], mean_distance(name), lambda v: NEAR - v, f"mean {words}")
    return Part(f"{NAMES[activation]}: {words} stays near 0", f"{name}/*", f"mean {words} < {NEAR:g}",
                f"to spare ({NEAR:g} - mean {words})", 0.0, measure, arms=("both",))  # fmt: skip


def _gain(activation: str, without: str) -> Part:
    told = PRINTED[activation]
    gained = round(told["both"] - told[without], 3)
    text = f"{100 * told['both']:g} % with both, {100 * told[without]:g} % with {look(without).label}"
    measure = gap(CELLS[activation]["both"], CELLS[activation][without], metric(ACCURACY, chance=CHANCE))
    label = f"{NAMES[activation]}: both better than {look(without).label}"
    return Part(label, ACCURACY, f"both - {without} > 0", "accuracy", MARGIN, measure, beside=True,
                published=Published(gained, text, CODE))  # fmt: skip


KEPT = (
    _kept("sigmoid", GAMMA, "|gamma - 1|"),
    _kept("sigmoid", BETA, "|beta|"),
    _kept("relu", GAMMA, "|gamma - 1|"),
)
GAINS = tuple(_gain(activation, learnt) for activation, told in PRINTED.items() for learnt in told if learnt != "both")

CLAIMS = (
    Claim(
        id="S3-14",
        says="These two are learnable parameters, during the training neural network ensures the optimal values of γ "
        "and β are used. That will enable the accurate normalization of each batch.",
        kind="X",
        source="article S3, Rescaling of Offsetting",
        tests="Whether what leaves the layer is normalised after training: gamma near 1, beta near 0. Correct is: the "
        "normalisation is as accurate with any gamma and beta; they undo it where that helps the net, and nothing "
        "ensures an optimum. Beside it what they gain: test accuracy with both minus without, positive where they "
        "help.",
        parts=(*KEPT, *GAINS),
        published=Published(None, "sigmoid 98 % with both, 96 % with neither; ReLU no difference", CODE),
        figure="scale_and_offset",
    ),
)


@styled
def scale_and_offset(runs: Runs) -> Drawing:
    """Distance of gamma from 1 and of beta from 0 over training, and test accuracy; a row for each activation."""
    counts = {f"{NAMES[a]} {look(c).label}": one.of(runs).n for a, cells in CELLS.items() for c, one in cells.items()}
    need(any(counts.values()), runs, "a net with batch normalisation")
    figure = new_figure(PAGE, 4.2)
    numbers = []
    for axes, activation in zip(figure.subplots(2, 3), CELLS):
        numbers += [drawn.assign(activation=activation) for drawn in _draw_row(axes, runs, activation)]
        axes[0].set_ylabel(NAMES[activation])
    legend(figure, handles(list(LEARNT)))
    words = f"Mean and 95 % t band; {seeds_words(counts, next(iter(CELLS['relu'].values())).planned(runs, 0))}. Left: "
    words += "mean over units and layers; dashed: the threshold of the claim."
    words += " Hollow: the accuracies that Görner printed, after 10,001 iterations." if runs.data == "mnist" else ""
    return finish(figure, numbers, runs, words)


def _draw_row(axes, runs: Runs, activation: str) -> list[pd.DataFrame]:
    arms = {learnt: one.of(runs) for learnt, one in CELLS[activation].items()}
    gamma, beta, accuracy = axes
    numbers = [_distances(gamma, arms, GAMMA), _distances(beta, arms, BETA)]
    for ax, words in ((gamma, "|gamma - 1|"), (beta, "|beta|")):
        if any(part.label.startswith(f"{NAMES[activation]}: {words}") for part in KEPT):
            ax.axhline(NEAR, color="black", linewidth=0.5, linestyle=(0, (2, 2)))
    gamma.set_title(r"mean $|\gamma - 1|$")
    beta.set_title(r"mean $|\beta|$")
    numbers.append(accuracy_lines(accuracy, [Line(arm, name, ACCURACY) for name, arm in arms.items()], CHANCE))
    accuracy.set_title("test accuracy (%)")
    learnt = numbers[-1].loc[numbers[-1]["step"] >= numbers[-1]["step"].max() / 5, "mean"]
    printed = PRINTED[activation] if runs.data == "mnist" else {}  # with other images his numbers are no measure
    told = {name: (numbers[-1]["step"].max(), 100 * value) for name, value in printed.items()}
    shown = [*learnt, *(value for _, value in told.values())] or [0.0, 100.0]
    accuracy.set_ylim(min(shown) - 1, min(100.5, max(shown) + 0.5))
    numbers.append(mark(accuracy, told).rename(columns={"value": "mean", "kind": "metric"}))
    return numbers


def _distances(ax: Axes, arms: dict[str, Runs], name: str) -> pd.DataFrame:
    import pandas as pd

    drawn = []
    for learnt, arm in arms.items():
        if layer_metrics(arm, name):
            numbers = draw_curve(ax, mean_of_layers(arm, name), look(learnt), diverged_at(arm))
            drawn.append(numbers.assign(variant=learnt, metric=name))
    step_axis(ax, float(max((arm.table["steps"].max() for arm in arms.values() if arm.n), default=1)))
    ax.set_ylim(bottom=0)
    return pd.concat(drawn, ignore_index=True) if drawn else pd.DataFrame()


FIGURES = {"scale_and_offset": scale_and_offset}
