"""Small trainings for the tests of probes, and all that one leaves behind."""

from __future__ import annotations

import copy
import dataclasses

import torch
from torch import Tensor

from bnlab import data
from bnlab.cadence import Cadence
from bnlab.config import DataConfig, ModelConfig, NormConfig, OptimConfig, ProbeConfig, RunConfig
from bnlab.errors import BnlabError
from bnlab.models import Net
from bnlab.probes import Moment, Probe, Probing
from bnlab.training.loop import train
from bnlab.training.state import TrainingState

NETS = {
    "mlp": (ModelConfig(widths=(12, 8), dropout=0.3), DataConfig(name="synthetic"), 32, 20),
    "vgg_a": (
        ModelConfig(name="vgg_a", width=1 / 16),
        DataConfig(name="synthetic", size=32, crop=2, flip=True),
        16,
        4,
    ),
}
VARIANTS = ("none", "batch", "noisy_batch", "noise")


def configuration(net: str, norm: str, probes: tuple[str, ...] = (), **changes: object) -> RunConfig:
    model, images, batch_size, steps = NETS[net]
    return RunConfig(
        data=images,
        model=model,
        norm=NormConfig(name=norm, warm_up=True),
        optim=OptimConfig(name="adam"),
        probe=often(ProbeConfig(names=probes)),
        lr=0.01,
        batch_size=batch_size,
        steps=steps,
        **changes,
    )


def often(config: ProbeConfig) -> ProbeConfig:
    """The same with every cadence of every probe at every second step, and few images to evaluate."""
    changed = {}
    for field in dataclasses.fields(config):
        group = getattr(config, field.name)
        if dataclasses.is_dataclass(group):
            cadences = {f.name: "2it" for f in dataclasses.fields(group) if is_cadence(getattr(group, f.name))}
            changed[field.name] = dataclasses.replace(group, **cadences)
    config = dataclasses.replace(config, **changed)
    return dataclasses.replace(config, curves=dataclasses.replace(config.curves, full_images=40))


def is_cadence(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(Cadence.parse(value))
    except BnlabError:
        return False


def started(config: RunConfig, *probes: Probe) -> TrainingState:
    """A run at its start, with these probes if there are any, else with those it names."""
    run = TrainingState(config, data.load(config.data), "cpu")
    if probes:
        run.probing = Probing(probes, config, run.net, run.batches.steps_per_epoch, run.streams.moving())
    return run


def trained(run: TrainingState) -> tuple[list[Tensor], dict[int, dict]]:
    """All that a training leaves behind (and the batches it went through), and what was measured."""
    batches, draw, rows = [], run.batches.next, {}
    run.batches.next = lambda: batches.append(draw()) or batches[-1]
    train(run, lambda step, values: rows.__setitem__(step, values), lambda: False)
    optimizer = [t for state in run.optimizer.state.values() for t in state.values()]
    generators = [g.get_state() for g in (run.streams.init, *run.streams.moving())]
    gradients = [parameter.grad for parameter in run.net.parameters()]
    left = [*run.net.state_dict().values(), *optimizer, *gradients, *generators, torch.get_rng_state()]
    return [t.clone() for t in left] + [t for batch in batches for t in batch], rows


def same(left: list[Tensor], right: list[Tensor]) -> bool:
    return len(left) == len(right) and all(torch.equal(a, b) for a, b in zip(left, right))


def moment_of(run: TrainingState) -> Moment:
    """The next training step of `run` after its backward pass and before its update, as the loop shows it."""
    x, y = run.batches.next()
    logits = run.net(x)
    loss = torch.nn.functional.cross_entropy(logits, y)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    per_epoch = run.batches.steps_per_epoch
    return Moment(run.step, run.net, x, y, logits.detach(), loss.detach(), run.data, run.config, per_epoch)


def measured(probe: Probe, run: TrainingState, update: bool = True) -> dict[str, float]:
    """What `probe` yields at the next step of `run`, which makes its update in between or leaves it out."""
    measurement = probe.measure(moment_of(run))
    next(measurement)
    if update:
        run.optimizer.step()
    return next(measurement)


def twin_gradients(net: Net, moment: Moment) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of a copy of `net` on the moment's batch, with the random states that hold now.

    The slow way: a deep copy of everything, the penalty added parameter by parameter, and `backward`.
    """
    state = torch.get_rng_state()
    twin = copy.deepcopy(net).train()
    loss = torch.nn.functional.cross_entropy(twin(moment.x), moment.y)
    for parameter in twin.parameters():
        loss = loss + 0.5 * moment.config.optim.weight_decay * (parameter * parameter).sum()
    twin.zero_grad()
    loss.backward()
    torch.set_rng_state(state)
    return loss.item(), {name: parameter.grad.double() for name, parameter in twin.named_parameters()}
