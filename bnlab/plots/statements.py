"""Whole figures of what the statements of an experiment come to, over runs of a procedure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bnlab.claims import judge_part
from bnlab.exact import cases
from bnlab.plots.drawing import Drawing, finish, seeds_words
from bnlab.plots.effects import draw_effects
from bnlab.plots.errors import draw_errors
from bnlab.plots.rows import claim_ids, row_figure
from bnlab.plots.style import PAGE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bnlab.claims import Claim, Part
    from bnlab.exact import Counterexample, Exceeds, Identity
    from bnlab.store import Runs


def effects_figure(
    runs: Runs, claims: Sequence[Claim], axis: str, words: str, shown: Callable[[Part], bool] = lambda part: True
) -> Drawing:
    """The effect of every part that is `shown`, each label once; `words` say what the colours stand for."""
    parts = {part.label: part for claim in claims for part in claim.parts if shown(part)}
    verdicts = [judge_part(part, runs) for part in parts.values()]
    figure, (ax,) = row_figure(PAGE, [len(verdicts)])
    numbers = draw_effects(ax, verdicts, claim_ids(claims))
    ax.set_xlabel(axis)
    counted = f"{seeds_words({'seeds': runs.n}, runs.planned)}, paired; mean and 95 % t interval. Filled: decided, "
    return finish(figure, [numbers], runs, counted + words)


def errors_figure(
    runs: Runs, claims: Sequence[Claim], kinds: Sequence[Sequence[Identity | Counterexample | Exceeds]]
) -> tuple[Figure, list[Axes], list[pd.DataFrame]]:
    """A panel for each kind of exact statement, with their errors over all cases: the figure, its panels, the numbers.

    `claims` are those that the statements belong to, which stand before their labels.
    """
    figure, panels = row_figure(PAGE, [len(kind) for kind in kinds])
    ids = claim_ids(claims)
    numbers = [
        draw_errors(ax, {s.label: cases(runs, s.metric) for s in kind}, {s.label: s.limit for s in kind}, ids)
        for ax, kind in zip(panels, kinds)
    ]
    return figure, panels, numbers
