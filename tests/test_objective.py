"""The loss of a step as a function of the parameters: what it is, and that evaluating it leaves nothing behind."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from probed_runs import NETS, VARIANTS, configuration, moment_of, same, started, trained, twin_gradients
from torch import Tensor

from bnlab.config import OptimConfig, RenormConfig, RunConfig
from bnlab.probes.ics import ICS
from bnlab.probes.landscape import LANDSCAPE
from bnlab.probes.objective import loss_and_gradient, norm, objective, parameters_of

EVERY_NET = pytest.mark.parametrize("net", NETS)
EVERY_VARIANT = pytest.mark.parametrize("norm_name", [*VARIANTS, "renorm"])


def configured(net: str, norm_name: str, decay: float = 0.0) -> RunConfig:
    """Batch renormalisation corrects by its moving averages at once, so that its passes depend on them."""
    changed = dataclasses.replace(configuration(net, norm_name), optim=OptimConfig(name="sgd", weight_decay=decay))
    return dataclasses.replace(changed, norm=dataclasses.replace(changed.norm, renorm=RenormConfig(3.0, 5.0, 0, 0, 0)))


@EVERY_VARIANT
@EVERY_NET
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_against_a_copied_net_and_its_backward_pass(net: str, norm_name: str, decay: float) -> None:
    moment = moment_of(started(configured(net, norm_name, decay)))
    loss, gradients = twin_gradients(moment.model, moment)
    at = parameters_of(moment.model)
    value, found = loss_and_gradient(objective(moment), at, at.keys())
    assert value.item() == pytest.approx(loss, rel=1e-6)
    assert found.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(found[name].double(), gradient, rtol=1e-4, atol=1e-6)


@EVERY_VARIANT
@EVERY_NET
def test_every_evaluation_draws_and_starts_alike(net: str, norm_name: str) -> None:
    moment = moment_of(started(configured(net, norm_name)))
    loss, at = objective(moment), parameters_of(moment.model)
    assert loss(at).item() == loss(at).item()
    one, other = (torch.nn.functional.cross_entropy(moment.model(moment.x), moment.y).item() for _ in range(2))
    always_alike = net == "vgg_a" and norm_name in ("none", "batch")  # no dropout, no noise, no moving averages
    assert (one == other) == always_alike


def test_without_randomness_it_is_the_loss_of_the_step_itself() -> None:
    moment = moment_of(started(configured("vgg_a", "batch")))
    at = parameters_of(moment.model)
    value, gradient = loss_and_gradient(objective(moment), at, at.keys())
    assert value.item() == moment.loss.item()
    assert all(torch.equal(gradient[name], p.grad) for name, p in moment.model.named_parameters())


def test_the_penalty_makes_its_gradient_the_direction_of_the_optimiser() -> None:
    run = started(configured("vgg_a", "batch", decay=0.3))
    moment = moment_of(run)
    old = parameters_of(run.net)
    _, gradient = loss_and_gradient(objective(moment), old, old.keys())
    run.optimizer.step()
    for name, new in parameters_of(run.net).items():
        torch.testing.assert_close(old[name] - new, run.config.lr * gradient[name], rtol=1e-3, atol=2e-7)


@EVERY_VARIANT
@EVERY_NET
@pytest.mark.parametrize("probe", [ICS, LANDSCAPE], ids=lambda probe: probe.name)
def test_probes_that_use_it_leave_everything_alone_even_unguarded(probe, net: str, norm_name: str) -> None:
    naked = dataclasses.replace(probe, runs_net=lambda moment: False)
    left, rows = trained(started(configuration(net, norm_name), naked))
    assert rows
    assert same(left, trained(started(configuration(net, norm_name)))[0])


def test_copies_of_parameters_do_not_follow_the_net() -> None:
    run = started(configured("mlp", "batch"))
    moment_of(run)
    old = parameters_of(run.net)
    run.optimizer.step()
    assert not any(torch.equal(old[name], new) for name, new in run.net.named_parameters() if "linear.weight" in name)


def test_nothing_is_taken_with_respect_to_what_is_not_wanted() -> None:
    def loss(p: dict[str, Tensor]) -> Tensor:
        assert p["a"].requires_grad and not p["b"].requires_grad
        return (p["a"] * p["b"]).sum()

    a, b = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    value, gradient = loss_and_gradient(loss, {"a": a, "b": b}, ["a"])
    assert value.item() == 11 and torch.equal(gradient["a"], b) and gradient.keys() == {"a"}
    assert not a.requires_grad and a.grad is None and not value.requires_grad


def test_the_norm_is_over_all_tensors_and_exact_beyond_single_precision() -> None:
    assert norm([torch.tensor([[3.0]]), torch.tensor([0.0, 4.0])]).item() == 5.0
    assert norm([torch.full((4,), 1e30), torch.zeros(2)]).item() == pytest.approx(2e30)
