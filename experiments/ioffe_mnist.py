"""Does a small sigmoid net learn sooner, better and with steadier inner inputs with batch normalisation?

Source: Ioffe and Szegedy 2015, section 4.1 and figure 1: MNIST as 28 x 28 binary images, three hidden layers of 100
sigmoids, small random Gaussian weights, batches of 60, 50,000 steps, batch normalisation before every sigmoid.
Command: `bnlab reproduce ioffe_mnist data=mnist` (21 minutes on two cores that had other work too); without
`data=mnist` the digits demonstration (about a minute).
Expected: with batch normalisation 95 % in a fraction of the steps and one percentage point more at the end; the
percentiles of a sigmoid's input move less, above all because nothing keeps the plain net on its plateau.

The paper states neither the standard deviation of the weights nor the learning rate (nor the threshold of the pixels,
taken half-way): {0.01, 0.05, 0.1} x {0.1, 0.5, 1} are all run and shown. The primary cell was chosen from the paper
before any run. Deviation 0.1: in figure 1b the input of the plain net's sigmoid starts with 0.06 to 0.07 between its
15th and 85th percentile; untrained nets on MNIST have 0.08 there with 0.1, 0.012 with 0.05 and 0.0001 with 0.01. Rate
0.1, the smallest: figure 1 is slow, with the plain net flat for 2,000 steps and 4,000 to 95 % even with batch
normalisation. Two runs of 500 and 2,500 steps at lr 0.3 were timed, their outcomes not looked at.

Fixed before the runs: 10 seeds in the primary cell, 3 in the others, 10 for the comparison of inputs. Early is the mean
test accuracy over the first 10,000 steps (the whole run, outside the primary cell), which always exists; steps to 95 %
are shown beside. Margins: a percentage point early, which is 100 steps of a plateau at chance against a trained net;
a tenth of one late, ten test images; 0.1 for percentiles, a tenth of a normalised input's standard deviation. The
percentiles are those of one unit over the batch of 60, averaged over stretches of a fiftieth of the run, so that the
noise of single batches is no movement; the published curves are treated alike. Diverged runs count as chance. The
shipped runs shared their machine with other work, which the times beside S3-03 contain.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bnlab.claims import Claim, Measured, Part, Published, Verdict
from bnlab.comparisons import Cell, distance, distance_beside, steps_saved, steps_to_reach
from bnlab.measures import Effects, gap, metric, need, over_window, planned_steps, seeds_of
from bnlab.plots.curves import averaged, diverged_at, draw_curve, smoothed, step_axis
from bnlab.plots.drawing import Drawing, finish, seeds_words
from bnlab.plots.looks import Look, look
from bnlab.plots.panels import Line, accuracy_lines
from bnlab.plots.published import entry, handle, handles, overlay
from bnlab.plots.style import PAGE, TEXT, legend, new_figure, styled
from bnlab.published import curve
from bnlab.stats import steps_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bnlab.store import Runs

ACCURACY = "curves/test_accuracy"
CHANCE, ENOUGH = 0.1, 0.95
PERCENTILES = {p: f"activations/unit_p{p}/03" for p in (15, 50, 85)}
ARMS = ("plain", "bn")
DEVIATIONS, RATES = (0.01, 0.05, 0.1), (0.1, 0.5, 1.0)
PRIMARY = (0.1, 0.1)  # deviation and rate
OTHERS = tuple(place for place in itertools.product(DEVIATIONS, RATES) if place != PRIMARY)
STRETCHES = 50  # of a run, over which percentiles are averaged

# Seeds and steps as the YAML plans them: of the primary cell; of the other cells; of the comparison of inputs.
SEEDS = {"digits-smoke": 2, "digits-laptop": 3, "mnist-laptop": 10}
GRID_SEEDS = {"digits-smoke": 2, "digits-laptop": 3, "mnist-laptop": 3}
EARLY_STEPS = {"digits-smoke": 20, "digits-laptop": 600, "mnist-laptop": 10_000}

IOFFE = "ioffe2015"
PAPER = "Ioffe and Szegedy 2015, section 4.1 and figure 1"
FIGURE_1 = f"{PAPER}, measured from its vector curves (one run)"
SERIES = {"plain": "without_bn", "bn": "with_bn"}

SOON, LATE_MARGIN, STEADY, RECORD = 0.01, 0.001, 0.1, 500.0


def cell(variant: str, place: tuple[float, float] = PRIMARY, pixels: str = "binary") -> Cell:
    """The runs of one net with these weights, rate and inputs."""
    keys = {"variant": variant, "model.init_std": place[0], "lr": place[1], "data.pixels": pixels}
    seeds = SEEDS if place == PRIMARY else GRID_SEEDS
    return Cell(variant if pixels == "binary" else pixels, keys, seeds)


BN, PLAIN = cell("bn"), cell("plain")
NORMALISED, RAW = cell("plain", pixels="standardized"), cell("plain", pixels="unit")


def accuracy_between(start: float, runs: Runs, arm: Cell) -> Effects:
    """Mean test accuracy from this share of the early steps to their end, however long the runs are."""
    chosen = arm.of(runs)
    if not chosen.n:
        return {}
    share = min(1.0, planned_steps(runs, EARLY_STEPS) / int(chosen.table["steps"].max()))
    return over_window(chosen, ACCURACY, (start * share, share), CHANCE)


def early(runs: Runs, arm: Cell) -> Effects:
    return accuracy_between(0.0, runs, arm)


def worst_cell(runs: Runs, arm: Cell) -> Effects:
    """Of the nine cells the lowest accuracy at the end of the early steps, for the seeds that all cells have."""
    places = itertools.product(DEVIATIONS, RATES)
    found = [accuracy_between(0.8, runs, cell(arm.keys["variant"], place)) for place in places]
    everywhere = set.intersection(*(set(values) for values in found))
    return {seed: min(values[seed] for values in found) for seed in sorted(everywhere)}


def stretches(chosen: Runs, name: str) -> pd.DataFrame:
    """A percentile averaged over fiftieths of the run; index step, a column per seed."""
    return averaged(chosen.series(name), _stretch(chosen))


def _stretch(chosen: Runs) -> int:
    """Steps of a fiftieth of the run."""
    return max(1, int(chosen.table["steps"].max()) // STRETCHES)


def median_of(percentile: Callable[[int], pd.DataFrame]) -> pd.DataFrame:
    return percentile(50)


def width_of(percentile: Callable[[int], pd.DataFrame]) -> pd.DataFrame:
    return percentile(85) - percentile(15)


def movement(quantity: Callable, start: float = 0.0) -> Callable[[Runs, Cell], Effects]:
    """Largest less smallest value of a quantity after this share of the run, per seed; NaN for one that diverged."""

    def measured(runs: Runs, arm: Cell) -> Effects:
        chosen = arm.of(runs)
        if not chosen.n:
            return {}
        lines = quantity(lambda p: stretches(chosen, PERCENTILES[p]))
        lines = lines[lines.index >= start * int(chosen.table["steps"].max())]
        spans = {seed: math.nan for seed in seeds_of(chosen)} | (lines.max() - lines.min()).to_dict()
        return {int(seed): math.nan if seed in diverged_at(chosen) else float(v) for seed, v in spans.items()}

    return measured


def published_movement(variant: str, quantity: Callable, start: float = 0.0) -> float:
    """The same of the published curves."""
    grid = np.arange(250.0, 49_501.0, 250.0)

    def percentile(p: int) -> pd.DataFrame:
        values = np.interp(grid, *curve(IOFFE, "fig1bc", "sigmoid_input", f"{SERIES[variant]}_p{p}"))
        return averaged(pd.DataFrame({0: values}, index=grid), 50_000 // STRETCHES)

    line = quantity(percentile)
    line = line[line.index >= start * 50_000]
    return float((line.max() - line.min()).iloc[0])


def reach(arm: Runs) -> Effects:
    """Test accuracies are not noisy: one record is enough."""
    return steps_to_reach(arm, ACCURACY, ENOUGH, records=1)


def saved(faster: Cell, slower: Cell) -> Callable[[Runs], Measured]:
    def measured(runs: Runs) -> Measured:
        arms = [(arm.name, arm.of(runs)) for arm in (faster, slower)]
        return steps_saved(*arms, faster.planned(runs, arms[0][1].n), reach)

    return measured


def milliseconds_per_step(runs: Runs, arm: Cell) -> Effects:
    chosen = arm.of(runs)
    steps = chosen.outcome("steps_done")
    return {seed: 1000 * seconds / max(1, steps[seed]) for seed, seconds in chosen.outcome("seconds").items()}


def seconds_to_reach(runs: Runs, arm: Cell) -> Effects:
    """Steps to 95 % times the run's own time per step; a run that never gets there counts with all its steps."""
    chosen = arm.of(runs)
    if not chosen.n:
        return {}
    last, each = float(chosen.table["steps"].max()), milliseconds_per_step(runs, arm)
    return {seed: min(step, last) * each[seed] / 1000 for seed, step in reach(chosen).items()}


