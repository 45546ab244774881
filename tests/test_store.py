"""The results folder: nothing is lost, doubled or half-written, and a pack is the runs it was made of."""

import json
import math
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from bnlab import paths, store
from bnlab.config import NormConfig, RunConfig, run_id
from bnlab.errors import EnvironmentFault, Incomplete, IntegrityError


@dataclass(frozen=True)
class Planned:
    config: RunConfig
    id: str


def _planned(variant: str, seed: int) -> Planned:
    norm = NormConfig(name="batch" if variant == "bn" else "none")
    config = RunConfig(experiment="x", variant=variant, norm=norm, seed=seed, steps=30)
    return Planned(config, run_id(config))


def _finish(setting, planned: Planned, state: str = "done", steps=range(0, 30, 10)) -> None:
    run = paths.run_dir(setting, planned.config.variant, planned.id)
    store.create_run(run, planned.config, planned.id, {"lr": 0.1})
    writer = store.RunWriter(run)
    rng = np.random.default_rng(planned.config.seed)
    for step in steps:
        counts = tuple(int(c) for c in rng.integers(0, 255, store.BINS))
        histogram = store.Histogram(-1.5, 2.5, counts)
        writer.record(step, {"curves/train_loss": store.quantise(rng.random()), "activations/hist": histogram})
    writer.finish()
    store.write_status(run, store.Status(state, 30, 30, 1.0, diverged_at=20 if state == "diverged" else None))


@pytest.fixture
def setting(tmp_path):
    return paths.setting_dir(tmp_path, "x", "digits", "laptop")


PLAN = [_planned(v, s) for v in ("plain", "bn") for s in (0, 1, 10)]


def _same(a: store.Runs, b: store.Runs) -> None:
    pd.testing.assert_frame_equal(a.table, b.table)
    pd.testing.assert_frame_equal(a.metrics, b.metrics)
    pd.testing.assert_frame_equal(a.distributions.drop(columns="counts"), b.distributions.drop(columns="counts"))
    assert all(np.array_equal(p, q) for p, q in zip(a.distributions["counts"], b.distributions["counts"], strict=True))


def test_a_pack_is_the_runs_it_was_made_of(setting):
    for planned in PLAN:
        _finish(setting, planned)
    from_runs = store.load_runs(setting, PLAN)
    store.write_pack(setting, PLAN)
    from_pack = store.load_runs(setting, PLAN, "pack")
    assert (from_runs.source, from_pack.source) == ("runs", "pack")
    _same(from_runs, from_pack)


def test_unpacked_runs_read_and_pack_like_the_first_ones(setting, tmp_path):
    for planned in PLAN[:4]:
        _finish(setting, planned, "diverged" if planned.config.seed == 1 else "done")
    first = store.load_runs(setting, PLAN)
    pack = store.write_pack(setting, PLAN)
    content = {p.name: p.read_bytes() for p in pack.iterdir()}
    moved = paths.setting_dir(tmp_path / "elsewhere", "x", "digits", "laptop")
    paths.pack_dir(moved).mkdir(parents=True)
    for name, data in content.items():
        (paths.pack_dir(moved) / name).write_bytes(data)
    assert store.unpack(moved) == 4 and store.unpack(moved) == 0
    _same(first, store.load_runs(moved, PLAN, "runs"))
    store.write_pack(moved, PLAN)
    assert {p.name: p.read_bytes() for p in paths.pack_dir(moved).iterdir()} == content


def test_only_finished_runs_of_the_plan_are_read(setting):
    for planned in PLAN:
        _finish(setting, planned)
    stranger = _planned("plain", 99)
    _finish(setting, stranger)
    unfinished = paths.run_dir(setting, "bn", PLAN[-1].id)
    store.write_status(unfinished, store.Status("failed", 3, 30, error="x"))
    runs = store.load_runs(setting, PLAN)
    assert runs.n == 5 and runs.planned == 6
    assert set(runs.table["seed"]) == {0, 1, 10}


def test_selection_and_series(setting):
    for planned in PLAN:
        _finish(setting, planned, *(["diverged", [0, 10]] if planned.config.seed == 10 else []))
    runs = store.load_runs(setting, PLAN)
    series = runs.select(variant="bn").series("curves/train_loss")
    assert list(series.columns) == [0, 1, 10] and list(series.index) == [0, 10, 20]
    assert math.isnan(series.loc[20, 10]) and not series.loc[20, [0, 1]].isna().any()
    assert runs.select(variant=["bn", "plain"], **{"norm.name": "batch"}).n == 3
    assert runs.table.loc[f"bn/{PLAN[-1].id}", "diverged_at"] == 20
    with pytest.raises(ValueError, match="share a seed"):
        runs.series("curves/train_loss")
    with pytest.raises(KeyError, match="lrr"):
        runs.select(lrr=1)
    assert len(runs.select(variant="plain").histograms("activations/hist")) == 3 + 3 + 2


