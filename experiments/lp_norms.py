"""Does dividing by another norm than the deviation train as well, and what does it do to the distributions?

Source: Santurkar et al. 2018, section 3.3, figures 5, 6 and 12 to 14. Five arms of one net, from equal weights and on
equal batches: plain, bn, and the mean taken away and the average l1, l2 or l-infinity norm of the activations divided
by. Two nets: 25 linear maps that fit y = A x, where every seed draws another A, and a VGG. Claims say in our words what
the paper says in its own.

Command: `bnlab reproduce lp_norms data=gaussian_map scale=laptop` (71 minutes on two cores that had other work too),
`... data=cifar10 scale=laptop` (13 minutes, likewise); without the words, a demonstration on digits (2 minutes).

Expected: all three train the VGG nearly as fast as bn. On the linear net l-infinity, which divides by far more than the
deviation, falls behind; the paper's own figure 5 shows a loss of 986 for it at the end, 479 for bn and 97 for l1, in
one draw of A. The histograms of a linear net stay Gaussian whatever divides them, because linear maps of Gaussian
inputs are.

Losses of different draws of A rest on different plateaus, so linear nets are compared by the share of the ten modes
that they have learned; VGGs by training accuracy. "Comparable or better" is tested as no worse: not MARGIN below bn,
wherever plain is. Beside it stand whether a norm is better than bn, and whether it is beyond half-way from plain to bn.

All metrics, directions, margins, windows and seeds below were fixed before any run of the plans on the Gaussian map and
on CIFAR-10. Seen until then: 300 steps of the five linear nets with seed 900 (where l-infinity had learned one mode,
the others three or four), the time of 20 steps of each VGG, and the runs of `ics_vgg`, which have two of these arms.
Two rules were changed later, after a review and before any verdict or number of the runs on the Gaussian map and on
CIFAR-10 had been seen: half-way decided P2-01, though it tells no size of a difference from bn (where plain is as good
as bn it refutes equals, where plain has learned nothing it supports half of bn's share); and a kurtosis within the
margin of P2-04 refuted it, on either side of the threshold. Before the first of these runs the statements about the
linear net got ids of their own (P2-09, P2-10, P2-23).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bnlab import published
from bnlab.claims import Claim, Measured, Part, Published, Verdict
from bnlab.comparisons import BySeed, Cell, distance_beside, mean_of, median_over_run, paired_log_ratio
from bnlab.measures import all_diverged, kurtosis_over_window, lost_seeds, mean_note, mean_notes, need, over_window
from bnlab.plots import published as marks
from bnlab.plots.curves import averaged, diverged_at, draw_curve, step_axis
from bnlab.plots.drawing import Drawing, finish, seeds_words
from bnlab.plots.panels import Groups, group_panels
from bnlab.plots.style import PAGE, legend, look, new_figure, styled
from bnlab.stats import paired_difference

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from bnlab.store import Runs

NORMS = {"l1": "l1", "l2": "l2", "linf": "l-infinity"}
VARIANTS = ("plain", "bn", *NORMS)
SEEDS = {
    "digits-smoke": 2, "gaussian_map-smoke": 2, "digits-laptop": 3, "cifar10-laptop": 5,
    "gaussian_map-laptop": 20, "gaussian_map-paper": 20,
}  # fmt: skip

LINEAR = "gaussian_map"
MODES = 10
ACCURACY, LOSS, LEARNED = "curves/train_accuracy", "curves/train_loss", "modes/learned"
CHANCE = 0.1
_LEARNED = "training accuracy, or modes learned of 10"
CHANGES = {"mean": "moments/mean_change", "variance": "moments/var_change"}
HISTOGRAM = "activations/hist_unit"

MARGIN = 0.02  # two percentage points of accuracy, or a fifth of a mode
RATIO_MARGIN = 0.1  # of log10 of a ratio: a factor of 1.26, as in ics_vgg
# A uniform or a two-sided exponential distribution has an excess kurtosis of -1.2 or 3; estimates from the 256 values
# of the smallest maps scatter by 0.3.
NOT_GAUSSIAN, KURTOSIS_MARGIN = 0.5, 0.1

SANTURKAR = "santurkar2018"
SERIES = {"plain": "standard"}  # else the paper's name is ours
_FIGURE_5 = "measured from figure 5 of Santurkar et al. 2018 (one run each)"
STEPS_TO_90 = "steps to 90 % accuracy of VGG: bn 1800, l1 2200, l2 2600, l-infinity 2400, plain 4300"
LAST_LOSSES = "loss of the linear net at step 10,000: plain 1661, bn 479, l1 97, l2 481, l-infinity 986"


def cell(variant: str) -> Cell:
    return Cell(variant, {"variant": variant}, SEEDS)


def planned(runs: Runs) -> int:
    return cell("bn").planned(runs, cell("bn").of(runs).n)


def recorded_layers(runs: Runs) -> list[int]:
    return sorted(runs.table["probe.moments.layers"].iloc[0]) if runs.n else []


def learned(runs: Runs, variant: str) -> BySeed:
    """Share of what there is to learn, mean of the last fifth of a run: of images, or of the modes of A."""
    arm = cell(variant).of(runs)
    if runs.data != LINEAR:
        return over_window(arm, ACCURACY, chance=CHANCE)
    return {seed: modes / MODES for seed, modes in over_window(arm, LEARNED).items()}


def no_worse(runs: Runs, norm: str) -> Measured:
    """How far a net is above what is MARGIN below bn."""
    return above_bn(runs, norm).raised(MARGIN)


def above_half_way(runs: Runs, norm: str) -> Measured:
    """What a net has learned beyond the middle between plain and bn."""
    ours, plain, bn = (learned(runs, variant) for variant in (norm, "plain", "bn"))
    return _compared(runs, {norm: ours, "plain": plain, "bn": bn}, mean_of([plain, bn]))


def above_bn(runs: Runs, norm: str) -> Measured:
    ours, bn = learned(runs, norm), learned(runs, "bn")
    return _compared(runs, {norm: ours, "bn": bn}, bn)


def _compared(runs: Runs, sides: dict[str, BySeed], against: BySeed) -> Measured:
    """The first side less `against`."""
    first = next(iter(sides.values()))
    note = mean_notes(*sides.items())
    void = all_diverged(*((cell(variant).of(runs), values) for variant, values in sides.items()))
    return Measured(paired_difference(first, against), planned(runs), note, lost_seeds(*sides.values()), void)


def moves_more(runs: Runs, norm: str, metric: str) -> Measured:
    """log10 of the norm's over plain's, median over the run, geometric mean over the recorded layers."""
    every = [paired_log_ratio(*_medians(runs, norm, metric, layer), planned(runs)) for layer in recorded_layers(runs)]
    lost = frozenset().union(*(one.lost for one in every))
    return Measured(mean_of([one.effects for one in every]) if every else {}, planned(runs), lost=lost)


def _medians(runs: Runs, norm: str, metric: str, layer: int) -> tuple[BySeed, BySeed]:
    ours, plain = (median_over_run(cell(variant).of(runs), f"{metric}/{layer:02d}") for variant in (norm, "plain"))
    return ours, plain


def departure(runs: Runs, variant: str) -> BySeed:
    """|excess kurtosis| of one unit's inputs to the activation, mean over layers and the last fifth of a run."""
    arm = cell(variant).of(runs)
    names = [f"{HISTOGRAM}/{layer:02d}" for layer in recorded_layers(runs)] if arm.n else []
    return mean_of([{s: abs(v) for s, v in kurtosis_over_window(arm, name).items()} for name in names])