def _soon(label: str, more: Cell, less: Cell, beside: bool = False) -> Part:
    direction = f"{more.name} - {less.name} > 0"
    return Part(label, ACCURACY, direction, "accuracy", SOON, gap(more, less, early), "early", beside=beside)


def _saved(label: str, more: Cell, less: Cell, published: Published | None = None) -> Part:
    direction = f"steps of {less.name} - steps of {more.name} > 0"
    return Part(label, ACCURACY, direction, "steps", RECORD, saved(more, less), "whole run", beside=True,
                published=published)  # fmt: skip


def _moves(words: str, quantity: Callable, start: float = 0.0, beside: bool = False) -> Part:
    theirs = [published_movement(variant, quantity, start) for variant in ARMS]
    told = Published(round(theirs[0] - theirs[1], 3), f"{theirs[0]:.2f} without, {theirs[1]:.2f} with", FIGURE_1)
    measure = gap(PLAIN, BN, movement(quantity, start))
    window = "whole run" if start == 0 else "last four fifths"
    label = f"{words} of a sigmoid's input moves less" + ("" if start == 0 else f", {window}")
    metrics = "activations/unit_p*/03"
    return Part(label, metrics, "range of plain - range of bn > 0", "units of the sigmoid's input", STEADY, measure,
                window, beside=beside, published=told)  # fmt: skip