def test_nothing_to_read_says_what_to_type(setting):
    with pytest.raises(Incomplete, match="bnlab run x data=digits scale=laptop"):
        store.load_runs(setting, PLAN)
    with pytest.raises(Incomplete):
        store.write_pack(setting, PLAN)


def test_a_torn_last_line_is_left_out_at_every_byte(setting):
    planned = PLAN[0]
    run = paths.run_dir(setting, "plain", planned.id)
    store.create_run(run, planned.config, planned.id, {})
    writer = store.RunWriter(run)
    for step in range(3):
        writer.record(step, {"curves/train_loss": 0.5})
    writer.close()
    whole = paths.metrics_jsonl(run).read_bytes()
    last = whole.rfind(b"\n", 0, -1) + 1
    for cut in range(last, len(whole)):
        paths.metrics_jsonl(run).write_bytes(whole[:cut])
        assert [r["step"] for r in store.read_lines(paths.metrics_jsonl(run))] == [0, 1]


def test_rows_after_the_checkpoint_are_replaced_not_doubled(setting):
    planned = PLAN[0]
    run = paths.run_dir(setting, "plain", planned.id)
    store.create_run(run, planned.config, planned.id, {})
    first = store.RunWriter(run)
    for step in (0, 10, 20):
        first.record(step, {"curves/train_loss": 1.0})
    first.close()
    second = store.RunWriter(run, resume_at=10)
    for step in (10, 20):
        second.record(step, {"curves/train_loss": 2.0})
    second.finish()
    rows = pd.read_parquet(paths.metrics_parquet(run))
    assert rows["step"].tolist() == [0, 10, 20] and rows["value"].tolist() == [1.0, 2.0, 2.0]


def test_non_finite_values_survive(setting):
    planned = PLAN[0]
    run = paths.run_dir(setting, "plain", planned.id)
    store.create_run(run, planned.config, planned.id, {})
    writer = store.RunWriter(run)
    writer.record(0, {"a": float("nan"), "b": float("inf"), "c": -0.0, "d": 1.2345e-30})
    writer.finish()
    values = pd.read_parquet(paths.metrics_parquet(run)).set_index("metric")["value"]
    assert math.isnan(values["a"]) and values["b"] == math.inf and values["d"] == np.float32(1.2345e-30)


def test_quantities_keep_four_digits_and_histograms_one_byte():
    assert store.quantise(0.123456) == 0.1235 and store.quantise(-98765.4) == -98770.0 and store.quantise(0.0) == 0.0
    counts = [0, 1, 510, 255] + [0] * 60
    assert store.scale_counts(counts)[:4] == (0, 0, 255, 128)
    assert store.scale_counts([3] * 64) == (3,) * 64


def test_another_configuration_under_the_same_address_is_refused(setting):
    planned = PLAN[0]
    run = paths.run_dir(setting, "plain", planned.id)
    store.create_run(run, planned.config, planned.id, {})
    stored = json.loads(paths.config_json(run).read_text())
    stored["config"]["lr"] = 0.7
    paths.config_json(run).write_text(json.dumps(stored))
    with pytest.raises(IntegrityError, match="another configuration"):
        store.create_run(run, planned.config, planned.id, {})


def test_a_stored_configuration_is_completed_with_later_defaults(setting):
    planned = PLAN[0]
    run = paths.run_dir(setting, "plain", planned.id)
    store.create_run(run, planned.config, planned.id, {})
    stored = json.loads(paths.config_json(run).read_text())
    del stored["config"]["data"]["flip"]  # as if `flip` had been added since
    paths.config_json(run).write_text(json.dumps(stored))
    store.create_run(run, planned.config, planned.id, {})
    assert json.loads(paths.config_json(run).read_text())["config"]["data"]["flip"] is False


def test_one_process_owns_a_run_and_its_death_frees_it(setting):
    planned = PLAN[0]
    run = paths.run_dir(setting, "plain", planned.id)
    store.create_run(run, planned.config, planned.id, {})
    store.write_status(run, store.Status("running", 5, 30))
    assert store.read_status(run).state == "interrupted"
    code = (
        "import sys, time; from pathlib import Path; from bnlab import store\n"
        "with store.owning(Path(sys.argv[1])) as mine: print(mine, flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(run)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline().strip() == "True"
        assert store.read_status(run).state == "running"
        with store.owning(run) as mine:
            assert not mine
    finally:
        holder.kill()
        holder.wait()
    with store.owning(run) as mine:
        assert mine


def test_a_run_that_ends_while_its_status_is_read_is_not_taken_for_interrupted(tmp_path, monkeypatch):
    store.write_status(tmp_path, store.Status("running", 3, 9))

    def ends_now(run):
        store.write_status(run, store.Status("done", 9, 9))
        return False  # nobody holds it any more

    monkeypatch.setattr("bnlab.store.status.is_owned", ends_now)
    assert store.read_status(tmp_path).state == "done"


def test_damage_to_one_run_does_not_hide_the_others(setting, tmp_path):
    for planned in PLAN:
        _finish(setting, planned)
    paths.status_json(paths.run_dir(setting, "bn", PLAN[3].id)).write_text('{"state": "do')
    rows = store.all_runs(tmp_path)
    assert len(rows) == 6 and [r.status.state for r in rows].count("damaged") == 1
    assert store.load_runs(setting, PLAN).n == 5


def test_a_refused_write_is_one_line_about_the_disk(tmp_path):
    with pytest.raises(EnvironmentFault, match="cannot write"):
        store.write_aside(tmp_path / "absent" / "file", b"x")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EnvironmentFault, match="cannot write"):
        store.make_folder(tmp_path / "file" / "folder")


