"""What batch normalisation does to the distribution of activations, in Goerner's nets (article S0).

Question: are the activations behind batch normalisation a lasting, evenly spread bell, and does accuracy gain by it?
Source: M. Goerner's talk and tensorflow-mnist-tutorial, scripts 2.0, 2.1, 4.0, 4.1 and 4.2.
Command: `bnlab reproduce activation_histograms data=mnist` (an hour on two cores); without `data=mnist` the digits
demonstration (about a minute). Minutes per setting stand in the YAML of the same name.
Expected: a bell at the start that does not last behind sigmoids, saturated sigmoids without batch normalisation, maxima
near 2.5 that move with the batch size as extreme values do, and higher accuracy with batch normalisation.

Metric, direction, margin and window of every claim are the fields of its parts below. Thresholds on one arm lie
half-way between what the sentence says and its opposite, unless the part says why not; a threshold is already taken
off the effect, so that its margin is 0. Late is the last fifth of a run, start is before the first update.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from bnlab.claims import Claim, Measured, Part, Published, Verdict, judge_part
from bnlab.comparisons import distance_beside
from bnlab.measures import (
    LATE,
    START,
    Arm,
    Effects,
    gap,
    kurtosis,
    level,
    lost_seeds,
    mean_note,
    metric,
    need,
    over_window,
    planned_seeds,
    planned_steps,
    size,
)  # fmt: skip
from bnlab.plots.bands import boundaries_of, draw_bands
from bnlab.plots.binned import common_limits
from bnlab.plots.curves import diverged_at, draw_curve, fill_diverged, step_axis
from bnlab.plots.drawing import Drawing, seeds_words, setting_words, small_print
from bnlab.plots.effects import draw_effects
from bnlab.plots.maxima import COLUMNS as MAXIMA_COLUMNS
from bnlab.plots.maxima import draw_maxima, draw_prediction
from bnlab.plots.panels import share_range
from bnlab.plots.published import handles, mark
from bnlab.plots.ridges import draw_ridges, no_narrower, spread_steps
from bnlab.plots.rows import claim_ids
from bnlab.plots.style import PAGE, TEXT, Look, legend, look, new_figure, say_empty, styled
from bnlab.stats import normal_cdf, sigmoid_quantiles, slope, standardised_max
from bnlab.store import Runs

S0 = "S0 (talk of M. Goerner, re-told)"
CODE = "tensorflow-mnist-tutorial, comments of the scripts (printed)"
SLOW, FAST = 0.003, 0.03  # his rates without and with batch normalisation; both arms run at both
RATES = {"slow": SLOW, "fast": FAST}
OFFSET = 0.1  # initial offset of the ReLU nets behind batch normalisation, which has no scale there
READING = 0.5  # how exactly a number is read off a chart whose units are 1 apart

# Seeds as the YAML plans them: never added to after looking.
DENSE_SEEDS = {"digits-smoke": 2, "digits-laptop": 3, "mnist-laptop": 10, "mnist-paper": 10}
SWEEP_SEEDS = {"digits-smoke": 2, "digits-laptop": 3, "mnist-laptop": 5, "mnist-paper": 10}
CONV_SEEDS = {"digits-smoke": 2, "digits-laptop": 3, "mnist-laptop": 3, "mnist-paper": 5}
# And the steps of a run, which tell the runs of an arm from those of the sweep over batch sizes.
DENSE_STEPS = {"digits-smoke": 30, "digits-laptop": 800, "mnist-laptop": 10001, "mnist-paper": 10001}
SWEEP_STEPS = {"digits-smoke": 10, "digits-laptop": 200, "mnist-laptop": 2001, "mnist-paper": 10001}
CONV_STEPS = {"digits-smoke": 10, "digits-laptop": 300, "mnist-laptop": 4000, "mnist-paper": 10001}


def _dense(activation: str) -> dict[tuple[str, str], Arm]:
    """The arms of a dense net by variant and rate."""
    rates = itertools.product(("plain", "bn"), RATES.items())
    return {(v, r): Arm("mlp", activation, v, lr, 100, DENSE_SEEDS, DENSE_STEPS) for v, (r, lr) in rates}


SIGMOID, RELU = _dense("sigmoid"), _dense("relu")
CONV = {v: Arm("convnet", "relu", v, 0.02, 100, CONV_SEEDS, CONV_STEPS) for v in ("plain", "bn")}
BELL = SIGMOID["bn", "fast"]  # the net the talk shows behind sigmoids (script 4.0)
PEAK = RELU["bn", "fast"]  # and behind ReLUs (script 4.1)
SWEEP = {"model.name": "mlp", "model.activation": "relu", "variant": "bn", "lr": FAST}

OUTPUTS, INPUTS, PEAKS = (f"activations/hist_{q}/pooled" for q in ("output", "input", "max"))
OFF_CENTRE, LINEAR = "activations/input_mean_abs/pooled", "activations/input_linear/pooled"
SATURATED, ZERO, DEAD = (f"activations/{q}/pooled" for q in ("saturated", "zero", "dead"))
SKEW, CENTRE, LOWEST = (f"activations/{q}/pooled" for q in ("max_skew", "max_mean", "m1"))
BANDS = "activations/b1..b6/pooled"
ACCURACY = "curves/test_accuracy"


def unevenness(runs: Runs, arm: Arm) -> Effects:
    """Mean distance of the six inner septile boundaries of the outputs from k/7; 0 if spread evenly over [0, 1]."""
    chosen = arm.of(runs)
    inner = [over_window(chosen, f"activations/b{k}/pooled") for k in range(1, 7)]
    return {s: sum(abs(b[s] - k / 7) for k, b in enumerate(inner, 1)) / 6 for s in inner[0]}


def batch_sizes(runs: Runs) -> dict[int, Runs]:
    """The runs of the sweep over batch sizes (ReLU, batch normalisation, fast rate), by batch size."""
    nets = runs.select(**SWEEP)
    other = nets.table[nets.table["batch_size"] != 100]
    if other.empty:
        return {}
    swept = nets.select(steps=planned_steps(dataclasses.replace(nets, table=other), SWEEP_STEPS))
    return {int(m): swept.select(batch_size=int(m)) for m in sorted(swept.table["batch_size"].unique())}


def slope_of_maxima(window: tuple[float, float], effect: Callable[[float], float]) -> Callable[[Runs], Measured]:
    """Per seed, the slope of the centre of the maxima against the exact expected maximum, over batch sizes."""

    def measured(runs: Runs) -> Measured:
        centres = {m: over_window(of_m, CENTRE, window) for m, of_m in batch_sizes(runs).items()}
        seeds = sorted({seed for found in centres.values() for seed in found})
        expected = [standardised_max(m) for m in centres]
        slopes = {s: slope(expected, [found.get(s, math.nan) for found in centres.values()]) for s in seeds}
        lost = lost_seeds(*centres.values())
        note = mean_note("slope", slopes.values())
        planned = planned_seeds(runs, SWEEP_SEEDS, len(seeds))
        return Measured({s: effect(v) for s, v in slopes.items()}, planned, note, lost)

    return measured


# -0.6 is half-way from the Gaussian (excess kurtosis 0) to the flat distribution (-1.2), which nobody calls a bell.
GAUSSIAN = (
    Part("outputs Gaussian at the start", OUTPUTS, "excess kurtosis > -0.6", "excess kurtosis above -0.6", 0.0,
         level(BELL, kurtosis(OUTPUTS, START), lambda k: k + 0.6, "excess kurtosis"), window="start"),
    Part("outputs Gaussian after training", OUTPUTS, "excess kurtosis > -0.6", "excess kurtosis above -0.6", 0.0,
         level(BELL, kurtosis(OUTPUTS), lambda k: k + 0.6, "excess kurtosis")),
    Part("inputs Gaussian at the start", INPUTS, "|excess kurtosis| < 0.6", "to spare (0.6 - |excess kurtosis|)", 0.0,
         level(BELL, kurtosis(INPUTS, START), lambda k: 0.6 - abs(k), "excess kurtosis"), window="start", beside=True),
)  # fmt: skip

# The unevenness is 0 for boundaries at k/7 and 3/14 with all of them at 1/2: 3/28 is half-way. A quarter of a band's
# width (1/28) on average is the least that a reader of the panel would see.
EVEN = (
    Part("even over the useful range", BANDS, "mean |b_k - k/7| < 3/28", "to spare (3/28 - mean distance from k/7)",
         0.0, level(BELL, unevenness, lambda u: 3 / 28 - u, "mean |b_k - k/7|"), arms=("bn",)),
    *(Part(f"more even than without, {rate} rate", BANDS, "plain - bn > 0", "mean distance from k/7", 1 / 28,
           gap(SIGMOID["plain", rate], SIGMOID["bn", rate], unevenness)) for rate in ("fast", "slow")),
)  # fmt: skip

# The linear part of the sigmoid is |z| < 2: a unit is centred on it when its mean is nearer to 0 than to the edge, and
# the bell lies on it when more than half of the inputs do.
CENTRED = (
    Part("units centred", OFF_CENTRE, "mean over units of |mean| < 1", "to spare (1 - mean |mean of a unit|)", 0.0,
         level(BELL, metric(OFF_CENTRE), lambda v: 1 - v, "mean |mean of a unit|")),
    Part("inputs on the linear part", LINEAR, "share of |z| < 2 is > 0.5", "above a share of 0.5", 0.0,
         level(BELL, metric(LINEAR), lambda v: v - 0.5, "share of inputs in |z| < 2")),
)  # fmt: skip

# A tenth of all outputs: less would be less than one band of the panel, which holds a seventh.
SATURATION = (
    *(Part(f"without saturates more, {rate} rate", SATURATED, "plain - bn > 0", "share outside [0.05, 0.95]", 0.1,
           gap(SIGMOID["plain", rate], SIGMOID["bn", rate], metric(SATURATED))) for rate in ("slow", "fast")),
    Part("without, worse at the fast rate", SATURATED, "fast - slow > 0", "share outside [0.05, 0.95]", 0.1,
         gap(SIGMOID["plain", "fast"], SIGMOID["plain", "slow"], metric(SATURATED))),
)  # fmt: skip

# "A lot": more than one in four, half-way between none and the half of a centred input.
ZEROS = (
    *(Part(f"{words}, {name}", ZERO, "share of zeros > 0.25", "above a share of 0.25", 0.0,
           level(arm, metric(ZERO, window), lambda v: v - 0.25, "share of zeros"), window=name)
      for words, arm, window, name in (("with batch normalisation", PEAK, LATE, "late"),
                                       ("with batch normalisation", PEAK, START, "start"),
                                       ("without, slow rate", RELU["plain", "slow"], LATE, "late"))),
    Part("P(zero) = Phi(-0.1) at the start", ZERO, "|share - 0.460| < 0.02", "to spare (0.02 - |share - 0.460|)", 0.0,
         level(PEAK, metric(ZERO, START), lambda v: 0.02 - abs(v - normal_cdf(-OFFSET)), "share of zeros"),
         window="start", beside=True),
)  # fmt: skip

# Skewness 0 is a symmetric bell, 2 the one-sided exponential: 1 is half-way; half of that is the margin between arms.
MAXIMA = (
    Part("a bell", SKEW, "|skewness| < 1", "to spare (1 - |skewness|)", 0.0,
         level(PEAK, metric(SKEW), lambda v: 1 - abs(v), "skewness of the maxima")),
    Part("in the useful portion", DEAD, "share of neurons with maximum 0 is < 0.1",
         "to spare (0.1 - share of dead neurons)", 0.0,
         level(PEAK, metric(DEAD), lambda v: 0.1 - v, "share of dead neurons")),
    *(Part(f"less skewed than without, {rate} rate", SKEW, "|plain| - |bn| > 0", "skewness", 0.5,
           gap(RELU["plain", rate], RELU["bn", rate], size(metric(SKEW)))) for rate in ("slow", "fast")),
)  # fmt: skip

CENTRES = (
    Part("centred on about 2.5", CENTRE, "|mean - 2.5| < 0.5 (read off a chart)", "to spare (0.5 - |mean - 2.5|)", 0.0,
         level(PEAK, metric(CENTRE), lambda v: READING - abs(v - 2.5), "mean of the maxima"),
         published=Published(2.5, "about 2.5", f"{S0}, batches of 100")),
    Part("squarely positive", LOWEST, "lowest seventh of the maxima > 0", "activation", READING,
         level(PEAK, metric(LOWEST), lambda v: v, "first septile of the maxima")),
    Part("moves with the batch size as an extreme value, start", CENTRE, "|slope on E[max of m] - 1| < 0.1",
         "to spare (0.1 - |slope - 1|)", 0.0, slope_of_maxima(START, lambda v: 0.1 - abs(v - 1)), window="start",
         beside=True, arms=("bn",)),
    Part("moves with the batch size, late", CENTRE, "slope on E[max of m] > 0.5 (0: learned, 1: extreme value)",
         "slope above 0.5", 0.0, slope_of_maxima(LATE, lambda v: v - 0.5), beside=True, arms=("bn",)),
)  # fmt: skip


def _gain(label: str, bn: Arm, plain: Arm, published: Published | None = None) -> Part:
    """The margin is ten of MNIST's 10,000 test images: nobody calls a smaller gain super powerful."""
    measure = gap(bn, plain, metric(ACCURACY, chance=0.1))
    return Part(label, ACCURACY, "bn - plain > 0", "accuracy", 0.001, measure, published=published)


