"""Does batch normalisation give deeper layers a firmer ground, as the change of their inputs and of their gradients?

Source: article S2, section 3.3; Santurkar et al. 2018, definition 2.1, figures 3 and 8. Two arms of one net, from equal
weights and on equal batches: plain and bn, at the paper's two learning rates for that net, which is a VGG or, on the
Gaussian map, 25 linear layers.

Command: `bnlab reproduce ics_gradient data=cifar10 scale=laptop` (53 minutes on 2 cores that had other
work too), `... data=gaussian_map scale=laptop` (11 minutes, likewise); without the words, a demonstration on digits (2
minutes); `... scale=paper` needs a GPU.

Expected: the means and variances of the layers' inputs move less with bn; the gradient of a layer turns as far as
without it when the layers below are updated, or further (the paper's figure 3). So the first half of the sentence holds
and the second does not.

A net that still stands on its first plateau, or has fitted its data, hardly has a gradient that could turn, and the two
arms get there at different steps. They are therefore compared at equal progress: over the records at which the training
accuracy lies between 0.3 and 0.9. Beside that stand whole runs, which is what the paper's figures show.

All metrics, directions, margins, windows and seeds below were fixed before any run on CIFAR-10. The window was chosen
after a look at the training accuracies of `ics_vgg` there, and the demonstration on digits had been seen. What the
paper itself says of figure 3 (P2-05 to P2-08) was added when the runs of the VGG had ended, by hands that had seen
nothing of them, and before any run of the linear net but one of 12 steps; equal shifts leave it undecided, though the
paper would have them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bnlab import published
from bnlab.claims import Claim, Measured, Part, Published, Verdict
from bnlab.comparisons import (
    LEARNING,
    BySeed,
    distance_beside,
    mean_measured,
    median_over_run,
    median_relative,
    paired_log_ratio,
    while_learning,
)
from bnlab.measures import all_diverged, lost_seeds, need, planned_seeds
from bnlab.plots import published as marks
from bnlab.plots.curves import diverged_at, draw_curve, smoothed, step_axis
from bnlab.plots.drawing import Drawing, cells_words, finish
from bnlab.plots.panels import Groups, group_panels
from bnlab.plots.style import PAGE, legend, look, new_figure, styled
from bnlab.stats import paired_difference

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from bnlab.store import Runs

VARIANTS = ("plain", "bn")
RATES = (0.1, 0.01)
PRIMARY = RATES[0]
LINEAR, LINEAR_RATES = "gaussian_map", (1e-6, 1e-7)
SEEDS = {  # of every cell
    "digits-smoke": 2, "digits-laptop": 3, "cifar10-laptop": 5, "cifar10-paper": 5,
    "gaussian_map-smoke": 2, "gaussian_map-laptop": 10,
}  # fmt: skip

WINDOWS = {"learning": f"training accuracy between {LEARNING[0]:g} and {LEARNING[1]:g}", "whole": "whole run"}

# Layers are compared by their place among the recorded ones: of VGG-D the paper's, 2, 9 and 13 for inputs, 5 and 10 for
# gradients.
INPUTS, GRADIENTS = "probe.moments.layers", "probe.ics.layers"
INPUT_PLACES, GRADIENT_PLACES = ("first", "middle", "last"), ("lower", "upper")
CHANGES = {"mean": "moments/mean_change", "variance": "moments/var_change"}
COSINE, RELATIVE, DISTANCE = "ics/cosine", "ics/relative", "ics/l2"
RATIO_MARGIN = 0.1  # of log10 of a ratio: a factor of 1.26, as in ics_vgg
COSINE_MARGIN = 0.05

_FIGURE_3 = "medians measured from figure 3 of Santurkar et al. 2018 (one run each, whole run)"
PUBLISHED_LAYERS, LINEAR_LAYERS = (5, 10), (9, 17)
PUBLISHED_COSINES = {  # plain and bn at each of them
    0.1: ((0.559, 0.514), (0.062, 0.050)),
    0.01: ((0.891, 0.990), (0.499, 0.941)),
}


def rates(runs: Runs) -> tuple[float, float]:
    """The higher and the lower rate of the net."""
    return LINEAR_RATES if runs.data == LINEAR else RATES


def arm(runs: Runs, variant: str, lr: float = PRIMARY) -> Runs:
    return runs.select(variant=variant, lr=lr)


def planned(runs: Runs) -> int:
    return planned_seeds(runs, SEEDS, int(arm(runs, "bn").table["seed"].nunique()))


def recorded_layers(runs: Runs, key: str) -> list[int]:
    return sorted(runs.table[key].iloc[0]) if runs.n else []


OVER: dict[str, Callable[[Runs, str], BySeed]] = {"learning": while_learning, "whole": median_over_run}


def _both(runs: Runs, metric: str, key: str, place: int, lr: float, window: str) -> tuple[BySeed, BySeed, str]:
    """The metric per seed of plain and of bn at the place-th recorded layer, and which layer that is."""
    layers = recorded_layers(runs, key)
    if place >= len(layers):
        return {}, {}, ""
    plain, bn = (OVER[window](arm(runs, v, lr), f"{metric}/{layers[place]:02d}") for v in VARIANTS)
    return plain, bn, f"layer {layers[place]}"


def smaller(runs: Runs, metric: str, key: str, place: int, lr: float, window: str) -> Measured:
    """log10 of plain over bn: positive where bn has less."""
    plain, bn, note = _both(runs, metric, key, place, lr, window)
    return paired_log_ratio(plain, bn, planned(runs), note)


def smaller_for_its_spread(runs: Runs) -> Measured:
    """The mean over layers and both moments of log10 of plain over bn, whole run, where every change is in units of the
    layer's own standard deviation (mean) or variance (variance)."""
    every = []
    for metric, power in ((CHANGES["mean"], 0.5), (CHANGES["variance"], 1.0)):
        for layer in recorded_layers(runs, INPUTS):
            names = f"{metric}/{layer:02d}", f"moments/var/{layer:02d}"
            sides = (median_relative(arm(runs, v), *names, power) for v in VARIANTS)
            every.append(paired_log_ratio(*sides, planned(runs)))
    return mean_measured(every, planned(runs)) if every else Measured({}, planned(runs))


