"""Optimisers move gamma and beta and nothing else, in fact and in the verdict on it."""

import dataclasses
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from made_runs import made_runs, planned, without
from probed_runs import configuration, measured, started

from bnlab.claims import MIXED, REFUTED, SUPPORTED, UNDECIDED
from bnlab.compose import card
from bnlab.config import NormConfig, OptimConfig, flatten
from bnlab.errors import Incomplete
from bnlab.experiment import MODULES, load
from bnlab.norms import make_norm
from bnlab.probes.affine import AFFINE
from bnlab.training.optim import make_optimizer

EXPERIMENT = load("optimizers")
module = sys.modules[f"{MODULES}.optimizers"]
(CLAIM,) = EXPERIMENT.claims
MNIST = ("data=mnist", "scale=laptop")
OPTIMIZERS = {
    "sgd": OptimConfig(),
    "momentum": OptimConfig(momentum=0.9),
    "rmsprop": OptimConfig(name="rmsprop"),
    "adam": OptimConfig(name="adam"),
}


def training(optimizer: str, norm: str = "batch", **changes):
    return started(dataclasses.replace(configuration("mlp", norm), optim=OPTIMIZERS[optimizer], **changes))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_moves_gamma_and_beta_and_no_running_statistic(optimizer):
    run = training(optimizer)
    norms = [block.norm for block in run.net.blocks]
    run.net(run.batches.next()[0]).logsumexp(1).mean().backward()
    before = [values.clone() for norm in norms for values in norm.buffers()]
    run.optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(before, [v for norm in norms for v in norm.buffers()], strict=True))
    for norm in norms:
        assert (norm.weight != 1).any() and (norm.bias != 0).any()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_running_statistics_are_none_of_what_an_optimiser_holds(optimizer):
    run = training(optimizer)
    held = {id(p) for group in run.optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in run.net.parameters()}
    assert not held & {id(values) for values in run.net.buffers()}


