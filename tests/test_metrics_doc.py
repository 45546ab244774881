"""docs/metrics.md defines every metric that a probe or a procedure records, once, and no other."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from probed_runs import configuration, started, trained

from bnlab import procedures
from bnlab.compose import card, experiment_names
from bnlab.config import PROCEDURES, DataConfig, ModelConfig, RunConfig, flatten
from bnlab.probes import PROBES
from bnlab.sweeping.plan import setting_plan

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "metrics.md").read_text()
PLACEHOLDERS = {
    "layer": r"\d\d",
    "rank": r"\d\d",
    "group": r"(\d\d|pooled)",
    "k": "[0-7]",
    "factor": r"\d+(\.\d+)?(e[+-]\d+)?",
}
PLACEHOLDERS |= {"problem": "(ab|cars)", "model": "(least_squares|ridge|net)"}
PLACEHOLDERS |= {"scaling": "(raw|min_max|mean_centred|z_score)", "scaled": "(min_max|mean_centred|z_score)"}
PLACEHOLDERS |= {"fit": "(linear|quadratic|weighted)", "line": "(linear|weighted)", "kind": "(cars|motorbikes)"}
PLACEHOLDERS |= {"net": "(plain|bn)", "coat": "(white|other)"}
PLACEHOLDERS |= {"scenario": "(frozen|fresh|neither)", "updated": "(kept|swapped|article)"}
PLACEHOLDERS |= {"norm": "(plain|bn)", "arm": "(plain|bn)(_wide)?", "m": "(8|32|128|512)"}


SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))


def procedure_of(prefix: str) -> str | None:
    """The procedure that a section names as the source of its metrics; None for a probe's."""
    if prefix in PROBES:
        return None
    named = re.search(r"`procedure=(\w+)`", SECTIONS[prefix])
    return named[1] if named else f"none named in section {prefix}"


OPTIONAL = {"article_code": pytest.mark.keras}  # procedures that need more than the project itself does
EVERY_PREFIX = pytest.mark.parametrize(
    "prefix", [pytest.param(p, marks=OPTIONAL.get(procedure_of(p), ())) for p in SECTIONS]
)


def definitions(text: str) -> dict[str, tuple[str, str]]:
    """Metric as it is written -> what it is, and its unit: the rows of all tables with these three columns."""
    rows = re.findall(r"^\| `([^`]+)` \| (.*\S.*) \| (.*\S.*) \|$", text, re.MULTILINE)
    return {name: (meaning, unit) for name, meaning, unit in rows}


def pattern(name: str) -> re.Pattern:
    parts = re.split(r"<(\w+)>", name)
    return re.compile("".join(PLACEHOLDERS[p] if i % 2 else re.escape(p) for i, p in enumerate(parts)))


def defining(metric: str, text: str) -> list[str]:
    return [name for name in definitions(text) if pattern(name).fullmatch(metric)]


def probed() -> Iterator[RunConfig]:
    """Runs that between them record all that probes can: every activation, noise, and all that is off by default."""
    for activation in ("relu", "sigmoid", "tanh"):
        config = configuration("mlp", "noisy_batch", tuple(PROBES))
        probe = dataclasses.replace(
            config.probe,
            activations=dataclasses.replace(config.probe.activations, unit=True, unit_percentiles=True, pooled=True),
            landscape=dataclasses.replace(config.probe.landscape, factors=(0.125, 2.0, 1e-6), random_direction=True),
        )
        model = dataclasses.replace(config.model, activation=activation)
        yield dataclasses.replace(config, probe=probe, model=model, steps=3)
    linear = ModelConfig("deep_linear", widths=(10,), activation="linear")
    config = configuration("mlp", "none", ("curves", "modes"))
    yield dataclasses.replace(config, model=linear, data=DataConfig("gaussian_map"), loss="half_squares", steps=3)


def planned(procedure: str) -> list[RunConfig]:
    """One run of each variant with this procedure in the smoke plans."""
    cards = [card(name) for name in experiment_names()]
    settings = [(c.name, setting) for c in cards for setting in c.settings.values() if setting.scale == "smoke"]
    runs = [run.config for name, setting in settings for run in setting_plan(name, setting).complete]
    return list({config.variant: config for config in runs if config.procedure == procedure}.values())


@functools.cache
def recorded(procedure: str | None) -> frozenset[str]:
    """The metrics of a procedure, or of all probes."""
    if procedure is None:
        rows = [values for config in probed() for values in trained(started(config))[1].values()]
    else:
        rows = [values for config in planned(procedure) for _, values in procedures.measure(config)]
    return frozenset(metric for values in rows for metric in values)


def test_every_probe_and_every_procedure_has_a_section_and_a_smoke_plan():
    sources = {procedure_of(prefix) or prefix for prefix in SECTIONS}
    assert sources == {*PROBES, *PROCEDURES}, "write a section of docs/metrics.md for each, and none for others"
    assert all(planned(procedure) for procedure in PROCEDURES)


@EVERY_PREFIX
def test_every_metric_is_defined_once_and_nothing_else_is(prefix):
    found = recorded(procedure_of(prefix))
    assert {metric.split("/")[0] for metric in found} <= SECTIONS.keys()
    wrong = {m: names for m in sorted(found) if m.startswith(f"{prefix}/") and len(names := defining(m, TEXT)) != 1}
    assert not wrong, f"define in docs/metrics.md, each in one row: {wrong}"
    stale = [name for name in definitions(SECTIONS[prefix]) if not any(map(pattern(name).fullmatch, found))]
    assert not stale, f"docs/metrics.md defines what nothing records: {stale}"


@EVERY_PREFIX
def test_a_missing_row_would_be_noticed(prefix):
    for name in definitions(SECTIONS[prefix]):
        without = "\n".join(line for line in TEXT.splitlines() if not line.startswith(f"| `{name}` "))
        assert any(not defining(metric, without) for metric in recorded(procedure_of(prefix))), name


def test_every_row_has_a_meaning_and_a_unit_and_stands_in_its_section():
    rows = [line for line in TEXT.splitlines() if line.startswith("| `")]
    assert len(rows) == len(definitions(TEXT)) > 0
    for prefix, body in SECTIONS.items():
        assert all(name.startswith(f"{prefix}/") for name in definitions(body))


def test_every_probe_says_when_it_measures_and_what_that_costs():
    for probe in PROBES:
        assert f"`probe.{probe}.cadence`" in SECTIONS[probe] and "Cost:" in SECTIONS[probe]
    keys = set(re.findall(r"`((?:probe|optim)\.[\w.]+)`", TEXT))
    assert keys and keys <= flatten(RunConfig()).keys()