def higher(runs: Runs, metric: str, key: str, place: int, lr: float, window: str) -> Measured:
    """bn less plain."""
    plain, bn, note = _both(runs, metric, key, place, lr, window)
    void = all_diverged((arm(runs, "plain", lr), plain), (arm(runs, "bn", lr), bn))
    return Measured(paired_difference(bn, plain), planned(runs), note, lost_seeds(plain, bn), void)


def _part(label: str, metric: str, unit: str, margin: float, measure, lr: float, window: str, told=None) -> Part:
    """A part of the sentence where rate and window are the primary ones, else beside it."""
    beside = (lr, window) != (PRIMARY, "learning") or metric == RELATIVE
    where = f"{label}, lr {lr:g}" + (", whole run" if window == "whole" else "")
    direction = "bn higher" if metric == COSINE else "bn smaller"
    words = f"median of {metric}; {unit}, per seed"
    bound = partial(measure, metric=metric, lr=lr, window=window)
    return Part(where, words, direction, unit, margin, bound, WINDOWS[window], beside=beside, published=told)


def _inputs(lr: float, window: str) -> tuple[Part, ...]:
    unit = "log10 of plain / bn"
    return tuple(
        _part(
            f"{quantity} of the input changes less with bn, {name} recorded layer",
            metric, unit, RATIO_MARGIN, partial(smaller, key=INPUTS, place=place), lr, window,
        )
        for quantity, metric in CHANGES.items()
        for place, name in enumerate(INPUT_PLACES)
    )  # fmt: skip


def _cosines(lr: float, window: str) -> tuple[Part, ...]:
    return tuple(
        _part(
            f"gradient turns less with bn, {name} recorded layer",
            COSINE, "cosine, bn - plain", COSINE_MARGIN, partial(higher, key=GRADIENTS, place=place), lr, window,
            _published(lr, place) if window == "whole" else None,
        )
        for place, name in enumerate(GRADIENT_PLACES)
    )  # fmt: skip


