"""docs/metrics.md defines every metric that a probe or a procedure records, once, and no other."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from probed_runs import configuration, started, trained

from bnlab import procedures
from bnlab.compose import card, experiment_names
from bnlab.config import PROCEDURES, RunConfig, flatten
from bnlab.probes import PROBES
from bnlab.sweeping.plan import setting_plan

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "metrics.md").read_text()
PLACEHOLDERS = {"layer": r"\d\d", "group": r"(\d\d|pooled)", "k": "[0-7]", "factor": r"\d+(\.\d+)?(e[+-]\d+)?"}


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
            activations=dataclasses.replace(config.probe.activations, unit=True, pooled=True),
            landscape=dataclasses.replace(config.probe.landscape, factors=(0.125, 2.0, 1e-6), random_direction=True),
        )
        model = dataclasses.replace(config.model, activation=activation)
        yield dataclasses.replace(config, probe=probe, model=model, steps=3)


def measured() -> Iterator[RunConfig]:
    """The runs of smoke plans that train nothing, one of each procedure and variant."""
    cards = [card(name) for name in experiment_names()]
    settings = [(c.name, setting) for c in cards for setting in c.settings.values() if setting.scale == "smoke"]
    runs = [run.config for name, setting in settings for run in setting_plan(name, setting).complete]
    chosen = {(c.procedure, c.variant): c for c in runs if c.procedure != "train"}
    assert {procedure for procedure, _ in chosen} == set(PROCEDURES), "a procedure is in no smoke plan"
    yield from chosen.values()


@pytest.fixture(scope="module")
def recorded() -> set[str]:
    found: set[str] = set()
    for config in probed():
        for values in trained(started(config))[1].values():
            found |= values.keys()
    for config in measured():
        for _, values in procedures.measure(config):
            found |= values.keys()
    return found


def test_every_metric_is_defined_once(recorded):
    wrong = {metric: names for metric in sorted(recorded) if len(names := defining(metric, TEXT)) != 1}
    assert not wrong, f"define in docs/metrics.md, each in one row: {wrong}"


def test_nothing_is_defined_that_is_not_recorded(recorded):
    stale = [name for name in definitions(TEXT) if not any(map(pattern(name).fullmatch, recorded))]
    assert not stale, f"no probe and no procedure records {stale}"


def test_a_missing_row_would_be_noticed(recorded):
    for name in definitions(TEXT):
        without = "\n".join(line for line in TEXT.splitlines() if not line.startswith(f"| `{name}` "))
        assert any(not defining(metric, without) for metric in recorded), name


def test_every_row_has_a_meaning_and_a_unit():
    rows = [line for line in TEXT.splitlines() if line.startswith("| `")]
    assert len(rows) == len(definitions(TEXT)) > 0


def test_every_prefix_has_a_section_that_holds_its_rows():
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
    assert set(PROBES) <= sections.keys()
    for prefix, body in sections.items():
        names = definitions(body)
        assert names and all(name.startswith(f"{prefix}/") for name in names)
    for probe in PROBES:
        assert f"`probe.{probe}.cadence`" in sections[probe] and "Cost:" in sections[probe]


def test_keys_in_the_text_exist():
    keys = set(re.findall(r"`((?:probe|optim)\.[\w.]+)`", TEXT))
    assert keys and keys <= flatten(RunConfig()).keys()
