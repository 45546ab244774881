"""Bands, maxima, fractions and histograms against slow twins in numpy and against closed forms."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from bnlab.config import ActivationsConfig, ModelConfig, ProbeConfig, RunConfig
from bnlab.probes.activations import ACTIVATIONS
from bnlab.probes.bands import MOST_VALUES, SEPTILES, batch_maxima, quantiles, thinned
from bnlab.probes.histograms import _rounded_up, histogram
from bnlab.probes.probe import Moment
from bnlab.store import BINS, Histogram, scale_counts

FUNCTIONS = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}
DENSE, CONV = (40, 9), (6, 5, 4, 3)


def record(inputs: list[Tensor], activation: str = "relu", step: int = 0, **settings: object) -> dict:
    """What the probe yields where the activations of blocks 1, 2, … get these inputs."""
    outputs = [FUNCTIONS[activation](t) for t in inputs]
    layers = range(1, len(inputs) + 1)
    moment = Moment(
        step=step,
        model=SimpleNamespace(blocks=[None] * len(inputs)),
        x=None,
        y=None,
        logits=None,
        loss=None,
        data=None,
        config=RunConfig(
            model=ModelConfig(activation=activation), probe=ProbeConfig(activations=ActivationsConfig(**settings))
        ),
        steps_per_epoch=10,
        tapped={(n, "normed"): inputs[n - 1] for n in layers} | {(n, "activation"): outputs[n - 1] for n in layers},
    )
    measurement = ACTIVATIONS.measure(moment)
    assert next(measurement) is None
    return next(measurement)


def numbers(found: dict) -> dict[str, float]:
    return {name: value for name, value in found.items() if not isinstance(value, Histogram)}


def drawn(seed: int, shape: tuple[int, ...], spread: float = 2.0) -> Tensor:
    return spread * torch.randn(shape, generator=torch.Generator().manual_seed(seed)) - 0.3


def slow_quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def slow_twin(inputs: list[Tensor], activation: str) -> dict[str, float]:
    """Every number of one group, by plain loops over numpy arrays."""
    z = [t.double().numpy() for t in inputs]
    a = [FUNCTIONS[activation](t).double().numpy() for t in inputs]
    flat_z, flat_a = (np.concatenate([t.ravel() for t in group]) for group in (z, a))
    maxima = [max(t[:, *place]) for t in a for place in np.ndindex(t.shape[1:])]
    units = [t[:, unit].ravel() for t in z for unit in range(t.shape[1])]
    twin = {f"b{k}": slow_quantile(flat_a.tolist(), k / 7) for k in range(8)}
    twin |= {f"m{k}": slow_quantile(maxima, k / 7) for k in range(8)}
    twin |= {f"input_p{p}": slow_quantile(flat_z.tolist(), p / 100) for p in (15, 50, 85)}
    twin |= {"max_mean": np.mean(maxima), "max_sd": np.std(maxima), "max_skew": scipy.stats.skew(maxima)}
    twin["input_mean_abs"] = np.mean([abs(u.mean()) for u in units])
    twin["input_sd"] = np.mean([u.std() for u in units])
    if activation == "sigmoid":
        twin["saturated"] = np.mean([v < 0.05 or v > 0.95 for v in flat_a])
        twin["input_linear"] = np.mean([abs(v) < 2 for v in flat_z])
    elif activation == "tanh":
        twin["saturated"] = np.mean([abs(v) > 0.9 for v in flat_a])
    else:
        twin["zero"] = np.mean([v == 0 for v in flat_a])
        twin["dead"] = np.mean([m == 0 for m in maxima])
    return twin


def with_ties(tensor: Tensor) -> Tensor:
    return tensor.round()


def with_dead_units(tensor: Tensor) -> Tensor:
    tensor = tensor.clone()
    tensor[:, :2] = -tensor[:, :2].abs()
    return tensor


@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("change", [lambda t: t, with_ties, with_dead_units], ids=["plain", "ties", "dead"])
def test_every_number_against_a_slow_twin(activation: str, memory_format: torch.memory_format, change) -> None:
    inputs = [change(drawn(0, DENSE)), change(drawn(1, CONV)).to(memory_format=memory_format)]
    found = numbers(record(inputs, activation))
    groups = {"01": inputs[:1], "02": inputs[1:], "pooled": inputs}
    expected = {
        f"activations/{quantity}/{name}": value
        for name, group in groups.items()
        for quantity, value in slow_twin(group, activation).items()
    }
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, rel=2e-5, abs=2e-6)


def test_a_layer_of_zeros() -> None:
    found = record([-torch.ones(DENSE)])
    assert [found[f"activations/{q}/01"] for q in ("b0", "b7", "m0", "m7", "max_mean", "max_sd")] == [0] * 6
    assert found["activations/zero/01"] == found["activations/dead/01"] == 1
    assert math.isnan(found["activations/max_skew/01"])
    assert sum(count > 0 for count in found["activations/hist_output/01"].counts) == 1


def test_a_neuron_of_a_convolution_is_a_place_in_a_channel() -> None:
    x = torch.zeros(2, 3, 4, 5)
    x[1, 2, 3, 4] = 7
    for tensor in (x, x.to(memory_format=torch.channels_last)):
        maxima = batch_maxima(tensor)
        assert maxima.shape == (60,)
        assert maxima.nonzero().tolist() == [[59]]


def test_bands_of_a_sigmoid_on_a_standard_normal() -> None:
    """The ideal of Goerner's panel: the sigmoid of the exact septiles of N(0, 1)."""
    n = 70_001
    places = torch.arange(1, n + 1, dtype=torch.float64).sub(0.5).div(n)
    x = torch.special.ndtri(places).float().view(-1, 1)
    found = record([x[torch.randperm(n, generator=torch.Generator().manual_seed(0))]], "sigmoid")
    bands = [found[f"activations/b{k}/01"] for k in range(1, 7)]
    assert bands == pytest.approx([0.2559, 0.3622, 0.4551, 0.5449, 0.6378, 0.7441], abs=2e-3)
    assert found["activations/input_p85/01"] == pytest.approx(1.036, abs=0.01)
    assert found["activations/input_linear/01"] == pytest.approx(0.9545, abs=1e-3)


