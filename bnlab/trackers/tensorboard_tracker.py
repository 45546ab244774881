"""TensorBoard's event files as a mirror of a run: the only file that imports tensorboard, in the side process."""

from __future__ import annotations

import os
import socket
import time
import typing
from pathlib import Path

import numpy as np

from bnlab.trackers.tracker import Sink, Watched

if typing.TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import HistogramProto


def tensorboard_target() -> str:
    return "event files"


class TensorboardSink:
    """A row is one event, so that it is there as a whole or not at all; each attempt at a run writes its own file."""

    def __init__(self, folder: Path) -> None:
        """Errors: OSError; ModuleNotFoundError without the extra `tensorboard`."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.next_step = 1 + _last_step(folder)
        name = f"events.out.tfevents.{time.time_ns() // 1000:016d}.{socket.gethostname()}.{os.getpid()}"
        self._writer = RecordWriter(open(folder / name, "xb"))
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def record(self, step: int, values: dict[str, float], histograms: dict[str, dict]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        shown = [Summary.Value(tag=metric, simple_value=_number(value)) for metric, value in values.items()]
        shown += [Summary.Value(tag=metric, histo=binned(histogram)) for metric, histogram in histograms.items()]
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=shown)))

    def close(self, state: str) -> None:
        self._writer.close()

    def _write(self, event: object) -> None:
        self._writer.write(event.SerializeToString())
        self._writer.flush()


def open_tensorboard(watched: Watched) -> Sink:
    """Event files in the run's directory: `tensorboard --logdir results/EXPERIMENT/SETTING/runs` shows all runs."""
    return TensorboardSink(watched.folder)


def binned(histogram: dict) -> HistogramProto:
    """The counted bins as they are; sums are those of the bins' centres.

    TensorBoard drops empty bins at both ends and takes `min` and `max` as the outer edges of those that remain.
    """
    from tensorboard.compat.proto.summary_pb2 import HistogramProto

    counts = np.asarray(histogram["counts"], float)
    edges = np.linspace(histogram["lo"], histogram["hi"], len(counts) + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    filled = np.flatnonzero(counts) if counts.any() else np.array([0, len(counts) - 1])
    return HistogramProto(
        min=edges[filled[0]],
        max=edges[filled[-1] + 1],
        num=counts.sum(),
        sum=counts @ centres,
        sum_squares=counts @ centres**2,
        bucket_limit=edges[1:],
        bucket=counts,
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _last_step(folder: Path) -> int:
    """The last step in the event files that are there, -1 without any; what a kill tore is not counted."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    steps = [-1]
    for file in sorted(folder.glob("events.out.tfevents.*")):
        steps += [event.step for event in LegacyEventFileLoader(str(file)).Load() if event.HasField("summary")]
    return max(steps)