def not_gaussian(runs: Runs, variant: str) -> Measured:
    found = departure(runs, variant)
    effects = {seed: value - NOT_GAUSSIAN for seed, value in found.items()}
    return Measured(effects, planned(runs), mean_note("|excess kurtosis|", found.values()), lost_seeds(found))


def _trains(norm: str) -> Part:
    return Part(f"{NORMS[norm]} learns no less than bn", _LEARNED, f"norm - bn > -{MARGIN:g}",
                f"to spare (norm - bn + {MARGIN:g})", 0.0, partial(no_worse, norm=norm),
                slack=MARGIN)  # fmt: skip


def _half_way(norm: str) -> Part:
    return Part(f"{NORMS[norm]} is beyond half-way from plain to bn", _LEARNED, "norm - (plain + bn) / 2 > 0",
                "share learned", MARGIN, partial(above_half_way, norm=norm), beside=True, arms=(norm,))  # fmt: skip


def _beats(norm: str, beside: bool) -> Part:
    return Part(f"{NORMS[norm]} learns more than bn", _LEARNED, "norm - bn > 0", "share learned", MARGIN,
                partial(above_bn, norm=norm), beside=beside)  # fmt: skip


def _moves(norm: str, quantity: str) -> Part:
    label = f"{quantity} of the inputs moves more with {NORMS[norm]} than in the plain net"
    measure = partial(moves_more, norm=norm, metric=CHANGES[quantity])
    words = f"median of {CHANGES[quantity]}, mean over layers"
    return Part(label, words, "norm / plain > 1", "log10 of norm / plain", RATIO_MARGIN, measure, "whole run")


def _shape(variant: str) -> Part:
    label = f"{NORMS.get(variant, variant)}: |excess kurtosis| above {NOT_GAUSSIAN}"
    measure = partial(not_gaussian, variant=variant)
    return Part(label, f"kurtosis of {HISTOGRAM}, mean over layers", f"> {NOT_GAUSSIAN}", "excess kurtosis",
                KURTOSIS_MARGIN, measure, differs=False, beside=variant not in NORMS, arms=(variant,))  # fmt: skip