GAINS = (
    _gain("sigmoid, each at its own rate", SIGMOID["bn", "fast"], SIGMOID["plain", "slow"],
          Published(0.0054, "98 % with, 97.46 % without", CODE)),
    _gain("ReLU, each at its own rate", RELU["bn", "fast"], RELU["plain", "slow"],
          Published(0.0026, "98.5 % with, 98.24 % without", CODE)),
    _gain("conv net, same rate", CONV["bn"], CONV["plain"],
          Published(0.0053, "99.53 to 99.58 % with (best of each run), below 99.00 % without", CODE)),
    *(_gain(f"{name}, both at the {rate} rate", nets["bn", rate], nets["plain", rate])
      for rate in ("fast", "slow") for name, nets in (("sigmoid", SIGMOID), ("ReLU", RELU))),
)  # fmt: skip

# Panel of the accuracy figure -> its arms by variant, and the printed accuracies that belong to them, in per cent.
RACES = {
    "sigmoid, slow rate (0.003)": ({v: SIGMOID[v, "slow"] for v in ("plain", "bn")}, {"plain": 97.46}),
    "sigmoid, fast rate (0.03)": ({v: SIGMOID[v, "fast"] for v in ("plain", "bn")}, {"bn": 98.0}),
    "conv net (0.02)": (CONV, {"plain": 99.0, "bn": 99.55}),
    "ReLU, slow rate (0.003)": ({v: RELU[v, "slow"] for v in ("plain", "bn")}, {"plain": 98.24}),
    "ReLU, fast rate (0.03)": ({v: RELU[v, "fast"] for v in ("plain", "bn")}, {"bn": 98.54}),
}


