"""The pages of a results folder as one file that needs neither a server nor a network."""

from __future__ import annotations

import base64
import gzip
import hashlib
from pathlib import Path

from markupsafe import Markup

from bnlab import __version__
from bnlab.pages import claims, experiment, methods, overview, runs
from bnlab.pages.documents import encode
from bnlab.pages.rendering import EARLY, SCRIPTS, STYLES, looks_document, static_files, templates
from bnlab.pages.site import Site

MENU = (
    ("overview", "#/", "Overview"),
    ("claims", "#/claims", "Claims"),
    ("runs", "#/runs", "Runs"),
    ("methods", "#/methods", "Methods"),
)
SECTIONS = ("overview", "claims", "runs", "methods", "experiment")
SERVED = ("live.js", "start.js", "run.js", "compare.js")  # of no use without a server
# Parts of an experiment's page, with the list of what can be chosen of each and the key of the choice.
CHOICES = {"distributions": ("quantities", "quantity"), "families": ("families", "family")}
MOST_METRICS = 12  # of an experiment: those shown at first, and some to add


def report_html(site: Site) -> str:
    """One document with its scripts, styles, data and figures inside; what runs is named by its hash."""
    script = _joined([name for name in SCRIPTS if name not in SERVED] + ["methods.js", "report.js"])
    early, style = _joined([EARLY]), _joined([*STYLES, "report.css"])
    blocks = {"looks": looks_document(), "documents": documents(site), "figures": pictures(site)}
    return (
        templates()
        .get_template("report.html")
        .render(
            policy=_policy(scripts=(early, script), style=style),
            version=__version__,
            menu=MENU,
            sections=SECTIONS,
            blocks={name: Markup(encode(block)) for name, block in blocks.items()},
            early=Markup(early),
            script=Markup(script),
            style=Markup(style),
        )
    )


def documents(site: Site) -> dict:
    """The document of every page; of experiments one for each setting, the usual one first."""
    site.plans_read.wait()
    experiments = []
    for name in sorted({*site.cards, *(of for of, _ in site.index.settings)}):
        usual = experiment.data(site, {"experiment": name}, {})
        others = [setting for setting in usual["settings"] if setting != usual["setting"]]
        experiments += [_offline(site, name, setting) for setting in (usual["setting"], *others)]
    return {
        "overview": overview.data(site, {}, {}) | {"folder": ""},
        "claims": claims.data(site, {}, {}),
        "runs": runs.data(site, {}, {}),
        "methods": methods.data(site),
        "experiments": experiments,
    }


def _offline(site: Site, name: str, setting: str | None) -> dict:
    """What can be chosen of an experiment is what lies in the document: some metrics, no other values of keys."""
    first = experiment.data(site, {"experiment": name}, {"setting": [setting]} if setting else {})
    if not setting:
        return first
    metrics = list(dict.fromkeys([*first["chosen"], *_further(first["metrics"])]))[:MOST_METRICS]
    document = experiment.data(site, {"experiment": name}, {"setting": [setting], "metric": metrics})
    fixed = [f"{key['key']} {key['chosen']}" for key in document["keys"] if key["chosen"] != experiment.EVERY]
    figures = [{"name": one["name"], "formats": [_format(one["formats"])]} for one in document["figures"]]
    kept = {"keys": [], "metrics": metrics, "chosen": first["chosen"], "fixed": ", ".join(fixed), "figures": figures}
    return document | kept | {part: _choices(site, first, part, *of) for part, of in CHOICES.items()}


def _choices(site: Site, first: dict, part: str, names: str, key: str) -> list[dict]:
    """A part of the page for every value of its main choice, the other choices as they are at first."""
    found = [one["name"] if isinstance(one, dict) else one for one in first[part].get(names, ())]
    made = []
    for value in found:
        query = {"setting": [first["setting"]], "metric": first["chosen"][:1], key: [value]}
        made.append(_settled(experiment.data(site, {"experiment": first["name"]}, query)[part]))
    return made


def _settled(part: dict) -> dict:
    """Layer and seed are no choice in a report: it holds one of each."""
    if "quantities" in part:
        quantities = [one | {"layers": [one["layers"][0]]} for one in part["quantities"]]
        return part | {"quantities": quantities, "seeds": [part["seed"]]}
    return part | {"layers": [part["layer"]] if part["layer"] else []}


def _further(metrics: list[str]) -> list[str]:
    """Of the first kind of each prefix one, so that every probe is seen."""
    firsts: dict[str, str] = {}
    for metric in metrics:
        firsts.setdefault(metric.rpartition("/")[0], metric)
    return list(firsts.values())


def pictures(site: Site) -> list[dict]:
    """Every figure, as a packed vector graphic; as pixels where that is all there is."""
    return [
        _picture((*key, name), files)
        for key, found in sorted(site.index.settings.items())
        for name, files in sorted(found.figures.items())
        if _format(files)
    ]


def _format(formats) -> str:
    return next((kind for kind in ("svg", "png") if kind in formats), "")


def _picture(names: tuple[str, str, str], files: dict[str, Path]) -> dict:
    kind = _format(files)
    content = files[kind].read_bytes()
    packed = kind == "svg"
    content = gzip.compress(content, 9, mtime=0) if packed else content
    media = {"svg": "image/svg+xml", "png": "image/png"}[kind]
    return {"names": names, "type": media, "packed": packed, "content": base64.b64encode(content).decode()}


def _joined(names) -> str:
    """Files of the pages as the text of one element: nothing in them ends it."""
    text = "\n".join(static_files()[name].decode() for name in names)
    if "</script" in text or "</style" in text or "<!--" in text:
        raise ValueError(f"{', '.join(names)}: hold what would end the element around them")
    return text


def _policy(scripts, style: str) -> str:
    allowed = " ".join(map(_hash, scripts))
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
