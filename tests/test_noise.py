"""The noise of Santurkar et al. (appendix A.2.1): its distribution under every switch, and when it is drawn."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from bnlab.config import ModelConfig, NoiseConfig, NormConfig
from bnlab.models import Net, build
from bnlab.norms import Noise, make_norm, noise_off

STEPS, SAMPLES, UNITS = 3000, 6, 5


def noise(spatial: bool = False, units: int = UNITS, seed: int = 0, **settings: object) -> Noise:
    generator = torch.Generator().manual_seed(seed)
    return make_norm(NormConfig(name="noise", noise=NoiseConfig(**settings)), units, spatial, generator)


def drawn(layer: Noise, steps: int = STEPS, shape: tuple[int, ...] = (SAMPLES, UNITS)) -> tuple[np.ndarray, np.ndarray]:
    """m and s of so many steps: (steps, *shape) each. Noise on 0 is m; on 1, from the same state, m + s."""
    zero, one = torch.zeros(shape, dtype=torch.float64), torch.ones(shape, dtype=torch.float64)
    shifts, scales = [], []
    for _ in range(steps):
        state = layer.generator.get_state()
        shift = layer(zero)
        layer.generator.set_state(state)
        shifts.append(shift)
        scales.append(layer(one) - shift)
    return torch.stack(shifts).numpy(), torch.stack(scales).numpy()


def assert_mean(samples: np.ndarray, expected: float) -> None:
    """The mean over steps (first axis, independent) lies within 4.5 standard errors of what it should be."""
    per_step = samples.reshape(len(samples), -1).mean(1)
    error = per_step.std(ddof=1) / math.sqrt(len(per_step))
    assert abs(per_step.mean() - expected) < 4.5 * error + 1e-12


@pytest.mark.parametrize(("per", "kind"), list(itertools.product(["unit", "layer"], ["std", "variance"])))
def test_moments_are_those_of_the_algorithm(per: str, kind: str) -> None:
    """Variances within and between samples and units of m and s, against the analytic values."""
    shift, scale = drawn(noise(per=per, scale_spread_is=kind))
    within_shift, within_scale = 0.1**2 / 3, 0.1**2 if kind == "std" else 0.1
    between_shift, between_scale = 0.5**2 / 3, 0.25**2 / 12
    for x, mean, within, between in (
        (shift, 0.0, within_shift, between_shift),
        (scale, 1.125, within_scale, between_scale),
    ):
        centred = x - mean
        assert_mean(x, mean)
        assert_mean(centred**2, within + between)
        assert_mean(x.var(axis=1, ddof=1), within)
        assert_mean(centred[:, 0] * centred[:, 1], between)  # two samples share their unit's draw
        assert_mean(centred[:, 0, 0] * centred[:, 1, 1], between if per == "layer" else 0.0)
    assert_mean((shift - 0.0) * (scale - 1.125), 0.0)  # shift and scale are independent


@pytest.mark.parametrize(
    ("settings", "which", "law"),
    [
        ({"shift_spread": 0.0}, "shift", stats.uniform(-0.5, 1.0)),
        ({"shift": 0.0}, "shift", stats.uniform(-0.1, 0.2)),
        ({"scale_spread": 0.0}, "scale", stats.uniform(1.0, 0.25)),
        ({"scale": 1.0}, "scale", stats.norm(1.0, 0.1)),
        ({"scale": 1.0, "scale_spread_is": "variance"}, "scale", stats.norm(1.0, math.sqrt(0.1))),
    ],
    ids=["unit shift", "sample shift", "unit scale", "sample scale", "sample scale by variance"],
)
def test_each_draw_follows_its_law(settings: dict, which: str, law: stats.rv_continuous) -> None:
    shift, scale = drawn(noise(**settings))
    sample = (shift if which == "shift" else scale)[:, 0].ravel()  # one sample per step: all independent
    assert stats.kstest(sample, law.cdf).pvalue > 1e-3


def test_rows_and_columns_count_as_samples() -> None:
    shape = (4, 3, 5, 6)
    shift, scale = drawn(noise(True, 3), steps=400, shape=shape)
    assert np.ptp(shift, axis=(1, 3, 4)).max() < 0.2  # every position lies within +-0.1 of its unit's draw
    assert np.ptp(shift, axis=(1, 3, 4)).min() > 0.15
    assert_mean(scale.var(axis=(1, 3, 4), ddof=1), 0.1**2)
    for first, second in (((0, 0, 0), (0, 0, 1)), ((0, 0, 0), (0, 1, 0)), ((0, 0, 0), (1, 0, 0))):
        own = shift - shift.mean(axis=(1, 3, 4), keepdims=True)
        pair = own[:, first[0], :, *first[1:]], own[:, second[0], :, *second[1:]]
        assert abs(np.corrcoef(pair[0].ravel(), pair[1].ravel())[0, 1]) < 0.12


def test_units_or_the_layer_share_a_draw() -> None:
    still = {"shift_spread": 0.0, "scale_spread": 0.0}
    for per, distinct in (("unit", UNITS), ("layer", 1)):
        for values in drawn(noise(per=per, **still), steps=1):
            assert len(np.unique(values.round(9))) == distinct


def test_every_step_draws_anew() -> None:
    layer = noise(shift_spread=0.0)
    shift, _ = drawn(layer, steps=50)
    assert len(np.unique(shift[:, 0, 0])) == 50


@pytest.mark.parametrize("name", ["noise", "noisy_batch"])
@pytest.mark.parametrize("at_eval", [False, True])
def test_evaluation_has_noise_only_when_asked(name: str, at_eval: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    settings = NormConfig(name=name, noise=NoiseConfig(at_eval=at_eval))
    layer, x = make_norm(settings, UNITS, False, generator).eval(), torch.randn(SAMPLES, UNITS)
    state = generator.get_state()
    same = torch.equal(layer(x), layer(x))
    assert same is not at_eval
    assert torch.equal(generator.get_state(), state) is not at_eval
    if name == "noise" and not at_eval:
        assert layer(x) is x


@pytest.mark.parametrize("spatial", [False, True])
def test_the_own_generator_is_the_only_source(spatial: bool) -> None:
    layer, x = noise(spatial), torch.ones((SAMPLES, UNITS, 3, 3) if spatial else (SAMPLES, UNITS))
    shared, own = torch.get_rng_state(), layer.generator.get_state()
    first, second = layer(x), layer(x)
    assert torch.equal(torch.get_rng_state(), shared)
    assert not torch.equal(first, second)
    layer.generator.set_state(own)
    assert torch.equal(layer(x), first)
    assert torch.equal(noise(spatial)(x), first)
    assert not torch.equal(noise(spatial, seed=1)(x), first)


def test_how_much_is_drawn_does_not_depend_on_the_constants() -> None:
    layers = noise(), noise(shift=0.0, scale=1.0, shift_spread=0.0, scale_spread=0.0), noise(scale_spread_is="variance")
    for layer in layers:
        layer(torch.ones(SAMPLES, UNITS))
    assert torch.equal(layers[0].generator.get_state(), layers[1].generator.get_state())
    assert torch.equal(layers[0].generator.get_state(), layers[2].generator.get_state())


def test_a_generator_is_required() -> None:
    with pytest.raises(ValueError, match="generator"):
        make_norm(NormConfig(name="noise"), UNITS, False, None)


def test_the_gradient_is_the_upstream_one_times_the_scale() -> None:
    layer, x = noise(), torch.zeros(SAMPLES, UNITS, dtype=torch.float64, requires_grad=True)
    state = layer.generator.get_state()
    upstream = torch.randn(SAMPLES, UNITS, dtype=torch.float64)
    layer(x).backward(upstream)
    layer.generator.set_state(state)
    _, scale = drawn(layer, steps=1)
    torch.testing.assert_close(x.grad, upstream * torch.from_numpy(scale[0]))


@pytest.mark.parametrize("name", ["noise", "noisy_batch"])
def test_memory_format_changes_no_number(name: str) -> None:
    x = torch.randn(8, 16, 7, 7)
    outcomes = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        layer = make_norm(NormConfig(name=name), 16, True, torch.Generator().manual_seed(4))
        out = layer(x.contiguous(memory_format=memory_format))
        outcomes.append(out)
    assert outcomes[1].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(*outcomes, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("center", "scale"), list(itertools.product([True, False], repeat=2)))
@pytest.mark.parametrize("place", ["after_affine", "before_affine"])
@pytest.mark.parametrize("spatial", [False, True])
def test_noisy_batch_is_normalisation_then_noise(spatial: bool, place: str, center: bool, scale: bool) -> None:
    """Against a plain layer and a noise layer in sequence, with gamma and beta away from 1 and 0."""
    settings = {"center": center, "scale": scale, "noise": NoiseConfig(place=place)}
    noisy = make_norm(NormConfig(name="noisy_batch", **settings), UNITS, spatial, torch.Generator().manual_seed(5))
    plain = make_norm(NormConfig(name="batch", center=False, scale=False), UNITS, spatial, None)
    apart = noise(spatial, seed=5)
    x = torch.randn((SAMPLES, UNITS, 3, 3) if spatial else (SAMPLES, UNITS)) * 3 + 1
    gamma, beta = torch.linspace(-2, 2, UNITS), torch.linspace(1, 3, UNITS)
    with torch.no_grad():
        if scale:
            noisy.weight.copy_(gamma)
        if center:
            noisy.bias.copy_(beta)
    per_unit = (1, UNITS, 1, 1) if spatial else (1, UNITS)
    slope, offset = (gamma if scale else gamma * 0 + 1).view(per_unit), (beta if center else beta * 0).view(per_unit)
    expected = apart(plain(x) * slope + offset) if place == "after_affine" else apart(plain(x)) * slope + offset
    torch.testing.assert_close(noisy(x), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(noisy.running_mean, plain.running_mean)
    torch.testing.assert_close(noisy.running_var, plain.running_var)


def small_net(name: str, at_eval: bool = False) -> Net:
    norm = NormConfig(name=name, noise=NoiseConfig(at_eval=at_eval))
    generators = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    return build(ModelConfig(widths=(12, 8)), norm, (1, 4, 4), 3, *generators)


@pytest.mark.parametrize(("noisy", "quiet"), [("noisy_batch", "batch"), ("noise", "none")])
def test_noise_off_leaves_the_net_without_noise(noisy: str, quiet: str) -> None:
    net, peer, x = small_net(noisy, at_eval=True), small_net(quiet), torch.randn(16, 1, 4, 4)
    generator = net.blocks[0].norm.generator if noisy == "noise" else net.blocks[0].norm.noise.generator
    state = generator.get_state()
    with noise_off(net):
        assert torch.equal(net(x), peer(x))
        assert torch.equal(net.eval()(x), peer.eval()(x))
    assert torch.equal(generator.get_state(), state)
    assert not torch.equal(net(x), net(x))


def test_noise_off_is_undone_after_an_error_and_nests() -> None:
    net, x = small_net("noise"), torch.randn(16, 1, 4, 4)
    with pytest.raises(KeyError), noise_off(net):
        raise KeyError
    with noise_off(net):
        with noise_off(net):
            pass
        assert torch.equal(net(x), net(x))
    assert not torch.equal(net(x), net(x))


def test_layers_of_one_net_share_the_generator_and_replay_together() -> None:
    net, x = small_net("noisy_batch"), torch.randn(16, 1, 4, 4)
    generators = {block.norm.noise.generator for block in net.blocks}
    assert len(generators) == 1
    (generator,) = generators
    state = generator.get_state()
    first = net(x)
    assert not torch.equal(net(x), first)
    generator.set_state(state)
    assert torch.equal(net(x), first)