def test_damaged_parquet_names_its_file(setting):
    for planned in PLAN:
        _finish(setting, planned)
    path = paths.metrics_parquet(paths.run_dir(setting, "bn", PLAN[3].id))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(IntegrityError, match="metrics.parquet"):
        store.load_runs(setting, PLAN)


def test_a_fuller_pack_is_not_replaced(setting):
    for planned in PLAN:
        _finish(setting, planned)
    pack = store.write_pack(setting, PLAN)
    before = {p.name: p.read_bytes() for p in pack.iterdir()}
    gone = paths.status_json(paths.run_dir(setting, "bn", PLAN[3].id))
    gone.unlink()
    with pytest.raises(Incomplete, match="unpack x"):
        store.write_pack(setting, PLAN)
    assert {p.name: p.read_bytes() for p in pack.iterdir()} == before


def test_an_altered_pack_is_refused_with_both_sums(setting):
    for planned in PLAN:
        _finish(setting, planned)
    pack = store.write_pack(setting, PLAN)
    path = paths.metrics_parquet(pack)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    for read in (lambda: store.load_runs(setting, PLAN, "pack"), lambda: store.unpack(setting)):
        with pytest.raises(IntegrityError, match="expected sha256 .* found"):
            read()


@pytest.mark.parametrize("text", ["[]", "{}", '{"runs": [{}]}', '{"runs": [', '{"runs": 3}'])
def test_a_damaged_index_is_named(setting, text):
    for planned in PLAN:
        _finish(setting, planned)
    paths.pack_index(store.write_pack(setting, PLAN)).write_text(text)
    with pytest.raises(IntegrityError, match="runs.json"):
        store.load_runs(setting, PLAN, "pack")


def test_a_pack_of_other_runs_is_not_enough(setting):
    for planned in PLAN[:3]:
        _finish(setting, planned)
    store.write_pack(setting, PLAN)
    with pytest.raises(Incomplete, match="no run of the plan"):
        store.load_runs(setting, PLAN[3:], "pack")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id": "x", "overrides": {}, "config": {"lrx": 1}}'])
def test_a_damaged_configuration_is_named(setting, text):
    for planned in PLAN:
        _finish(setting, planned)
    paths.config_json(paths.run_dir(setting, "bn", PLAN[3].id)).write_text(text)
    with pytest.raises(IntegrityError, match="config.json"):
        store.load_runs(setting, PLAN)
    with pytest.raises(IntegrityError, match="config.json"):
        store.write_pack(setting, PLAN)


def test_another_table_in_place_of_a_run_is_named(setting):
    for planned in PLAN:
        _finish(setting, planned)
    run = paths.run_dir(setting, "bn", PLAN[3].id)
    paths.metrics_parquet(run).write_bytes(paths.distributions_parquet(run).read_bytes())
    with pytest.raises(IntegrityError, match="metrics.parquet"):
        store.load_runs(setting, PLAN)


@pytest.mark.parametrize("state", ['["done"]', "3", "null"])
def test_a_state_of_another_type_is_damage(setting, tmp_path, state):
    _finish(setting, PLAN[0])
    path = paths.status_json(paths.run_dir(setting, "plain", PLAN[0].id))
    path.write_text(json.dumps({**json.loads(path.read_text()), "state": json.loads(state)}))
    assert [row.status.state for row in store.all_runs(tmp_path)] == ["damaged"]


def test_a_flipped_bit_of_a_run_is_found(setting):
    """Every page of a run's files carries its own sum."""
    for planned in PLAN:
        _finish(setting, planned, steps=range(400))
    path = paths.metrics_parquet(paths.run_dir(setting, "bn", PLAN[3].id))
    whole, found = path.read_bytes(), 0
    for place in range(8, len(whole) // 2, len(whole) // 40):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            store.load_runs(setting, PLAN)
        except IntegrityError:
            found += 1
    assert found >= 15
