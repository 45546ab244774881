"""The change of a layer's gradient under the update of the layers below it: closed forms, a slow twin, exact zeros."""

from __future__ import annotations

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from probed_runs import NETS, VARIANTS, configuration, measured, moment_of, started, trained, twin_gradients
from torch import Tensor

from bnlab.config import IcsConfig, OptimConfig, RunConfig
from bnlab.models import Net
from bnlab.probes.ics import ICS, gradients, shift

EVERY_NET = pytest.mark.parametrize("net", NETS)
EVERY_VARIANT = pytest.mark.parametrize("norm", [*VARIANTS, "renorm"])


def configured(net: str, norm: str, layers: tuple[int, ...] = (), decay: float = 0.0) -> RunConfig:
    config = configuration(net, norm, ("ics",))
    probe = dataclasses.replace(config.probe, ics=IcsConfig("2it", layers))
    optim = OptimConfig(name="sgd", weight_decay=decay)
    return dataclasses.replace(config, probe=probe, optim=optim, lr=0.1)


def quadratic(seed: int = 0) -> tuple[dict[str, Tensor], dict[str, Tensor], np.ndarray, np.ndarray]:
    """Three layers of 3, 4 and 2 parameters in float64, old and new, with the Hessian and slope of a quadratic."""
    draw = np.random.default_rng(seed)
    root = draw.normal(size=(9, 9))
    old, new = (
        {"1": torch.tensor(v[:3]), "2": torch.tensor(v[3:7]), "3": torch.tensor(v[7:])}
        for v in draw.normal(size=(2, 9))
    )
    return old, new, root @ root.T, draw.normal(size=9)


BLOCKS = {"1": slice(0, 3), "2": slice(3, 7), "3": slice(7, 9)}
BELOW = {"1": [], "2": ["1"], "3": ["1", "2"]}


@pytest.mark.parametrize("seed", range(5))
def test_on_a_quadratic_the_shift_is_the_mixed_part_of_the_hessian_times_the_update(seed: int) -> None:
    """dL/dw_i = sum_j H_ij w_j - b_i, so that G - G' = sum over j < i of H_ij (w_j - w_j')."""
    old, new, hessian, slope = quadratic(seed)
    h, b = torch.tensor(hessian), torch.tensor(slope)

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        w = torch.cat([parameters[name] for name in "123"])
        return w @ h @ w / 2 - b @ w

    found = gradients(loss, old, new, BELOW)
    w, moved = (np.concatenate([p[name].numpy() for name in "123"]) for p in (old, new))
    for name, lower in BELOW.items():
        before = (hessian @ w - slope)[BLOCKS[name]]
        step = [hessian[BLOCKS[name], BLOCKS[j]] @ (w - moved)[BLOCKS[j]] for j in lower]
        change = sum(step, np.zeros_like(before))
        numbers = {quantity: value.item() for quantity, value in shift(*found[name]).items()}
        assert numbers["l2"] == pytest.approx(np.linalg.norm(change), rel=1e-12, abs=0)
        assert numbers["relative"] == pytest.approx(np.linalg.norm(change) / np.linalg.norm(before), rel=1e-12, abs=0)
        after = before - change
        cosine = before @ after / np.linalg.norm(before) / np.linalg.norm(after)
        assert numbers["cosine"] == pytest.approx(cosine, rel=1e-12)
        assert (numbers["l2"] == 0 and numbers["cosine"] == 1) == (name == "1")


def test_shifts_of_known_vectors() -> None:
    def numbers(before: list[float], after: list[float]) -> tuple[float, ...]:
        found = shift(torch.tensor(before), torch.tensor(after))
        return tuple(found[quantity].item() for quantity in ("l2", "cosine", "relative"))

    assert numbers([3.0, 4.0], [3.0, 4.0]) == (0, 1, 0)
    assert numbers([3.0, 4.0], [-3.0, -4.0]) == (10, -1, 2)
    assert numbers([3.0, 0.0], [0.0, 4.0]) == (5, 0, 5 / 3)
    assert numbers([0.1] * 7, [0.1] * 7) == (0, 1, 0)  # exactly, although 0.1 is no binary fraction
    assert numbers([1e-25, 0.0], [1e-25, 1e-25])[1] == pytest.approx(math.sqrt(0.5))  # squares below single precision
    nothing = numbers([0.0, 0.0], [1.0, 0.0])
    assert nothing[0] == 1 and math.isnan(nothing[1]) and math.isinf(nothing[2])


