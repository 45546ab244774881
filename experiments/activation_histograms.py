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

import math
from collections.abc import Callable

from bnlab.claims import Claim, Measured, Part, Published
from bnlab.measures import (
    LATE,
    START,
    Arm,
    Effects,
    gap,
    kurtosis,
    level,
    mean_note,
    metric,
    over_window,
    planned_seeds,
    size,
)  # fmt: skip
from bnlab.stats import normal_cdf, slope, standardised_max
from bnlab.store import Runs

S0 = "S0 (talk of M. Goerner, re-told)"
CODE = "tensorflow-mnist-tutorial, comments of the scripts (printed)"
SLOW, FAST = 0.003, 0.03  # his rates without and with batch normalisation; both arms run at both
RATES = {"slow": SLOW, "fast": FAST}
OFFSET = 0.1  # initial offset of the ReLU nets behind batch normalisation, which has no scale there
READING = 0.5  # how exactly a number is read off a chart whose units are 1 apart

SIGMOID = {(v, r): Arm("mlp", "sigmoid", v, lr, 100) for v in ("plain", "bn") for r, lr in RATES.items()}
RELU = {(v, r): Arm("mlp", "relu", v, lr, 100) for v in ("plain", "bn") for r, lr in RATES.items()}
CONV = {v: Arm("convnet", "relu", v, 0.02, 100) for v in ("plain", "bn")}
BELL = SIGMOID["bn", "fast"]  # the net the talk shows behind sigmoids (script 4.0)
PEAK = RELU["bn", "fast"]  # and behind ReLUs (script 4.1)
SWEEP = {"model.name": "mlp", "model.activation": "relu", "variant": "bn", "lr": FAST}

OUTPUTS, INPUTS = "activations/hist_output/pooled", "activations/hist_input/pooled"
OFF_CENTRE, LINEAR = "activations/input_mean_abs/pooled", "activations/input_linear/pooled"
SATURATED, ZERO, DEAD = (f"activations/{q}/pooled" for q in ("saturated", "zero", "dead"))
SKEW, CENTRE, LOWEST = (f"activations/{q}/pooled" for q in ("max_skew", "max_mean", "m1"))
BANDS = "activations/b1..b6/pooled"
ACCURACY = "curves/test_accuracy"


def unevenness(runs: Runs, arm: Arm) -> Effects:
    """Mean distance of the six inner septile boundaries of the outputs from k/7; 0 if spread evenly over [0, 1]."""
    inner = [over_window(arm.of(runs), f"activations/b{k}/pooled") for k in range(1, 7)]
    return {s: sum(abs(b[s] - k / 7) for k, b in enumerate(inner, 1)) / 6 for s in inner[0]}


def batch_sizes(runs: Runs) -> dict[int, Runs]:
    """The runs of the sweep over batch sizes (ReLU, batch normalisation, fast rate), by batch size."""
    nets = runs.select(**SWEEP)
    other = nets.table[nets.table["batch_size"] != 100]
    if other.empty:
        return {}
    swept = nets.select(steps=int(other["steps"].max()))
    return {int(m): swept.select(batch_size=int(m)) for m in sorted(swept.table["batch_size"].unique())}


def slope_of_maxima(window: tuple[float, float], effect: Callable[[float], float]) -> Callable[[Runs], Measured]:
    """Per seed, the slope of the centre of the maxima against the exact expected maximum, over batch sizes."""

    def measured(runs: Runs) -> Measured:
        centres = {m: over_window(of_m, CENTRE, window) for m, of_m in batch_sizes(runs).items()}
        seeds = sorted({seed for found in centres.values() for seed in found})
        expected = [standardised_max(m) for m in centres]
        slopes = {s: slope(expected, [found.get(s, math.nan) for found in centres.values()]) for s in seeds}
        note = mean_note("slope", slopes.values())
        planned = planned_seeds(runs, seeds, {**SWEEP, "batch_size": 1000})
        return Measured({s: effect(v) for s, v in slopes.items()}, planned, note)

    return measured


# -0.6 is half-way from the Gaussian (excess kurtosis 0) to the flat distribution (-1.2), which nobody calls a bell.
GAUSSIAN = (
    Part("outputs Gaussian at the start", OUTPUTS, "excess kurtosis > -0.6", "excess kurtosis above -0.6", 0.0,
         level(BELL, kurtosis(OUTPUTS, START), lambda k: k + 0.6, "excess kurtosis"), window="start"),
    Part("outputs Gaussian after training", OUTPUTS, "excess kurtosis > -0.6", "excess kurtosis above -0.6", 0.0,
         level(BELL, kurtosis(OUTPUTS), lambda k: k + 0.6, "excess kurtosis")),
    Part("inputs Gaussian at the start", INPUTS, "|excess kurtosis| < 0.6", "0.6 - |excess kurtosis|", 0.0,
         level(BELL, kurtosis(INPUTS, START), lambda k: 0.6 - abs(k), "excess kurtosis"), window="start", beside=True),
)  # fmt: skip

