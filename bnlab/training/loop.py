"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

from bnlab.probes import Moment, undisturbed
from bnlab.store import Value
from bnlab.training.optim import learning_rate, set_learning_rate
from bnlab.training.state import TrainingState

# How often running statistics are looked at: at fixed steps, so that no choice of probes moves the end of a run.
STEPS_BETWEEN_LOOKS = 20

Record = Callable[[int, dict[str, Value]], None]


@dataclass(frozen=True)
class Outcome:
    """`state` is done, diverged or stopped; a divergence is a result, found at the step `diverged_at`."""

    state: str
    diverged_at: int | None = None


def train(run: TrainingState, record: Record, between_steps: Callable[[], bool]) -> Outcome:
    """Take the run from where it is to its last step, measuring on the way.

    `record(step, values)` gets what the probes saw after `step` updates. `between_steps()` is called before every step;
    True stops the run there, so that it can be saved.
    """
    while run.step < run.config.steps:
        if between_steps():
            return Outcome("stopped")
        x, y = run.batches.next()
        with run.probing.listening(run.step) as tapped:
            logits = run.net(x)
        loss = cross_entropy(logits, y)
        measuring = bool(run.probing.due(run.step))
        look = run.step % STEPS_BETWEEN_LOOKS == 0
        if not math.isfinite(loss.item()) or (look and not _buffers_are_finite(run.net)):
            return Outcome("diverged", diverged_at=run.step)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if measuring:
            run.probing.before(_moment(run, x, y, logits, loss, tapped))
        set_learning_rate(run.optimizer, learning_rate(run.config, run.step))
        run.optimizer.step()
        if measuring:
            record(run.step, run.probing.after())
        run.step += 1
    return _measure_the_end(run, record)


def _measure_the_end(run: TrainingState, record: Record) -> Outcome:
    """One more measurement after the last update, on the next batch, with nothing updated."""
    with undisturbed(run.net, run.streams.moving()):
        x, y = run.batches.next()
        with run.probing.listening(run.step) as tapped:
            logits = run.net(x)
        loss = cross_entropy(logits, y)
        if not math.isfinite(loss.item()) or not _buffers_are_finite(run.net):
            return Outcome("diverged", diverged_at=run.step)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        run.probing.before(_moment(run, x, y, logits, loss, tapped))
        record(run.step, run.probing.after())
    return Outcome("done")


def _moment(run: TrainingState, x, y, logits, loss, tapped) -> Moment:
    return Moment(
        step=run.step,
        model=run.net,
        x=x,
        y=y,
        logits=logits.detach(),
        loss=loss.detach(),
        data=run.data,
        config=run.config,
        steps_per_epoch=run.batches.steps_per_epoch,
        tapped=tapped,
    )


def _buffers_are_finite(net: torch.nn.Module) -> bool:
    """Running statistics can be lost for good in a step whose loss is still finite."""
    return all(bool(torch.isfinite(buffer).all()) for buffer in net.buffers() if buffer.is_floating_point())