def race(runs: Runs, arm: Arm) -> pd.DataFrame:
    """Test accuracy in per cent, index step, a column per seed; at chance after a divergence."""
    chosen = arm.of(runs)
    return 100 * fill_diverged(chosen.series(ACCURACY), diverged_at(chosen), 0.1)


def from_printed(runs: Runs) -> Iterator[Verdict]:
    """How far our accuracy after the last step lies from the printed one, on MNIST, where one number is printed."""
    if runs.data != "mnist":
        return
    for net, (arms, printed) in RACES.items():
        for variant, value in printed.items():
            if (net, variant) == ("conv net (0.02)", "plain"):
                continue  # printed as a bound: below 99.0
            arm = arms[variant]
            told = np.array([float(arm.length(runs))]), np.array([value])
            label = f"distance from the printed accuracy, {variant}, {net}"
            yield distance_beside(label, "percentage points", race(runs, arm), told, arm.planned(runs, 0))


CHART = Published(None, "qualitative (a chart)", S0)

CLAIMS: tuple[Claim, ...] = (
    Claim("S0-17", "Look at our activations, it's a perfectly beautiful Gaussian", "S", S0,
          "sigmoid outputs with batch normalisation (fast rate), pooled, at the start and after training",
          GAUSSIAN, CHART, "histograms_sigmoid"),
    Claim("S0-18", "The bands are evenly distributed across the full useful range of our activation function", "S", S0,
          "septile boundaries of the pooled sigmoid outputs, late, alone and against the net without",
          EVEN, CHART, "bands_sigmoid"),
    Claim("S0-19", "The Gaussian of inputs is centered on the linear part of the activation function", "S", S0,
          "inputs of the sigmoids with batch normalisation (fast rate), late", CENTRED, CHART, "histograms_sigmoid"),
    Claim("S0-20", "Without batch normalisation sigmoids saturate, badly at a high learning rate (implied)", "S", S0,
          "share of saturated sigmoid outputs without and with, at both rates, late, paired by seed",
          SATURATION, Published(None, "qualitative (comments of script 2.0)", CODE), "bands_sigmoid"),
    Claim("S0-21", "In ReLU, zero in all the negative side: on a mini-batch a lot of values will be zero", "S", S0,
          "share of ReLU outputs that are 0", ZEROS, Published(None, "a lot", S0), "histograms_relu"),
    Claim("S0-22", "The maxima: a beautiful distribution across the useful portion of my ReLU instead of being "
          "completely skewed on one side", "S", S0,
          "per-neuron maxima over the batch: shape, dead neurons, and against the net without",
          MAXIMA, CHART, "bands_relu"),
    Claim("S0-23", "A nice bell curve, centered around the dense layers around 2.5, squarely in the positive range",
          "S", S0, "centre of the per-neuron maxima at batch 100; beside it, that it moves with the batch size",
          CENTRES, Published(2.5, "around 2.5", S0), "maxima_vs_batch_size"),
    Claim("S0-27", "It's super powerful (implied: accuracy gains)", "S", S0,
          "test accuracy, mean of the last fifth of a run, with minus without, paired by seed; diverged is chance",
          GAINS, Published(None, "98 against 97.5 % (sigmoid), 98.5 against 98.2 % (ReLU)", CODE), "accuracy",
          distances=from_printed),
)  # fmt: skip