TOLD_STEPS = Published(10_600.0, "95 % at step 14,600 without, by 4,000 with", FIGURE_1)
BN_SOONER = _soon("BN against plain, early", BN, PLAIN)
BN_SAVES = _saved("steps to 95 % that BN saves", BN, PLAIN, TOLD_STEPS)
CELLS = tuple(
    _soon(f"BN against plain, weights {place[0]:g}, lr {place[1]:g}", cell("bn", place), cell("plain", place), True)
    for place in OTHERS
)
HIGHER = Part("BN against plain, last fifth", ACCURACY, "bn - plain > 0", "accuracy", LATE_MARGIN,
              gap(BN, PLAIN, metric(ACCURACY, chance=CHANCE)),
              published=Published(0.009, "98.1 % with, 97.2 % without", FIGURE_1))  # fmt: skip
WORST = Part("BN against plain, the worst of nine cells", ACCURACY, "bn - plain > 0", "accuracy", SOON,
             gap(cell("bn", OTHERS[0]), cell("plain", OTHERS[0]), worst_cell), "end of the early steps")  # fmt: skip
STEADIER = (_moves("the median", median_of), _moves("the 15-85 % width", width_of))
STEADIER_BESIDE = tuple(dataclasses.replace(part, beside=True) for part in STEADIER)
STEADIER_LATER = (
    _moves("the median", median_of, 0.2, beside=True),
    _moves("the 15-85 % width", width_of, 0.2, beside=True),
)
TOLD_MOVES = Published(
    None, "; ".join(f"{part.label.split(' of ')[0]} by {part.published.text}" for part in STEADIER), FIGURE_1
)
CLOCK = (
    Part("a step takes less time", "seconds", "plain - bn > 0", "milliseconds", 0.02,
         gap(PLAIN, BN, milliseconds_per_step), "whole run", beside=True),
    Part("seconds to 95 % that BN saves", "seconds", "plain - bn > 0", "seconds", 0.5,
         gap(PLAIN, BN, seconds_to_reach), "whole run", beside=True),
)  # fmt: skip


