"""The training loop."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bnlab.losses import LOSSES
from bnlab.probes import Moment, undisturbed
from bnlab.store import Value
from bnlab.training.optim import learning_rate, set_learning_rate
from bnlab.training.state import TrainingState

# How often running statistics are looked at: at fixed steps, so that no choice of probes moves the end of a run.
STEPS_BETWEEN_LOOKS = 20

Record = Callable[[int, dict[str, Value]], None]
Forward = Callable[[Tensor], Tensor]


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
    forward = run.replicas.forward(run.net)
    while run.step < run.config.steps:
        if run.replicas.any(between_steps()):
            return Outcome("stopped")
        batch = run.batches.next()
        seen = _pass(run, forward, *run.replicas.share(batch))
        measuring = bool(run.probing.due(run.step))
        look = run.step % STEPS_BETWEEN_LOOKS == 0
        if run.replicas.any(_diverged(run, seen.loss, look)):
            return Outcome("diverged", diverged_at=run.step)
        run.optimizer.zero_grad(set_to_none=True)
        seen.loss.backward()
        if measuring:
            run.probing.before(_shown(run, batch, seen))
        set_learning_rate(run.optimizer, learning_rate(run.config, run.step))
        run.optimizer.step()
        if measuring:
            record(run.step, run.probing.after())
        run.step += 1
    return _measure_the_end(run, forward, record)


def _measure_the_end(run: TrainingState, forward: Forward, record: Record) -> Outcome:
    """One more measurement after the last update, on the next batch, with nothing updated."""
    with undisturbed(run.net, run.streams.moving()):
        batch = run.batches.next()
        seen = _pass(run, forward, *run.replicas.share(batch))
        if run.replicas.any(_diverged(run, seen.loss, look=True)):
            return Outcome("diverged", diverged_at=run.step)
        run.optimizer.zero_grad(set_to_none=True)
        seen.loss.backward()
        run.probing.before(_shown(run, batch, seen))
        record(run.step, run.probing.after())
    return Outcome("done")


def _pass(run: TrainingState, forward: Forward, x: Tensor, y: Tensor) -> Moment:
    """A forward pass with its loss, both still attached to their graph."""
    with run.probing.listening(run.step) as tapped:
        logits = forward(x)
    return Moment(
        step=run.step,
        model=run.net,
        x=x,
        y=y,
        logits=logits,
        loss=LOSSES[run.config.loss].of_batch(logits, y),
        data=run.data,
        config=run.config,
        steps_per_epoch=run.batches.steps_per_epoch,
        tapped=tapped,
    )


def _shown(run: TrainingState, batch: Sequence[Tensor], seen: Moment) -> Moment:
    """What probes are shown of a step: its own pass, in several processes that of the whole batch, made again here.

    Where replicas have statistics of their own, no pass has all of them, and the share of this process is shown.
    """
    if run.replicas.size > 1 and not run.config.splits_statistics:
        with undisturbed(run.net, run.streams.moving()), torch.no_grad():
            seen = _pass(run, run.net, *batch)
    return dataclasses.replace(seen, logits=seen.logits.detach(), loss=seen.loss.detach())


def _diverged(run: TrainingState, loss: Tensor, look: bool) -> bool:
    return not math.isfinite(loss.item()) or (look and not _buffers_are_finite(run.net))


def _buffers_are_finite(net: torch.nn.Module) -> bool:
    """Running statistics can be lost for good in a step whose loss is still finite."""
    return all(bool(torch.isfinite(buffer).all()) for buffer in net.buffers() if buffer.is_floating_point())
