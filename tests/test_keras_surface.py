"""The torch layer with Keras's arguments, beside Keras itself on its torch backend and beside formulas written out."""

from __future__ import annotations

import inspect
import random
from typing import Any

import pytest
import torch
from torch import Tensor

from bnlab.errors import BadInput
from bnlab.norms.keras_arguments import KerasArguments
from bnlab.norms.keras_parameters import (
    CONSTRAINTS,
    INITIALIZERS,
    L1L2,
    REGULARIZERS,
    Constant,
    MinMaxNorm,
    RandomNormal,
    max_norm,
)
from bnlab.norms.keras_surface import KerasBatchNorm
from bnlab.procedures.article_code.keras_on_torch import load_keras

CLOSE = 1e-5
STEPS = 3
AVERAGES = ("moving_mean", "moving_variance", "renorm_mean", "renorm_stddev", "moving_stddev")
STARTS = {"beta": (-1.0, 1.0), "gamma": (-2.0, 2.0), "moving_mean": (-1.0, 1.0), "moving_variance": (0.2, 3.0)}


def miss(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest number compared and to 1 where all are smaller."""
    return float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1.0))


def drawn(seed: int) -> tuple[random.Random, torch.Generator]:
    return random.Random(seed), torch.Generator().manual_seed(seed)


def random_shape(draw: random.Random) -> tuple[int, ...]:
    """Two to four axes, each long enough for both the statistics and the units."""
    return tuple(draw.randint(8, 16) if place == 0 else draw.randint(4, 9) for place in range(draw.randint(2, 4)))


def random_arguments(draw: random.Random, shape: tuple[int, ...], axis: int, **fixed: Any) -> dict[str, Any]:
    """Arguments of the layer for inputs of this shape; what it starts from is one number for each unit."""
    limits = {"rmax": draw.uniform(1, 3), "rmin": draw.uniform(0, 1), "dmax": draw.uniform(0, 2)}
    chosen = {key: limits[key] for key in draw.sample(sorted(limits), draw.randint(0, 3))}
    starts = {f"{k}_initializer": tuple(draw.uniform(*ends) for _ in range(shape[axis])) for k, ends in STARTS.items()}
    return {
        **starts,
        "axis": axis,
        "momentum": draw.uniform(0, 1),
        "epsilon": 10 ** draw.uniform(-5, -1),
        "center": draw.random() < 0.8,
        "scale": draw.random() < 0.8,
        "renorm": draw.random() < 0.5,
        "renorm_clipping": draw.choice([None, chosen]),
        "renorm_momentum": draw.uniform(0, 1),
        "trainable": draw.random() < 0.9,
        **fixed,
    }


def both(arguments: dict[str, Any], shape: tuple[int, ...]) -> tuple[KerasBatchNorm, Any]:
    """This project's layer, and Keras's, built for inputs of this shape."""
    starts = {key: value for key, value in arguments.items() if isinstance(value, tuple)}
    ours = {**arguments, **{key: Constant(value) for key, value in starts.items()}}
    keras = load_keras()
    theirs = {**arguments, **{key: _given(keras, value) for key, value in starts.items()}}
    layer = keras.layers.BatchNormalization(**theirs)
    layer.build(shape)
    return KerasBatchNorm(shape[arguments["axis"]], KerasArguments(**ours)), layer


def _given(keras: Any, values: tuple[float, ...]) -> Any:
    return lambda shape, dtype=None: keras.ops.convert_to_tensor(values, dtype=dtype)


def parameters(layer: Any) -> dict[str, Tensor]:
    """gamma and beta that get gradients, as torch's own tensors."""
    found = {name: getattr(layer, name) for name in ("gamma", "beta") if getattr(layer, name) is not None}
    tensors = {name: getattr(value, "value", value) for name, value in found.items()}
    return {name: value for name, value in tensors.items() if value.requires_grad}


def passed(layer: Any, x: Tensor, g: Tensor, **call: Any) -> dict[str, Tensor]:
    """Output, gradients of its product with `g`, and the averages afterwards."""
    x = x.clone().requires_grad_()
    y = layer(x, **call)
    wanted = {"x": x, **parameters(layer)}
    found = dict(zip(wanted, torch.autograd.grad((y * g).sum(), list(wanted.values())), strict=True))
    averages = {name: getattr(layer, name) for name in AVERAGES if getattr(layer, name, None) is not None}
    stored = {name: getattr(value, "value", value).detach().clone() for name, value in averages.items()}
    return {"y": y.detach(), **{f"gradient of {name}": value for name, value in found.items()}, **stored}


def furthest(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    assert ours.keys() == theirs.keys()
    return max(miss(ours[name], theirs[name]) for name in ours)


def batch(draw: random.Random, generator: torch.Generator, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Inputs, and a gradient from above."""
    x, g = (torch.randn(shape, generator=generator) for _ in range(2))
    return draw.uniform(0.5, 2) * (x + draw.uniform(-1, 1)), g


@pytest.mark.keras
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("seed", range(60))
def test_random_arguments_give_what_keras_gives(seed, masked):
    draw, generator = drawn(seed)
    shape = random_shape(draw)
    axis = draw.randrange(-len(shape), len(shape))
    ours, theirs = both(random_arguments(draw, shape, axis), shape)
    for _ in range(STEPS):
        x, g = batch(draw, generator, shape)
        mask = torch.rand(shape[:-1], generator=generator) < 0.7 if masked else None
        assert furthest(passed(ours, x, g, mask=mask), passed(theirs, x, g, mask=mask, training=True)) <= CLOSE
    x, g = batch(draw, generator, shape)
    assert furthest(passed(ours.eval(), x, g), passed(theirs, x, g, training=False)) <= CLOSE


@pytest.mark.keras
def test_arguments_and_defaults_are_those_of_keras():
    theirs = inspect.signature(load_keras().layers.BatchNormalization.__init__).parameters
    ours = inspect.signature(KerasArguments).parameters
    named = [name for name in theirs if name not in ("self", "kwargs")]
    assert {name: ours[name].default for name in named} == {name: theirs[name].default for name in named}
    assert ours.keys() - set(named) == {"virtual_batch_size", "trainable"}  # of Keras 2, and of every layer of Keras


BOUNDS = {"min_value": 0.5, "max_value": 1.5, "rate": 0.3}
VECTORS = [torch.tensor(v) for v in ([0.3, -0.2, 0.0], [3.0, -4.0, 1.0], [1e-3, 0.0, -2e-3], [0.0, 0.0, 0.0])]


@pytest.mark.keras
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (REGULARIZERS["l1"], "l1"),
        (REGULARIZERS["l2"], "l2"),
        (REGULARIZERS["l1l2"], "l1l2"),
        (L1L2(0.3, 0.7), {"class_name": "L1L2", "config": {"l1": 0.3, "l2": 0.7}}),
    ],
)
def test_regularizers_are_those_of_keras(ours, theirs):
    for vector in VECTORS:
        assert float(ours(vector)) == pytest.approx(float(load_keras().regularizers.get(theirs)(vector)), rel=1e-6)


@pytest.mark.keras
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        *((CONSTRAINTS[name], name) for name in CONSTRAINTS),
        (max_norm(0.4), {"class_name": "MaxNorm", "config": {"max_value": 0.4}}),
        (
            MinMaxNorm(**BOUNDS),
            {"class_name": "MinMaxNorm", "config": BOUNDS},
        ),
    ],
)
def test_constraints_are_those_of_keras(ours, theirs):
    for vector in VECTORS:
        assert miss(ours(vector), load_keras().constraints.get(theirs)(vector)) <= 1e-6


@pytest.mark.keras
@pytest.mark.parametrize("name", ["zeros", "ones"])
def test_initializers_are_those_of_keras(name):
    assert torch.equal(INITIALIZERS[name](5, None), load_keras().initializers.get(name)((5,)).detach())


@pytest.mark.keras
def test_the_random_initializer_has_the_mean_and_spread_of_keras():
    theirs = load_keras().initializers.RandomNormal()
    assert INITIALIZERS["random_normal"] == RandomNormal(theirs.mean, theirs.stddev)


def test_a_random_initializer_draws_from_its_generator_alone():
    before = torch.get_rng_state()
    arguments = KerasArguments(gamma_initializer=RandomNormal(1.0, 0.1), beta_initializer="random_normal")
    first, again = (KerasBatchNorm(20_000, arguments, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first.gamma, again.gamma) and torch.equal(torch.get_rng_state(), before)
    assert first.gamma.mean().item() == pytest.approx(1.0, abs=0.004)
    assert first.gamma.std().item() == pytest.approx(0.1, rel=0.03)
    assert first.beta.std().item() == pytest.approx(0.05, rel=0.03)
    with pytest.raises(ValueError, match="generator"):
        KerasBatchNorm(3, arguments)


@pytest.mark.keras
@pytest.mark.parametrize("constraint", [*CONSTRAINTS, None])
@pytest.mark.parametrize("regularizer", [*REGULARIZERS, None])
def test_training_with_penalties_and_constraints_is_that_of_keras(regularizer, constraint):
    draw, generator = drawn(7)
    shape, keras = (16, 5), load_keras()
    rules = {"regularizer": regularizer, "constraint": constraint}
    fixed = {f"{name}_{kind}": rule for name in ("beta", "gamma") for kind, rule in rules.items()}
    fixed |= {"renorm": False, "center": True, "scale": True, "trainable": True}
    ours, theirs = both(random_arguments(draw, shape, 1, **fixed), shape)
    model = keras.Sequential([keras.layers.Input(shape[1:]), theirs])
    model.compile(optimizer=keras.optimizers.SGD(0.3), loss="mse")
    optimizer = torch.optim.SGD(ours.parameters(), 0.3)
    for _ in range(4):
        x, wanted = batch(draw, generator, shape)
        model.train_on_batch(x, wanted)
        optimizer.zero_grad()
        ((ours(x) - wanted).square().mean() + ours.penalty()).backward()
        optimizer.step()
        ours.constrain()
        for name, value in parameters(theirs).items():
            assert miss(getattr(ours, name).detach(), value.detach()) <= CLOSE


@pytest.mark.keras
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("seed", range(12))
def test_virtual_batches_are_one_layer_of_keras_for_each(seed, masked):
    """Part k of n has the images k, k + n, ...; the averages move towards the mean over the parts."""
    draw, generator = drawn(seed)
    size, parts = draw.randint(6, 10), draw.randint(1, 4)
    rest = tuple(draw.randint(2, 6) for _ in range(draw.randint(1, 3)))
    shape = (size * parts, *rest)
    arguments = random_arguments(draw, shape, draw.choice([-1, 1]), renorm=False, trainable=True)
    layers = [both(arguments, (size, *rest))[1] for _ in range(parts)]
    starts = {key: Constant(value) for key, value in arguments.items() if isinstance(value, tuple)}
    arguments |= {**starts, "virtual_batch_size": size}
    ours = KerasBatchNorm(shape[arguments["axis"]], KerasArguments(**arguments))
    x, g = batch(draw, generator, shape)
    mask = torch.rand(shape[:-1], generator=generator) < 0.7 if masked else None
    found = passed(ours, x, g, mask=mask)
    wanted = [
        passed(layer, x[k::parts], g[k::parts], mask=mask[k::parts] if masked else None, training=True)
        for k, layer in enumerate(layers)
    ]
    for name, value in found.items():
        each = [part[name] for part in wanted]
        if name in ("y", "gradient of x"):
            assert max(miss(value[k::parts], part) for k, part in enumerate(each)) <= CLOSE
        else:
            joined = torch.stack(each)
            assert miss(value, joined.mean(0) if name in AVERAGES else joined.sum(0)) <= CLOSE


def written_out(x: Tensor, gamma: Tensor, beta: Tensor, eps: float, r: Tensor | float = 1, d: Tensor | float = 0):
    return gamma * ((x - x.mean(0)) / (x.var(0, correction=0) + eps).sqrt() * r + d) + beta


@pytest.mark.parametrize("parts", [1, 3])
def test_renorm_is_algorithm_1_of_ioffe_2017(parts):
    """In float64; with virtual batches, r and d come from the means over their statistics, as in Keras 2."""
    generator, eps, kept = torch.Generator().manual_seed(2), 1e-3, 0.7
    limits = {"rmax": 1.5, "rmin": 1 / 1.5, "dmax": 0.5}
    arguments = KerasArguments(epsilon=eps, momentum=0.9, renorm=True, renorm_clipping=limits, renorm_momentum=kept,
                               virtual_batch_size=None if parts == 1 else 6)  # fmt: skip
    layer = KerasBatchNorm(4, arguments).double()
    torch.nn.init.normal_(layer.gamma, generator=generator)
    torch.nn.init.normal_(layer.beta, generator=generator)
    mean, std, slow_mean, slow_std = (torch.full((4,), v, dtype=torch.float64) for v in (0.0, 1.0, 0.0, 1.0))
    for step in range(5):
        x = (step - 2) + (1 + step) * torch.randn(6 * parts, 4, generator=generator, dtype=torch.float64)
        split = [x[k::parts] for k in range(parts)]
        now_mean = torch.stack([p.mean(0) for p in split]).mean(0)
        now_std = (torch.stack([p.var(0, correction=0) for p in split]).mean(0) + eps).sqrt()
        r, d = (now_std / std).clamp(1 / 1.5, 1.5), ((now_mean - mean) / std).clamp(-0.5, 0.5)
        y = layer(x)
        for k, part in enumerate(split):
            torch.testing.assert_close(y[k::parts], written_out(part, layer.gamma, layer.beta, eps, r, d))
        mean, std = kept * mean + (1 - kept) * now_mean, kept * std + (1 - kept) * now_std
        slow_mean, slow_std = 0.9 * slow_mean + 0.1 * now_mean, 0.9 * slow_std + 0.1 * now_std
    torch.testing.assert_close(layer.eval()(x), layer.gamma * (x - slow_mean) / slow_std + layer.beta)


def test_renorm_never_divides_by_less_than_the_root_of_epsilon():
    arguments = KerasArguments(renorm=True, moving_variance_initializer="zeros", epsilon=0.25)
    layer = KerasBatchNorm(2, arguments).double()
    x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(layer(x), x / 0.5)  # xhat r + d = (x - 0) / sqrt(0.25)


def test_without_renorm_it_is_torch_s_layer_but_for_the_moving_variance():
    x = torch.randn(10, 3, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 2
    ours = KerasBatchNorm(3, KerasArguments(axis=1, momentum=0.8, epsilon=1e-5)).double()
    peer = torch.nn.BatchNorm2d(3, momentum=0.2, dtype=torch.float64)
    torch.testing.assert_close(ours(x), peer(x))
    torch.testing.assert_close(ours.moving_mean, peer.running_mean)
    torch.testing.assert_close(ours.moving_variance - 0.8, (peer.running_var - 0.8) * 199 / 200)


def test_what_is_masked_neither_counts_nor_spreads():
    generator = torch.Generator().manual_seed(4)
    x, mask = torch.randn(9, 5, 3, generator=generator), torch.rand(9, 5, generator=generator) < 0.6
    spoilt = torch.where(mask.unsqueeze(-1), x, 1000.0).requires_grad_()
    layer = KerasBatchNorm(3)
    y = layer(spoilt, mask)
    torch.testing.assert_close(y[mask].mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(layer.moving_mean, 0.01 * x[mask].mean(0))
    (y[mask] ** 3).sum().backward()
    whole = x[mask].clone().requires_grad_()
    (KerasBatchNorm(3)(whole) ** 3).sum().backward()
    torch.testing.assert_close(spoilt.grad[mask], whole.grad, atol=1e-5, rtol=1e-5)
    assert not spoilt.grad[~mask].any()


def test_a_wholly_masked_batch_has_mean_and_variance_0():
    layer = KerasBatchNorm(2, KerasArguments(momentum=0.5, epsilon=0.25))
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x, torch.zeros(6)), x / 0.5)
    assert layer.moving_mean.tolist() == [0, 0] and layer.moving_variance.tolist() == [0.5, 0.5]


def test_a_mask_for_a_single_unit():
    """Keras squeezes the only unit away and fails."""
    x, mask = torch.tensor([[1.0], [3.0], [100.0]]), torch.tensor([True, True, False])
    torch.testing.assert_close(
        KerasBatchNorm(1, KerasArguments(epsilon=0.0))(x, mask)[:2], torch.tensor([[-1.0], [1.0]])
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bit_inputs_are_computed_in_32(dtype):
    x = (200 + 100 * torch.randn(64, 3, generator=torch.Generator().manual_seed(0))).to(dtype)  # squares overflow
    narrow, wide = KerasBatchNorm(3), KerasBatchNorm(3)
    assert torch.equal(narrow(x), wide(x.float()).to(dtype)) and torch.equal(
        narrow.moving_variance, wide.moving_variance
    )


def test_a_layer_that_is_not_trainable_is_in_evaluation():
    layer = KerasBatchNorm(2, KerasArguments(trainable=False, epsilon=0.0))
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(layer(x), x) and not any(p.requires_grad for p in layer.parameters())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"renorm_clipping": {"r_max": 3.0}}, "no such key r_max"),
        ({"renorm_clipping": {"rmax": 1.0, "rmin": 2.0}}, "rmin <= rmax"),
        ({"renorm_clipping": {"dmax": -1.0}}, "dmax >= 0"),
        ({"virtual_batch_size": 0}, "must be 1 or more"),
        ({"virtual_batch_size": 4, "synchronized": True}, "exclude each other"),
        ({"gamma_initializer": "one"}, "did you mean 'ones'"),
        ({"gamma_regularizer": "l3"}, "l1l2"),
        ({"beta_constraint": "nonneg"}, "did you mean 'non_neg'"),
    ],
)
def test_what_keras_refuses_is_refused_in_one_line(arguments, said):
    with pytest.raises(BadInput, match=said) as refused:
        KerasBatchNorm(3, KerasArguments(**arguments))
    assert "\n" not in str(refused.value) and len(str(refused.value)) <= 240


def test_batches_and_masks_that_do_not_fit_are_refused():
    with pytest.raises(BadInput, match="must divide the batch, which has 10 images"):
        KerasBatchNorm(3, KerasArguments(virtual_batch_size=4))(torch.ones(10, 3))
    for axis in (0, -2):
        with pytest.raises(BadInput, match="is that of the images"):
            KerasBatchNorm(8, KerasArguments(virtual_batch_size=4, axis=axis))(torch.ones(8, 3))
    with pytest.raises(BadInput, match="one dimension less"):
        KerasBatchNorm(3)(torch.ones(10, 3), torch.ones(10, 3))
