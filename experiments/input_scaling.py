"""What does it change to scale the inputs of a model, and what does it not change?

Source: articles S0 to S3 on normalising inputs. Each of 10 seeds draws 100 random cases in float64: two signals that
belong together, and two linear regressions of 1,000 points, on A in [0, 20] and B in [0, 2] (article S0) and on ages up
to 30 years and kilometres up to 300,000 (articles S1, S2). Gradient descent takes the best constant step of each
regression, to 1e-6 of its excess loss. Small ReLU nets (2-16-16-1, 200 points, 2,000 steps of plain stochastic gradient
descent) learn a smooth function of the same features, raw and z-scored, each at the best of 27 learning rates.

Command: `bnlab reproduce input_scaling` (1.5 minutes on 2 cores, 2.5 beside other work).

Expected: scaling leaves correlation, order, skewness and least-squares predictions alone; it makes average and
difference the principal components only where it makes the variances equal; it shortens gradient descent as the theory
of quadratics says (condition number about 1,160 raw, 28 min-max, 12 mean-centred, 1 z-scored on A and B); raw ages and
kilometres are not learned within 200,000 steps. On z-scored inputs nets learn faster and end with a lower test error;
linear models generalise alike.

Tolerances, margins, directions and seeds were fixed before the runs that decide them, after a pilot on seeds that are
not among them (777 to 779) and a smoke run of seeds 0 and 1 in a few cases.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bnlab.claims import Claim, Measured, Part
from bnlab.comparisons import geometric_note, paired_log_ratio
from bnlab.exact import ROUNDING, AllOf, Counterexample, Exceeds, Identity
from bnlab.measures import START, Effects, need, over_window, planned_seeds
from bnlab.plots.curves import draw_curve, powers_axis
from bnlab.plots.drawing import Drawing, finish, seeds_words
from bnlab.plots.published import entry
from bnlab.plots.statements import effects_figure, errors_figure
from bnlab.plots.style import COLUMN, TEXT, Look, legend, new_figure, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from bnlab.store import Runs

# Seeds of each setting, as configs/experiment/input_scaling.yaml plans them.
SEEDS = {"synthetic-smoke": 2, "synthetic-laptop": 10}
PROBLEMS = {"ab": "A and B", "cars": "ages and kilometres"}
MODELS = ("least squares", "ridge", "net")
MOST = 200_000  # steps after which descent is given up; a recorded count above it means "not within so many"
# Margins of log10 of a ratio: factors of 1.26, of 2 where the article says "drastically", of 1.05 for test errors that
# may well be equal.
FASTER, DRASTIC, EQUAL = 0.1, 0.3, 0.02


def _fact(label: str, name: str, tolerance: float = ROUNDING, beside: bool = False) -> Identity:
    return Identity(label, f"scaling/{name}", tolerance, beside)


def _wrong(label: str, name: str, margin: float, unit: str = "", beside: bool = False) -> Counterexample:
    return Counterexample(label, f"scaling/{name}", margin, unit, beside)


def _large(label: str, name: str, margin: float, unit: str = "times", beside: bool = False) -> Exceeds:
    return Exceeds(label, f"scaling/{name}", margin, unit, beside)


def recorded(runs: Runs, quantity: str) -> Effects:
    """What a seed's models came to: a number per seed, recorded at step 0."""
    return over_window(runs, quantity, START)


def raw_over_scaled(runs: Runs, quantity: str) -> Measured:
    """log10 of raw over z-scored, per seed; positive where scaling makes it smaller."""
    raw, scaled = (recorded(runs, f"scaling/{quantity}/{scaling}") for scaling in ("raw", "z_score"))
    note = geometric_note({"raw": raw, "z-scored": scaled})
    return paired_log_ratio(raw, scaled, planned_seeds(runs, SEEDS, len(raw)), note)


def gap_raw_over_scaled(runs: Runs, problem: str) -> Measured:
    """log10 of (test error over training error) of the nets, raw less z-scored."""
    sides = []
    for scaling in ("raw", "z_score"):
        test, training = (recorded(runs, f"scaling/{part}_error/{problem}/net/{scaling}") for part in ("test", "train"))
        sides.append({seed: test[seed] / training[seed] for seed in test})
    return paired_log_ratio(*sides, planned_seeds(runs, SEEDS, len(sides[0])))


def _part(label: str, quantity: str, margin: float, beside: bool = False) -> Part:
    return Part(
        label=label,
        metric=f"scaling/{quantity}, log10 of raw over z-scored per seed; each at the rate or penalty that is best "
        "for it on validation data",
        direction="raw larger",
        unit="log10 of the ratio",
        margin=margin,
        measure=partial(raw_over_scaled, quantity=quantity),
        window="end of the run",
        beside=beside,
    )