def _arms_words(runs: Runs, arms: dict) -> str:
    """Setting and seeds of the arms that a figure shows."""
    counts = {" ".join(key) if isinstance(key, tuple) else key: arm.of(runs).n for key, arm in arms.items()}
    planned = max(arm.planned(runs, n) for arm, n in zip(arms.values(), counts.values()))
    shown = runs.select(**{"variant": ["plain", "bn"], "model.activation": next(iter(arms.values())).activation})
    nets = {arm.model for arm in arms.values()}
    shown = shown.select(**{"model.name": list(nets), "batch_size": 100}, steps=next(iter(arms.values())).length(runs))
    return f"{setting_words(shown)}; {seeds_words(counts, planned)}"


def _need_any(runs: Runs, arms: dict) -> None:
    one = next(iter(arms.values()))
    need(any(arm.of(runs).n for arm in arms.values()), runs, f"the {one.activation} nets, batch {one.batch_size}")


def _band_panels(runs: Runs, nets: dict, prefix: str, height: float) -> tuple:
    """Rows plain and BN, columns slow and fast, on shared axes. Returns figure, axes by (variant, rate), numbers."""
    _need_any(runs, nets)
    figure = new_figure(PAGE, height)
    grid = figure.subplots(2, 2, sharex=True, sharey=True)
    axes, numbers = {}, []
    for (row, variant), (column, rate) in itertools.product(enumerate(("plain", "bn")), enumerate(RATES)):
        ax = axes[variant, rate] = grid[row, column]
        chosen = nets[variant, rate].of(runs)
        if chosen.n:
            drawn = draw_bands(ax, *boundaries_of(chosen, prefix, "pooled"), look(variant).colour)
            numbers.append(drawn.assign(variant=variant, rate=rate))
            step_axis(ax, float(chosen.table["steps"].iloc[0]))
        else:
            say_empty(ax, "no run")
        ax.label_outer()
        ax.set_title(f"{rate} rate ({RATES[rate]:g})" if row == 0 else "")
    for variant in ("plain", "bn"):
        axes[variant, "slow"].annotate(
            look(variant).label, (-0.2, 0.5), xycoords="axes fraction", rotation=90, ha="center", va="center",
            fontsize=9, fontweight="bold", color=look(variant).colour,
        )  # fmt: skip
    return figure, axes, pd.concat(numbers, ignore_index=True) if numbers else pd.DataFrame()


