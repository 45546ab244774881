"""Every normalisation that a variant names trains in every net, resumes to the same bits and can be watched."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from bnlab import data
from bnlab.compose import build, options
from bnlab.config import NORMS, ProbeConfig, RunConfig
from bnlab.errors import BadInput
from bnlab.probes import undisturbed
from bnlab.training.loop import Outcome, train
from bnlab.training.state import TrainingState

PUBLISHED = {"l1": "l1", "l2": "l2", "linf": "linf"}  # variant -> norm.lp.norm
STEPS = 6
NETS = ("mlp", "convnet", "vgg_a")
VARIANTS = sorted(set(options("variant")) - {"plain", "bn", "bn_noise", "plain_noise"})
TRAINABLE = [(v, net) for v in VARIANTS for net in NETS if v != "instance" or net == "vgg_a"]


def configuration(variant: str, net: str) -> RunConfig:
    """A short run of the smallest size; limits of renormalisation that open within it."""
    values = {
        "data.size": 32 if net == "vgg_a" else 8,
        "model.width": 0.0625,
        "model.widths": [12, 8],
        "batch_size": 8,
        "steps": STEPS,
        "lr": 0.05,
        "norm.renorm.start": 2,
        "norm.renorm.r_full": 5,
        "norm.renorm.d_full": 4,
    }
    made = build({"data": "synthetic", "scale": "smoke", "model": net, "variant": variant}, values)
    return dataclasses.replace(made, probe=ProbeConfig(names=()))


def started(config: RunConfig) -> TrainingState:
    return TrainingState(config, data.load(config.data), "cpu")


def train_until(run: TrainingState, step: int) -> Outcome:
    return train(run, lambda step, values: None, lambda: run.step == step)


def test_there_is_a_variant_for_every_normalisation() -> None:
    choices = {"model": "vgg_a", "data": "cifar10"}
    made = {variant: build({**choices, "variant": variant}, {}).norm for variant in options("variant")}
    assert {norm.name for norm in made.values()} == set(NORMS)
    assert {v: made[v].lp.norm for v in PUBLISHED} == PUBLISHED
    assert (made["ghost"].name, made["ghost"].ghost_size, made["bn"].ghost_size) == ("batch", 4, 0)


@pytest.mark.parametrize(("variant", "net"), TRAINABLE)
def test_trains_and_resumes_to_the_same_bits(variant: str, net: str) -> None:
    whole = started(configuration(variant, net))
    before = [p.detach().clone() for p in whole.net.parameters()]
    assert train_until(whole, STEPS + 1) == Outcome("done")
    assert not any(torch.equal(a, b) for a, b in zip(before, whole.net.parameters(), strict=True))
    first = started(configuration(variant, net))
    assert train_until(first, 3) == Outcome("stopped")
    second = started(configuration(variant, net))
    second.load_state_dict(first.state_dict())
    train_until(second, STEPS + 1)
    assert second.weights_sha256() == whole.weights_sha256()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_look_in_both_modes_leaves_no_trace(variant: str) -> None:
    run = started(configuration(variant, "vgg_a"))
    train_until(run, 4)
    x, _ = run.batches.next()
    before = everything(run)
    with undisturbed(run.net, run.streams.moving()):
        for mode in (True, False):
            run.net.train(mode)
            run.net(x).sum().backward()
    assert all(torch.equal(a, b) for a, b in zip(before, everything(run), strict=True))


def everything(run: TrainingState) -> list[Tensor]:
    gradients = [p.grad for p in run.net.parameters()]
    modes = torch.tensor([module.training for module in run.net.modules()])
    return [t.clone() for t in (*run.net.state_dict().values(), *gradients, modes)]


@pytest.mark.parametrize("net", ["mlp", "convnet"])
def test_instance_normalisation_of_dense_units_is_refused(net: str) -> None:
    with pytest.raises(BadInput, match=f"^norm.name=instance: {net} has dense layers") as caught:
        configuration("instance", net)
    assert len(str(caught.value)) <= 240


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_image_is_enough_where_nothing_is_taken_over_the_batch(variant: str) -> None:
    config = configuration(variant, "vgg_a" if variant == "instance" else "mlp")
    if config.norm.uses_batch_statistics:
        with pytest.raises(BadInput, match=r"^(batch_size=1|norm.ghost_size=4): "):
            dataclasses.replace(config, batch_size=1)
    else:
        assert train_until(started(dataclasses.replace(config, batch_size=1, steps=2)), 3) == Outcome("done")