def comparable(runs: Runs) -> bool:
    """Whether these are the images of the paper's figure: with others its curves are no measure."""
    return runs.data == "mnist"


def accuracy_distances(runs: Runs) -> Iterator[Verdict]:
    for arm in (PLAIN, BN) if comparable(runs) else ():
        chosen = arm.of(runs)
        told = curve(IOFFE, "fig1a", "test_acc", SERIES[arm.name])
        label = f"distance from the published curve, {look(arm.name).label}"
        yield distance_beside(label, "accuracy", chosen.series(ACCURACY), told, arm.planned(runs, chosen.n))


def percentile_distances(runs: Runs) -> Iterator[Verdict]:
    for arm, (p, name) in itertools.product((PLAIN, BN) if comparable(runs) else (), PERCENTILES.items()):
        chosen = arm.of(runs)
        told = curve(IOFFE, "fig1bc", "sigmoid_input", f"{SERIES[arm.name]}_p{p}")
        label = f"distance from the published {p}th percentile, {look(arm.name).label}"
        yield distance_beside(
            label, "units of the sigmoid's input", chosen.series(name), told, arm.planned(runs, chosen.n)
        )


CLAIMS = (
    Claim(
        "P1-01", "(a) [...] Batch Normalization helps the network train faster", "S", f"{PAPER}, caption",
        "Mean test accuracy over the first fifth of the paper's training, with minus without, in the primary cell "
        "(weights of standard deviation 0.1, lr 0.1); beside it the steps to 95 % and all other cells.",
        (BN_SOONER, BN_SAVES, *CELLS), figure="accuracy", distances=accuracy_distances,
    ),
    Claim(
        "P1-02", "(a) [...] and achieve higher accuracy.", "S", f"{PAPER}, caption",
        "Test accuracy over the last fifth of the training, with minus without, in the primary cell.",
        (HIGHER,), figure="accuracy",
    ),
    Claim(
        "P1-03", "(b, c) [...] Batch Normalization makes the distribution more stable", "S", f"{PAPER}, caption",
        "One sigmoid of the last hidden layer, primary cell: largest less smallest value, over fiftieths of the run, "
        "of its input's median and of the distance between its 15th and 85th percentile, without minus with.",
        (*STEADIER, *STEADIER_LATER), TOLD_MOVES, "input_percentiles", distances=percentile_distances,
    ),
    Claim(
        "S2-17", "we can see how normalizing the inputs to take on a similar range of values can speed up learning. "
        "[...] Batch Norm is doing a similar thing with the values in the layers of the network, not only in the "
        "inputs.", "S", "article S2, section 3.3",
        "Mean test accuracy over the first fifth of the paper's training: the plain net on pixels of mean 0 and "
        "standard deviation 1 minus the same on pixels in [0, 1]; the net with batch normalisation minus the plain "
        "one.",
        (_soon("normalised inputs against pixels in [0, 1]", NORMALISED, RAW), BN_SOONER,
         _saved("steps to 95 % that normalised inputs save", NORMALISED, RAW), BN_SAVES),
        figure="inputs",
    ),
    Claim(
        "S3-03", "it is a process to make neural networks faster and more stable through adding extra layers in a deep "
        "neural network.", "S", "article S3, introduction",
        "Faster is meant in steps: mean test accuracy over the first fifth of the paper's training. More stable: the "
        "accuracy at its end in the worst of nine cells of initial weights and rates. Beside it the time, for the "
        "extra layers make a step dearer: as the runs took it, two at a time on one machine.",
        (BN_SOONER, WORST, BN_SAVES, *CLOCK, *STEADIER_BESIDE), figure="unstated_settings",
    ),
)  # fmt: skip


def _told(ax: Axes, runs: Runs, key: tuple[str, str, str], own: Look, scale: float = 1.0) -> pd.DataFrame:
    """The published curve, where the data are its own."""
    drawn = overlay(ax, IOFFE, key, own, scale=scale) if comparable(runs) else pd.DataFrame()
    return drawn.assign(metric=f"published {key[2]}")


def _told_entry(runs: Runs) -> list:
    return [handle(IOFFE)] if comparable(runs) else []