@styled
def bands_sigmoid(runs: Runs) -> Drawing:
    """Seven equal shares of all sigmoid outputs over training, as in the talk's panels."""
    figure, axes, numbers = _band_panels(runs, SIGMOID, "activations/b", 3.7)
    ideal = sigmoid_quantiles([k / 7 for k in range(1, 7)])
    for (_, rate), ax in axes.items():
        ax.set_ylim(0, 1)
        ax.plot([1.012] * 6, ideal, transform=ax.transAxes, linestyle="none", marker="<", markersize=2.5, color="black",
                clip_on=False)  # fmt: skip
        if rate == "slow":
            ax.set_ylabel("sigmoid output")
    words = "Bands: seven equal shares of all hidden outputs on the training batch, boundaries averaged over seeds. "
    words += "Arrows: the boundaries for standard normal inputs. "
    words += _arms_words(runs, SIGMOID)
    small_print(figure, words)
    return Drawing(figure, numbers, f"Sigmoid outputs over training without and with batch normalisation. {words}.")


@styled
def bands_relu(runs: Runs) -> Drawing:
    """Seven equal shares of the per-neuron maxima over the batch, on an axis that all panels share."""
    figure, axes, numbers = _band_panels(runs, RELU, "activations/m", 3.7)
    top = 1.25 * float(numbers["b6"].max()) if len(numbers) else 10.0
    for (_, rate), ax in axes.items():
        ax.set_yscale("asinh", linear_width=1.0)
        ax.set_ylim(0, top)
        ticks = [t for t in (0, 1, 2.5, 5, 10, 20, 50, 100, 200, 500) if t <= top]
        ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
        ax.minorticks_off()
        ax.axhline(2.5, color="black", linewidth=0.5, linestyle=(0, (2, 2)))
        if rate == "slow":
            ax.set_ylabel("largest output in batch")
    words = "Bands: seven equal shares of the neurons' maxima over the training batch, boundaries averaged over seeds; "
    words += "axis linear up to 1 and logarithmic beyond, which the highest band may leave. "
    words += 'Dashed: the published "around 2.5". '
    words += _arms_words(runs, RELU)
    small_print(figure, words)
    return Drawing(figure, numbers, f"Maxima of ReLU neurons over training without and with BN. {words}.")


