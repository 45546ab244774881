"""Event files hold what the run's parquet files hold: each value at its step, each histogram with its counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mirrored_runs import CONFIG, HISTOGRAM, directory, train

from bnlab.cli import main
from bnlab.config import to_dict
from bnlab.store import Histogram, read_recorded
from bnlab.trackers import TRACKERS, finish, folder_of, forget, start
from bnlab.trackers.tensorboard_tracker import TensorboardSink, binned

pytest.importorskip("tensorboard", reason="needs the extra `tensorboard`")


@pytest.fixture
def run(results: Path) -> Path:
    return directory(results)


def accumulated(folder: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    return everything.Reload()


def assert_equal_to_the_columns(run: Path) -> None:
    shown = accumulated(folder_of("tensorboard", run))
    found: dict[tuple[int, str], object] = {}
    for metric in shown.Tags()["scalars"]:
        found |= {(event.step, metric): np.float32(event.value) for event in shown.Scalars(metric)}
    for metric in shown.Tags()["histograms"]:
        for event in shown.Histograms(metric):
            found[event.step, metric] = tuple(int(count) for count in event.histogram_value.bucket)
    stored = {(step, m): v for step, values in read_recorded(run).values.items() for m, v in values.items()}
    expected = {key: v.counts if isinstance(v, Histogram) else np.float32(v) for key, v in stored.items()}
    assert found == expected


def record(sink: TensorboardSink, steps: range) -> None:
    for step in steps:
        sink.record(step, {"curves/train_loss": 1.0 / (1 + step)}, {})


def test_a_live_mirror_writes_what_the_columns_hold(run):
    run.mkdir(parents=True)
    handles = start("tensorboard", run, to_dict(CONFIG))
    train(run, range(25))
    assert finish(handles, "ics_vgg", 60) == []
    assert_equal_to_the_columns(run)


def test_sync_adds_only_the_rows_that_are_missing(run, capsys):
    train(run, range(25), state="interrupted")
    assert main(["sync", "--tracker", "tensorboard"]) == 0
    train(run, range(20, 40), resume_at=20)
    assert main(["sync", "--tracker", "tensorboard"]) == 0
    assert "15 rows sent to tensorboard" in capsys.readouterr().out
    assert main(["sync", "--tracker", "tensorboard"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert_equal_to_the_columns(run)


def test_the_files_themselves_say_what_is_missing(tmp_path):
    """A kill leaves half an event at the end of a file: what is whole counts, the next attempt has its own file."""
    record(TensorboardSink(tmp_path), range(5))
    (first,) = tmp_path.glob("events*")
    first.write_bytes(first.read_bytes()[:-7])
    sink = TensorboardSink(tmp_path)
    assert sink.next_step == 4
    record(sink, range(4, 8))
    shown = accumulated(tmp_path).Scalars("curves/train_loss")
    assert [(event.step, event.value) for event in shown] == [(s, np.float32(1 / (1 + s))) for s in range(8)]


def test_a_run_made_again_leaves_no_row_of_the_first(run):
    folder = folder_of("tensorboard", run)
    folder.mkdir(parents=True)
    record(TensorboardSink(folder), range(5))
    forget(run)
    assert not folder.exists()


def test_a_histogram_keeps_its_bins_and_its_moments():
    values = np.repeat(np.linspace(-1, 3, 129)[1::2], HISTOGRAM.counts)  # each count at the centre of its bin
    made = binned({"lo": HISTOGRAM.lo, "hi": HISTOGRAM.hi, "counts": HISTOGRAM.counts})
    assert made.num == len(values)
    assert made.sum == pytest.approx(values.sum()) and made.sum_squares == pytest.approx((values**2).sum())
    counts, edges = np.histogram(values, bins=[made.min - 1, *made.bucket_limit])
    assert counts.tolist() == list(HISTOGRAM.counts)
    # the outer edges of what is not empty, as TensorBoard wants them: bins 2 to 60 of 64, each 1/16 wide
    assert (made.min, made.max) == (-1 + 2 / 16, -1 + 61 / 16)


def test_what_tensorboard_draws_has_the_same_edges():
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.data_compat import migrate_value
    from tensorboard.util.tensor_util import make_ndarray

    made = binned({"lo": HISTOGRAM.lo, "hi": HISTOGRAM.hi, "counts": HISTOGRAM.counts})
    drawn = make_ndarray(migrate_value(Summary.Value(tag="x", histo=made)).tensor)
    edges = np.linspace(-1, 3, 65)
    expected = np.stack([edges[:-1], edges[1:], HISTOGRAM.counts], axis=1)
    np.testing.assert_allclose(drawn, expected[2:61], rtol=1e-6)


def test_an_empty_histogram_and_one_of_a_single_value_can_be_written(tmp_path):
    sink = TensorboardSink(tmp_path)
    single = {"lo": 2.0, "hi": 2.0, "counts": [9, *[0] * 63]}
    sink.record(0, {"a": float("nan")}, {"empty": {"lo": 0.0, "hi": 1.0, "counts": [0] * 64}, "single": single})
    sink.close("done")
    shown = accumulated(tmp_path)
    assert shown.Histograms("single")[0].histogram_value.num == 9
    assert np.isnan(shown.Scalars("a")[0].value)


def test_without_the_extra_it_costs_one_warning(run, tmp_path, monkeypatch):
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'tensorboard'\")"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    run.mkdir(parents=True)
    handles = start("tensorboard", run, to_dict(CONFIG))
    train(run, range(5))
    (warning,) = finish(handles, "ics_vgg", 60)
    assert "No module named 'tensorboard'" in warning and "--tracker tensorboard" in warning and len(warning) <= 240


def test_every_tracker_has_a_place_of_its_own(run):
    assert len({folder_of(name, run) for name in TRACKERS}) == len(TRACKERS) == 2
