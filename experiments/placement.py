"""Is the result better with batch normalisation before the activation than behind it?

Source: article S1, Mathematical Implementation. Ioffe and Szegedy 2015, section 3.2, put it before the activation
because the weighted sum is nearer to a symmetric, Gaussian distribution; published measurements disagree (below).
Command: `bnlab reproduce placement data=mnist` (about 2 minutes on two cores).
Expected: before is better with sigmoids, whose inputs saturate when the normalisation stands behind them; no difference
of note with ReLU, whatever its sign.

Pairs per seed: both nets have the same initial weights and batches; the net normalised behind its activation keeps its
biases, which the other has no use for. A first plan of 2,000 steps was stopped for its cost, its runs deleted unread.
All of this was then fixed before the runs of 1,000 steps that decide it: 5 seeds (3 at the fast rate); test
accuracy, mean of the last fifth of a run, before minus after; supported above +0.1 percentage points (ten test images),
refuted below -0.1 or within, because "better" says that they differ. One part per activation at the slow rate decides:
the verdict is mixed where they disagree. The fast rate, and the steps to a training accuracy of 95 %, are shown beside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bnlab.claims import Claim, Measured, Part, Published, judge_part
from bnlab.comparisons import Cell, steps_saved, steps_to_reach
from bnlab.measures import gap, metric, need
from bnlab.plots.drawing import Drawing, finish, seeds_words
from bnlab.plots.effects import draw_effects
from bnlab.plots.panels import Line, accuracy_lines, look_closer
from bnlab.plots.published import handles
from bnlab.plots.rows import claim_ids
from bnlab.plots.style import PAGE, legend, new_figure, styled

if TYPE_CHECKING:
    import pandas as pd

    from bnlab.store import Runs

ACCURACY, TRAINING = "curves/test_accuracy", "curves/train_accuracy"
CHANCE = 0.1
SLOW, FAST = 0.003, 0.03
POSITIONS = ("before", "after")
ACTIVATIONS = {"relu": "ReLU", "sigmoid": "sigmoid", "tanh": "tanh"}
# Seeds at each rate as the YAML plans them.
SEEDS = {SLOW: {"digits-smoke": 2, "mnist-laptop": 5}, FAST: {"digits-smoke": 2, "mnist-laptop": 3}}
ENOUGH = 0.95  # training accuracy, running median over five mini-batches, each 5 steps after the last
MARGIN = 0.001  # a tenth of a percentage point: ten test images, as in activation_histograms
MARGIN_STEPS = 5.0  # the distance of two records

HUAN = "Huan-Y-ShiH, Batch-Normalization-Gradient, results.json: CNN on 10,000 images of CIFAR-10, 5 seeds"
DUCHA = "ducha-aiki/caffenet-benchmark, batchnorm.md: CaffeNet, ImageNet at 128 pixels, one run each"


def cell(position: str, activation: str, rate: float = SLOW) -> Cell:
    """The runs of one net at one rate."""
    keys = {"norm.position": position, "model.activation": activation, "lr": rate}
    return Cell(position, keys, SEEDS[rate])


def _better(activation: str, rate: float) -> Part:
    measure = gap(*(cell(p, activation, rate) for p in POSITIONS), metric(ACCURACY, chance=CHANCE))
    label = ACTIVATIONS[activation] + ("" if rate == SLOW else f", lr {rate:g}")
    return Part(label, ACCURACY, "before - after > 0", "accuracy", MARGIN, measure, beside=rate != SLOW)


def _saved(activation: str) -> Callable[[Runs], Measured]:
    def measured(runs: Runs) -> Measured:
        before, after = (cell(position, activation) for position in POSITIONS)
        arms = [(arm.name, arm.of(runs)) for arm in (before, after)]
        planned = before.planned(runs, arms[0][1].n)
        return steps_saved(*arms, planned, lambda arm: steps_to_reach(arm, TRAINING, ENOUGH))

    return measured


def _sooner(activation: str) -> Part:
    told = Published(None, "after needs 12.6 epochs, before 21.0", HUAN) if activation == "relu" else None
    label = f"{ACTIVATIONS[activation]}, steps saved"
    direction = "steps of after - steps of before > 0"
    return Part(label, TRAINING, direction, "steps", MARGIN_STEPS, _saved(activation), "whole run", beside=True,
                published=told)  # fmt: skip


BETTER = tuple(_better(activation, SLOW) for activation in ACTIVATIONS)
FASTER_RATE = tuple(_better(activation, FAST) for activation in ACTIVATIONS)
SOONER = tuple(_sooner(activation) for activation in ACTIVATIONS)

CLAIMS = (
    Claim(
        id="S1-11",
        says="We could normalize values before or after activation function but often better result is when we "
        "normalize values before activation function.",
        kind="S",
        source="article S1, Mathematical Implementation; Ioffe and Szegedy 2015, section 3.2",
        tests="Test accuracy, mean of the last fifth of a run, before minus after, for each activation at lr 0.003; "
        "beside it the same at lr 0.03, and the steps to 95 % training accuracy that before saves.",
        parts=(*BETTER, *FASTER_RATE, *SOONER),
        published=Published(None, "ReLU: 66.1 before, 65.1 % after (5 seeds); 47.8 before, 49.3 % after (one run)",
                            f"{HUAN}; {DUCHA}, with scale and bias"),
        figure="placement",
    ),
)  # fmt: skip


@styled
def placement(runs: Runs) -> Drawing:
    """Test accuracy over training for each activation; below it the differences that the claim rests on."""
    arms = {(p, a, rate): cell(p, a, rate).of(runs) for p in POSITIONS for a in ACTIVATIONS for rate in (SLOW, FAST)}
    need(any(arm.n for arm in arms.values()), runs, "a net with batch normalisation before or behind its activation")
    figure = new_figure(PAGE, 4.3)
    above, below = figure.subfigures(2, 1)
    numbers = []
    axes = above.subplots(1, 3, sharey=True)
    for ax, (activation, name) in zip(axes, ACTIVATIONS.items()):
        lines = [Line(arms[position, activation, SLOW], position, ACCURACY) for position in POSITIONS]
        numbers.append(accuracy_lines(ax, lines, CHANCE).assign(panel=name))
        ax.set_title(f"{name}, lr {SLOW:g}")
    axes[0].set_ylabel("test accuracy (%)")
    look_closer(axes[0], numbers)
    accuracy, steps = below.subplots(1, 2)
    numbers.append(_draw_parts(accuracy, runs, (*BETTER, *FASTER_RATE), 100))
    accuracy.set(title="test accuracy, last fifth: before minus after", xlabel="percentage points")
    numbers.append(_draw_parts(steps, runs, SOONER))
    steps.set(title=f"steps to {100 * ENOUGH:g} % training accuracy: after minus before", xlabel="steps")
    legend(figure, handles(POSITIONS))
    words = f"Lines: means with 95 % t bands; {_seeds(runs, SLOW)} at lr {SLOW:g}, {_seeds(runs, FAST)} at {FAST:g}. "
    words += (
        "Below: differences paired by seed with 95 % t intervals, positive where before is better; blue: supported, "
    )
    words += "orange: refuted, hollow: undecided; grey: the margin. lr 0.003 where no other is named; it decides."
    return finish(figure, numbers, runs, words)


def _seeds(runs: Runs, rate: float) -> str:
    cells = {f"{p} {ACTIVATIONS[a]}": cell(p, a, rate) for p in POSITIONS for a in ACTIVATIONS}
    counts = {name: one.of(runs).n for name, one in cells.items()}
    return seeds_words(counts, cell(POSITIONS[0], "relu", rate).planned(runs, 0))


def _draw_parts(ax, runs: Runs, parts: tuple[Part, ...], scale: float = 1.0) -> pd.DataFrame:
    drawn = draw_effects(ax, [judge_part(part, runs) for part in parts], claim_ids(CLAIMS), scale)
    return drawn.rename(columns={"effect": "mean", "label": "panel"})


FIGURES = {"placement": placement}