FINE = 0.2  # width of the narrowest bin drawn on an axis that is linear near 0 and logarithmic beyond


def _ridge_panels(
    runs: Runs, nets: dict, panels: dict[str, tuple[str, tuple[float, float]]], wide: bool = False
) -> tuple:
    """Rows slow and fast, columns quantity x variant; `panels` maps the words under an axis to a metric and x range."""
    _need_any(runs, nets)
    figure = new_figure(PAGE, 4.6)
    grid = figure.subplots(2, 4)
    numbers = []
    for (row, rate), (pair, (words, (name, limits))) in itertools.product(enumerate(RATES), enumerate(panels.items())):
        found = {variant: _shown(nets[variant, rate].of(runs), name) for variant in ("plain", "bn")}
        narrowest = FINE if wide else (limits[1] - limits[0]) / 64
        for column, variant in enumerate(("plain", "bn"), 2 * pair):
            ax = grid[row, column]
            if len(found[variant]):
                drawn = draw_ridges(ax, no_narrower(found[variant], narrowest), look(variant).colour, limits, wide)
                numbers.append(drawn.assign(variant=variant, rate=rate, metric=name))
            else:
                say_empty(ax, "no run")
                ax.set(xticks=[], yticks=[])
            ax.set_title(look(variant).label if row == 0 else "", color=look(variant).colour, fontweight="bold")
            ax.set_xlabel(words if row == 1 else "")
        grid[row, 0].set_ylabel(f"{rate} rate ({RATES[rate]:g})\ntraining step")
    return figure, pd.concat(numbers, ignore_index=True) if numbers else pd.DataFrame()


def _shown(runs: Runs, name: str) -> pd.DataFrame:
    """What is drawn of a quantity; maxima without the dead neurons of the first bin, and in half the bins."""
    rows = _first_seed(runs, name)
    if name != PEAKS or not len(rows):
        return rows
    alive = []
    for share, counts in zip(_dead(runs, rows["step"]), rows["counts"]):
        counts = np.array(counts, dtype=float)
        counts[0] = max(0.0, counts[0] - share * counts.sum())
        alive.append(counts.reshape(-1, 2).sum(axis=1))
    return rows.assign(counts=alive)


def _dead(runs: Runs, steps: pd.Series) -> list[float]:
    """Share of dead neurons of the lowest seed at the records nearest to these steps."""
    series = runs.series(DEAD).sort_index(axis=1).iloc[:, 0].dropna()
    return [float(series.iloc[place]) for place in series.index.get_indexer(steps, method="nearest")]


def _first_seed(runs: Runs, name: str) -> pd.DataFrame:
    """The histograms of the lowest seed at seven recorded steps."""
    rows = runs.histograms(name)
    rows = rows[rows["seed"] == rows["seed"].min()]
    return rows[rows["step"].isin(spread_steps(rows["step"].tolist(), 7))]


@styled
def histograms_sigmoid(runs: Runs) -> Drawing:
    """Inputs and outputs of the sigmoids at seven steps of one run."""
    panels = {"sigmoid input": (INPUTS, (-8.0, 8.0)), "sigmoid output": (OUTPUTS, (0.0, 1.0))}
    figure, numbers = _ridge_panels(runs, SIGMOID, panels)
    words = "All hidden layers pooled, training batch, one run of each net (lowest seed); each ridge has its "
    words += f"own height. Inputs beyond 8 in size are not drawn. {_arms_words(runs, SIGMOID)}"
    small_print(figure, words)
    return Drawing(figure, numbers, f"Inputs and outputs of the sigmoids at chosen steps. {words}.")