def _relative(lr: float) -> tuple[Part, ...]:
    return tuple(
        _part(
            f"gradient shifts less for its size with bn, {name} recorded layer",
            RELATIVE, "log10 of plain / bn", RATIO_MARGIN, partial(smaller, key=GRADIENTS, place=place), lr, "learning",
        )
        for place, name in enumerate(GRADIENT_PLACES)
    )  # fmt: skip


def _published(lr: float, place: int) -> Published:
    plain, bn = PUBLISHED_COSINES[lr][place]
    words = f"cosine {bn:.3f} with, {plain:.3f} without, at layer {PUBLISHED_LAYERS[place]}"
    return Published(round(bn - plain, 3), words, _FIGURE_3)


_FOR_ITS_SPREAD = Part(
    label="inputs change less for their spread with bn, mean over layers and both moments, lr 0.1, whole run",
    metric="median of moments/mean_change / sqrt(moments/var) and moments/var_change / moments/var, per seed",
    direction="bn smaller",
    unit="log10 of plain / bn",
    margin=RATIO_MARGIN,
    measure=smaller_for_its_spread,
    window=WINDOWS["whole"],
    beside=True,
)
FIRMER = (*_inputs(PRIMARY, "learning"), *_cosines(PRIMARY, "learning"))
BESIDE = (
    *_relative(PRIMARY),
    _FOR_ITS_SPREAD,
    *_inputs(PRIMARY, "whole"),
    *_cosines(PRIMARY, "whole"),
    *(part for window in WINDOWS for part in (*_inputs(RATES[1], window), *_cosines(RATES[1], window))),
)


def more(runs: Runs, metric: str, place: int, rate: int) -> Measured:
    """How much more bn shifts, whole run: plain less bn for the cosine, log10 of bn over plain for the distance."""
    lr = rates(runs)[rate]
    plain, bn, note = _both(runs, metric, GRADIENTS, place, lr, "whole")
    if metric == DISTANCE:
        return paired_log_ratio(bn, plain, planned(runs), note)
    void = all_diverged((arm(runs, "plain", lr), plain), (arm(runs, "bn", lr), bn))
    return Measured(paired_difference(plain, bn), planned(runs), note, lost_seeds(plain, bn), void)


SANTURKAR = "santurkar2018"
SERIES = {"plain": "standard", "bn": "bn"}
FIGURE_3 = {"cifar10": "fig3_vgg", LINEAR: "fig3_dln"}


def published_key(data: str, quantity: str, layer: int, lr: float, variant: str) -> published.Key:
    """Of a curve of figure 3; `quantity` is cos or l2."""
    rate = f"{lr:g}".replace("e-0", "e-")
    return FIGURE_3[data], f"ics_{quantity}_layer{layer}_lr{rate}", SERIES[variant]


@dataclass(frozen=True)
class PapersNet:
    """One of the paper's two nets: the data sets it is trained on here, the paper's own first; rates and layers of
    figure 3."""

    name: str
    data: tuple[str, ...]
    rates: tuple[float, float]
    layers: tuple[int, int]


VGG = PapersNet("VGG", ("cifar10", "digits"), RATES, PUBLISHED_LAYERS)
LINEAR_NET = PapersNet("linear net", (LINEAR,), LINEAR_RATES, LINEAR_LAYERS)


def _told(net: PapersNet, metric: str, place: int, rate: int) -> Published | None:
    """The medians of figure 3, where it has them."""
    quantity = "cos" if metric == COSINE else "l2"
    layer = net.layers[place]
    keys = [published_key(net.data[0], quantity, layer, net.rates[rate], variant) for variant in VARIANTS]
    if not set(keys) <= set(published.keys(SANTURKAR)):
        return None
    plain, bn = (published.median_every(SANTURKAR, *key, 100) for key in keys)
    return Published(None, f"layer {layer}: {plain:.3g} without, {bn:.3g} with", _FIGURE_3)


