"""Does batch normalisation still help when noise makes the layer inputs less stable than those of the plain net?

Source: article S3 and Santurkar et al. 2018 (sections 2.1 and A.2.1, figures 1, 2 and 8). Four arms of one VGG, from
equal weights and on equal batches: plain, bn, bn_noise (noise after every normalisation), plain_noise (noise, no BN).

Command: `bnlab reproduce ics_vgg` (digits-laptop, about 2 minutes on 2 cores), `bnlab reproduce ics_vgg data=cifar10
scale=laptop` (about 80 minutes), `... scale=paper` (a GPU).

Expected: bn and bn_noise learn faster than plain although the inputs of bn_noise's layers are the least stable of the
three; late in training the order of the training accuracies is not that of the article (the paper's own curves end with
plain 99.3, bn 98.8, bn_noise 98.1 %); plain_noise does not train.

All metrics, directions, margins, windows and seeds below were fixed before the runs that decide them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from bnlab.claims import SUPPORTED, UNDECIDED, Claim, Measured, Part, Published, Verdict, combine, judge_part
from bnlab.measures import over_window
from bnlab.stats import paired_difference, steps_text, steps_to

if TYPE_CHECKING:
    from bnlab.store import Runs

# The cell on which claims are decided; every other cell of a plan is secondary and only shown beside it.
PRIMARY = {"lr": 0.1, "optim.weight_decay": 0.0}
SECONDARY = (
    {"lr": 0.01, "optim.weight_decay": 0.0},
    {"lr": 0.1, "optim.weight_decay": 0.0005},
    {"lr": 0.5, "optim.weight_decay": 0.0},
    {"lr": 0.01, "optim.weight_decay": 0.0005},
    {"lr": 0.5, "optim.weight_decay": 0.0005},
)
# Seeds of the primary and of the secondary cells in each setting, as configs/experiment/ics_vgg.yaml plans them.
SEEDS = {"digits-smoke": (2, 0), "digits-laptop": (3, 0), "cifar10-laptop": (5, 3), "cifar10-paper": (5, 5)}

# Windows as fractions of a run: in the paper's 15,000 steps, 0 to 3,000 and 10,000 to 15,000.
WINDOWS = {"early": (0.0, 1 / 5), "late": (2 / 3, 1.0)}
WINDOW_WORDS = {"early": "first fifth of the steps", "late": "last third of the steps"}
ACCURACY = "curves/train_accuracy"  # of the training mini-batch, as in the paper
ACCURACY_MARGIN = 1.0  # percentage points
CHANCE = 0.1  # ten classes in every data set used here; the accuracy of a run after it has diverged

# Change of a layer's input mean (variance) between consecutive records, averaged over units: its median over the run.
# Layers are compared by their place: VGG-D records 2, 9 and 13 of 13 (the paper's), VGG-A 2, 5 and 8 of 8.
CHANGES = {"mean": "moments/mean_change", "variance": "moments/var_change"}
PLACES = ("first", "middle", "last")
STABILITY_MARGIN = 0.1  # of log10 of a ratio: a factor of 1.26
SMALLEST_CHANGE = 1e-6  # a smaller change counts as this, so that its logarithm exists

# Algorithm 1 of Santurkar et al. (appendix A.2.1) in configuration keys, each ambiguity as read in this project.
ALGORITHM_1 = {
    "norm.noise.shift": 0.5,
    "norm.noise.scale": 1.25,
    "norm.noise.shift_spread": 0.1,
    "norm.noise.scale_spread": 0.1,
    "norm.noise.per": "unit",
    "norm.noise.place": "after_affine",
    "norm.noise.at_eval": False,
    "norm.position": "before",
}
# Two draws of U(-1/2, 1/2) differ by 1/3 on average: the change of the mean if the noise is redrawn, 0 if it is not.
REDRAWN, REDRAWN_TOLERANCE = 1 / 3, 0.1

THRESHOLD = 0.9  # of the secondary steps-to-accuracy, on the running median of five records as in the paper's table
VARIANTS = ("plain", "bn", "bn_noise", "plain_noise")


def window_accuracy(runs: "Runs", variant: str, cell: dict, window: str) -> dict[int, float]:
    """Mean accuracy of the window per seed, in per cent; a run that diverged before its end counts as chance."""
    arm = runs.select(variant=variant, **cell)
    return {seed: 100 * mean for seed, mean in over_window(arm, ACCURACY, WINDOWS[window], chance=CHANCE).items()}


def instability(runs: "Runs", variant: str, quantity: str, place: int) -> dict[int, float]:
    """Median change per seed at the place-th recorded layer; NaN for a run that diverged before it had a record."""
    arm = runs.select(variant=variant, **PRIMARY)
    layers = recorded_layers(arm)
    if place >= len(layers):
        return {}
    series = arm.series(f"{CHANGES[quantity]}/{layers[place]:02d}")
    return {int(seed): float(series[seed].median()) for seed in series.columns}


def recorded_layers(runs: "Runs") -> list[int]:
    """The layers whose moments the runs recorded."""
    return sorted(runs.table["probe.moments.layers"].iloc[0]) if runs.n else []


def _planned(runs: "Runs", cell: dict) -> int:
    primary, secondary = SEEDS.get(f"{runs.data}-{runs.scale}", (runs.table["seed"].nunique(), 0))
    return primary if cell == PRIMARY else secondary


def _accuracy_gain(runs: "Runs", higher: str, lower: str, cell: dict, window: str) -> Measured:
    high, low = (window_accuracy(runs, variant, cell, window) for variant in (higher, lower))
    return Measured(paired_difference(high, low), _planned(runs, cell))


def _log_ratio(runs: "Runs", larger: str, smaller: str, quantity: str, place: int) -> Measured:
    above, below = (_logs(instability(runs, variant, quantity, place)) for variant in (larger, smaller))
    layers = recorded_layers(runs)
    note = f"layer {layers[place]}" if place < len(layers) else ""
    return Measured(paired_difference(above, below), _planned(runs, PRIMARY), note)


def _logs(changes: dict[int, float]) -> dict[int, float]:
    return {s: math.nan if math.isnan(c) else math.log10(max(c, SMALLEST_CHANGE)) for s, c in changes.items()}


def _mean_log_ratio(runs: "Runs", larger: str, smaller: str) -> Measured:
    """Mean over the recorded layers and both moments; NaN for a seed that lacks any of them."""
    every = [_log_ratio(runs, larger, smaller, q, p).effects for q in CHANGES for p in range(len(PLACES))]
    seeds = sorted({seed for effects in every for seed in effects})
    means = {s: sum(effects.get(s, math.nan) for effects in every) / len(every) for s in seeds}
    return Measured(means, _planned(runs, PRIMARY))


def _near_redrawn(runs: "Runs", place: int) -> Measured:
    changes = instability(runs, "bn_noise", "mean", place)
    return Measured({s: REDRAWN_TOLERANCE - abs(c - REDRAWN) for s, c in changes.items()}, _planned(runs, PRIMARY))


def _still_without_noise(runs: "Runs", place: int) -> Measured:
    changes = instability(runs, "bn", "mean", place)
    return Measured({s: REDRAWN / 2 - c for s, c in changes.items()}, _planned(runs, PRIMARY))


def steps_to_threshold(runs: "Runs", variant: str) -> dict[int, float]:
    """First step per seed at which the running median of five records reaches the threshold, infinite if never."""
    series = runs.select(variant=variant, **PRIMARY).series(ACCURACY)
    smooth = {int(s): series[s].dropna().rolling(5, center=True).median() for s in series.columns}
    return {s: steps_to(column.index.to_numpy(), column.to_numpy(), THRESHOLD) for s, column in smooth.items()}


def _steps_saved(runs: "Runs", faster: str, slower: str) -> Measured:
    """A run that never gets there counts with all its steps, which understates the difference."""
    if not runs.n:
        return Measured({}, 0)
    last = int(runs.table["steps"].max())
    found = {variant: steps_to_threshold(runs, variant) for variant in (faster, slower)}
    words = [f"{v}: {', '.join(steps_text(s, last) for s in found[v].values()) or 'no run'}" for v in found]
    quick, slow = ({s: min(k, last) for s, k in found[v].items()} for v in (faster, slower))
    return Measured(paired_difference(slow, quick), _planned(runs, PRIMARY), "steps per seed: " + "; ".join(words))


def _cell_words(cell: dict) -> str:
    return f"lr {cell['lr']:g}, weight decay {cell['optim.weight_decay']:g}"


def _accuracy_part(higher: str, window: str, cell: dict = PRIMARY, lower: str = "plain", beside: bool = False) -> Part:
    return Part(
        label=f"{higher} - {lower}, {window}, {_cell_words(cell)}",
        metric=f"{ACCURACY}, mean over the window, difference per seed",
        direction=f"{higher} higher",
        unit="percentage points",
        margin=ACCURACY_MARGIN,
        measure=partial(_accuracy_gain, higher=higher, lower=lower, cell=cell, window=window),
        window=WINDOW_WORDS[window],
        beside=beside,
    )


def _stability_part(quantity: str, place: int, smaller: str) -> Part:
    return Part(
        label=f"change of the {quantity}, {PLACES[place]} recorded layer, bn_noise over {smaller}",
        metric=f"{CHANGES[quantity]}, median over the run, log10 of the ratio per seed",
        direction="bn_noise larger",
        unit="log10 of the ratio",
        margin=STABILITY_MARGIN,
        measure=partial(_log_ratio, larger="bn_noise", smaller=smaller, quantity=quantity, place=place),
        window="whole run",
    )


def _mechanism_part(label: str, direction: str, measure, place: int) -> Part:
    return Part(
        label=f"{label}, {PLACES[place]} recorded layer",
        metric="moments/mean_change, median over the run",
        direction=direction,
        unit="units of the layer input",
        margin=0.0,
        measure=partial(measure, place=place),
        window="whole run",
    )


SPEED = (
    _accuracy_part("bn", "early"),
    Part(
        label="steps to 90 % training accuracy, plain - bn",
        metric=f"{ACCURACY}, running median of 5 records, first step at 0.9; never counts as the last step",
        direction="bn fewer",
        unit="steps",
        margin=0.0,
        measure=partial(_steps_saved, faster="bn", slower="plain"),
        window="whole run",
        beside=True,
    ),
    *(_accuracy_part("bn", "early", cell, beside=True) for cell in SECONDARY),
)
MECHANISM = tuple(
    part
    for place in range(len(PLACES))
    for part in (
        _mechanism_part("0.1 - |change of the mean of bn_noise - 1/3|", "noise redrawn", _near_redrawn, place),
        _mechanism_part("1/6 - change of the mean of bn", "bn without noise stands still", _still_without_noise, place),
    )
)
CONTROL = (_accuracy_part("plain", "late", lower="plain_noise", beside=True),)
STABILITY = tuple(
    _stability_part(quantity, place, smaller)
    for smaller in ("plain", "bn")
    for quantity in CHANGES
    for place in range(len(PLACES))
)
HIGHER = (
    *(_accuracy_part(arm, window) for window in ("early", "late") for arm in ("bn", "bn_noise")),
    *(
        _accuracy_part(arm, w, cell, beside=True)
        for cell in SECONDARY
        for w in ("early", "late")
        for arm in ("bn", "bn_noise")
    ),
)
PREMISES = (
    Part(
        label="bn_noise less stable than plain",
        metric="moments/mean_change and moments/var_change, median over the run, log10 of the ratio per seed, mean over layers",
        direction="bn_noise larger",
        unit="log10 of the ratio",
        margin=STABILITY_MARGIN,
        measure=partial(_mean_log_ratio, larger="bn_noise", smaller="plain"),
        window="whole run",
    ),
    _accuracy_part("bn_noise", "early"),
)


def _judge(runs: "Runs", parts: tuple[Part, ...]) -> Verdict:
    """All parts, without the secondary cells that this setting does not plan."""
    verdicts = [judge_part(part, runs) for part in parts]
    return combine(v for v in verdicts if v.planned or not v.beside)


def _as_described(runs: "Runs") -> Verdict:
    """Supported or undecided: runs that are not as described say nothing against the sentence."""
    found = _judge(runs, MECHANISM + CONTROL)
    odd = _deviations(runs.select(**PRIMARY))
    note = "as in the paper, which the article shortens: the noise scales and shifts, and is redrawn every step; plain_noise is its control"
    if odd:
        return replace(found, verdict=UNDECIDED, note="not as described: " + "; ".join(odd))
    return replace(found, verdict=found.verdict if found.verdict == SUPPORTED else UNDECIDED, note=note)


def _deviations(runs: "Runs") -> list[str]:
    present = set(runs.table["variant"])
    odd = [f"no run of {variant}" for variant in VARIANTS if variant not in present]
    noisy = runs.select(variant=["bn_noise", "plain_noise"]).table
    return odd + [f"{key} is not {value}" for key, value in ALGORITHM_1.items() if not (noisy[key] == value).all()]


def _not_needed(runs: "Runs") -> Verdict:
    """Supported: both premises. Refuted: less stable, but not faster. Undecided: not shown to be less stable."""
    unstable, faster = (judge_part(part, runs) for part in PREMISES)
    whole = combine([faster, unstable])
    return replace(whole, verdict=faster.verdict if unstable.verdict == SUPPORTED else UNDECIDED)


FIGURE_2 = "measured from figure 2 of Santurkar et al. 2018 (one run each)"
FIGURE_8 = "medians measured from figure 8a of Santurkar et al. 2018 (one run each)"

CLAIMS = (
    Claim(
        id="S3-15",
        says="By normalizing the hidden layer activation, batch normalization speeds up the training process.",
        kind="S",
        source="article S3, Advantages; Santurkar et al. 2018, figures 1 and 2",
        tests="Training accuracy in the first fifth of the steps, bn against plain, at the same learning rate.",
        parts=SPEED,
        test=partial(_judge, parts=SPEED),
        published=Published(
            22.6, "79.6 against 57.1 % over steps 0 to 3,000; 90 % at step 1,800 against 4,300", FIGURE_2
        ),
        figure="accuracy_windows",
    ),
    Claim(
        id="S3-19",
        says="Three models: a standard VGG without BN, with BN, and with BN and random noise of non-zero mean and non-unit "
        "variance added after the BN layer.",
        kind="D",
        source="article S3, last section; Santurkar et al. 2018, section 2.1 and algorithm 1",
        tests="Four arms ran, the noise has the paper's constants and place, and the input means of bn_noise, not those of bn, "
        "change by the 1/3 that redrawing at every step predicts. Beside it the control: plain minus plain_noise.",
        parts=MECHANISM + CONTROL,
        test=_as_described,
        published=Published(
            0.036, "the mean changes by .269 at layer 2: 0.1 - |.269 - 1/3|; layers 9 and 13: .268, .345", FIGURE_8
        ),
        figure="moment_instability",
    ),
    Claim(
        id="S3-20",
        says="The third model has a less stable distribution across all layers; the noisy model has a high variance than the "
        "other two models.",
        kind="S",
        source="article S3, last section; Santurkar et al. 2018, figures 2 and 8a",
        tests="Change over time of each layer's input mean and variance (instability, not variance), bn_noise against plain and "
        "against bn, at every recorded layer; every part must hold.",
        parts=STABILITY,
        test=partial(_judge, parts=STABILITY),
        published=Published(
            0.92,
            "log10(.269/.032), mean at layer 2 against standard; smallest of all: log10(.268/.065) = 0.62",
            FIGURE_8,
        ),
        figure="moment_instability",
    ),
    Claim(
        id="S3-21",
        says="The training accuracy of the second and third models is higher than the first model.",
        kind="S",
        source="article S3, last section; Santurkar et al. 2018, figure 2",
        tests="Training accuracy early and late, bn and bn_noise against plain: the sentence names no time, so all four must hold.",
        parts=HIGHER,
        test=partial(_judge, parts=HIGHER),
        published=Published(
            22.6,
            "early +22.6 (bn), +18.2 (bn_noise); late -0.5 and -1.2: reversed at the end of the paper's figure",
            FIGURE_2,
        ),
        figure="accuracy_windows",
    ),
    Claim(
        id="S3-22",
        says="So it can be concluded that internal covariate shift might not be a contributing factor in the performance of "
        "batch normalization.",
        kind="S",
        source="article S3, last section; Santurkar et al. 2018, section 2",
        tests="The narrow reading: stable first two moments are not necessary. bn_noise is less stable than plain and yet has the "
        "higher training accuracy early.",
        parts=PREMISES,
        test=_not_needed,
        published=Published(
            18.2, "75.2 against 57.1 % over steps 0 to 3,000, with the least stable inputs of the three", FIGURE_2
        ),
        figure="accuracy_windows",
    ),
)
FIGURES: dict = {}
