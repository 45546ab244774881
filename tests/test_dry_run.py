"""What a dry run says before anything is trained: states, time and disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bnlab import paths, store
from bnlab.cli import main
from bnlab.commands import costs, dry_run
from bnlab.commands.costs import FinishedRun, bytes_ahead, bytes_text, planned_bytes, planned_records, seconds_ahead
from bnlab.commands.tables import count_text
from bnlab.config import DataConfig, ModelConfig, NormConfig, RunConfig
from bnlab.sweeping.plan import PlannedRun, make_plan

MLP = "scale=smoke model=mlp model.activation=sigmoid lr=0.03"
KINDS = {
    "all probes": f"{MLP} variant=bn batch_size=100 steps=30",
    "tanh, no pooled groups, one unit": f"{MLP} variant=plain model.activation=tanh probe.activations.pooled=false "
    "probe.activations.unit=true probe.activations.unit_percentiles=true probe.activations.layers=[1,3] steps=7",
    "noise, every epoch": f"{MLP} variant=bn_noise probe.curves.full=1ep probe.moments.layers=[2] steps=29",
    "a convolutional net, few probes": "scale=smoke model=convnet lr=0.02 variant=bn steps=3 "
    "probe.names=[curves,activations] probe.activations.histograms=never",
    "gradient shifts and one line": f"{MLP} variant=bn_noise steps=6 probe.names=[ics,landscape] "
    "probe.ics.cadence=2it probe.ics.layers=[1,3] probe.landscape.cadence=4it",
    "gradient shifts of all layers and two lines": f"{MLP} variant=bn steps=5 probe.names=[ics,landscape] "
    "probe.ics.cadence=1it probe.landscape.factors=[1,2] probe.landscape.random_direction=true",
    "gamma and beta": f"{MLP} variant=bn optim=rmsprop optim.momentum=0.9 steps=6 probe.names=[affine] "
    "probe.affine.cadence=2it",
    "no beta, no running statistics": f"{MLP} variant=layer norm.center=false steps=5 probe.names=[affine] "
    "probe.affine.cadence=1it",
    "a cadence that meets the end": f"{MLP} variant=bn steps=6 probe.moments.cadence=3it probe.curves.cadence=4it",
}

LINEAR = RunConfig(
    data=DataConfig("gaussian_map"), model=ModelConfig("deep_linear", activation="linear"), loss="half_squares"
)


def planned(words: str) -> PlannedRun:
    return make_plan("activation_histograms", [*words.split(), "seed=0"]).runs[0]


def finish(run: PlannedRun, setting: Path, seconds: float, size: int) -> FinishedRun:
    """A finished run with a status and one file of so many bytes in all."""
    directory = paths.run_dir(setting, run.config.variant, run.id)
    directory.mkdir(parents=True)
    status = store.Status("done", run.config.steps, run.config.steps, seconds)
    store.write_status(directory, status)
    paths.metrics_jsonl(directory).write_bytes(bytes(size - paths.status_json(directory).stat().st_size))
    return FinishedRun(run.config, status, directory)


@pytest.mark.parametrize("kind", KINDS)
def test_the_records_expected_are_those_a_run_makes(kind, tmp_path):
    from bnlab.running import run_one

    run = planned(KINDS[kind])
    directory = tmp_path / run.id
    assert run_one(run.config, directory, {}) == "done"
    rows = store.read_lines(paths.metrics_jsonl(directory))
    recorded = sum(len(row["values"]) for row in rows), sum(len(row.get("histograms", {})) for row in rows)
    assert planned_records(run.config) == recorded
    taken = sum(file.stat().st_size for file in directory.iterdir())
    assert 0.5 < planned_bytes(run.config) / taken < 2


def test_every_probe_is_counted():
    from bnlab.probes import PROBES

    for name in PROBES:
        config = LINEAR if name == "modes" else RunConfig(norm=NormConfig(name="batch"))
        alone = dataclasses.replace(config, probe=dataclasses.replace(config.probe, names=(name,)))
        assert sum(planned_records(alone)) > 0, f"{costs.__name__} does not know what {name} records"


def test_time_is_that_of_finished_runs_of_the_same_kind(tmp_path):
    mlp, conv = planned(KINDS["all probes"]), planned(KINDS["a convolutional net, few probes"])
    other = planned(f"{MLP} variant=plain")
    assert seconds_ahead([(mlp.config, 30)], []) is None
    finished = [finish(mlp, tmp_path, 6.0, 1000), finish(conv, tmp_path, 12.0, 1000)]  # 0.2 s and 4 s a step
    assert seconds_ahead([(mlp.config, 10), (conv.config, 2)], finished) == pytest.approx(10 * 0.2 + 2 * 4)
    assert seconds_ahead([(other.config, 11)], finished) == pytest.approx(11 * 18 / 33)  # the mean of both


def test_disk_is_scaled_from_what_finished_runs_took(tmp_path):
    short, long = planned(f"{MLP} variant=bn steps=10"), planned(f"{MLP} variant=bn steps=30")
    assert bytes_ahead([short.config, long.config], []) == planned_bytes(short.config) + planned_bytes(long.config)
    finished = [finish(short, tmp_path, 1.0, 3 * planned_bytes(short.config))]
    assert bytes_ahead([long.config], finished) == pytest.approx(3 * planned_bytes(long.config))


def test_the_words_of_a_dry_run(tmp_path, capsys):
    words = ["run", "activation_histograms", *MLP.split(), "variant=bn", "--dry-run", "--results", str(tmp_path)]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "2 runs: 2 new; about" in said and " on 2 cores, about " in said and not list(tmp_path.iterdir())
    assert "took" not in said
    first, second = make_plan("activation_histograms", [*MLP.split(), "variant=bn"]).runs
    setting = paths.setting_dir(tmp_path, "activation_histograms", "digits", "smoke")
    finish(first, setting, 90.0, 4_000_000)
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "2 runs: 1 new, 1 done; about 1.5 min, about 4 MB, as 1 finished run of this setting took; " in said
    finish(second, setting, 90.0, 4_000_000)
    assert main([*words, "seed=1"]) == 0
    assert "1 run: 1 done; nothing left to do" in capsys.readouterr().out


def test_keys_that_follow_from_others_are_named(capsys):
    assert main("run activation_histograms --dry-run".split()) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("not shown")]
    assert "follow from" in line and " optim.decay_steps" in line and " lr" not in line
    assert main(["run", "activation_histograms", "variant=bn", *MLP.split()[1:], "--dry-run"]) == 0
    assert "not shown" not in capsys.readouterr().out  # these differ in nothing but their seed


def test_reproduce_shows_each_plan_and_creates_nothing(tmp_path, capsys):
    assert main(["reproduce", "scale=smoke", "--dry-run", "--results", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "activation_histograms digits-smoke\n" in said and "ics_vgg digits-smoke\n" in said
    assert said.count(" new; about ") == said.count(" digits-smoke\n") and not list(tmp_path.iterdir())


def test_runs_that_are_not_there_are_not_asked_for(tmp_path, monkeypatch, capsys):
    """Ten thousand files that are absent cost one look into their folder."""
    asked = []
    monkeypatch.setattr(dry_run, "read_status", lambda directory: asked.append(directory))
    words = [*MLP.split(), "variant=bn"]
    plan = make_plan("activation_histograms", [*words, "seed=range(1000)"])
    there = paths.run_dir(paths.setting_dir(tmp_path, plan.experiment, plan.data, plan.scale), "bn", plan.runs[7].id)
    there.mkdir(parents=True)
    dry_run.print_plan(plan, tmp_path, rerun=False, jobs=2)
    assert set(asked) == {there} and "1000 runs: 1000 new" in capsys.readouterr().out


def test_words_for_sizes_and_counts():
    assert [bytes_text(n) for n in (300, 41_000, 1_234_567, 250e6, 3.4e9)] == [
        "about 1 kB",
        "about 41 kB",
        "about 1.2 MB",
        "about 250 MB",
        "about 3.4 GB",
    ]
    assert [count_text(n, "run") for n in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
