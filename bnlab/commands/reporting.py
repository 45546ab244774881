"""`bnlab report`: the pages as one file, or as a paper."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bnlab import paths
from bnlab.commands.reading import basis, loaded
from bnlab.commands.words import Target, configure_reading, parse_selection, stored_targets
from bnlab.errors import BadInput, EnvironmentFault, Incomplete

if TYPE_CHECKING:
    from bnlab.experiment import Experiment
    from bnlab.pages.paper import Chapter
    from bnlab.pages.site import Site
    from bnlab.plots.drawing import Drawing
    from bnlab.store import Runs

EXAMPLES = """examples:
  bnlab report                                   results/report.html: all pages, one file, no network
  bnlab report ics_vgg data=cifar10 --output ics.html
  bnlab report --paper                           results/report.pdf: methods, verdicts and every figure

Verdicts and figures are those that `bnlab claims` and `bnlab figures` stored last; what is not stored is computed.
With --from all are computed again, from that source. A paper draws and computes all of it again.
"""


def configure_report(parser: argparse.ArgumentParser) -> None:
    configure_reading(parser, EXAMPLES)
    parser.add_argument("--paper", action="store_true", help="a PDF with methods, verdicts and every figure")
    parser.add_argument("--output", metavar="FILE", help="default: report.html or report.pdf in the results folder")
    parser.set_defaults(act=report)


def report(arguments: argparse.Namespace) -> int:
    root = paths.results_root(arguments.results)
    targets = stored_targets(root, arguments.words)
    place = _place(arguments, root)
    content = (_paper if arguments.paper else _pages)(root, targets, arguments)
    from bnlab.store import write_aside

    write_aside(place, content)
    print(f"{place}: {len(content) / 1e6:.2f} MB")
    return 0


def _place(arguments: argparse.Namespace, root: Path) -> Path:
    ending = ".pdf" if arguments.paper else ".html"
    place = Path(arguments.output) if arguments.output else root / f"report{ending}"
    if place.suffix.lower() in {".pdf", ".html", ".htm"} - {ending, ending[:4]}:
        remedy = "leave --paper out" if arguments.paper else "add --paper"
        raise BadInput(f"--output {place}: what is written is {ending[1:].upper()}; name it {ending}, or {remedy}")
    if place.is_dir():
        raise BadInput(f"--output {place}: is a folder; name a file in it")
    if not place.parent.is_dir():
        raise BadInput(f"--output {place}: there is no folder {place.parent}; make it first, or name a file elsewhere")
    return place


def _pages(root: Path, targets: Sequence[Target], arguments: argparse.Namespace) -> bytes:
    if importlib.util.find_spec("jinja2") is None:
        raise EnvironmentFault("the report needs jinja2; type `pip install 'bnlab[dashboard]'`")
    from bnlab.pages.report import report_html

    site = _site(root, targets, arguments)
    with tempfile.TemporaryDirectory(prefix="bnlab-") as folder:
        for target, runs in loaded(_to_compute(site, targets, arguments.source), arguments.source):
            _compute(site, target, runs, Path(folder) / target.experiment / key_of(target)[1])
        return report_html(site).encode()


def _paper(root: Path, targets: Sequence[Target], arguments: argparse.Namespace) -> bytes:
    from bnlab.pages.paper import paper_pdf

    site = _site(root, targets, arguments)
    site.plans_read.wait()
    return paper_pdf(site, [_chapter(target, runs) for target, runs in loaded(targets, arguments.source)])


def _chapter(target: Target, runs: Runs) -> Chapter:
    from bnlab.claim_report import claim_rows
    from bnlab.experiment import load
    from bnlab.pages.paper import Chapter

    experiment = load(target.experiment)
    rows, drawn = claim_rows(experiment.claims, runs), list(_drawn(experiment, runs))
    return Chapter(experiment, key_of(target)[1], basis(runs), rows, drawn)


def _drawn(experiment: Experiment, runs: Runs) -> Iterator[tuple[str, Drawing]]:
    """The figures for which there are runs enough."""
    for name, draw in experiment.figures.items():
        with contextlib.suppress(Incomplete):
            yield name, draw(runs)


def _site(root: Path, targets: Sequence[Target], arguments: argparse.Namespace) -> Site:
    """Errors: Incomplete where the source asked for holds no run."""
    from bnlab.pages.selection import reduce
    from bnlab.pages.site import Site

    site = Site(root, dated=False)
    reduce(site, [key_of(target) for target in targets], arguments.source, parse_selection(arguments.words).experiments)
    if not site.index.settings:
        raise Incomplete(f"{root}: nothing of this selection is in {arguments.source}; leave out --from")
    return site


def _to_compute(site: Site, targets: Sequence[Target], source: str) -> list[Target]:
    found = {target: site.index.settings.get(key_of(target)) for target in targets}
    return [t for t, files in found.items() if files and (source != "auto" or not (files.claims and files.figures))]


def _compute(site: Site, target: Target, runs: Runs, folder: Path) -> None:
    """Verdicts and figures of these runs in the place of what is stored."""
    from bnlab.claim_report import claim_rows
    from bnlab.experiment import load
    from bnlab.plots.drawing import save

    files, experiment = site.index.settings[key_of(target)], load(target.experiment)
    files.claims, files.figures = claim_rows(experiment.claims, runs), {}
    files.judged = files.drawn = math.inf
    for name, drawing in _drawn(experiment, runs):
        (path,) = save(drawing, folder, name, kinds=("svg",))
        files.figures[name] = {"svg": path}


def key_of(target: Target) -> tuple[str, str]:
    return target.experiment, f"{target.data}-{target.scale}"