def _turns_more(net: PapersNet, place: int, rate: int) -> Part:
    label = f"gradient turns more with bn, {GRADIENT_PLACES[place]} recorded layer"
    return Part(label, f"median of {COSINE}", "plain - bn > 0", "cosine, plain - bn", COSINE_MARGIN,
                partial(more, metric=COSINE, place=place, rate=rate), WINDOWS["whole"], differs=False,
                published=_told(net, COSINE, place, rate))  # fmt: skip


def _moves_more(net: PapersNet, place: int, rate: int) -> Part:
    label = f"gradient moves further with bn, {GRADIENT_PLACES[place]} recorded layer"
    return Part(label, f"median of {DISTANCE}", "bn / plain > 1", "log10 of bn / plain", RATIO_MARGIN,
                partial(more, metric=DISTANCE, place=place, rate=rate), WINDOWS["whole"], differs=False,
                published=_told(net, DISTANCE, place, rate))  # fmt: skip


def from_figure_3(runs: Runs, rate: int) -> Iterator[Verdict]:
    """How far our cosines lie from the paper's, where it trained on the same data."""
    if runs.data not in FIGURE_3:
        return
    lr = rates(runs)[rate]
    for layer in recorded_layers(runs, GRADIENTS):
        for variant in VARIANTS:
            chosen = arm(runs, variant, lr)
            if chosen.n:
                told = published.curve(SANTURKAR, *published_key(runs.data, "cos", layer, lr, variant))
                label = f"distance from the published cosine, {variant}, layer {layer} (figure 3)"
                series = chosen.series(f"{COSINE}/{layer:02d}")
                yield distance_beside(label, "cosine", series, told, planned(runs))


def _as_much(id: str, net: PapersNet, rate: int) -> Claim:
    return Claim(
        id=id,
        says="Nets with batch normalisation have as much internal covariate shift as nets without, or more, as the "
        f"gradients of their layers show it: the {net.name} at lr {net.rates[rate]:g} (section 2.2, in our words).",
        kind="S",
        source="Santurkar et al. 2018, section 2.2, figure 3",
        tests="Median over the run of the cosine, and of the distance, between a layer's gradient before the layers "
        "below are updated and after; plain against bn. More supports it, less refutes it, equal leaves it undecided.",
        parts=tuple(
            part(net, place, rate) for part in (_turns_more, _moves_more) for place in range(len(GRADIENT_PLACES))
        ),
        figure="gradient_cosines",
        distances=partial(from_figure_3, rate=rate),
        only=net.data,
    )


CLAIMS = (
    Claim(
        id="S2-22",
        says="Thus, the amount of change in the distribution of the input of layers is reduced. The deeper layers have "
        "a more robust ground on what the input values are going to be, which helps during the learning process.",
        kind="S",
        source="article S2, section 3.3; Santurkar et al. 2018, definition 2.1, figures 3 and 8",
        tests="bn against plain while they learn: how far the means and variances of the layers' inputs move between "
        "records, and how far a layer's gradient turns when the layers below it are updated. Decided at the higher of "
        "the paper's rates, with the other beside it.",
        parts=(*FIRMER, *BESIDE),
        published=Published(-0.045, "cosine 0.514 with, 0.559 without, layer 5 at lr 0.1, over the run", _FIGURE_3),
        figure="gradient_cosines",
        only=VGG.data,  # the sentence is about nets whose layers have activations
    ),
    _as_much("P2-05", VGG, 0),
    _as_much("P2-06", VGG, 1),
    _as_much("P2-07", LINEAR_NET, 0),
    _as_much("P2-08", LINEAR_NET, 1),
)


@styled
def draw_cosines(runs: Runs) -> Drawing:
    """Cosine of the gradients before and after the update of the layers below: the paper's figure 3."""
    _need_any(runs)
    figure = new_figure(PAGE, 4.4)
    layers = recorded_layers(runs, GRADIENTS)
    axes = figure.subplots(len(layers), len(RATES), squeeze=False, sharex=True, sharey=True)
    numbers = [_cosine_panel(ax, runs, k, lr) for row, k in zip(axes, layers) for ax, lr in zip(row, rates(runs))]
    for row, layer in zip(axes, layers):
        row[0].set_ylabel(f"layer {layer}\ncosine")
    for ax in axes[:-1].flat:
        ax.set_xlabel("")
    here = runs.data in FIGURE_3
    legend(figure, [*marks.handles(VARIANTS), *([marks.handle(SANTURKAR)] if here else [])], 3)
    words = "Angle between a layer's gradient before the update and after that of the layers below, on one batch."
    return finish(figure, numbers, runs, f"{_spread(runs)} {words}")