def _speed(problem: str) -> Part:
    """A net that does not get there counts as one step more than it had, which understates the difference."""
    label = f"net on {PROBLEMS[problem]}: steps to a validation error of 0.1"
    return _part(label, f"net_steps/{problem}", FASTER)


def _test_error(problem: str, model: str, margin: float, beside: bool = False) -> Part:
    return _part(
        f"{model} on {PROBLEMS[problem]}: test error", f"test_error/{problem}/{model.replace(' ', '_')}", margin, beside
    )


_GAPS = tuple(
    Part(
        label=f"net on {PROBLEMS[problem]}: test error over training error",
        metric=f"scaling/test_error and train_error/{problem}/net, log10 of their ratio, raw less z-scored",
        direction="raw larger",
        unit="log10 of the ratio",
        margin=EQUAL,
        measure=partial(gap_raw_over_scaled, problem=problem),
        window="end of the run",
        beside=True,
        arms=("raw", "z_score"),
    )
    for problem in PROBLEMS
)

CONDITION = _large("condition number of A and B: raw over z-scored", "condition_over_z_score", 100)
CORRELATION = _fact("corr(a X + b, c Y + d) = sign(a c) corr(X, Y)", "correlation_under_affine")
DECORRELATED = _fact("average and difference of z-scored signals: correlation 0", "decorrelated")
SKEWNESS = _fact("skewness of every feature is kept", "skewness_kept")
KURTOSIS = _fact("kurtosis of every feature is kept", "kurtosis_kept")
MIN_MAX = _fact("(x - min)/(max - min) ends at 0 and 1", "min_max_range")
Z_SCORE = _fact("(x - mean)/std has mean 0 and standard deviation 1", "z_score_moments")
ARRIVES = _fact("raw: not within 200,000 steps, of the best size or of 1/highest (0 if so)", "raw_cars_arrive", 0.0)


def _fewer(problem: str, scaling: str, words: str) -> Exceeds:
    return _large(f"steps on {PROBLEMS[problem]}: raw over {words}", f"{problem}_steps_over_{scaling}", 1)


STEPS = tuple(
    _fewer(problem, scaling, words)
    for problem in PROBLEMS
    for scaling, words in (("min_max", "min-max"), ("mean_centred", "mean-centred"), ("z_score", "z-scored"))
)


def _exact(id: str, kind: str, source: str, says: str, tests: str, *statements, figure: str = "errors") -> Claim:
    return Claim(id, says, kind, source, tests, test=AllOf(statements), figure=figure)


def _measured(id: str, source: str, says: str, tests: str, *parts: Part) -> Claim:
    return Claim(id, says, "S", source, tests, parts=parts, figure="effects")


