"""`bnlab figures` and `bnlab claims`: everything that is computed from stored runs, without torch."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from bnlab import paths
from bnlab.commands.choosing import claim_targets, parse_verdicts, totals
from bnlab.commands.tables import table
from bnlab.commands.words import Target, add_json, configure_reading, stored_targets
from bnlab.errors import INCOMPLETE, Incomplete, IntegrityError
from bnlab.literature import SOURCES, source_id

if TYPE_CHECKING:
    from bnlab.store import Runs
    from bnlab.sweeping.plan import PlannedRun

JSON_KEYS = (
    *("id", "says", "kind", "source", "verdict", "effect", "unit", "interval", "n", "planned", "published"),
    *("experiment", "data", "scale", "from", "p", "holm", "parts", "beside"),
)
FIGURES_EXAMPLES = """examples:
  bnlab figures                                  every figure of every setting in the results folder
  bnlab figures ics_vgg data=cifar10 --from pack
"""
CLAIMS_EXAMPLES = """examples:
  bnlab claims                    one row per claim, at the best setting there is: paper, laptop on real data, digits
  bnlab claims --all              every setting
  bnlab claims S3-09 S2-22        these claims
  bnlab claims --verdict refuted,undecided
  bnlab claims ics_vgg data=digits --json
"""


def configure_figures(parser: argparse.ArgumentParser) -> None:
    configure_reading(parser, FIGURES_EXAMPLES)
    parser.set_defaults(act=figures)


def configure_claims(parser: argparse.ArgumentParser) -> None:
    configure_reading(parser, CLAIMS_EXAMPLES, "CLAIM | ")
    add_json(parser)
    parser.add_argument("--all", action="store_true", help="every setting, not only the best one of each claim")
    parser.add_argument("--verdict", metavar="WORD,...", help="only claims with one of these verdicts")
    parser.set_defaults(act=claims)


def figures(arguments: argparse.Namespace) -> int:
    return draw_figures(stored_targets(paths.results_root(arguments.results), arguments.words), arguments.source)


def claims(arguments: argparse.Namespace) -> int:
    verdicts = parse_verdicts(arguments.verdict)
    found, ids = claim_targets(paths.results_root(arguments.results), arguments.words)

    def chosen(row: dict) -> bool:
        return row["verdict"] in verdicts and (not ids or row["id"] in ids)

    return judge_claims(found, arguments.source, arguments.json, arguments.all, chosen)


def draw_figures(targets: Sequence[Target], source: str) -> int:
    """Write every figure of these settings; returns exit code 0, or 4 when one had not enough to draw."""
    from bnlab.experiment import load
    from bnlab.plots.drawing import save

    code = 0
    for target, runs in loaded(targets, source):
        folder = paths.figures_dir(target.directory)
        for name, draw in load(target.experiment).figures.items():
            try:
                save(draw(runs), folder, name)
                print(f"{folder / name}.pdf, .png, .svg, .csv  ({basis(runs)})", flush=True)
            except Incomplete as error:
                print(f"{folder / name}: {error}", file=sys.stderr)
                code = INCOMPLETE
    return code


def judge_claims(
    targets: Sequence[Target],
    source: str,
    as_json: bool,
    everything: bool,
    chosen: Callable[[dict], bool] = lambda row: True,
) -> int:
    """Write claims.json and claims.md of these settings and print the verdicts chosen, then how many there are.

    Returns exit code 0, or 4 when for one of the claims shown there was no run to judge by.
    """
    from bnlab.claim_report import best_rows, claim_rows, claims_markdown
    from bnlab.experiment import load
    from bnlab.store import write_changed

    judged: list[dict] = []
    for target, runs in loaded(targets, source):
        rows = claim_rows(load(target.experiment).claims, runs)
        text = json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
        write_changed(paths.claims_json(target.directory), text.encode())
        write_changed(paths.claims_markdown(target.directory), claims_markdown(rows).encode())
        judged += rows
    shown = [row for row in (judged if everything else best_rows(judged)) if chosen(row)]
    if as_json:
        print(json.dumps([{key: row[key] for key in JSON_KEYS} for row in shown], indent=1, ensure_ascii=False))
    else:
        print("\n".join([*(_claims_lines(shown) if shown else []), totals(shown)]))
    return INCOMPLETE if any(row["n"] == 0 for row in shown) else 0


def loaded(targets: Sequence[Target], source: str) -> Iterator[tuple[Target, Runs]]:
    """The runs of each setting. One that lacks the source asked for is passed over, unless all do: then Incomplete."""
    from bnlab.store import load_runs
    from bnlab.sweeping.plan import make_plan

    lacking: Incomplete | None = None
    read = 0
    for target in targets:
        planned = make_plan(target.experiment, [f"data={target.data}", f"scale={target.scale}"]).complete
        try:
            runs = load_runs(target.directory, planned, source)
        except Incomplete as error:
            lacking = lacking or error
            continue
        read += 1
        _warn_of_fuller_pack(target, runs, planned)
        yield target, runs
    if lacking is not None and not read:
        raise lacking


def _warn_of_fuller_pack(target: Target, runs: Runs, planned: Sequence[PlannedRun]) -> None:
    """One line on stderr where a few runs of one's own hide the many of the pack."""
    from bnlab.store.runs import addresses_of, read_index

    pack = paths.pack_dir(target.directory)
    if runs.source != "runs" or not paths.pack_index(pack).exists():
        return
    try:
        packed = {f"{entry['variant']}/{entry['id']}" for entry in read_index(pack)}
    except IntegrityError as error:
        print(f"warning: {error}", file=sys.stderr)  # the runs that were asked for can be read all the same
        return
    held = packed & {address.key for address in addresses_of(planned)}
    if len(held) > runs.n:
        words = f"the pack holds {len(held)} runs, the directories {runs.n}"
        remedy = f"`bnlab unpack {target.experiment}` adds them, `--from pack` reads it"
        print(f"warning: {target.directory}: {words}; {remedy}", file=sys.stderr)


def basis(runs: Runs) -> str:
    return f"{runs.n} of {runs.planned} planned runs, from {'the pack' if runs.source == 'pack' else 'run directories'}"


def _claims_lines(rows: Sequence[dict]) -> list[str]:
    """A table of the claims, each with its sentence below, then what its marks and the ids of its sources mean."""
    from bnlab.claim_report import n_text, published_text, verdict_text, whole_texts

    header = ("claim", "verdict", "effect", "interval", "n", "published", "where", "from")
    cells = [
        (
            row["id"],
            verdict_text(row),
            *whole_texts(row),
            n_text(row),
            textwrap.shorten(published_text(row), 40, placeholder=" …"),
            f"{row['experiment']} {row['data']}-{row['scale']}",
            row["from"],
        )
        for row in rows
    ]
    head, *lines = table(header, cells, right=("n",)).splitlines()
    says = [textwrap.shorten(row["says"], 116, placeholder=" …") for row in rows]
    return [head, *(f"{line}\n    {sentence}" for line, sentence in zip(lines, says)), *_legend(rows)]


def _legend(rows: Sequence[dict]) -> Iterator[str]:
    from bnlab.claim_report import UNDONE, UNDONE_TEXT, undone_by_holm

    if any(map(undone_by_holm, rows)):
        yield f"{UNDONE} {UNDONE_TEXT}"
    shown = {source_id(row["id"]) for row in rows}
    for name, source in SOURCES.items():
        if name in shown:
            yield f"{name}  {source.name}  {source.address}".rstrip()