@styled
def histograms_relu(runs: Runs) -> Drawing:
    """Inputs of the ReLUs (zero where negative) and maxima over the batch at seven steps of one run."""
    panels = {words: (name, _reach(runs, name)) for words, name in
              (("ReLU input", INPUTS), ("largest output in batch", PEAKS))}  # fmt: skip
    figure, numbers = _ridge_panels(runs, RELU, panels, wide=True)
    for ax, (rate, variant) in zip(figure.axes, itertools.product(RATES, ("plain", "bn", "plain", "bn"))):
        if ax.get_subplotspec().colspan.start >= 2:
            _write_dead(ax, RELU[variant, rate].of(runs))
    words = "All hidden layers pooled, training batch, one run of each net (lowest seed); each ridge has its "
    words += "own height. Inputs below 0 become 0. Axes are linear within 1 of 0 and logarithmic beyond. Maxima: "
    words += f"of neurons that are not dead; beside them the share that is. {_arms_words(runs, RELU)}"
    small_print(figure, words)
    return Drawing(figure, numbers, f"Inputs of the ReLUs and their maxima over the batch at chosen steps. {words}.")


def _reach(runs: Runs, name: str) -> tuple[float, float]:
    """A range for all that is drawn of a quantity; maxima begin at 0."""
    low, high = common_limits(pd.concat([_shown(arm.of(runs), name) for arm in RELU.values()]))
    return (0.0, high) if name == PEAKS else (low, high)


def _write_dead(ax, chosen: Runs) -> None:
    """Beside each ridge of maxima the share of dead neurons at its step."""
    steps = _first_seed(chosen, PEAKS)["step"].sort_values()
    words = [f"{100 * share:.0f} %" for share in _dead(chosen, steps)] if len(steps) else []
    for place, said in enumerate(["dead", *words], -1):
        ax.annotate(said, (1, -place), xycoords=ax.get_yaxis_transform(), xytext=(1, 0), textcoords="offset points",
                    fontsize=6, color="#444444")  # fmt: skip


@styled
def maxima_vs_batch_size(runs: Runs) -> Drawing:
    """Centre of the maxima against the batch size, with the exact prediction, before and after training."""
    swept = batch_sizes(runs)
    need(bool(swept), runs, "the sweep over batch sizes")
    figure = new_figure(TEXT, 3.1)
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    numbers = []
    for ax, window, when in zip(axes, (START, LATE), ("before the first update", "last fifth of training")):
        numbers.append(_draw_sweep(ax, swept, window).assign(window=when))
        ax.set_title(when)
        ax.set_xlabel("batch size")
    axes[0].set_ylabel("mean over neurons of the\nlargest output in the batch")
    legend(figure, SWEEP_HANDLES, columns=4)
    counts = {str(m): of_m.n for m, of_m in swept.items()}
    planned = planned_seeds(runs, SWEEP_SEEDS, max(counts.values(), default=0))
    words = "Exact: expected maximum of m batch-standardised normal values, plus the initial offset 0.1. Bars: 95 % "
    words += "Student-t intervals over seeds. "
    one = next(iter(swept.values()), runs.select(**SWEEP))
    words += f"{setting_words(one).replace('batch 10,', 'ReLU with BN,')}; {seeds_words(counts, planned)}"
    small_print(figure, words)
    caption = f"The centre of the maxima moves with the batch size. {words}."
    return Drawing(figure, pd.concat(numbers, ignore_index=True), caption)


def _draw_sweep(ax, swept: dict[int, Runs], window: tuple[float, float]) -> pd.DataFrame:
    ax.set_xscale("log")
    drawn = [draw_prediction(ax, 8, 1250, OFFSET)]
    for layer, handle in zip(LAYERS, LAYER_HANDLES):
        found = {m: over_window(of_m, f"activations/max_mean/{layer}", window) for m, of_m in swept.items()}
        own = Look(layer, handle.get_color(), "-", handle.get_marker())
        drawn.append(draw_maxima(ax, found, own, f"layer {int(layer)}", interval=False))
    pooled = {m: over_window(of_m, CENTRE, window) for m, of_m in swept.items()}
    drawn.append(draw_maxima(ax, pooled, look("bn"), "all layers"))
    drawn.append(pd.DataFrame([("published", 100, 2.5, math.nan, math.nan, 1)], columns=MAXIMA_COLUMNS))
    ax.plot([100], [2.5], marker="o", markersize=6.5, markerfacecolor="none", markeredgecolor="black",
            markeredgewidth=0.7)  # fmt: skip
    ax.set_xticks(list(swept), [str(m) for m in swept])
    ax.minorticks_off()
    return pd.concat(drawn, ignore_index=True)