CLAIMS: tuple[Claim, ...] = (
    _exact(
        "S0-02", "E", "article S0, section Why do you need Batch Normalization?",
        "First of all, this is very bad data \"A\" value is between 0 and 20, and the \"B\" value is between 0 and 2. "
        "They are not on the same scale.",
        "Linear regression on A and B: condition number and steps of gradient descent, raw against z-scored.",
        CONDITION,
        _large("steps on A and B: raw over z-scored", "ab_steps_over_z_score", 100),
        figure="descent",
    ),
    _exact(
        "S0-03", "E", "article S0, section Why do you need Batch Normalization?",
        "when you put data in, it multiplies it by weights but those weights are basically fixed. Something that is in "
        "the 100 will produce much bigger activations that's something that is on the order of magnitude of 1.",
        "What A and B, whose sizes differ by 10, add to a weighted sum, over 1,000 weights of one distribution.",
        _large("spread of w A over spread of v B", "contributions_apart", 5),
        _fact("over weights of one size and every sign, the mean square of w A + v B is s^2 (A^2 + B^2)",
              "sum_over_signs"),
    ),
    _measured(
        "S0-04", "article S0, section Why do you need Batch Normalization?",
        "The neural network will have to adapt its weights to compensate and work to do that.",
        "Steps that a small net needs on A and B, raw against z-scored, paired by seed.",
        _speed("ab"),
    ),
    _exact(
        "S0-05", "X", "article S0, section Data Cleaning",
        "First, let's rescale and reshift it to be well centered around 0 to correlate our data.",
        "Correlation of two signals before and after: it is the same, whatever is added and multiplied.",
        _large("the correlation moves by more than rounding", "correlation_moves", 1e-6, ""),
        Identity(CORRELATION.label, CORRELATION.metric, beside=True),
    ),
    _exact(
        "S0-06", "X", "article S0, section Data Cleaning",
        "Decorrelate one signal using the average and the other signal using the difference between those. [...] What "
        "we just did is called principal component analysis.",
        "The article names no condition. It is so where both variances are made equal, as by z-scoring; centred and "
        "divided by their ranges, signals of unlike distribution keep unlike variances.",
        _wrong("divided by ranges: average and difference correlate, by", "average_and_difference_correlate", 0.05),
        _wrong("the average is off the first principal axis by", "principal_axis_off", 1.0, "degrees"),
        _fact("z-scored: they are the principal components, of variances 1 + rho and 1 - rho", "principal_axes",
              beside=True),
        _large("it does not whiten: these variances lie apart by", "not_white", 0.1, "", beside=True),
    ),
    _exact(
        "S0-07", "E", "article S0, section Data Cleaning",
        "I have two data sets that seem to be different enough not to tell me the same thing so they might be useful "
        "inputs for a neural network.",
        "Average and difference of signals of equal variance are uncorrelated; that is not independent.",
        DECORRELATED,
        _fact("cov(X + Y, X - Y) = Var X - Var Y, in any units", "covariance_of_sum_and_difference"),
        _fact("uncorrelated, and one determines the other's size: points on a circle", "dependent_on_a_circle",
              beside=True),
    ),
    _exact(
        "S1-01", "E", "article S1, section Normalization",
        "It is technique of transforming the data to put all the data points on the same scale. A typical "
        "normalization process consists of scaling numerical data down to be on a scale from zero to one.",
        "Six features of unlike units under min-max scaling.",
        MIN_MAX,
        _large("values that come later leave [0, 1], by", "fresh_data_leaves_the_range", 0.0, "widths of the range",
               beside=True),
        _fact("one value 100 ranges off leaves the others 1/101 of it", "outlier_squeezes_the_rest", beside=True),
    ),
    _exact(
        "S1-02", "E", "article S1, section Normalization",
        "if we have feature that represent age and other feature that represent number of driven kilometers we can see "
        "that these two data will not be on the same scale and we use Normalization to put this data on common scale.",
        "Ranges, means and spreads of ages and kilometres before and after.",
        _large("range of the kilometres over that of the ages", "ranges_apart", 1000),
        _fact("equal ranges after min-max scaling, equal means and spreads after z-scoring", "common_scale"),
        Identity(ARRIVES.label, ARRIVES.metric, ARRIVES.tolerance, beside=True),
    ),
    _exact(
        "S1-08", "E", "article S1, section Batch Normalization",
        "In picture above we see that when data is normalized then it require less steps to find optimal result.",
        "Steps of gradient descent to 1e-6 of the excess loss of a linear regression, each at its best constant step. "
        "Raw ages and kilometres count as 200,001 steps.",
        *STEPS,
        _fact("never later than ((k - 1)/(k + 1))^2 a step allows (0 if so)", "later_than_the_bound", 0.0, beside=True),
        Identity(ARRIVES.label, ARRIVES.metric, ARRIVES.tolerance, beside=True),
        figure="steps",
    ),
    _measured(
        "S2-03", "article S2, section 2",
        "Not normalizing the data before training can cause problems in our network, making it drastically harder to "
        "train and decrease its learning speed.",
        "A small net on ages and kilometres, raw against z-scored: training error at the end, and steps.",
        _part("net on ages and kilometres: training error at the end", "train_error/cars/net", DRASTIC),
        _speed("cars"),
    ),
    _exact(
        "S2-04", "X", "article S2, section 2",
        "We don't want features to have these differences in ranges, as the value with the higher range might bias our "
        "models into giving them inflated importance.",
        "Ages and kilometres. The fitted function of least squares does not depend on their units; a penalised fit "
        "does, and so does descent that is stopped early.",
        _large("least squares: predictions move with the scaling, relative", "least_squares_moves", 1e-6, ""),
        _large("ridge: kilometres over ages, relative to least squares", "ridge_inflates", 1.5),
        _large("100 steps of descent: the same", "descent_inflates", 10),
        _fact("ridge on z-scored inputs: the same, off 1 by", "scaled_ridge_inflates", 0.25, beside=True),
        _fact("100 steps on z-scored inputs: the same, off 1 by", "scaled_descent_inflates", 1e-3, beside=True),
    ),
    _exact(
        "S2-05", "X", "article S2, section 2",
        "The most straightforward method is to scale it to a range from 0 to 1: [x' = (x - mean)/(max - min)] the data "
        "point to normalize, the mean of the data set, the highest value, and the lowest value.",
        "The formula with these four ingredients is centred on 0; a range from 0 to 1 takes the minimum for the mean.",
        _wrong("its lowest value lies below 0 by", "described_low", 0.05, "widths of the range"),
        _wrong("its highest value falls short of 1 by", "described_high", 0.05, "widths of the range"),
        _fact("its width is 1 and its mean 0", "described_width_and_mean", beside=True),
        Identity(MIN_MAX.label, MIN_MAX.metric, beside=True),
    ),
    _exact(
        "S2-07", "X", "article S2, section 2",
        "forcing the data points to have a mean of 0 and a standard deviation of 1 [...] Now, each data point mimics a "
        "standard normal distribution.",
        "Mean and standard deviation are exact, but the shape is kept: an exponential sample stays exponential.",
        _wrong("z-scored exponential sample: skewness, 0 for a normal, is off by", "z_score_skewness", 0.5),
        _wrong("its excess kurtosis, 0 for a normal, is off by", "z_score_kurtosis", 1.0),
        Identity(Z_SCORE.label, Z_SCORE.metric, beside=True),
        Identity(SKEWNESS.label, SKEWNESS.metric, beside=True),
        Identity(KURTOSIS.label, KURTOSIS.metric, beside=True),
    ),
    _measured(
        "S2-08", "article S2, section 2",
        "Having all the features on this scale, none of them will have a bias, and therefore, our models will learn "
        "better.",
        "Test error of a small net after equally many steps, raw against z-scored, on both problems. What the scale "
        "does to a feature's weight is S2-04.",
        *(_test_error(problem, "net", FASTER) for problem in PROBLEMS),
        *(_test_error(problem, "least squares", EQUAL, beside=True) for problem in PROBLEMS),
    ),
    _exact(
        "S3-01", "E", "article S3, introduction",
        "Normalization is a data pre-processing tool used to bring the numerical data to a common scale without "
        "distorting its shape.",
        "Six features and an exponential sample under min-max, mean-centred and z-score scaling.",
        _fact("distances between quantiles, as shares of the range, are kept", "distances_kept"),
        _fact("order is kept (0 if so)", "order_kept", 0.0),
        SKEWNESS,
        KURTOSIS,
        CORRELATION,
    ),
    _measured(
        "S3-02", "article S3, introduction",
        "The reason we normalize is partly to ensure that our model can generalize appropriately.",
        "Test errors on raw against z-scored inputs: every model has to gain. Linear models see 20 points, "
        "nets 200. Beside it: the test error over the training error, which tells generalising from training.",
        *(_test_error(problem, model, EQUAL) for model in MODELS for problem in PROBLEMS),
        *_GAPS,
    ),
)  # fmt: skip