def test_the_maximum_of_a_hundred_normal_values_is_about_two_and_a_half() -> None:
    found = record([torch.randn(100, 20_000, generator=torch.Generator().manual_seed(0))], histograms="never")
    assert found["activations/max_mean/01"] == pytest.approx(2.508, abs=0.012)  # 4 standard errors of 0.429 / sqrt(n)
    assert found["activations/max_sd/01"] == pytest.approx(0.429, abs=0.012)
    assert found["activations/max_skew/01"] == pytest.approx(0.66, abs=0.12)
    assert found["activations/zero/01"] == pytest.approx(0.5, abs=0.002)


@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_diverged_layer_gives_nan_and_no_histogram(activation: str, bad: float) -> None:
    inputs = [drawn(0, DENSE), drawn(1, CONV)]
    inputs[0][3, 2] = bad
    found = record(inputs, activation, unit=True)
    healthy, sick = ([v for k, v in found.items() if k.endswith(ending)] for ending in ("/02", "/01"))
    assert all(isinstance(v, Histogram) or math.isfinite(v) for v in healthy)
    of_inputs = [found[f"activations/{q}/01"] for q in ("input_p15", "input_p50", "input_p85", "input_sd")]
    assert np.isnan(of_inputs).all()
    assert "activations/hist_input/01" not in found and "activations/hist_input/02" in found
    assert not any(isinstance(v, float) and math.isinf(v) for v in sick)
    if math.isnan(bad):
        bands = [found[f"activations/{q}/{n}"] for q in ("b0", "b7", "m0", "m7") for n in ("01", "pooled")]
        assert np.isnan(bands).all()
        assert "activations/hist_output/01" not in found and "activations/hist_max/pooled" not in found


def test_layers_pooled_and_unit_follow_the_configuration() -> None:
    inputs = [drawn(seed, DENSE) for seed in range(3)]

    def endings(found: dict) -> set[str]:
        return {name.rsplit("/", 1)[1] for name in found}

    assert endings(record(inputs)) == {"01", "02", "03", "pooled"}
    assert endings(record(inputs, layers=(3, 1))) == {"01", "03", "pooled"}
    assert endings(record(inputs, layers=(2,), pooled=False)) == {"02"}
    units = {name for name in record(inputs, unit=True) if "hist_unit" in name}
    assert units == {f"activations/hist_unit/0{layer}" for layer in (1, 2, 3)}
    assert not [name for name in record(inputs) if "unit" in name]


def test_percentiles_of_one_unit_are_those_of_its_column() -> None:
    inputs = [drawn(seed, DENSE) for seed in range(2)]
    found = {name: v for name, v in record(inputs, unit_percentiles=True, histograms="never").items() if "unit" in name}
    expected = {
        f"activations/unit_p{p}/0{layer}": np.percentile(x[:, 0].double().numpy(), p)
        for layer, x in enumerate(inputs, 1)
        for p in (15, 50, 85)
    }
    assert found == pytest.approx(expected, abs=1e-6)


