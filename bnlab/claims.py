"""Claims and their verdicts: a verdict is always about the article's sentence, with an interval over seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bnlab.stats import mean_interval, t_p_value

if TYPE_CHECKING:
    from bnlab.store import Runs

SUPPORTED, REFUTED, MIXED, UNDECIDED = "supported", "refuted", "mixed", "undecided"
VERDICTS = (SUPPORTED, REFUTED, MIXED, UNDECIDED)
MEASURED = "measured"  # of a number shown beside a claim that speaks neither for nor against its sentence
KINDS = ("E", "S", "D", "X")


@dataclass(frozen=True)
class Published:
    """What the source itself printed: a number where there is one, the words, and where they stand."""

    value: float | None
    text: str
    provenance: str


@dataclass(frozen=True)
class Verdict:
    """`effect` is oriented: positive speaks for the sentence. `interval` is 95 % Student-t over seeds, or None.

    `parts` are what a sentence says in turn; `beside` are facts tested with it that its verdict does not rest on.
    `p` is the two-sided p-value against the edge of the margin that decided it, None when undecided.
    """

    verdict: str
    effect: float | None
    unit: str = ""
    interval: tuple[float, float] | None = None
    n: int = 0
    planned: int = 0
    published: Published | None = None
    parts: tuple[Verdict, ...] = ()
    note: str = ""
    label: str = ""
    margin: float | None = None
    p: float | None = None
    beside: tuple[Verdict, ...] = ()


@dataclass(frozen=True)
class Measured:
    """One oriented effect per seed (NaN where there is none), and how many seeds the plan has.

    `lost`: the seeds whose finished runs yielded no value, as after a divergence; a run that is not there yet is not
    among them. `void` says why the effects tell nothing, where they do not.
    """

    effects: Mapping[int, float]
    planned: int
    note: str = ""
    lost: frozenset[int] = frozenset()
    void: str = ""

    @property
    def hindrance(self) -> str:
        """Why no verdict may rest on the effects: survivors alone would be averaged, or nothing was compared."""
        if not self.lost:
            return self.void
        return f"{len(self.lost)} of {len(self.effects)} seeds finished without a value; the others decide nothing"

    def raised(self, by: float) -> Measured:
        """The same against a threshold that lies so much lower: the slack of "no worse", say."""
        return replace(self, effects={seed: effect + by for seed, effect in self.effects.items()})


@dataclass(frozen=True)
class Part:
    """One testable statement of a sentence, fixed before the runs.

    `metric`, `direction` and `window` say in words what `measure` computes. `margin` is in `unit`. `differs`: the
    statement says that two things differ, so an effect inside +-margin refutes it. `beside`: not the article's
    sentence but a fact shown with it. `arms` names what is compared where what is read (two sets of runs, or two
    metrics of the same) does not show it: one name says that an arm is held against a threshold, two are the pieces by
    which the names of the arms' metrics differ. `slack`, in `unit`, is how much worse still counts as no worse, where
    the statement says that an arm is no worse than another: the effect contains it.
    """

    label: str
    metric: str
    direction: str
    unit: str
    margin: float
    measure: Callable[[Runs], Measured]
    window: str = "late"
    differs: bool = True
    beside: bool = False
    published: Published | None = None
    arms: tuple[str, ...] = ()
    slack: float = 0.0

    def judge(self, runs: Runs) -> Verdict:
        return judge_part(self, runs)


@dataclass(frozen=True)
class Claim:
    """A sentence of an article and the test of it.

    `says` is the article's sentence, `tests` what exactly is tested. A claim made of `parts` needs no `test`.
    `distances` yields how far our curves lie from published ones, shown beside whatever the test found. `only` names
    the data sets on which the claim can be judged, where an experiment has others too.
    """

    id: str
    says: str
    kind: str
    source: str
    tests: str = ""
    parts: tuple[Part, ...] = ()
    published: Published | None = None
    figure: str = ""
    test: Callable[[Runs], Verdict] | None = None
    distances: Callable[[Runs], Iterable[Verdict]] | None = None
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.id}: kind {self.kind}; there are {', '.join(KINDS)}")
        if self.test is None and not any(not part.beside for part in self.parts):
            raise ValueError(f"{self.id}: needs a test, or parts that its verdict rests on")
        if self.test is None:
            object.__setattr__(self, "test", self._judge_parts)

    def _judge_parts(self, runs: Runs) -> Verdict:
        return combine(judge_part(part, runs) for part in self.parts)

    def judge(self, runs: Runs) -> Verdict:
        """The verdict on these runs, with the published number of the claim."""
        verdict = self.test(runs)
        if self.distances:
            verdict = replace(verdict, beside=(*verdict.beside, *self.distances(runs)))
        return replace(verdict, published=self.published) if self.published else verdict


def decide(
    effects: Mapping[int, float] | Sequence[float], margin: float, differs: bool = True, planned: int | None = None
) -> Verdict:
    """The verdict rule on one oriented effect per seed, with a margin d >= 0 fixed beforehand.

    supported: the 95 % interval lies wholly above d. refuted: wholly below -d, or, where the sentence says that
    something `differs`, wholly inside +-d. Else undecided. One seed has no interval and decides nothing.
    """
    if margin < 0:
        raise ValueError(f"margin {margin}: must not be negative")
    found = mean_interval(effects)
    whole = Verdict(UNDECIDED, None if math.isnan(found.mean) else found.mean, n=found.n, margin=margin)
    whole = replace(whole, planned=len(effects) if planned is None else planned)
    if found.low is None:
        return whole
    whole = replace(whole, interval=(found.low, found.high))
    if found.low > margin:
        return replace(whole, verdict=SUPPORTED, p=t_p_value(effects, margin))
    if found.high < -margin:
        return replace(whole, verdict=REFUTED, p=t_p_value(effects, -margin))
    if differs and found.low > -margin and found.high < margin:
        return replace(whole, verdict=REFUTED, p=max(t_p_value(effects, edge) for edge in (margin, -margin)))
    return whole


def judge_part(part: Part, runs: Runs) -> Verdict:
    """The verdict of one statement; undecided, without effect and interval, where something hinders the measurement."""
    measured = part.measure(runs)
    verdict = decide(measured.effects, part.margin, part.differs, measured.planned)
    note = "; ".join(filter(None, (measured.hindrance, measured.note)))
    if measured.hindrance:
        verdict = replace(verdict, verdict=UNDECIDED, effect=None, interval=None, p=None)
    verdict = replace(verdict, unit=part.unit, label=part.label, published=part.published, note=note)
    return replace(verdict, beside=(verdict,)) if part.beside else verdict


def combine(verdicts) -> Verdict:
    """One verdict from those of the parts: what they share, `mixed` where some support and some refute.

    A part that is undecided leaves the whole undecided unless others disagree; the note counts the verdicts. n and
    planned are those of the weakest part, so that no missing run is hidden. Effect and interval are those of the first
    part (the primary one), and None where its n is another, so that no interval stands beside an n that is not its own.
    """
    everything = tuple(verdicts)
    parts = tuple(v for v in everything if not v.beside)
    beside = tuple(replace(v, beside=()) for v in everything if v.beside)
    if len(parts) == 1:
        return replace(parts[0], beside=beside)
    weakest = min(parts, key=lambda v: (v.n - v.planned, v.n))
    word = whole_verdict(v.verdict for v in parts)
    whole = replace(parts[0], verdict=word, n=weakest.n, planned=weakest.planned, label="", p=None)
    if (parts[0].n, parts[0].planned) != (weakest.n, weakest.planned):
        whole = replace(whole, effect=None, interval=None)
    return replace(whole, note=tally(parts), parts=parts, beside=beside)


def whole_verdict(words: Iterable[str]) -> str:
    """The verdict of a sentence whose parts have these."""
    said = set(words)
    if MIXED in said or {SUPPORTED, REFUTED} <= said:
        return MIXED
    return said.pop() if len(said) == 1 else UNDECIDED


def tally(parts: Sequence[Verdict]) -> str:
    """How many parts came out how: `5 of 12 parts supported, 1 refuted, 6 undecided`."""
    words = [v.verdict for v in parts]
    counted = [(words.count(word), word) for word in VERDICTS if word in words]
    (first, word), *others = counted
    return ", ".join([f"{first} of {len(words)} parts {word}", *(f"{count} {word}" for count, word in others)])