LOOKS = {
    "raw": Look("raw", "#c24e00", (0, (4.5, 1.5)), "s"),
    "min_max": Look("min-max", "#d9a520", (0, (1.2, 1.2)), "D"),
    "mean_centred": Look("mean-centred", "#3aa888", (0, (5, 1.2, 1.2, 1.2)), "^"),
    "z_score": Look("z-scored", "#10457e", "-", "o"),
}
SHOWN_CASES = 10  # of each seed, in the figure of all cases
NOTHING = 1e-12  # where the record of an excess loss ends
DEEPEST = -8  # log10 of the lowest excess loss shown


@styled
def draw_descent(runs: Runs) -> Drawing:
    """Loss against step on both problems: linear regression under four scalings, and nets raw and z-scored."""
    need(runs.n > 0, runs, "input_scaling")
    figure = new_figure(TEXT, 4.4)
    above, below = figure.subplots(2, 2, sharey="row")
    numbers = []
    for top, bottom, problem in zip(above, below, PROBLEMS):
        numbers += [_curves(top, runs, f"excess/{problem}"), _curves(bottom, runs, f"net_error/{problem}", so_far=True)]
        top.axhline(-6, color="black", linewidth=0.6, zorder=1.2)
        bottom.axhline(-1, color="black", linewidth=0.6, zorder=1.2)
        top.set(title=f"regression on {PROBLEMS[problem]}", ylim=(DEEPEST, 0.4), xlim=(1, MOST))
        bottom.set(title=f"net on {PROBLEMS[problem]}", ylim=(-2.2, 2))
    above[0].set_ylabel("excess loss, relative to step 0")
    below[0].set_ylabel("lowest validation error so far")
    legend(figure, [entry(own) for own in LOOKS.values()])
    words = f"{_spread(runs)} Mean of log10 with its 95 % t interval; black: the level that counts as reached. "
    words += "Regressions: gradient descent, each at its best constant step. Nets: each at the best of 27 rates."
    return finish(figure, numbers, runs, words)