def test_numbers_and_histograms_have_cadences_of_their_own() -> None:
    settings = {"cadence": "@2", "histograms": "@3"}

    def kinds(step: int) -> set[bool]:
        return {isinstance(v, Histogram) for v in record([drawn(0, DENSE)], step=step, **settings).values()}

    assert kinds(2) == {False}
    assert kinds(3) == {True}
    assert kinds(RunConfig().steps) == {False, True}
    assert ACTIVATIONS.due(RunConfig(probe=ProbeConfig(activations=ActivationsConfig(**settings))), 10) == {2, 3, 1000}


def test_histograms_hold_what_their_names_say() -> None:
    x = drawn(0, CONV)
    found = record([x], "relu", unit=True)
    maxima = x.relu().amax(0).numpy()
    for name, values in {"output": x.relu(), "input": x, "max": maxima, "unit": x[:, 0]}.items():
        kept = found[f"activations/hist_{name}/01"]
        values = np.asarray(values, dtype=np.float64).ravel()
        assert kept.lo <= values.min() and values.max() <= kept.hi
        assert kept.counts == scale_counts(np.histogram(values, BINS, (kept.lo, kept.hi))[0].tolist())


def test_edges_are_rounded_outwards_to_what_is_stored() -> None:
    kept = histogram(torch.tensor([0.123456, 0.5, 9.87654]))
    assert (kept.lo, kept.hi) == (0.1234, 9.877)
    assert sum(kept.counts) == 3
    random = np.random.default_rng(0)
    for value in random.normal(size=500) * 10.0 ** random.integers(-30, 30, 500):
        assert value <= _rounded_up(value) <= value + 1.01e-3 * abs(value)
        assert _rounded_up(_rounded_up(value)) == _rounded_up(value)


@pytest.mark.parametrize("value", [0.0, -3.0, 1e-30, 12345678.0, -1e20])
def test_values_that_agree_lie_in_one_bin_inside_the_range(value: float) -> None:
    kept = histogram(torch.full((10,), value))
    assert kept.lo < kept.hi
    assert kept.lo <= torch.tensor(value).item() <= kept.hi
    assert sorted(kept.counts)[-2:] == [0, 10]


def test_large_counts_are_scaled_to_what_is_stored() -> None:
    kept = histogram(torch.cat([torch.zeros(200_000), torch.ones(100_000)]))
    assert (kept.counts[0], kept.counts[-1]) == scale_counts([200_000, 100_000])


def test_no_histogram_of_what_does_not_fit_single_precision() -> None:
    assert histogram(torch.tensor([0.0, 3e38])) is None
    assert histogram(torch.tensor([0.0, float("nan")])) is None


def test_large_layers_are_thinned_evenly_and_in_the_same_way_in_every_memory_format() -> None:
    shape = (64, 8, 32, 32)
    places = torch.arange(math.prod(shape)).view(shape)
    kept = thinned([places])
    assert MOST_VALUES * 0.8 < len(kept) <= MOST_VALUES
    assert torch.equal(kept, thinned([places.to(memory_format=torch.channels_last)]))
    for axis, index in enumerate(np.unravel_index(kept.numpy(), shape)):
        counts = np.bincount(index, minlength=shape[axis])
        assert counts.max() - counts.min() <= 0.01 * len(kept) / shape[axis] + 2
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(quantiles(thinned([x]), SEPTILES)[1:7], quantiles(x.flatten(), SEPTILES)[1:7], atol=0.02)


def test_thinning_several_layers_keeps_their_weights() -> None:
    layers = [torch.zeros(100, 30, 30), torch.ones(100, 10, 10), torch.full((7,), 2.0)]
    kept = thinned(layers)
    assert len(kept) <= MOST_VALUES + len(layers)
    assert kept.eq(1).float().mean().item() == pytest.approx(0.1, abs=1e-3)
    small = [torch.arange(6.0), torch.arange(3.0)]
    assert torch.equal(thinned(small), torch.cat(small))


@pytest.mark.parametrize("n", [1, 2, 7, 8, 1000])
def test_quantiles_are_numpys(n: int) -> None:
    values = drawn(n, (n,))
    expected = np.quantile(values.numpy(), SEPTILES)
    assert quantiles(values, SEPTILES).numpy() == pytest.approx(expected, rel=1e-5)