LAYERS = ("01", "02", "03", "04")
LAYER_HANDLES = [
    Line2D([], [], color=shade, marker=marker, markersize=3, linestyle="none", label=f"layer {int(layer)}")
    for layer, shade, marker in zip(LAYERS, ("#b0b0b0", "#8f8f8f", "#6f6f6f", "#4a4a4a"), ("v", "^", "<", ">"))
]
PUBLISHED_TALK = Line2D(
    [], [], color="black", marker="o", markersize=4, markerfacecolor="white", markeredgewidth=0.7, linestyle="none",
    label="published (Görner)",
)  # fmt: skip
SWEEP_HANDLES = [
    *LAYER_HANDLES,
    Line2D([], [], color=look("bn").colour, marker="o", markersize=3, linestyle="none", label="all layers"),
    Line2D([], [], color="#7f7f7f", linewidth=1.6, label="exact prediction"),
    PUBLISHED_TALK,
]


@styled
def accuracy(runs: Runs) -> Drawing:
    """Test accuracy over training in every net and at every rate, and the gains that S0-27 rests on."""
    need(any(arm.of(runs).n for arms, _ in RACES.values() for arm in arms.values()), runs, "an arm with or without BN")
    figure = new_figure(PAGE, 4.4)
    left, right = figure.subfigures(1, 2, width_ratios=(2, 1.15))
    dense = left.subplots(2, 2)
    conv, differences = (part.subplots() for part in right.subfigures(2, 1))
    numbers = []
    for ax, (title, (arms, printed)) in zip((*dense[0], conv, *dense[1]), RACES.items()):
        numbers.append(_draw_race(ax, runs, arms, printed if runs.data == "mnist" else {}).assign(panel=title))
        ax.set_title(title)
    for panels in (*dense, [conv]):
        share_range(panels)
    for ax in dense[:, 0]:
        ax.set_ylabel("test accuracy (%)")
    verdicts = [judge_part(part, runs) for part in GAINS]
    comparable = verdicts if runs.data == "mnist" else [dataclasses.replace(v, published=None) for v in verdicts]
    gains = draw_effects(differences, comparable, claim_ids(CLAIMS), scale=100)
    differences.set_title("BN minus plain, last fifth", loc="right")
    differences.set_xlabel("percentage points")
    shown = [*handles(["plain", "bn"]), *([PUBLISHED_TALK] if runs.data == "mnist" else [])]
    legend(figure, shown)
    words = "Lines: mean over seeds with 95 % Student-t bands; diverged runs count as 10 %. Last panel: differences "
    words += "paired by seed with 95 % intervals, hollow where undecided; grey: the margin. "
    words += _arms_words(runs, {**SIGMOID, **{(*k, "ReLU"): arm for k, arm in RELU.items()}})
    words += f"; conv net: {_conv_words(runs)}"
    if runs.data == "mnist":
        words += ". Published: printed accuracies after 10,000 steps, plain conv net below 99.0"
    small_print(figure, words)
    gains = gains.rename(columns={"effect": "mean", "label": "panel"}).assign(variant="bn - plain")
    everything = pd.concat([*numbers, gains], ignore_index=True)
    return Drawing(figure, everything, f"Test accuracy with and without batch normalisation. {words}.")


def _conv_words(runs: Runs) -> str:
    counts = {variant: arm.of(runs).n for variant, arm in CONV.items()}
    seeds = seeds_words(counts, CONV["bn"].planned(runs, counts["bn"]))
    steps = runs.select(**{"model.name": "convnet"}).table["steps"]
    return f"{int(steps.max()):,} steps, {seeds}" if len(steps) else seeds


def _draw_race(ax, runs: Runs, arms: dict[str, Arm], printed: dict[str, float]) -> pd.DataFrame:
    numbers = []
    for variant, arm in arms.items():
        chosen = arm.of(runs)
        if not chosen.n:
            continue
        drawn = draw_curve(ax, race(runs, arm), look(variant), diverged_at(chosen))
        numbers.append(drawn.assign(variant=variant))
        last = float(chosen.table["steps"].iloc[0])
        step_axis(ax, last)
        if variant in printed:
            numbers.append(mark(ax, {variant: (last, printed[variant])}).rename(columns={"value": "mean"}))
    if not numbers:
        say_empty(ax, "no run")
        ax.set(xticks=[], yticks=[])
    return pd.concat(numbers, ignore_index=True) if numbers else pd.DataFrame({"mean": []})


FIGURES: dict[str, Callable[[Runs], Drawing]] = {
    "bands_sigmoid": bands_sigmoid,
    "bands_relu": bands_relu,
    "histograms_sigmoid": histograms_sigmoid,
    "histograms_relu": histograms_relu,
    "maxima_vs_batch_size": maxima_vs_batch_size,
    "accuracy": accuracy,
}