@styled
def accuracy(runs: Runs) -> Drawing:
    """Figure 1a: test accuracy against steps, whole and close to its end, with the published curves."""
    arms = {arm.name: arm.of(runs) for arm in (PLAIN, BN)}
    need(any(arm.n for arm in arms.values()), runs, "the primary cell")
    figure = new_figure(PAGE, 2.6)
    numbers = []
    for ax, (low, high) in zip(figure.subplots(1, 2), ((0, 100), (92, 99))):
        numbers.append(accuracy_lines(ax, [Line(arm, name, ACCURACY) for name, arm in arms.items()], CHANCE))
        for name in arms:
            numbers.append(_told(ax, runs, ("fig1a", "test_acc", SERIES[name]), look(name), 100).assign(variant=name))
        ax.set(ylim=(low, high), xlim=(0, numbers[0]["step"].max()), ylabel="test accuracy (%)")
    legend(figure, [*handles(ARMS), *_told_entry(runs)])
    words = f"Mean and 95 % t band; {_counted(runs, arms)}. Weights of standard deviation 0.1. Right: the same, closer."
    return finish(figure, numbers[:3], _shown(runs, ARMS), words)


def _shown(runs: Runs, variants: tuple[str, ...]) -> Runs:
    """The runs of the primary cell, for captions."""
    return runs.select(**{**BN.keys, "variant": list(variants)})


def _counted(runs: Runs, arms: dict[str, Runs]) -> str:
    return seeds_words({look(name).label: arm.n for name, arm in arms.items()}, BN.planned(runs, 0))


@styled
def input_percentiles(runs: Runs) -> Drawing:
    """Figures 1b and 1c: percentiles of the input of one sigmoid over training, with the published ones."""
    arms = {arm.name: arm.of(runs) for arm in (PLAIN, BN)}
    need(any(arm.n for arm in arms.values()), runs, "the primary cell")
    figure = new_figure(PAGE, 2.8)
    numbers = []
    for ax, (name, arm) in zip(figure.subplots(1, 2, sharey=True), arms.items()):
        for p, own in _percentile_looks(name).items():
            if arm.n:
                drawn = draw_curve(ax, smoothed(arm.series(PERCENTILES[p]), _stretch(arm)), own, diverged_at(arm))
                numbers.append(drawn.assign(variant=name, metric=PERCENTILES[p]))
            key = ("fig1bc", "sigmoid_input", f"{SERIES[name]}_p{p}")
            numbers.append(_told(ax, runs, key, own).assign(variant=name))
        step_axis(ax, float(max(arm.table["steps"].max() for arm in arms.values() if arm.n)))
        ax.set_title(look(name).label)
        ax.label_outer()
    figure.axes[0].set_ylabel("input of one sigmoid")
    legend(figure, [*map(entry, _percentile_looks("grey").values()), *_told_entry(runs)])
    words = f"Mean and 95 % t band over seeds, a unit each; {_counted(runs, arms)}. Last hidden layer, percentiles "
    words += "over the batch, averaged over fiftieths of the run."
    if comparable(runs):
        words += " The published axis has no numbers: 0 to 50k is assumed."
    return finish(figure, numbers, _shown(runs, ARMS), words)


def _percentile_looks(variant: str) -> dict[int, Look]:
    """The arm's colour, with a dash and a marker for each percentile."""
    shapes = {15: ((0, (1.2, 1.2)), "v"), 50: ("-", "o"), 85: ((0, (4.5, 1.5)), "^")}
    return {p: Look(f"{p}th percentile", look(variant).colour, dash, marker) for p, (dash, marker) in shapes.items()}


