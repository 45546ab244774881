"""What holds for every probe in the registry, the driving of probes, and taps."""

from __future__ import annotations

import dataclasses
import io

import pytest
import torch
from probed_runs import NETS, VARIANTS, configuration, same, started, trained
from torch import Tensor

from bnlab.config import ActivationsConfig, IcsConfig, MomentsConfig, OptimConfig, ProbeConfig, RunConfig
from bnlab.errors import BadInput
from bnlab.probes import PROBES, Measurement, Moment, Probe, tapping, undisturbed
from bnlab.probes.probe import due_steps
from bnlab.store import Histogram, quantise
from bnlab.training.loop import train


@pytest.fixture(scope="module")
def unwatched() -> dict[tuple[str, str], list[Tensor]]:
    """What trainings without any probe leave behind."""
    return {(net, norm): trained(started(configuration(net, norm)))[0] for net in NETS for norm in VARIANTS}


@pytest.mark.parametrize("norm", VARIANTS)
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", PROBES)
def test_training_is_the_same_to_the_bit_with_a_probe(name: str, net: str, norm: str, unwatched: dict) -> None:
    left, rows = trained(started(configuration(net, norm, (name,))))
    steps = NETS[net][3]
    silent = name == "modes" or (name == "affine" and norm in ("none", "noise"))  # these nets learn classes
    expected = set() if silent else set(range(0, steps, 2))
    assert expected <= {step for step, values in rows.items() if values}
    assert bool(rows[steps]) == (name not in ("ics", "affine", "modes"))  # after the last update nothing moves any more
    assert same(left, unwatched[net, norm])


@pytest.mark.parametrize("name", PROBES)
def test_what_a_probe_yields_can_be_stored(name: str) -> None:
    _, rows = trained(started(configuration("mlp", "noisy_batch", (name,))))
    for values in rows.values():
        for metric, value in values.items():
            assert metric.split("/")[0] == name
            assert isinstance(value, Histogram) or (isinstance(value, float) and value == quantise(value))


def test_every_probe_can_be_chosen_and_has_a_group_of_settings() -> None:
    settings = {field.name for field in dataclasses.fields(ProbeConfig)} - {"names"}
    assert settings == set(PROBES)
    assert all(name == probe.name for name, probe in PROBES.items())


def careless(moment: Moment) -> Measurement:
    """Everything a probe must not do to a net by itself, before and after the update."""
    for result in (None, {"careless/loss": 1.0}):
        moment.model.train()
        moment.model(moment.x).square().mean().backward()
        moment.model.eval()
        torch.rand(7)
        yield result


def every_second(config: RunConfig, steps_per_epoch: int) -> frozenset[int]:
    return frozenset(range(0, config.steps + 1, 2))


@pytest.mark.parametrize("norm", VARIANTS)
def test_a_careless_probe_changes_nothing_only_because_it_is_guarded(norm: str, unwatched: dict) -> None:
    guarded = Probe("careless", every_second, careless)
    naked = dataclasses.replace(guarded, runs_net=lambda moment: False)
    left, rows = trained(started(configuration("mlp", norm), guarded))
    assert rows[0] == {"careless/loss": 1.0}
    assert same(left, unwatched["mlp", norm])
    assert not same(trained(started(configuration("mlp", norm), naked))[0], unwatched["mlp", norm])


def test_a_probe_sees_gradients_and_old_weights_then_new_weights() -> None:
    def measure(moment: Moment) -> Measurement:
        weight = next(moment.model.parameters())
        old, gradient = weight.detach().clone(), weight.grad.clone()
        yield None
        yield {"change/agrees": float(torch.allclose(weight.detach(), old - moment.config.lr * gradient, atol=1e-7))}

    config = dataclasses.replace(configuration("mlp", "batch"), optim=OptimConfig(name="sgd"))
    probe = Probe("change", lambda config, steps_per_epoch: frozenset({0, 3}), measure)
    _, rows = trained(started(config, probe))
    assert rows[0] == rows[3] == {"change/agrees": 1.0}


def test_probes_that_remember_go_on_from_a_checkpoint() -> None:
    config = configuration("mlp", "noisy_batch", tuple(PROBES))
    _, whole = trained(started(config))
    rows: dict[int, dict] = {}
    first = started(config)
    train(first, rows.__setitem__, lambda: first.step == 7)
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    second = started(config)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    train(second, rows.__setitem__, lambda: False)
    assert rows.keys() == whole.keys()
    assert repr(rows) == repr(whole)  # as text, because NaN differs from itself


def test_the_state_after_the_last_update_belongs_to_every_cadence_but_never() -> None:
    assert due_steps("4it", 10, 5) == {0, 4, 8, 10}
    assert due_steps("1ep+@1", 10, 5) == {0, 1, 5, 10}
    assert due_steps("never", 10, 5) == frozenset()


# Taps


@pytest.mark.parametrize("norm", VARIANTS)
@pytest.mark.parametrize("net", NETS)
def test_taps_show_the_tensors_of_the_forward_pass(net: str, norm: str) -> None:
    run = started(configuration(net, norm))
    x, _ = run.batches.next()
    names = ("preact", "normed", "activation", "output")
    wanted = {(layer, name) for layer in (1, 2) for name in names}
    with undisturbed(run.net, run.streams.moving()):
        untapped = run.net(x)
    with tapping(run.net, wanted) as tapped:
        logits = run.net(x)
    assert torch.equal(logits, untapped)
    assert tapped.keys() == wanted
    assert not any(t.requires_grad for t in tapped.values())
    first, second = run.net.blocks[0], run.net.blocks[1]
    for layer, block, taken in ((1, first, x), (2, second, tapped[1, "output"])):
        preact, normed, activation, _ = (tapped[layer, name] for name in names)
        assert torch.equal(preact, block.linear(taken.flatten(1) if net == "mlp" else taken))
        assert torch.equal(activation, normed.relu())
        assert torch.equal(normed, preact) == (norm == "none")


def test_taps_are_taken_off_again_even_after_an_error() -> None:
    net = started(configuration("mlp", "none")).net
    net.blocks[0].tap = outer = lambda name, tensor: None
    with pytest.raises(RuntimeError, match="inside"), tapping(net, {(1, "normed"), (2, "normed")}):
        assert net.blocks[0].tap is not outer and net.blocks[1].tap is not None
        raise RuntimeError("inside")
    assert net.blocks[0].tap is outer and net.blocks[1].tap is None


def test_nothing_is_tapped_where_nothing_is_due() -> None:
    run = started(configuration("mlp", "batch", ("activations",)))
    with run.probing.listening(1) as tapped:
        assert all(block.tap is None for block in run.net.blocks)
        run.net(run.batches.next()[0])
    assert tapped == {}


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("activations", ActivationsConfig(layers=(1, 9))),
        ("moments", MomentsConfig(layers=(9,))),
        ("ics", IcsConfig(layers=(2, 9))),
    ],
)
def test_a_layer_that_is_not_there_is_refused_at_the_start(name: str, group: object) -> None:
    config = configuration("mlp", "batch")
    probe = dataclasses.replace(config.probe, names=(name,), **{name: group})
    with pytest.raises(BadInput, match=rf"^probe\.{name}\.layers=.*no layer 9; mlp has 2 hidden layers$"):
        dataclasses.replace(config, probe=probe)
