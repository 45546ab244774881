"""Which learning rates does a net bear with batch normalisation, and what becomes of its gradients and weights?

Source: articles S1 and S2 on exploding gradients, weights and learning rates; Yang et al. 2019 on gradients before
training. Each of 10 seeds draws 100 random nets in float64 for the exact facts; builds nets of 30 layers of 400 units
and takes their gradients before any training, for batches of 8 to 512; and trains a 784-100-100-100-10 ReLU net (He's
weights, batch 100, plain stochastic gradient descent) for 200 steps on MNIST at each of 17 learning rates from 0.01 to
100, with and without batch normalisation, on pixels from 0 to 1 and, as "large inputs", from 0 to 255.

A rate works where the training accuracy over the last quarter of the steps is above 0.8; a divergence counts as chance.
Where no rate of the grid works, the next below it counts as the largest, which understates differences.

Command: `bnlab reproduce learning_rates` (7 minutes on 2 cores that do other work too).

Expected: batch normalisation bears rates about ten times as large, whatever the scale of the inputs, and trains faster;
before training its gradients grow from layer to layer by 1.47 and more, where those of the plain net do not; the
weights in front of it are bounded by nothing and grow with every step.

Metrics, margins, directions and seeds were fixed before the runs that decide them, after a look at a seed that is not
among them.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bnlab.claims import Claim, Measured, Part, Published
from bnlab.comparisons import geometric_note, paired_log_ratio
from bnlab.exact import ROUNDING, AllOf, Counterexample, Exceeds, Identity
from bnlab.measures import START, Effects, lost_seeds, mean_notes, need, over_window, planned_seeds
from bnlab.plots.curves import draw_curve, powers_axis
from bnlab.plots.drawing import Drawing, finish, seeds_words
from bnlab.plots.published import entry
from bnlab.plots.statements import effects_figure, errors_figure
from bnlab.plots.style import COLUMN, PUBLISHED, TEXT, Look, legend, look, new_figure, styled
from bnlab.stats import paired_difference

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from bnlab.store import Runs

# Seeds of each setting, as configs/experiment/learning_rates.yaml plans them.
SEEDS = {"digits-smoke": 2, "mnist-laptop": 10}
BATCHES = (8, 32, 128, 512)
THEORY = math.pi / (math.pi - 1)  # Yang et al. 2019, for large batches
# Margins of log10 of a ratio: factors of 2 for rates, 1.26 for steps, 1.1 per layer, 1.05 for norms of weights, and 10
# where inputs are 255 times as large.
RATE, FASTER, LAYER, NORM, TENFOLD = 0.3, 0.1, 0.04, 0.02, 1.0


def recorded(runs: Runs, quantity: str) -> Effects:
    """What a seed came to: a number per seed, recorded at row 0."""
    return over_window(runs, f"rates/{quantity}", START)


def log_ratio(runs: Runs, above: str, below: str) -> Measured:
    """log10 of one quantity over another, per seed."""
    first, second = recorded(runs, above), recorded(runs, below)
    note = geometric_note({above: first, below: second})
    return paired_log_ratio(first, second, planned_seeds(runs, SEEDS, len(first)), note)


def difference(runs: Runs, more: str, less: str) -> Measured:
    first, second = recorded(runs, more), recorded(runs, less)
    note, planned = mean_notes((more, first), (less, second)), planned_seeds(runs, SEEDS, len(first))
    return Measured(paired_difference(first, second), planned, note, lost_seeds(first, second))


def _ratio(
    label: str, above: str, below: str, margin: float, beside: bool = False, published: Published | None = None
) -> Part:
    return Part(
        label=label,
        metric=f"log10 of rates/{above} over rates/{below}, per seed",
        direction=f"{above} larger",
        unit="log10 of the ratio",
        margin=margin,
        measure=partial(log_ratio, above=above, below=below),
        window="whole run",
        beside=beside,
        published=published,
    )


def _fact(label: str, name: str, beside: bool = False) -> Identity:
    return Identity(label, f"rates/{name}", ROUNDING, beside)


LARGEST = _ratio("largest rate that works: BN over plain", "largest_rate/bn", "largest_rate/plain", RATE)
LARGEST_WIDE = _ratio(
    "largest rate that works on pixels to 255: BN over plain", "largest_rate/bn_wide", "largest_rate/plain_wide", RATE
)
FASTEST = _ratio(
    "steps to a training accuracy of 0.9, each at its best rate: plain over BN",
    "fewest_steps/plain", "fewest_steps/bn", FASTER,
)  # fmt: skip
FASTER_AT_ONE_RATE = _ratio(
    "steps to a training accuracy of 0.9, both at the best rate of plain: plain over BN",
    "steps_at_plains_rate/plain", "steps_at_plains_rate/bn", FASTER,
)  # fmt: skip
STABLE = Part(
    "range of rates that work: BN less plain",
    "rates/working_decades/bn less rates/working_decades/plain, per seed",
    "bn larger", "decades", RATE,
    partial(difference, more="working_decades/bn", less="working_decades/plain"), "whole run",
)  # fmt: skip
YANG = Published(
    -math.log10(THEORY),
    "pi/(pi - 1) = 1.467 per layer with BN for large batches",
    "Yang et al. 2019 (arXiv 1902.08129), of infinitely wide nets; 1 without BN is He et al. 2015's condition",
)
GROWTHS = tuple(
    _ratio(
        f"before training, batches of {m}: growth of the squared gradient per layer, plain over BN",
        f"growth/plain/{m}", f"growth/bn/{m}", LAYER, published=YANG if m == max(BATCHES) else None,
    )
    for m in BATCHES
)  # fmt: skip
WEIGHTS = (
    _ratio("trained: growth of the norm of hidden weights, each at its best rate, plain over BN",
           "weight_growth/plain", "weight_growth/bn", NORM, beside=True),
    _ratio("trained: growth of the norm of hidden weights, both at the best rate of plain, plain over BN",
           "weight_growth_at_plains_rate/plain", "weight_growth_at_plains_rate/bn", NORM, beside=True),
    _ratio("trained: largest over smallest norm of a unit's weights, both at the best rate of plain, plain over BN",
           "weight_spread_at_plains_rate/plain", "weight_spread_at_plains_rate/bn", NORM, beside=True),
)  # fmt: skip
WIDE_RATE = _ratio(
    "largest rate that works without BN: pixels to 1 over pixels to 255",
    "largest_rate/plain", "largest_rate/plain_wide", RATE,
)  # fmt: skip
WIDE_GRADIENT = _ratio(
    "first layer's gradient at the start without BN: pixels to 255 over pixels to 1",
    "first_gradient/plain_wide", "first_gradient/plain", TENFOLD,
)  # fmt: skip
WIDE_GRADIENT_BN = _ratio(
    "first layer's gradient at the start with BN: pixels to 255 over pixels to 1",
    "first_gradient/bn_wide",
    "first_gradient/bn",
    TENFOLD,
    beside=True,
)

UNMOVED = _fact("inputs times c, BN in the first layer: the output is the same", "bn_output_unmoved")
UNMOVED_GRADIENT = _fact("inputs times c, BN in the first layer: its gradient is the same", "bn_gradient_unmoved")
HOMOGENEOUS = _fact("no BN, no biases: every pre-activation is c times as large", "preactivations_scale")


def _claim(id: str, kind: str, source: str, says: str, tests: str, *statements, figure: str) -> Claim:
    parts = tuple(s for s in statements if isinstance(s, Part))
    return Claim(id, says, kind, source, tests, parts, figure=figure, test=AllOf(statements))


S1 = "article S1, section Batch Normalization"
S2_SCALING, S2_BN = "article S2, section 2", "article S2, section 3"

CLAIMS: tuple[Claim, ...] = (
    _claim(
        "S1-04", "X", S1,
        "Batch normalization makes it so that the weights within the network don't become imbalanced with extremely "
        "high or low values.",
        "Weights in front of batch normalisation, under gradient descent without weight decay: no size of theirs "
        "changes the output, and every step makes them larger. Beside it: trained nets.",
        Counterexample("20 steps: the norm of the weights has grown by", "rates/norms_after_descent", 1e-6,
                       "relative difference"),
        _fact("weights times 1e6, 1e-6, 1e3: the output is the same", "extreme_weights_unnoticed", beside=True),
        _fact("a step at rate r: ||w||^2 grows by r^2 ||g||^2", "step_grows_norms", beside=True),
        *WEIGHTS,
        figure="effects",
    ),
    _claim(
        "S1-05", "S", S1,
        "With Batch normalization we avoid Exploding gradient problem",
        "The article names no condition. Large inputs; large learning rates, where a plain net diverges; and deep nets "
        "before training, where gradients of a plain net keep their size.",
        UNMOVED, UNMOVED_GRADIENT, LARGEST, LARGEST_WIDE, *GROWTHS,
        figure="depth",
    ),
    _claim(
        "S1-06", "E", S1,
        "Exploding gradient problem (very large updates to neural network model weights during training which leads to "
        "unstable neural network) which may be caused by large input values in layers.",
        "ReLU nets without biases on inputs x and c x, c from 10 to 1,000.",
        _fact("no BN: first layer's gradient is c times the signal from above, times x", "first_gradient_of_signal"),
        _fact("it is c times as large, for a given gradient at the output", "first_gradient_scales"),
        Exceeds("for the squared error, it is larger by a factor of", "rates/squared_error_gradient", 10, "times"),
        Identity(UNMOVED_GRADIENT.label, UNMOVED_GRADIENT.metric, beside=True),
        figure="errors",
    ),
    _claim(
        "S1-07", "S", S1,
        "General purpose of Batch normalization is to speed up training and make neural network more stable.",
        "MLP on MNIST. Faster: fewer steps to a training accuracy of 0.9. More stable: it trains in a wider range of "
        "learning rates.",
        FASTEST, FASTER_AT_ONE_RATE, STABLE,
        figure="rates",
    ),
    _claim(
        "S2-06", "S", S2_SCALING,
        "The relatively large inputs can cascade down to the layers, causing problems such as exploding gradients.",
        "Exact: inputs c x, every layer. MLP on MNIST with pixels to 255 against pixels to 1: first gradient, and "
        "largest rate that works.",
        HOMOGENEOUS, WIDE_GRADIENT, WIDE_RATE, WIDE_GRADIENT_BN,
        figure="rates",
    ),
    _claim(
        "S2-09", "S", S2_BN,
        "Batch Norm is a normalization technique done between the layers of a Neural Network instead of in the raw "
        "data. It is done along mini-batches instead of the full data set. It serves to speed up training and use "
        "higher learning rates, making learning easier.",
        "MLP on MNIST: the largest rate that works, and steps to a training accuracy of 0.9. (Where it stands and what "
        "it averages over is the definition.)",
        LARGEST, FASTEST,
        figure="rates",
    ),
)  # fmt: skip

LOOKS = {
    "plain": look("plain"),
    "bn": look("bn"),
    "plain_wide": Look("plain, pixels to 255", "#d9a520", (0, (1.2, 1.2)), "D"),
    "bn_wide": Look("BN, pixels to 255", "#3aa888", (0, (5, 1.2, 1.2, 1.2)), "^"),
}
DEPTHS = {
    8: Look("BN, batches of 8", "#3aa888", (0, (1.2, 1.2)), "^"),
    32: Look("32", "#4f93c4", (0, (5, 1.2, 1.2, 1.2)), "D"),
    128: Look("128", "#2b6ba8", (0, (3, 1)), "v"),
    512: Look("512", "#10457e", "-", "o"),
}
PLAIN = Look("plain, batches of 512", "#c24e00", (0, (4.5, 1.5)), "s")


@styled
def draw_rates(runs: Runs) -> Drawing:
    """Training accuracy at the end against the learning rate: mean over seeds and its interval, per arm."""
    need(runs.n > 0, runs, "learning_rates")
    figure = new_figure(COLUMN, 2.7)
    ax = figure.subplots()
    rates = runs.series("rates/rate").mean(axis=1)
    numbers = [
        draw_curve(ax, runs.series(f"rates/late_accuracy/{arm}").set_axis(rates), own).assign(arm=arm)
        for arm, own in LOOKS.items()
    ]
    ax.axhline(0.8, color="black", linewidth=0.6, zorder=1.2)
    ax.set(xscale="log", ylim=(0, 1), xlabel="learning rate", ylabel="training accuracy at the end")
    legend(figure, [entry(own) for own in LOOKS.values()], 2)
    words = (
        f"{seeds_words({'seeds': runs.n}, runs.planned)}, mean and 95 % t interval. Training accuracy over the last "
    )
    words += "quarter of the steps, two per case; a divergence counts as chance. Above the black line a rate works."
    return finish(figure, [n.rename(columns={"step": "rate"}) for n in numbers], runs, words)


@styled
def draw_depth(runs: Runs) -> Drawing:
    """Squared gradient norm per layer before training, and its growth per layer against the size of the batch."""
    need(runs.n > 0, runs, "learning_rates")
    figure = new_figure(TEXT, 2.7)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    numbers = [_layers(left, runs, f"bn/{m}", own) for m, own in DEPTHS.items()]
    numbers.append(_layers(left, runs, f"plain/{max(BATCHES)}", PLAIN))
    layers = numbers[0]["step"].to_numpy()
    left.plot(layers, (layers.max() - layers) * np.log10(THEORY), color=PUBLISHED.colour, linewidth=0.6)
    left.set(xlabel="layer", ylabel="squared gradient / that of the last layer")
    powers_axis(left)
    numbers += [_factors(right, runs, arm) for arm in ("bn", "plain")]
    right.axhline(THEORY, color=PUBLISHED.colour, linewidth=0.6)
    right.set(xscale="log", xlabel="size of the batch", ylabel="growth per layer", ylim=(0.9, 1.9))
    right.set_xticks(BATCHES, [str(m) for m in BATCHES])
    right.minorticks_off()
    for arm, height in (("bn", 1.6), ("plain", 1.06)):
        right.text(60, height, look(arm).label, color=look(arm).colour, fontsize=7)
    legend(figure, [entry(own) for own in (*DEPTHS.values(), PLAIN)], 5)
    words = f"{seeds_words({'seeds': runs.n}, runs.planned)}, mean (left: of log10) and 95 % t interval. ReLU nets of "
    words += "30 layers of 400 units, He's weights, before training. Black: \u03c0/(\u03c0 - 1) = 1.467 per layer, "
    return finish(figure, numbers, runs, words + "Yang et al. 2019, for large batches and wide nets.")


def _layers(ax: Axes, runs: Runs, name: str, own: Look) -> pd.DataFrame:
    series = runs.series(f"rates/gradient/{name}")
    return draw_curve(ax, np.log10(series), own).assign(metric=f"log10 gradient/{name}")


def _factors(ax: Axes, runs: Runs, arm: str) -> pd.DataFrame:
    """Growth per layer against m; the seeds are the columns."""
    import pandas as pd

    found = pd.DataFrame({m: recorded(runs, f"growth/{arm}/{m}") for m in BATCHES}).T
    return draw_curve(ax, found, look(arm)).assign(metric=f"growth/{arm}")


@styled
def draw_ratios(runs: Runs) -> Drawing:
    """Every statement that seeds decide, with its interval."""
    words = "blue for the sentence and orange against it; margins are in the claims. Hollow: published."
    return effects_figure(runs, CLAIMS, "log10 of the ratio, or decades", words)


@styled
def draw_exact(runs: Runs) -> Drawing:
    """Errors of the identities, and how far everything else lies from its limit, over all cases."""
    need(runs.n > 0, runs, "learning_rates")
    every = [s for claim in CLAIMS for s in claim.test.statements if not isinstance(s, Part)]
    figure, (ax,), numbers = errors_figure(runs, CLAIMS, [list({s.metric: s for s in every}.values())])
    ax.set_xlabel("relative error; growth; factor")
    words = "Dots: median over cases; lines: least to largest. Grey: the tolerance or margin. "
    return finish(figure, numbers, runs, words + "Numbers below 1e-17 are drawn there.")


FIGURES = {"rates": draw_rates, "depth": draw_depth, "effects": draw_ratios, "errors": draw_exact}