@styled
def unstated_settings(runs: Runs) -> Drawing:
    """A panel for each deviation of the weights and each rate: early test accuracy, steps to 95 %, distances."""
    need(any(cell(v, p).of(runs).n for v in ARMS for p in (PRIMARY, *OTHERS)), runs, "any cell of weights and rate")
    figure = new_figure(PAGE, 5.7)
    last = planned_steps(runs, EARLY_STEPS)
    numbers = []
    for axes, deviation in zip(figure.subplots(3, 3, sharex=True, sharey=True), DEVIATIONS):
        for ax, rate in zip(axes, RATES):
            numbers.append(_draw_cell(ax, runs, (deviation, rate), last))
            ax.label_outer()
        axes[0].set_ylabel("test accuracy (%)")
    legend(figure, [*handles(ARMS), *_told_entry(runs)])
    words = f"Mean and 95 % t band over seeds; planned: {BN.planned(runs, 0)} seeds in the primary cell (bold), "
    words += (
        f"{cell('bn', OTHERS[0]).planned(runs, 0)} in the others. Above each panel: steps to 95 % (mean over seeds; > "
    )
    words += "where one never gets there)"
    words += ", distance from the published curve up to here in percentage points." if comparable(runs) else "."
    return finish(figure, numbers, runs.select(**{"data.pixels": "binary"}), words)


def _draw_cell(ax: Axes, runs: Runs, place: tuple[float, float], last: int) -> pd.DataFrame:
    arms = {variant: cell(variant, place).of(runs) for variant in ARMS}
    drawn = accuracy_lines(ax, [Line(arm, name, ACCURACY) for name, arm in arms.items()], CHANCE)
    for name in ARMS:
        _told(ax, runs, ("fig1a", "test_acc", SERIES[name]), look(name), 100)
    for points, (name, arm) in zip((11, 4), arms.items()):
        ax.annotate(_cell_words(name, arm, last), (0.5, 1), xycoords="axes fraction", xytext=(0, points),
                    textcoords="offset points", ha="center", fontsize=6, color=look(name).colour)  # fmt: skip
    ax.set(xlim=(0, last), ylim=(0, 100))
    ax.set_title(f"weights {place[0]:g}, lr {place[1]:g}", fontweight="bold" if place == PRIMARY else None, pad=19)
    return drawn[drawn["step"] <= last].assign(deviation=place[0], lr=place[1])


def _cell_words(name: str, arm: Runs, last: int) -> str:
    """`BN: 95 % at 2500, 0.4 from published`."""
    steps = [step if step <= last else math.inf for step in reach(arm).values()]
    series = arm.series(ACCURACY)
    found = distance(series[series.index <= last], *curve(IOFFE, "fig1a", "test_acc", SERIES[name]))
    first = steps_text(float(np.mean(steps)), last) if steps else "no run"
    apart = f", {100 * found.absolute:.1f} from published" if comparable(arm) and found.points else ""
    return f"{look(name).label}: 95 % at {first}{apart}"


@styled
def inputs(runs: Runs) -> Drawing:
    """Early test accuracy of the plain net on raw and on normalised inputs, and without and with normalised layers."""
    normalised = [(RAW, _called("pixels in [0, 1]", "plain")), (NORMALISED, _called("mean 0, deviation 1", "bn"))]
    pairs = {"plain net, inputs": normalised, "binary inputs, layers": [(arm, look(arm.name)) for arm in (PLAIN, BN)]}
    counts = {arm.name: arm.of(runs).n for arms in pairs.values() for arm, _ in arms}
    need(any(counts.values()), runs, "the primary cell or the comparison of inputs")
    figure = new_figure(TEXT, 2.6)
    numbers = []
    for ax, (title, arms) in zip(figure.subplots(1, 2, sharey=True), pairs.items()):
        lines = [Line(arm.of(runs), arm.name, ACCURACY, look=own) for arm, own in arms]
        numbers.append(accuracy_lines(ax, lines, CHANCE).assign(panel=title))
        ax.set(title=title, xlim=(0, planned_steps(runs, EARLY_STEPS)), ylim=(0, 100))
        ax.legend(handles=[entry(own) for _, own in arms], loc="lower right")
    figure.axes[0].set_ylabel("test accuracy (%)")
    words = f"Mean and 95 % t band; {seeds_words(counts, BN.planned(runs, 0))}. Weights of standard deviation 0.1."
    return finish(figure, numbers, runs.select(**{"model.init_std": PRIMARY[0], "lr": PRIMARY[1]}), words)


def _called(label: str, variant: str) -> Look:
    return dataclasses.replace(look(variant), label=label)


FIGURES = {
    "accuracy": accuracy,
    "input_percentiles": input_percentiles,
    "unstated_settings": unstated_settings,
    "inputs": inputs,
}
