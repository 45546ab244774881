"""How verdicts, effects and intervals are to be read, and what was run: the methods of a report, in words."""

from __future__ import annotations

from bnlab.pages.site import Site
from bnlab.store import FINISHED

TEXT = (
    (
        "Claims and verdicts",
        (
            "A claim is a sentence of an article or a paper with a test of it. S0 re-tells Goerner's talk; S1 and S2 "
            "introduce batch normalisation with Keras; S3 ends in the experiment of Santurkar et al. 2018. P1 is Ioffe "
            "and Szegedy 2015, P2 Santurkar et al. 2018, P3 Ioffe 2017, P4 other papers. A claim's metric, direction, "
            "margin, window and seeds were fixed before the runs. A verdict is about the sentence as it is written: "
            "supported, refuted, undecided, or mixed where its parts disagree.",
            "Kinds: E is exact, can be proved, and is tested to rounding; S is statistical and needs seeds and an "
            "interval; D is a definition or a fact about a paper or a library; X is wrong or over-stated as it is "
            "worded, so that the correct statement is tested beside it.",
        ),
    ),
    (
        "Effects, intervals, margins",
        (
            "Effects are oriented: positive speaks for the sentence. Variants are compared by seed: with one seed they "
            "start from the same weights and see the same batches in the same order. Intervals are 95 % Student-t over "
            "seeds; one seed has none, and decides nothing.",
            "With a margin d, supported means that the interval lies wholly above d; refuted, wholly below -d, or "
            "wholly inside -d to d where the sentence says that two things differ; undecided, anything else.",
            "Without an interval nothing is left to chance, or seeds are missing. The effect of such a statement is "
            "minus the largest error of an identity, minus the least miss of a form that fails, or the least distance "
            "from the margin; an identity is supported where its error stays below the margin in every case tried.",
            "p is the two-sided p-value against the edge of the margin that decided. Holm's adjustment is over all "
            "statements of one setting: a statement that several claims rest on counts once, one that is undecided "
            "counts as p = 1.",
        ),
    ),
    (
        "What is counted",
        (
            "n counts seeds (of an exact statement random cases, or 1 for what was read or counted); n of planned is "
            "written where runs are missing. A run that diverged is a result: it is kept, counted at the level of "
            "chance and drawn up to where it ended, and survivors alone are never averaged.",
            "A published value is what the source itself prints, with where it stands. What stands beside a claim is "
            "shown with it and decides nothing. Runs of different data or scale are never mixed; digits are a "
            "demonstration with few seeds, never the basis where real data were run.",
        ),
    ),
)
COLUMNS = ("experiment", "setting", "variants", "runs", "of planned", "seeds", "steps", "read from")


def data(site: Site) -> dict:
    """The text, and a row for every setting: variants, runs, seeds, steps."""
    rows = [_row(site, *key) for key in sorted(site.index.settings)]
    sections = [{"title": title, "paragraphs": list(paragraphs)} for title, paragraphs in TEXT]
    return {"sections": sections, "columns": list(COLUMNS), "rows": rows}


def _row(site: Site, experiment: str, setting: str) -> list[str]:
    entries = site.index.of_setting(experiment, setting)
    variants = ", ".join(dict.fromkeys(entry.run.variant for entry in entries))
    finished = sum(entry.run.status.state in FINISHED for entry in entries)
    seeds = len({entry.run.seed for entry in entries})
    steps = sorted({entry.run.status.steps for entry in entries})
    span = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}" if steps else ""
    sources = ", ".join(sorted({"pack" if entry.directory is None else "directories" for entry in entries}))
    planned = site.planned.get((experiment, setting))
    return [experiment, setting, variants, str(finished), str(planned or ""), str(seeds), span, sources]