def _curves(ax: Axes, runs: Runs, quantity: str, so_far: bool = False) -> pd.DataFrame:
    """log10 of the series of each scaling from step 1; an excess loss is recorded as long as it is above NOTHING."""
    import pandas as pd

    drawn = []
    for name, own in LOOKS.items():
        series = runs.series(f"scaling/{quantity}/{name}").fillna(NOTHING)
        shown = (series.cummin() if so_far else series).loc[1:]
        drawn.append(draw_curve(ax, np.log10(shown), own).assign(metric=f"log10 {quantity}/{name}"))
    ax.set_xscale("log")
    ax.set_xlabel("training step")
    powers_axis(ax)
    return pd.concat(drawn, ignore_index=True)


@styled
def draw_steps(runs: Runs) -> Drawing:
    """Steps against condition number, of the first cases of every seed, with what the theory allows at most."""
    import pandas as pd

    need(runs.n > 0, runs, "input_scaling")
    figure = new_figure(COLUMN, 2.9)
    ax = figure.subplots()
    condition = np.logspace(0.01, 5, 200)
    ax.plot(condition, _bound(condition), color="black", linewidth=0.6)
    ax.axhline(MOST, color="black", linewidth=0.5, linestyle=(0, (1, 1.5)))
    ax.text(2, 1.2 * MOST, "not within 200,000 steps", fontsize=6, va="bottom")
    drawn = [_points(ax, runs, problem, scaling) for problem in PROBLEMS for scaling in LOOKS]
    for problem, x, y, side in (("ab", 1e4, 2.5e3, "left"), ("cars", 8e11, 5e4, "right")):
        ax.text(x, y, f"raw {PROBLEMS[problem]}", fontsize=6, ha=side, va="center")
    ax.set(xscale="log", yscale="log", xlabel="condition number", ylabel="steps to 1e-6 of the excess loss")
    ax.set_ylim(0.8, 8 * MOST)
    handles = [entry(Look(own.label, own.colour, "none", own.marker)) for own in LOOKS.values()]
    legend(figure, handles, 2)
    words = f"The first {SHOWN_CASES} cases of {runs.n} of {runs.planned} seeds, both problems. "
    return finish(figure, [pd.concat(drawn)], runs, words + "Line: the most that the theory allows.")


def _bound(condition: np.ndarray) -> np.ndarray:
    """Steps to 1e-6 at the rate ((k - 1)/(k + 1))^2; less than one step counts as one."""
    return np.maximum(1, np.log(1e-6) / (2 * np.log((condition - 1) / (condition + 1))))


def _points(ax: Axes, runs: Runs, problem: str, scaling: str) -> pd.DataFrame:
    import pandas as pd

    first = runs.metrics[runs.metrics["step"] < SHOWN_CASES]
    condition, steps = (
        first.loc[first["metric"] == f"scaling/{quantity}/{problem}/{scaling}", "value"].to_numpy(dtype=float)
        for quantity in ("condition", "steps")
    )
    own = LOOKS[scaling]
    ax.plot(condition, steps, linestyle="none", marker=own.marker, markersize=2.2, color=own.colour, alpha=0.7)
    return pd.DataFrame({"problem": problem, "scaling": scaling, "condition": condition, "steps": steps})


@styled
def draw_ratios(runs: Runs) -> Drawing:
    """What scaling gains, per statement: log10 of raw over z-scored."""
    words = "blue for the sentence and orange against it; margins are in the claims."
    return effects_figure(runs, CLAIMS, "log10 of raw over z-scored", words)


@styled
def draw_exact(runs: Runs) -> Drawing:
    """Errors of the identities, and how far everything else lies from its limit, over all cases."""
    statements = {s.metric: s for claim in CLAIMS if not claim.parts for s in claim.test.statements}.values()
    kinds = [[s for s in statements if isinstance(s, Identity) == exact] for exact in (True, False)]
    figure, panels, numbers = errors_figure(runs, CLAIMS, kinds)
    panels[0].set(title="statements that hold", xlabel="error")
    panels[1].set(title="differences and ratios", xlabel="size, in the unit of each")
    words = "Dots: median over cases; lines: least to largest. Grey: the tolerance (above), the margin (below). "
    return finish(figure, numbers, runs, words + "Numbers below 1e-17 are drawn there.")


def _spread(runs: Runs) -> str:
    return f"{seeds_words({'seeds': runs.n}, runs.planned)}."


FIGURES = {"descent": draw_descent, "steps": draw_steps, "effects": draw_ratios, "errors": draw_exact}