def published_curve(runs: Runs, variant: str) -> tuple | None:
    """Steps and values of the paper's curve of this arm, where it trained on the same data; accuracies in per cent."""
    panels = {LINEAR: ("dln_train_loss", 1), "cifar10": ("vgg_train_acc_minibatch_pct", 5)}
    if runs.data not in panels:
        return None
    panel, width = panels[runs.data]
    return published.smoothed(SANTURKAR, ("fig5", panel, SERIES.get(variant, variant)), width)


def own_curve(runs: Runs, variant: str) -> pd.DataFrame:
    """What the paper's figure 5 shows, of our runs: loss of the linear net, else training accuracy in per cent."""
    arm = cell(variant).of(runs)
    if runs.data == LINEAR:
        return arm.series(LOSS)
    return 100 * averaged(arm.series(ACCURACY), max(1, int(runs.table["steps"].max()) // 25))


def from_figure_5(runs: Runs) -> Iterator[Verdict]:
    """How far our curves lie from the paper's; a linear net's loss depends on its draw of A, of which it has one."""
    unit = "half a sum of squares" if runs.data == LINEAR else "percentage points"
    for variant in VARIANTS:
        told = published_curve(runs, variant)
        if told is not None and cell(variant).of(runs).n:
            label = f"distance from the published curve, {variant} (figure 5)"
            yield distance_beside(label, unit, own_curve(runs, variant), told, planned(runs))


@dataclass(frozen=True)
class NormedNet:
    """One of the paper's two nets, the data sets on which it is trained here, and what is measured of its learning."""

    name: str
    data: tuple[str, ...]
    learned: str
    told: str


VGG_NET = NormedNet("VGG", ("digits", "cifar10"), "training accuracy", STEPS_TO_90)
LINEAR_NET = NormedNet("deep linear net", (LINEAR,), "modes learned of 10", LAST_LOSSES)


def _comparable(id: str, net: NormedNet) -> Claim:
    return Claim(
        id=id,
        says="Dividing by the l1, l2 or l-infinity norm trains a net comparably to batch normalisation, or better: the "
        f"{net.name} (section 3.3, in our words).",
        kind="S",
        source="Santurkar et al. 2018, section 3.3, figures 5 and 6",
        tests=f"Share learned, mean of the last fifth of a run: {net.learned}. Comparable or better: not {MARGIN:g} "
        "below bn. Beside it: better than bn, and beyond half-way from plain to bn.",
        parts=(*map(_trains, NORMS), *(_beats(norm, beside=True) for norm in NORMS), *map(_half_way, NORMS)),
        published=Published(None, net.told, _FIGURE_5),
        figure="training",
        distances=from_figure_5,
        only=net.data,
    )


def _shifts_more(id: str, net: NormedNet) -> Claim:
    return Claim(
        id=id,
        says="Nets normalised by l_p norms shift the distributions of their layers' inputs more than the plain net "
        f"does: the {net.name} (section 3.3, in our words).",
        kind="S",
        source="Santurkar et al. 2018, section 3.3, figures 12 and 13",
        tests="How far mean and variance of a layer's input to the activation move between records: norm over plain, "
        "median over the run, geometric mean over the recorded layers.",
        parts=tuple(_moves(norm, quantity) for norm in NORMS for quantity in CHANGES),
        figure="distributions",
        only=net.data,
    )


def _no_gaussian(id: str, net: NormedNet) -> Claim:
    return Claim(
        id=id,
        says="Divided by an l_p norm, the inputs of the layers are no longer distributed like a Gaussian: the "
        f"{net.name} (section 3.3, in our words).",
        kind="S",
        source="Santurkar et al. 2018, section 3.3, figure 14",
        tests="|Excess kurtosis| of what goes into the activation of one unit, mean over the recorded layers; 0 for a "
        "Gaussian.",
        parts=tuple(map(_shape, (*NORMS, "bn", "plain"))),
        figure="distributions",
        only=net.data,
    )


CLAIMS = (
    _comparable("P2-01", VGG_NET),
    Claim(
        id="P2-02",
        says="In deep linear nets the l1 norm trains even better than batch normalisation (section 3.3, in our words).",
        kind="S",
        source="Santurkar et al. 2018, section 3.3, figure 5",
        tests="Share learned with l1 less that with bn, mean of the last fifth of a run: modes learned of 10.",
        parts=(_beats("l1", beside=False),),
        published=Published(None, LAST_LOSSES, _FIGURE_5),
        figure="training",
        only=LINEAR_NET.data,
    ),
    _shifts_more("P2-03", VGG_NET),
    _no_gaussian("P2-04", VGG_NET),
    _comparable("P2-09", LINEAR_NET),
    _shifts_more("P2-10", LINEAR_NET),
    _no_gaussian("P2-23", LINEAR_NET),
)


@styled
def draw_training(runs: Runs) -> Drawing:
    """Figure 5 of the paper with ours; for the linear net also the modes learned, which its draws of A share."""
    _need_any(runs)
    figure = new_figure(PAGE, 2.9)
    linear = runs.data == LINEAR
    axes = figure.subplots(1, 1 + linear, squeeze=False)[0]
    numbers = [_figure_5_panel(axes[0], runs)]
    if linear:
        numbers.append(_modes_panel(axes[1], runs))
    told = [marks.handle(SANTURKAR)] if runs.data in (LINEAR, "cifar10") else []
    legend(figure, [*marks.handles(VARIANTS), *told], 6)
    words = " Every seed is another draw of A; the published curves belong to one, unknown." if linear else ""
    return finish(figure, numbers, runs, f"Mean and 95 % t interval, {_spread(runs)}.{words}")


def _figure_5_panel(ax: Axes, runs: Runs) -> pd.DataFrame:
    import pandas as pd

    drawn, last = [], float(runs.table["steps"].max())
    for variant in VARIANTS:
        numbers = draw_curve(ax, own_curve(runs, variant), look(variant), diverged_at(cell(variant).of(runs)))
        drawn.append(numbers.assign(variant=variant, metric=LOSS if runs.data == LINEAR else ACCURACY))
        if published_curve(runs, variant) is not None:
            panel = "dln_train_loss" if runs.data == LINEAR else "vgg_train_acc_minibatch_pct"
            key = ("fig5", panel, SERIES.get(variant, variant))
            told = marks.overlay(ax, SANTURKAR, key, look(variant), width=1 if runs.data == LINEAR else 5)
            drawn.append(told.assign(variant=variant, metric="published"))
    if runs.data == LINEAR:
        means = pd.concat(drawn)["mean"]  # the band of a few draws may reach below 0, which a log axis cannot show
        limits = means.min() / 1.5, means.max() * 1.5
        ax.set(yscale="log", ylim=limits, ylabel="training loss (half the sum of squares)")
    else:
        ax.set(ylim=(0, 102), ylabel="training accuracy (%)")
    step_axis(ax, last)
    return pd.concat(drawn, ignore_index=True)


def _modes_panel(ax: Axes, runs: Runs) -> pd.DataFrame:
    import pandas as pd

    arms = {variant: cell(variant).of(runs) for variant in VARIANTS}
    drawn = [
        draw_curve(ax, arm.series(LEARNED), look(v), diverged_at(arm)).assign(variant=v, metric=LEARNED)
        for v, arm in arms.items()
    ]
    ax.set(ylim=(0, MODES), ylabel="modes learned, of 10")
    step_axis(ax, float(runs.table["steps"].max()))
    return pd.concat(drawn, ignore_index=True)


@styled
def draw_distributions(runs: Runs) -> Drawing:
    """How far the inputs' moments move, and how far from a Gaussian one unit's inputs are, per recorded layer."""
    _need_any(runs)
    figure = new_figure(PAGE, 2.9)
    panes = [
        *(
            Groups(f"change of the input's {name}", _by_layer(runs, metric), log=True)
            for name, metric in CHANGES.items()
        ),
        Groups("|excess kurtosis|", {"one unit,\nall layers": {v: departure(runs, v) for v in VARIANTS}}),
    ]
    axes = figure.subplots(1, len(panes), width_ratios=(2, 2, 1))
    numbers = group_panels(axes, panes)
    axes[-1].axhline(NOT_GAUSSIAN, color="black", linewidth=0.6, linestyle=":")
    axes[0].set_ylabel("median over the run")
    legend(figure, marks.handles(VARIANTS, line=False), 5)
    words = f"{_spread(runs)}. Dots: seeds. Dotted: what is taken for the edge of a Gaussian; 0 is one."
    return finish(figure, [numbers], runs, f"Mean and 95 % t interval, {words}")


def _by_layer(runs: Runs, metric: str) -> dict[str, dict[str, BySeed]]:
    return {
        f"layer {layer}": {v: median_over_run(cell(v).of(runs), f"{metric}/{layer:02d}") for v in VARIANTS}
        for layer in recorded_layers(runs)
    }


def _need_any(runs: Runs) -> None:
    need(any(cell(variant).of(runs).n for variant in VARIANTS), runs, "any arm")


def _spread(runs: Runs) -> str:
    return seeds_words({look(v).label: cell(v).of(runs).n for v in VARIANTS}, planned(runs))


FIGURES = {"training": draw_training, "distributions": draw_distributions}