# The unevenness is 0 for boundaries at k/7 and 3/14 with all of them at 1/2: 3/28 is half-way. A quarter of a band's
# width (1/28) on average is the least that a reader of the panel would see.
EVEN = (
    Part("even over the useful range", BANDS, "mean |b_k - k/7| < 3/28", "3/28 - mean |b_k - k/7|", 0.0,
         level(BELL, unevenness, lambda u: 3 / 28 - u, "mean |b_k - k/7|")),
    *(Part(f"more even than without, {rate} rate", BANDS, "plain - bn > 0", "mean |b_k - k/7|", 1 / 28,
           gap(SIGMOID["plain", rate], SIGMOID["bn", rate], unevenness)) for rate in ("fast", "slow")),
)  # fmt: skip

# The linear part of the sigmoid is |z| < 2: a unit is centred on it when its mean is nearer to 0 than to the edge, and
# the bell lies on it when more than half of the inputs do.
CENTRED = (
    Part("units centred", OFF_CENTRE, "mean over units of |mean| < 1", "1 - mean |mean of a unit|", 0.0,
         level(BELL, metric(OFF_CENTRE), lambda v: 1 - v, "mean |mean of a unit|")),
    Part("inputs on the linear part", LINEAR, "share of |z| < 2 is > 0.5", "share above 0.5", 0.0,
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
    *(Part(f"{words}, {name}", ZERO, "share of zeros > 0.25", "share above 0.25", 0.0,
           level(arm, metric(ZERO, window), lambda v: v - 0.25, "share of zeros"), window=name)
      for words, arm, window, name in (("with batch normalisation", PEAK, LATE, "late"),
                                       ("with batch normalisation", PEAK, START, "start"),
                                       ("without, slow rate", RELU["plain", "slow"], LATE, "late"))),
    Part("P(zero) = Phi(-0.1) at the start", ZERO, "|share - 0.460| < 0.02", "0.02 - |share - 0.460|", 0.0,
         level(PEAK, metric(ZERO, START), lambda v: 0.02 - abs(v - normal_cdf(-OFFSET)), "share of zeros"),
         window="start", beside=True),
)  # fmt: skip

# Skewness 0 is a symmetric bell, 2 the one-sided exponential: 1 is half-way; half of that is the margin between arms.
MAXIMA = (
    Part("a bell", SKEW, "|skewness| < 1", "1 - |skewness|", 0.0,
         level(PEAK, metric(SKEW), lambda v: 1 - abs(v), "skewness of the maxima")),
    Part("in the useful portion", DEAD, "share of neurons with maximum 0 is < 0.1", "0.1 - share of dead neurons", 0.0,
         level(PEAK, metric(DEAD), lambda v: 0.1 - v, "share of dead neurons")),
    *(Part(f"less skewed than without, {rate} rate", SKEW, "|plain| - |bn| > 0", "skewness", 0.5,
           gap(RELU["plain", rate], RELU["bn", rate], size(metric(SKEW)))) for rate in ("slow", "fast")),
)  # fmt: skip

CENTRES = (
    Part("centred on about 2.5", CENTRE, "|mean - 2.5| < 0.5 (read off a chart)", "0.5 - |mean - 2.5|", 0.0,
         level(PEAK, metric(CENTRE), lambda v: READING - abs(v - 2.5), "mean of the maxima"),
         published=Published(2.5, "about 2.5", f"{S0}, batches of 100")),
    Part("squarely positive", LOWEST, "lowest seventh of the maxima > 0", "activation", READING,
         level(PEAK, metric(LOWEST), lambda v: v, "first septile of the maxima")),
    Part("moves with the batch size as an extreme value, start", CENTRE, "|slope on E[max of m] - 1| < 0.1",
         "0.1 - |slope - 1|", 0.0, slope_of_maxima(START, lambda v: 0.1 - abs(v - 1)), window="start", beside=True),
    Part("moves with the batch size, late", CENTRE, "slope on E[max of m] > 0.5 (0: learned, 1: extreme value)",
         "slope above 0.5", 0.0, slope_of_maxima(LATE, lambda v: v - 0.5), beside=True),
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
          GAINS, Published(None, "98 against 97.5 % (sigmoid), 98.5 against 98.2 % (ReLU)", CODE), "accuracy"),
)  # fmt: skip

FIGURES: dict[str, Callable] = {}