def test_gradients_of_gamma_and_beta_are_the_sums_of_the_formula():
    """d gamma = sum g x_hat, d beta = sum g over the batch (Ioffe and Szegedy 2015, section 3), in float64."""
    generator = torch.Generator().manual_seed(0)
    x, g = torch.randn(2, 40, 7, generator=generator, dtype=torch.float64)
    norm = make_norm(NormConfig(name="batch", eps=1e-3), 7, False, None).double()
    norm(3 * x + 1).backward(g)
    scaled = 3 * x + 1
    xhat = (scaled - scaled.mean(0)) / (scaled.var(0, correction=0) + 1e-3).sqrt()
    torch.testing.assert_close(norm.weight.grad, (g * xhat).sum(0), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(norm.bias.grad, g.sum(0), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_rmsprop_is_that_of_its_lecture(momentum):
    """v = 0.99 v + 0.01 g^2, then w -= lr g / (sqrt v + 1e-8), behind a heavy ball where there is momentum."""
    run = started(
        dataclasses.replace(configuration("mlp", "batch"), optim=OptimConfig(name="rmsprop", momentum=momentum))
    )
    optimizer = make_optimizer(run.config, run.net)
    weight = run.net.output.bias
    expected = weight.detach().double().clone()
    v, ball = torch.zeros_like(expected), torch.zeros_like(expected)
    for _ in range(3):
        run.net.zero_grad()
        x, y = run.batches.next()
        torch.nn.functional.cross_entropy(run.net(x), y).backward()
        g = weight.grad.double()
        v = 0.99 * v + 0.01 * g**2
        ball = momentum * ball + g / (v.sqrt() + 1e-8)
        expected -= run.config.lr * ball
        optimizer.step()
    torch.testing.assert_close(weight.detach().double(), expected, rtol=1e-5, atol=1e-6)


def test_the_probe_reads_what_the_update_leaves():
    run = training("adam")
    with torch.no_grad():
        run.net.blocks[1].norm.weight.fill_(-2.0)
        run.net.blocks[1].norm.bias.fill_(-0.5)
    found = measured(AFFINE, run, update=False)
    assert (found["affine/gamma/01"], found["affine/gamma_change/01"], found["affine/beta/01"]) == (1, 0, 0)
    assert (found["affine/gamma/02"], found["affine/gamma_change/02"], found["affine/beta/02"]) == (2, 3, 0.5)
    assert found["affine/statistics_moved"] == 0
    moved = measured(AFFINE, run)
    assert moved["affine/beta/01"] == pytest.approx(run.net.blocks[0].norm.bias.abs().mean().item()) and (
        moved["affine/beta/01"] > 0
    )


def test_the_probe_sees_a_statistic_that_moves():
    run = training("sgd")
    step = run.optimizer.step

    def careless(*given):
        run.net.blocks[1].norm.running_var[2] += 0.25
        return step(*given)

    run.optimizer.step = careless
    assert measured(AFFINE, run)["affine/statistics_moved"] == pytest.approx(0.25)


@pytest.mark.parametrize("norm, names", [("layer", {"gamma", "gamma_change", "beta"}), ("none", set())])
def test_layers_without_statistics_or_parameters(norm, names):
    assert {name.split("/")[1] for name in measured(AFFINE, training("sgd", norm))} == names


def as_the_article_says(row, steps, rng, still=(), touched=0.0):
    """Gamma and beta end 0.1 from their starts, in layer 2 half as far; `still` names what does not move at all."""
    own = next(name for name, keys in module.KEYS.items() if all(row[k] == v for k, v in keys.items()))
    way = np.linspace(0, 0.1, len(steps)) * (1 + rng.normal(0, 0.02))
    found = {"curves/test_accuracy": np.full(len(steps), 0.97 + rng.normal(0, 0.001))}
    for layer, share in (("01", 1.0), ("02", 0.5)):
        for name in ("gamma_change", "beta"):
            found[f"affine/{name}/{layer}"] = share * way * (own not in still and name not in still)
    return found | {"affine/statistics_moved": np.full(len(steps), touched)}


def runs_of(keep=lambda row: True, **changes):
    return made_runs(lambda *given: as_the_article_says(*given, **changes), MNIST, keep, "optimizers")


def test_the_sentence_is_supported_where_it_holds():
    found = CLAIM.judge(runs_of())
    assert found.verdict == SUPPORTED and len(found.parts) == 9
    assert {(part.n, part.planned) for part in found.parts[:8]} == {(5, 5)}
    assert found.parts[0].effect == pytest.approx(0.05 * 0.9 - 0.001, rel=0.05)  # of the layer that moves least
    assert found.parts[8].effect == 0 and found.parts[8].n == 4 * 5 * 11
    assert [part.verdict for part in found.beside] == [SUPPORTED] * 4


def test_an_optimiser_that_moves_nothing_is_told_apart():
    found = CLAIM.judge(runs_of(still=("rmsprop",)))
    assert found.verdict == MIXED
    assert [part.verdict for part in found.parts[:8]] == [SUPPORTED] * 4 + [REFUTED] * 2 + [SUPPORTED] * 2
    half = CLAIM.judge(runs_of(still=("beta",)))
    assert [part.verdict for part in half.parts[:8]] == [SUPPORTED, REFUTED] * 4


def test_swapping_two_optimisers_swaps_their_parts():
    runs = runs_of(still=("sgd",))
    names = runs.table["optim.name"].replace({"sgd": "adam", "adam": "sgd"})
    table = runs.table.assign(**{"optim.name": names.where(runs.table["optim.momentum"] == 0, "sgd")})
    there, back = CLAIM.judge(runs), CLAIM.judge(dataclasses.replace(runs, table=table))
    assert [p.verdict for p in there.parts[:2]] == [p.verdict for p in back.parts[6:8]] == [REFUTED] * 2
    assert [p.verdict for p in there.parts[6:8]] == [p.verdict for p in back.parts[:2]] == [SUPPORTED] * 2


def test_one_optimiser_used_as_all_says_the_same_of_each():
    adam = runs_of().select(**{"optim.name": "adam"})
    copies = []
    for name, keys in module.KEYS.items():
        rename = {run: f"{name}:{run}" for run in adam.table.index}
        table = adam.table.rename(index=rename).assign(**keys)
        copies.append((table, adam.metrics.assign(run=adam.metrics["run"].map(rename))))
    tables, metrics = (pd.concat(parts) for parts in zip(*copies, strict=True))
    found = CLAIM.judge(dataclasses.replace(adam, table=tables, metrics=metrics))
    assert len({part.effect for part in found.parts[:8]}) == 1


def test_a_single_bit_of_a_statistic_would_be_noticed():
    found = CLAIM.judge(runs_of(touched=1e-9))
    assert found.parts[8].verdict == REFUTED and found.verdict == MIXED


def test_missing_runs_decide_nothing():
    found = CLAIM.judge(runs_of(keep=lambda row: row["optim.name"] != "adam"))
    assert found.verdict == UNDECIDED
    assert [(part.n, part.planned) for part in found.parts[6:8]] == [(0, 5)] * 2


def test_seeds_on_record_are_those_of_the_plan():
    assert set(module.SEEDS) == set(card("optimizers").settings)
    for setting, seeds in module.SEEDS.items():
        data, scale = setting.split("-")
        plan = planned((f"data={data}", f"scale={scale}"), "optimizers").complete
        table = pd.DataFrame([flatten(run.config) for run in plan])
        for keys in module.KEYS.values():
            cell = table[np.logical_and.reduce([table[key] == value for key, value in keys.items()])]
            assert cell["seed"].nunique() == len(cell) == seeds


def test_the_figure_shows_its_numbers_and_survives_a_missing_arm():
    runs = runs_of()
    for shown in (runs, without(runs, "optim.name", "adam")):
        drawing = EXPERIMENT.figures["affine"](shown)
        assert "mnist-laptop" in drawing.caption and "95 % t band" in drawing.caption
        drawing.figure.draw_without_rendering()
    assert set(EXPERIMENT.figures["affine"](runs).numbers["variant"]) == set(module.CELLS)
    with pytest.raises(Incomplete, match="bnlab run optimizers data=mnist scale=laptop"):
        EXPERIMENT.figures["affine"](dataclasses.replace(runs, table=runs.table.iloc[:0]))
