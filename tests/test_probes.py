"""What holds for every probe in the registry, the driving of probes, and the curves."""

from __future__ import annotations

import dataclasses
import io
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from bnlab import data
from bnlab.cadence import Cadence
from bnlab.config import (
    ActivationsConfig,
    CurvesConfig,
    DataConfig,
    ModelConfig,
    MomentsConfig,
    NormConfig,
    OptimConfig,
    ProbeConfig,
    RunConfig,
)
from bnlab.errors import BadInput, BnlabError
from bnlab.probes import PROBES, Measurement, Moment, Probe, Probing, evaluation, recalibration, tapping, undisturbed
from bnlab.probes.curves import CURVES
from bnlab.probes.evaluation import evaluate
from bnlab.probes.probe import due_steps
from bnlab.probes.recalibration import recalibrate
from bnlab.store import Histogram, quantise
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
    assert set(range(0, steps, 2)) <= rows.keys() and rows[0] and rows[steps]
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
    ("name", "group"), [("activations", ActivationsConfig(layers=(1, 9))), ("moments", MomentsConfig(layers=(9,)))]
)
def test_a_layer_that_is_not_there_is_refused_at_the_start(name: str, group: object) -> None:
    config = configuration("mlp", "batch")
    config = dataclasses.replace(config, probe=dataclasses.replace(config.probe, names=(name,), **{name: group}))
    with pytest.raises(BadInput, match=rf"^probe\.{name}\.layers=.*no layer 9; this net has 2 hidden layers$"):
        started(config)


# Curves


def slow_loss_and_accuracy(net: torch.nn.Module, images: data.image_set.ImageSet, count: int) -> tuple[float, float]:
    """One image at a time, in evaluation mode, with the softmax written out."""
    losses, right = [], []
    net.eval()
    for index in range(count):
        x, y = images.slice(index, index + 1)
        logits = net(x).detach().double().numpy()[0]
        losses.append(np.log(np.exp(logits).sum()) - logits[int(y)])
        right.append(int(np.argmax(logits)) == int(y))
    return float(np.mean(losses)), float(np.mean(right))


def measured(run: TrainingState, step: int) -> dict:
    """What the curves say of a run's next batch, as if it were at this step."""
    x, y = run.batches.next()
    logits = run.net(x)
    loss = torch.nn.functional.cross_entropy(logits, y)
    moment = Moment(step, run.net, x, y, logits.detach(), loss.detach(), run.data, run.config, steps_per_epoch=16)
    with undisturbed(run.net, run.streams.moving()):
        measurement = CURVES.measure(moment)
        assert next(measurement) is None
        return next(measurement)


@pytest.mark.parametrize("norm", ["none", "batch", "noisy_batch"])
@pytest.mark.parametrize("chunk", [7, 1000])
def test_curves_against_a_slow_twin(norm: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "CHUNK", chunk)
    run = started(configuration("mlp", norm))
    train(run, lambda step, values: None, lambda: run.step == 5)
    found = measured(run, 0)
    full = slow_loss_and_accuracy(run.net, run.data.train, 40)
    test = slow_loss_and_accuracy(run.net, run.data.test, len(run.data.test))
    for name, twin in (("full", full), ("test", test)):
        assert (found[f"curves/{name}_loss"], found[f"curves/{name}_accuracy"]) == pytest.approx(twin, rel=1e-5)
    recalibrated = {name for name in found if name.endswith("recalibrated")}
    assert len(recalibrated) == (2 if norm == "noisy_batch" else 0)


def test_mini_batch_numbers_are_the_steps_own() -> None:
    """They come from the logits and the loss that the loop shows, without a look at the net."""
    logits = torch.tensor([[0.0, 1.0], [2.0, 0.0], [0.0, 3.0], [1.0, 0.0]])
    y = torch.tensor([1, 0, 0, 0])
    config = RunConfig(probe=ProbeConfig(curves=CurvesConfig(cadence="2it", full="never")))
    moment = Moment(2, None, None, y, logits, torch.tensor(1.25), None, config, 16)
    measurement = CURVES.measure(moment)
    next(measurement)
    assert next(measurement) == {"curves/train_loss": 1.25, "curves/train_accuracy": 0.75}


def test_a_diverged_net_has_curves_of_nan() -> None:
    run = started(configuration("mlp", "noisy_batch"))
    with torch.no_grad():
        run.net.output.weight[0, 0] = math.nan
    assert all(math.isnan(value) for value in measured(run, 0).values())


def test_each_part_of_the_curves_has_its_cadence() -> None:
    curves = CurvesConfig(cadence="4it", full="10it")
    config = RunConfig(steps=20, probe=ProbeConfig(curves=curves))
    assert CURVES.due(config, 5) == {0, 4, 8, 10, 12, 16, 20}
    run = started(dataclasses.replace(configuration("mlp", "batch"), probe=ProbeConfig(curves=curves)))
    parts = {step: {name.split("/")[1].split("_")[0] for name in measured(run, step)} for step in (4, 10, 20)}
    assert parts == {4: {"train"}, 10: {"full", "test"}, 20: {"train", "full", "test"}}


# Recalibration


def test_recalibrated_statistics_are_the_mean_over_the_batches() -> None:
    run = started(configuration("mlp", "batch"))
    train(run, lambda step, values: None, lambda: run.step == 5)
    count, size = len(run.data.train), run.config.batch_size
    recalibrate(run.net, run.data.train, size)
    batches = recalibration._indices(count, size)
    assert len(batches) == 20 and {len(b) for b in batches} == {size}
    first = run.net.blocks[0]
    preacts = [first.linear(run.data.train.batch(b)[0].flatten(1)).detach().double().numpy() for b in batches]
    means, variances = (np.mean(each, 0) for each in zip(*((p.mean(0), p.var(0, ddof=1)) for p in preacts)))
    assert first.norm.running_mean.numpy() == pytest.approx(means, rel=1e-4, abs=1e-6)
    assert first.norm.running_var.numpy() == pytest.approx(variances, rel=1e-4)
    assert (first.norm.momentum, first.norm.warm_up, run.net.training) == (0.1, True, False)


def test_batches_to_recalibrate_on_are_whole_even_where_images_are_few() -> None:
    batches = recalibration._indices(50, 32)
    assert [len(b) for b in batches] == [32] * 20
    assert torch.equal(torch.cat(batches)[:50].sort().values, torch.arange(50))


def test_recalibration_mends_statistics_gathered_under_noise() -> None:
    """Strong noise shifts what the later layer is used to; estimated without noise, the statistics fit again."""
    noise = dataclasses.replace(NormConfig().noise, shift=4.0, scale=3.0)
    config = configuration("mlp", "noisy_batch", ("curves",), seed=1)
    config = dataclasses.replace(config, norm=NormConfig(name="noisy_batch", noise=noise), steps=60)
    _, rows = trained(started(config))
    last = rows[60]
    assert last["curves/test_accuracy_recalibrated"] > 0.9
    assert last["curves/test_accuracy_recalibrated"] > last["curves/test_accuracy"]


def test_evaluation_takes_no_more_images_than_there_are() -> None:
    run = started(configuration("mlp", "none"))
    some, all_of_them = (evaluate(run.net, run.data.test, n) for n in (10**6, len(run.data.test)))
    assert some == all_of_them