@EVERY_VARIANT
@EVERY_NET
def test_the_first_layer_has_no_shift_and_the_others_have_one(net: str, norm: str) -> None:
    """Nor has any after the last update, where nothing moves any more."""
    _, rows = trained(started(configured(net, norm)))
    steps = NETS[net][3]
    assert sorted(rows) == [*range(0, steps + 1, 2)] and rows.pop(steps) == {}
    for values in rows.values():
        assert (values["ics/l2/01"], values["ics/cosine/01"], values["ics/relative/01"]) == (0.0, 1.0, 0.0)
        assert values["ics/l2/02"] > 0 and values["ics/relative/02"] > 0
        assert -1 <= values["ics/cosine/02"] <= 1


@EVERY_VARIANT
@EVERY_NET
def test_where_nothing_was_updated_no_layer_shifts(net: str, norm: str) -> None:
    """Noise, dropout or moving averages that differed between the two passes would show here."""
    values = measured(ICS, started(configured(net, norm)), update=False)
    layers = 2 if net == "mlp" else 8
    assert len(values) == 3 * layers
    for layer in range(1, layers + 1):
        assert values[f"ics/l2/{layer:02d}"] == 0 and values[f"ics/cosine/{layer:02d}"] == 1


@EVERY_VARIANT
@pytest.mark.parametrize(("net", "layers"), [("mlp", (1, 2)), ("vgg_a", (2, 5, 8))])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_against_a_slow_twin(net: str, layers: tuple[int, ...], norm: str, decay: float) -> None:
    run = started(configured(net, norm, layers, decay))
    moment = moment_of(run)
    measurement = ICS.measure(moment)
    next(measurement)
    old = copy.deepcopy(run.net)
    run.optimizer.step()
    values = next(measurement)
    assert values.keys() == {f"ics/{q}/{i:02d}" for q in ("l2", "cosine", "relative") for i in layers}
    for layer in layers:
        name = f"blocks.{layer - 1}.linear.weight"
        before, after = (twin_gradients(twin, moment)[1][name] for twin in (old, updated_below(old, run.net, layer)))
        g, h = before.numpy().ravel(), after.numpy().ravel()
        distance, size = np.linalg.norm(g - h), np.linalg.norm(g)
        assert values[f"ics/l2/{layer:02d}"] == pytest.approx(distance, rel=1e-3, abs=1e-6)
        assert values[f"ics/relative/{layer:02d}"] == pytest.approx(distance / size, rel=1e-3, abs=1e-6)
        assert values[f"ics/cosine/{layer:02d}"] == pytest.approx(g @ h / size / np.linalg.norm(h), abs=1e-5)


def updated_below(old: Net, new: Net, layer: int) -> Net:
    """A copy of the old net with every parameter of blocks 1 to layer - 1 set by hand to that of the new one."""
    mixed = copy.deepcopy(old)
    for number in range(1, layer):
        for mine, theirs in zip(mixed.blocks[number - 1].parameters(), new.blocks[number - 1].parameters()):
            mine.data = theirs.data.clone()
    return mixed


def test_gamma_and_beta_of_the_layers_below_move_with_them() -> None:
    """Where the update moves nothing but gamma and beta of layer 1, layer 2 shifts and layer 1 does not."""
    run = started(configured("vgg_a", "batch", (1, 2)))
    measurement = ICS.measure(moment_of(run))
    next(measurement)
    with torch.no_grad():
        run.net.blocks[0].norm.weight.mul_(2)
        run.net.blocks[0].norm.bias.add_(0.5)
    values = next(measurement)
    assert values["ics/l2/01"] == 0 and values["ics/relative/02"] > 0.1


def test_a_layer_itself_and_those_above_stay_old() -> None:
    run = started(configured("vgg_a", "batch", (2, 3)))
    measurement = ICS.measure(moment_of(run))
    next(measurement)
    with torch.no_grad():
        for block in run.net.blocks[2:]:
            block.linear.weight.add_(0.1)
        run.net.output.weight.add_(0.1)
    values = next(measurement)
    assert values["ics/l2/02"] == values["ics/l2/03"] == 0
