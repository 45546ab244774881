"""How verdicts, effects and intervals are to be read, and what was run: the methods of a report, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bnlab.config import HEARD_BY
from bnlab.pages.run import config_of
from bnlab.pages.site import Site
from bnlab.plots.names import DATA_NAMES, MODEL_NAMES
from bnlab.store import FINISHED

TRAINING = "train"  # all else is a procedure

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
COLUMNS = ("experiment", "setting", "what is run", "variants", "runs", "seeds", "steps", "read from")
WORDS = {  # of a key's values; those that a kind of run does not look at are left out
    "data.name": "{}",
    "data.train_subset": "{} training images",
    "model.name": "{}",
    "batch_size": "batch {}",
    "lr": "lr {}",
    "optim.name": "{}",
    "optim.momentum": "momentum {}",
    "optim.weight_decay": "weight decay {}",
}
NAMES = DATA_NAMES | MODEL_NAMES | {"sgd": "SGD", "rmsprop": "RMSprop", "adam": "Adam"}
SILENT = ("data.train_subset", "optim.momentum", "optim.weight_decay")  # where they are 0
MOST_VALUES = 4  # of a key; of more, the smallest and the largest


def data(site: Site) -> dict:
    """The text, and a row for every setting: what is run, variants, runs, seeds, steps."""
    rows = [_row(site, *key) for key in sorted(site.index.settings)]
    sections = [{"title": title, "paragraphs": list(paragraphs)} for title, paragraphs in TEXT]
    return {"sections": sections, "columns": list(COLUMNS), "rows": rows}


def _row(site: Site, experiment: str, setting: str) -> list[str]:
    entries = site.index.of_setting(experiment, setting)
    configs = [config for config in (config_of(site, entry) for entry in entries) if config]
    procedures = sorted({config["procedure"] for config in configs} - {TRAINING})
    heard = {key for name in procedures for key in HEARD_BY.get(name, ())}
    variants = ", ".join(dict.fromkeys(entry.run.variant for entry in entries))
    finished = sum(entry.run.status.state in FINISHED for entry in entries)
    planned = site.planned.get((experiment, setting))
    steps = _span({entry.run.status.steps for entry in entries})
    return [
        experiment,
        setting,
        _what(configs, procedures, heard),
        variants if not procedures or "variant" in heard else "",
        f"{finished} of {planned}" if planned else str(finished),
        str(len({entry.run.seed for entry in entries})),
        f"{steps} cases" if procedures else steps,
        ", ".join(sorted({"pack" if entry.directory is None else "directories" for entry in entries})),
    ]


def _what(configs: Sequence[Mapping], procedures: Sequence[str], heard: set[str]) -> str:
    """Data, net, batch, rate, optimiser of what is trained; of a procedure its name and the keys that it looks at."""
    said = [f"procedure {', '.join(procedures)}"] if procedures else []
    for key, words in WORDS.items():
        values = {config[key] for config in configs}
        if (procedures and key.partition(".")[0] not in heard) or (key in SILENT and not any(values)):
            continue
        said += [words.format(_span(values))] if values else []
    return "; ".join(said)


def _span(values: set) -> str:
    """`1, 2, 3`, or of many values `1 to 9`."""
    ordered = sorted(values)
    shown = [NAMES.get(v, v) if isinstance(v, str) else f"{v:,}" if isinstance(v, int) else f"{v:g}" for v in ordered]
    return ", ".join(shown) if len(shown) <= MOST_VALUES else f"{shown[0]} to {shown[-1]}"
