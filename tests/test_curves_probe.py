"""Loss and accuracy against one image at a time, and running statistics estimated afresh."""

from __future__ import annotations

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from probed_runs import configuration, started, trained

from bnlab.config import CurvesConfig, NormConfig, ProbeConfig, RenormConfig, RunConfig
from bnlab.data.batches import Batches
from bnlab.data.image_set import ImageSet
from bnlab.losses import LOSSES
from bnlab.probes import Moment, evaluation, recalibration, undisturbed
from bnlab.probes.curves import CURVES
from bnlab.probes.evaluation import accuracy_by_batch, evaluate
from bnlab.probes.recalibration import recalibrate
from bnlab.training.loop import train
from bnlab.training.state import TrainingState


def slow_loss_and_accuracy(net: torch.nn.Module, images: ImageSet, count: int) -> tuple[float, float]:
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
    by_batch = ProbeConfig(curves=dataclasses.replace(curves, by_batch="@3"))
    assert CURVES.due(dataclasses.replace(config, probe=by_batch), 5) == {0, 3, 4, 8, 10, 12, 16, 20}
    run = started(dataclasses.replace(configuration("mlp", "batch"), probe=ProbeConfig(curves=curves)))
    parts = {step: {name.split("/")[1].split("_")[0] for name in measured(run, step)} for step in (4, 10, 20)}
    assert parts == {4: {"train"}, 10: {"full", "test"}, 20: {"train", "full", "test"}}


@pytest.mark.parametrize("norm", ["batch", "noisy_batch", "lp", "renorm", "none"])
@pytest.mark.parametrize("classes", [0, 2])
def test_accuracy_by_batch_against_a_slow_twin(norm: str, classes: int) -> None:
    """A copy of the net for every batch, its normalisation in training mode and all else in evaluation."""
    limits = RenormConfig(r_max=1.5, d_max=0.3, start=0, r_full=0, d_full=0)
    settings = NormConfig(name=norm, ghost_size=4 if norm == "batch" else 0, renorm=limits)
    config = configuration("mlp", "batch")
    config = dataclasses.replace(
        config, norm=settings, data=dataclasses.replace(config.data, batch_classes=classes), batch_size=8
    )
    run = started(config)
    train(run, lambda step, values: None, lambda: run.step == 12)
    images, before = run.data.test, [t.clone() for t in run.net.state_dict().values()]
    order = Batches(images, 8, torch.Generator().manual_seed(evaluation.SEED), classes=classes)
    right = []
    for _ in range(order.steps_per_epoch):
        x, y = order.next()
        net = copy.deepcopy(run.net).eval()
        for block in net.blocks:
            block.norm is None or block.norm.train()
            if norm == "noisy_batch":
                block.norm.noise.eval()
        right += [int(logits.argmax()) == int(label) for logits, label in zip(net(x), y)]
    assert len(right) == order.steps_per_epoch * 8 >= len(images) - 8
    found = accuracy_by_batch(run.net, images, config)
    assert float(found) == pytest.approx(np.mean(right)) and 0.2 < float(found) < 1
    assert all(torch.equal(a, b) for a, b in zip(before, run.net.state_dict().values()))


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
    some, all_of_them = (
        evaluate(run.net, run.data.test, n, LOSSES["cross_entropy"]) for n in (10**6, len(run.data.test))
    )
    assert some == all_of_them
