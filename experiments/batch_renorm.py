"""Does batch renormalisation help where batches are small or no sample of the data?

Source: Ioffe 2017 (arXiv 1702.03275): abstract, algorithm 1, section 4. Two arms, BN and renorm, from equal weights on
equal batches of 32 images: ordinary ones; normalised in groups of 4 or of 2; and of 4 or of 2 classes only, where the
paper has 16 labels with 2 images each. The paper's ImageNet net is convolutional; here it is Görner's dense net.
Command: `bnlab reproduce batch_renorm data=mnist` (10 minutes on two cores); without `data=mnist`, a demonstration
on digits (a minute).
Expected: no difference with ordinary batches; renorm better in small groups. With few classes the digits contradict the
paper (below): a dense net with BN is better on its moving averages than on such batches, not worse; a batch of a few
classes may lose with its mean what tells them from the others.

Before the margins were fixed, runs of this net and of a small conv net on digits with seeds from 900 had been seen.
Nothing on MNIST had. Fixed then: 10 seeds, paired; means of the last fifth of a run; all margins half a percentage
point (fifty test images). "Better" says that arms differ, so an effect within the margin refutes it. "Retains" is no
worse than half a point below, at the end and on the mean of the whole run. Every kind of batch decides alike, and a
claim is mixed where they disagree. The paper's BN on half-batches is left out: of ten classes, halves hold the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from bnlab.claims import Claim, Measured, Part, Published, judge_part
from bnlab.comparisons import Cell
from bnlab.measures import LATE, gap, metric, need
from bnlab.plots.drawing import Drawing, finish, seeds_words
from bnlab.plots.effects import draw_effects
from bnlab.plots.moments import draw_groups
from bnlab.plots.panels import Line, accuracy_lines, look_closer
from bnlab.plots.published import handles
from bnlab.plots.rows import claim_ids
from bnlab.plots.style import PAGE, legend, new_figure, styled
from bnlab.stats import paired_difference

if TYPE_CHECKING:
    from bnlab.store import Runs

EVALUATED, BY_BATCH, TRAINING = "curves/test_accuracy", "curves/test_accuracy_by_batch", "curves/train_accuracy"
CHANCE = 0.1
MARGIN = 0.005  # of an accuracy: fifty test images of MNIST
WHOLE = (0.0, 1.0)
SEEDS = {"digits-smoke": 2, "digits-laptop": 3, "mnist-laptop": 10}  # of every cell, as the YAML plans them
VARIANTS = ("bn", "renorm")
ORDINARY = "ordinary"
SMALL = {"groups of 4": 4, "groups of 2": 2}
FEW = {"4 classes": 4, "2 classes": 2}
KINDS = {kind: (SMALL.get(kind, 0), FEW.get(kind, 0)) for kind in (ORDINARY, *SMALL, *FEW)}

PAPER = "Ioffe 2017, {}: Inception-v3 on ImageNet, top-1 on validation images, one run each"
TOLD = {
    ORDINARY: Published(0.002, "78.5 against 78.3 %", PAPER.format("section 4.1")),
    "groups of 4": Published(0.023, "76.5 against 74.2 %", PAPER.format("section 4.2")),
    "4 classes": Published(
        0.115, "78.5 against 67.0 % (16 labels of 1,000, 2 images each)", PAPER.format("section 4.3")
    ),
}
BN_LOSES = {
    "groups of 4": Published(0.041, "78.3 against 74.2 %", PAPER.format("sections 4.1 and 4.2")),
    "4 classes": Published(0.113, "78.3 against 67.0 %", PAPER.format("sections 4.1 and 4.3")),
}
AT_EVALUATION = {"4 classes": Published(0.095, "76.5 by batch against 67.0 %", PAPER.format("section 4.3"))}
IN_TRAINING = {"4 classes": Published(0.058, "72.8 in training against 67.0 %", PAPER.format("section 4.3"))}


def cell(variant: str, kind: str, name: str = "") -> Cell:
    """The runs of one arm with one kind of batches."""
    groups, classes = KINDS[kind]
    keys = {"variant": variant, "norm.ghost_size": groups, "data.batch_classes": classes}
    return Cell(name or variant, keys, SEEDS)


def accuracy(name: str = EVALUATED, window: tuple[float, float] = LATE):
    return metric(name, window, chance=CHANCE)


def better(kind: str, window: tuple[float, float] = LATE) -> Callable[[Runs], Measured]:
    """Renorm less BN."""
    return gap(cell("renorm", kind), cell("bn", kind), accuracy(window=window))


def no_worse(window: tuple[float, float]) -> Callable[[Runs], Measured]:
    """How far renorm is above what is MARGIN below BN, with ordinary batches."""

    return lambda runs: better(ORDINARY, window)(runs).raised(MARGIN)


def above_evaluation(variant: str, kind: str, name: str = BY_BATCH) -> Callable[[Runs], Measured]:
    """An accuracy by the statistics of batches, less that of the same net on its moving averages."""
    words = f"{variant} {'by batch' if name == BY_BATCH else 'in training'}"
    evaluated = cell(variant, kind, f"{variant} on moving averages")
    return gap(cell(variant, kind, words), evaluated, accuracy(name), accuracy())


def nearer(kind: str) -> Callable[[Runs], Measured]:
    """By how much the distance between the two modes is smaller for renorm."""

    def measured(runs: Runs) -> Measured:
        bn, renorm = (above_evaluation(variant, kind)(runs) for variant in VARIANTS)
        sizes = ({seed: abs(value) for seed, value in found.effects.items()} for found in (bn, renorm))
        note = "; ".join(filter(None, (bn.note, renorm.note)))
        void = bn.void if renorm.void else ""
        return Measured(paired_difference(*sizes), bn.planned, note, bn.lost | renorm.lost, void)

    return measured


def _part(
    label: str, direction: str, measure: Callable[[Runs], Measured], told: Published | None = None, **other
) -> Part:
    return Part(label, EVALUATED, direction, "accuracy", MARGIN, measure, published=told, **other)


def _no_worse(label: str, window: tuple[float, float], words: str) -> Part:
    told = TOLD[ORDINARY] if window == LATE else None
    return Part(label, EVALUATED, f"renorm - bn > -{MARGIN:g}", f"to spare (renorm - bn + {MARGIN:g})", 0.0,
                no_worse(window), words, published=told and replace(told, value=None), slack=MARGIN)  # fmt: skip


BETTER = {kind: _part(kind, "renorm - bn > 0", better(kind), TOLD.get(kind)) for kind in KINDS}
DIMINISHES = tuple(
    _part(f"ordinary less {kind}", "ordinary - this > 0", gap(cell("bn", ORDINARY, ORDINARY), cell("bn", kind, kind),
          accuracy()), BN_LOSES.get(kind))
    for kind in KINDS if kind != ORDINARY
)  # fmt: skip
DIFFERS = tuple(
    _part(f"BN by batch, {kind}", "by batch - evaluation > 0", above_evaluation("bn", kind), AT_EVALUATION.get(kind))
    for kind in FEW
) + tuple(
    _part(f"BN in training, {kind}", "training - evaluation > 0", above_evaluation("bn", kind, TRAINING),
          IN_TRAINING.get(kind), beside=True)
    for kind in FEW
)  # fmt: skip
AGREES = tuple(_part(f"renorm nearer, {kind}", "|bn| - |renorm| > 0", nearer(kind)) for kind in (*SMALL, *FEW))

_SETS = "Batches of 32 images of MNIST, dense net. Test accuracy, mean of the last fifth of a run"


def _better_with(id: str, kinds: dict[str, int], batches: str, section: str, words: str) -> Claim:
    """The sentence names small and non-i.i.d. batches in one breath; each half has its own claim."""
    return Claim(
        id=id,
        says="Models trained with Batch Renormalization perform substantially better than batchnorm when training with "
        f"{batches} minibatches.",
        kind="S",
        source=f"Ioffe 2017, abstract and section {section}",
        tests=f"{_SETS}, renorm less BN, {words}.",
        parts=tuple(BETTER[kind] for kind in kinds),
        published=TOLD[next(iter(kinds))],
        figure="ends",
    )


CLAIMS = (
    Claim(
        id="P3-01",
        says="At the same time, Batch Renormalization retains the benefits of batchnorm such as [...] training "
        "efficiency.",
        kind="S",
        source="Ioffe 2017, abstract and section 4.1",
        tests=f"With ordinary batches the test accuracy of renorm is not {MARGIN:g} below that of BN: mean of the last "
        "fifth of a run, and of the whole run, which is about efficiency. Initialisation is not varied.",
        parts=(
            _no_worse("at the end", LATE, "late"),
            _no_worse("over the whole run", WHOLE, "whole run"),
        ),
        published=TOLD[ORDINARY],
        figure="accuracy",
    ),
    _better_with("P3-02", SMALL, "small [...]", "4.2", "each normalising in groups of 4 and of 2"),
    _better_with("P3-03", FEW, "[...] non-i.i.d.", "4.3", "with batches of 4 and of 2 of the 10 classes"),
    Claim(
        id="P3-04",
        says="However, its effectiveness diminishes when the training minibatches are small, or do not consist of "
        "independent samples.",
        kind="S",
        source="Ioffe 2017, abstract, of batch normalisation",
        tests=f"{_SETS}, BN with ordinary batches less BN in groups of 4 and 2 and with batches of 4 and 2 classes.",
        parts=DIMINISHES,
        published=BN_LOSES["groups of 4"],
        figure="ends",
    ),
    Claim(
        id="P3-05",
        says="We hypothesize that this is due to [...] different activations being produced between training and "
        "inference.",
        kind="S",
        source="Ioffe 2017, abstract and section 4.3, of batch normalisation",
        tests=f"{_SETS}, with batches of 4 and of 2 classes: BN by the statistics of test batches built likewise, less "
        "the same net on its moving averages. The loss is at evaluation if that is positive. Beside it, the accuracy "
        "of training batches less that on moving averages.",
        parts=DIFFERS,
        published=AT_EVALUATION["4 classes"],
        figure="ends",
    ),
    Claim(
        id="P3-06",
        says="We propose Batch Renormalization, a simple and effective extension to ensure that the training and "
        "inference models generate the same outputs that depend on individual examples rather than the entire "
        "minibatch.",
        kind="S",
        source="Ioffe 2017, abstract",
        tests=f"{_SETS}: the distance between accuracy by batch and accuracy on moving averages, of BN less of renorm.",
        parts=AGREES,
        figure="ends",
    ),
)

SHOWN = {"bn": ("bn", EVALUATED), "renorm": ("renorm", EVALUATED),
         "bn_by_batch": ("bn", BY_BATCH), "renorm_by_batch": ("renorm", BY_BATCH)}  # fmt: skip


@styled
def accuracy_over_training(runs: Runs) -> Drawing:
    """Test accuracy of both arms for each kind of batches, on moving averages and by batch."""
    figure = new_figure(PAGE, 3.6)
    axes = figure.subplots(2, 3).flat
    numbers = []
    for ax, kind in zip(axes, KINDS):
        lines = [Line(cell(v, kind).of(runs), shown, name) for shown, (v, name) in SHOWN.items()]
        numbers.append(accuracy_lines(ax, lines, CHANCE).assign(panel=kind))
        look_closer(ax, numbers[-1:])
        ax.set(title=kind, ylabel="test accuracy (%)" if kind in (ORDINARY, "4 classes") else "")
    axes[-1].set_visible(False)
    legend(figure, handles(list(SHOWN)))
    return finish(figure, numbers, _needed(runs), f"Means with 95 % t bands; {_seeds(runs)}. {_ABOUT}")


@styled
def ends(runs: Runs) -> Drawing:
    """Accuracy at the end for each kind of batches; below it the differences that the claims rest on."""
    figure = new_figure(PAGE, 4.6)
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.25))
    top = above.subplots()
    values = {
        kind: {s: _per_cent(accuracy(name)(runs, cell(v, kind))) for s, (v, name) in SHOWN.items()} for kind in KINDS
    }
    numbers = [draw_groups(top, values).rename(columns={"value": "mean"}).assign(panel="end")]
    top.set(ylabel="test accuracy (%)", title="mean of the last fifth of a run")
    panels = {"renorm - BN": tuple(BETTER.values()), "BN: ordinary - this": DIMINISHES,
              "by batch - on averages": (*DIFFERS, *AGREES)}  # fmt: skip
    for ax, (title, parts) in zip(below.subplots(1, 3, width_ratios=(4, 5, 6)), panels.items()):
        drawn = draw_effects(ax, [judge_part(part, runs) for part in parts], claim_ids(CLAIMS), 100)
        numbers.append(drawn.rename(columns={"effect": "mean"}).assign(panel=title))
        ax.set(title=title, xlabel="percentage points")
    legend(figure, handles(list(SHOWN), line=False))
    words = f"Dots: seeds; bars: means with 95 % t intervals; {_seeds(runs)}. {_ABOUT} Below: differences paired by "
    words += (
        "seed, positive where the paper expects it; blue: supported, orange: refuted, hollow: undecided; grey: the "
    )
    words += "margin; black circles: Ioffe 2017, ImageNet."
    return finish(figure, numbers, _needed(runs), words)


_ABOUT = (
    "By batch: normalised by the statistics of test batches built as in training; else by moving averages. Groups: "
    "images of a batch that are normalised together."
)


def _needed(runs: Runs) -> Runs:
    need(any(cell(v, kind).of(runs).n for v in VARIANTS for kind in KINDS), runs, "either arm")
    return runs


def _per_cent(values: dict[int, float]) -> dict[int, float]:
    return {seed: 100 * value for seed, value in values.items()}


def _seeds(runs: Runs) -> str:
    cells = {f"{v}, {kind}": cell(v, kind) for v in VARIANTS for kind in KINDS}
    counts = {name: one.of(runs).n for name, one in cells.items()}
    return seeds_words(counts, cell("bn", ORDINARY).planned(runs, 0))


FIGURES: dict[str, Callable[[Runs], Drawing]] = {"accuracy": accuracy_over_training, "ends": ends}