def _cosine_panel(ax: Axes, runs: Runs, layer: int, lr: float) -> pd.DataFrame:
    import pandas as pd

    last = int(runs.table["steps"].max())
    drawn = []
    for variant in VARIANTS:
        chosen = arm(runs, variant, lr)
        series = smoothed(chosen.series(f"{COSINE}/{layer:02d}"), max(1, last // 40))
        numbers = draw_curve(ax, series, look(variant), diverged_at(chosen))
        drawn.append(numbers.assign(variant=variant, metric=f"{COSINE}/{layer:02d}"))
        if runs.data in FIGURE_3:
            key = published_key(runs.data, "cos", layer, lr, variant)
            told = marks.overlay(ax, SANTURKAR, key, look(variant), width=5)
            drawn.append(told.assign(variant=variant, metric=f"{COSINE}/{layer:02d} (published)"))
    ax.set(title=f"lr {lr:g}", ylim=(-1, 1.05))
    step_axis(ax, last)
    return pd.concat(drawn, ignore_index=True).assign(lr=lr)


@styled
def draw_medians(runs: Runs) -> Drawing:
    """The numbers that decide the claims: medians while a VGG learns, and of the linear net over the whole run."""
    rate = rates(runs)[0]
    _need_any(runs, (rate,))
    panes = _linear_panes(runs) if runs.data == LINEAR else _vgg_panes(runs)
    figure = new_figure(PAGE, 3.0)
    axes = figure.subplots(1, len(panes))
    numbers = group_panels(axes, panes)
    axes[0].set_ylabel("median over the run" if runs.data == LINEAR else "median while learning")
    legend(figure, marks.handles(VARIANTS, line=False), 2)
    words = "whole run" if runs.data == LINEAR else f"records with {WINDOWS['learning']}"
    return finish(
        figure, [numbers], runs.select(lr=rate), f"{_spread(runs, (rate,))} Medians over the {words}. Dots: seeds."
    )


def _vgg_panes(runs: Runs) -> list[Groups]:
    return [
        Groups("change of the input's mean", _groups(runs, CHANGES["mean"], INPUTS), log=True),
        Groups("change of its variance", _groups(runs, CHANGES["variance"], INPUTS), log=True),
        Groups("cosine of the gradients", _groups(runs, COSINE, GRADIENTS)),
    ]


def _linear_panes(runs: Runs) -> list[Groups]:
    rate = rates(runs)[0]
    return [
        Groups("cosine of the gradients", _groups(runs, COSINE, GRADIENTS, "whole", rate)),
        Groups("distance of the gradients", _groups(runs, DISTANCE, GRADIENTS, "whole", rate), log=True),
    ]


def _groups(
    runs: Runs, metric: str, key: str, window: str = "learning", lr: float = PRIMARY
) -> dict[str, dict[str, BySeed]]:
    return {
        f"layer {layer}": {v: OVER[window](arm(runs, v, lr), f"{metric}/{layer:02d}") for v in VARIANTS}
        for layer in recorded_layers(runs, key)
    }


def _need_any(runs: Runs, at: tuple[float, ...] = ()) -> None:
    need(any(arm(runs, v, lr).n for v in VARIANTS for lr in at or rates(runs)), runs, "any arm")


def _spread(runs: Runs, at: tuple[float, ...] = ()) -> str:
    counts = {f"lr {lr:g}": {look(v).label: arm(runs, v, lr).n for v in VARIANTS} for lr in at or rates(runs)}
    counted = {rate: (arms, planned(runs)) for rate, arms in counts.items()}
    return f"Mean and 95 % t interval, {cells_words(counted)}."


FIGURES = {"gradient_cosines": draw_cosines, "medians": draw_medians}
