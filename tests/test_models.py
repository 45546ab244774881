"""The nets: equal starts, published sizes and numbers of parameters, SAME padding, and taps that only watch."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bnlab import config
from bnlab.config import ModelConfig, NoiseConfig, NormConfig
from bnlab.errors import BadInput
from bnlab.models import MODELS, Net, build, tapped
from bnlab.models.conv import SameConv2d, same_padding
from bnlab.models.recipe import ACTIVATIONS

SHAPES = {
    "mlp": (1, 8, 8),
    "convnet": (1, 28, 28),
    "vgg_a": (1, 32, 32),
    "vgg_d": (3, 32, 32),
    "deep_linear": (1, 1, 10),
}
MODEL_SETTINGS = {"deep_linear": {"activation": "linear", "widths": (10,) * 24}}  # what a net cannot do without
WIDTH = 0.125


def net_of(
    name: str = "mlp", norm: str | NormConfig = "batch", shape: tuple[int, int, int] | None = None, **settings: object
) -> Net:
    seed = settings.pop("seed", 0)
    norm = NormConfig(name=norm) if isinstance(norm, str) else norm
    model = ModelConfig(name=name, **{"width": WIDTH, **MODEL_SETTINGS.get(name, {}), **settings})
    generators = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(99)
    return build(model, norm, shape or SHAPES[name], 10, *generators)


def images(name: str, count: int = 4, shape: tuple[int, int, int] | None = None) -> torch.Tensor:
    return torch.rand(count, *(shape or SHAPES[name]), generator=torch.Generator().manual_seed(7))


def weights(net: Net) -> list[torch.Tensor]:
    return [*(block.linear.weight for block in net.blocks), net.output.weight]


def identical(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def seen(net: Net, x: torch.Tensor) -> dict[tuple[int, str], torch.Tensor]:
    found = {}
    with tapped(net, lambda layer, name, value: found.__setitem__((layer, name), value.detach().clone())):
        net(x)
    return found


def test_every_name_a_configuration_may_have_is_there() -> None:
    assert tuple(MODELS) == config.MODELS
    assert tuple(ACTIVATIONS) == config.ACTIVATIONS


@pytest.mark.parametrize("name", config.MODELS)
def test_nets_of_one_seed_start_from_identical_weights(name: str) -> None:
    plain = weights(net_of(name, "none"))
    arms = [NormConfig(name=norm, position=p) for norm, p in itertools.product(config.NORMS, config.POSITIONS)]
    arms += [NormConfig(name="batch", scale=False, offset_init=0.1), NormConfig(name="batch", center=False)]
    arms += [NormConfig(name="noisy_batch", noise=NoiseConfig(per="layer", place="before_affine"))]
    for norm in arms:
        assert identical(plain, weights(net_of(name, norm)))
    others = weights(net_of(name, "none", seed=1))
    assert not any(map(torch.equal, plain, others))
    assert len({w.flatten()[0].item() for w in plain}) == len(plain)  # no two layers draw the same


@pytest.mark.parametrize("name", config.MODELS)
def test_building_uses_the_given_generators_only(name: str) -> None:
    shared, noise = torch.get_rng_state(), torch.Generator().manual_seed(0)
    state = noise.get_state()
    model = ModelConfig(name=name, width=WIDTH, **MODEL_SETTINGS.get(name, {}))
    build(model, NormConfig(name="noisy_batch"), SHAPES[name], 10, torch.Generator(), noise)
    assert torch.equal(torch.get_rng_state(), shared)
    assert torch.equal(noise.get_state(), state)


DENSE_UNITS = 200 + 100 + 60 + 30
UNITS = {"convnet": 24 + 48 + 64 + 200, "vgg_a": 2752, "vgg_d": 4224, "mlp": DENSE_UNITS, "deep_linear": 240}
PLAIN_PARAMETERS = {
    "mlp": 784 * 200 + 200 * 100 + 100 * 60 + 60 * 30 + 30 * 10 + DENSE_UNITS + 10,
    "convnet": 36 * 24 + 25 * 24 * 48 + 16 * 48 * 64 + 49 * 64 * 200 + 200 * 10 + UNITS["convnet"] + 10,
    "vgg_a": 9_220_480 + 512 * 10 + 10,  # the published counts of the convolutions, 3 input channels
    "vgg_d": 14_714_688 + 512 * 10 + 10,
    "deep_linear": 25 * 100,
}


@pytest.mark.parametrize("name", config.MODELS)
def test_numbers_of_parameters(name: str) -> None:
    """Normalisation adds gamma and beta to each unit and takes its bias where that is lost; noise has no parameters."""
    shape = {"vgg_a": (3, 32, 32), "mlp": (1, 28, 28)}.get(name, SHAPES[name])
    plain, units = PLAIN_PARAMETERS[name], UNITS[name]
    biases = 0 if name == "deep_linear" else units
    for norm, count in (
        (NormConfig(name="none"), plain),
        (NormConfig(name="noise"), plain),
        (NormConfig(name="batch"), plain - biases + 2 * units),
        (NormConfig(name="noisy_batch", scale=False), plain - biases + units),
        (NormConfig(name="batch", scale=False, center=False), plain - biases),
        (NormConfig(name="batch", position="after"), plain + 2 * units),
        (NormConfig(name="layer"), plain + 2 * units),
        (NormConfig(name="lp"), plain + 2 * units),
        (NormConfig(name="renorm"), plain - biases + 2 * units),
        (NormConfig(name="instance"), plain - biases + 2 * units),
    ):
        net = net_of(name, norm, shape, width=1.0, init="glorot")
        assert sum(p.numel() for p in net.parameters()) == count, norm


PUBLISHED_VGG = {  # Simonyan and Zisserman 2015, table 1: channels, and 0 for max pooling
    "vgg_a": (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0),
    "vgg_d": (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0),
}


@pytest.mark.parametrize("name", list(PUBLISHED_VGG))
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_vgg_computes_what_the_published_table_says(name: str, norm: str) -> None:
    net = net_of(name, norm, (3, 32, 32), width=0.25)
    peer, blocks, inputs = [], iter(net.blocks), 3
    for wide in PUBLISHED_VGG[name]:
        if not wide:
            peer.append(nn.MaxPool2d(2, 2))
            continue
        convolution, inputs = nn.Conv2d(inputs, wide // 4, 3, padding=1), wide // 4
        with torch.no_grad():
            convolution.weight.copy_(next(blocks).linear.weight)
            convolution.bias.zero_()
        peer += [convolution, *([nn.BatchNorm2d(wide // 4)] if norm == "batch" else []), nn.ReLU()]
    assert next(blocks, None) is None
    x = images(name, 8, (3, 32, 32))
    torch.testing.assert_close(net(x), net.output(nn.Sequential(*peer)(x).flatten(1)), rtol=1e-3, atol=1e-4)


def test_mlp_computes_the_formula() -> None:
    net = net_of("mlp", "none", widths=(6, 5), activation="tanh", bias_init=0.3, output_bias_init=-0.2)
    x = images("mlp")
    first, second, last = weights(net)
    hidden = torch.tanh(torch.tanh(x.reshape(4, 64) @ first.T + 0.3) @ second.T + 0.3)
    torch.testing.assert_close(net(x), hidden @ last.T - 0.2)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        *itertools.product(["mlp", "convnet"], [(1, 8, 8), (1, 28, 28), (3, 32, 32)]),
        *itertools.product(["vgg_a", "vgg_d"], [(1, 32, 32), (3, 32, 32)]),
    ],
)
@pytest.mark.parametrize("norm", config.NORMS)
def test_gives_logits_for_the_images_of_every_data_set(name: str, shape: tuple[int, int, int], norm: str) -> None:
    net = net_of(name, norm, shape)
    if norm == "instance" and name in ("mlp", "convnet"):
        with pytest.raises(BadInput, match="norm.name=instance"):
            net(images(name, 4, shape))
        return
    logits = net(images(name, 4, shape))
    assert logits.shape == (4, 10)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert net.output.bias is not None
    assert [block.norm is None for block in net.blocks] == [norm == "none"] * len(net.blocks)


@pytest.mark.parametrize(("rows", "expected"), [(28, [28, 14, 7, 1]), (8, [8, 4, 2, 1]), (32, [32, 16, 8, 1])])
def test_convnet_has_the_sizes_of_the_script(rows: int, expected: list[int]) -> None:
    shape = (1, rows, rows)
    found = seen(net_of("convnet", shape=shape, width=1.0), images("convnet", shape=shape))
    maps = [found[layer, "preact"] for layer in (1, 2, 3, 4)]
    assert [m.shape[1] for m in maps] == [24, 48, 64, 200]
    assert [m.shape[2] if m.dim() == 4 else 1 for m in maps] == expected


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads"),
    [
        (28, 6, 1, (2, 3)),
        (28, 5, 2, (1, 2)),
        (14, 4, 2, (1, 1)),
        (32, 3, 1, (1, 1)),
        (7, 1, 2, (0, 0)),
        (9, 2, 4, (0, 1)),
    ],
)
def test_same_padding_puts_the_odd_zero_after(size: int, kernel: int, stride: int, pads: tuple[int, int]) -> None:
    """TensorFlow: ceil(size / stride) windows, the first of which starts half of the padding before the image."""
    assert same_padding(size, kernel, stride) == pads
    layer = SameConv2d(2, 3, kernel, stride).double()
    x = torch.randn(1, 2, size, size, dtype=torch.float64)
    outputs, before = math.ceil(size / stride), pads[0]
    expected = torch.zeros(outputs, outputs, 3, dtype=torch.float64)
    for i, j, di, dj in itertools.product(range(outputs), range(outputs), range(kernel), range(kernel)):
        row, column = i * stride - before + di, j * stride - before + dj
        if 0 <= row < size and 0 <= column < size:
            expected[i, j] += layer.weight[:, :, di, dj].detach() @ x[0, :, row, column]
    torch.testing.assert_close(layer(x)[0].permute(1, 2, 0), expected + layer.bias)


def test_rows_and_columns_are_padded_each_by_its_own_size() -> None:
    layer, x = SameConv2d(1, 2, 4, 2), torch.randn(3, 1, 7, 8)
    first = layer(x)
    assert first.shape == (3, 2, 4, 4)
    with torch.no_grad():
        layer.weight.copy_(layer.weight.mT.clone())
    torch.testing.assert_close(layer(x.mT), first.mT)


@pytest.mark.parametrize("name", ["convnet", "vgg_a", "vgg_d"])
@pytest.mark.parametrize("norm", ["none", "batch", "noisy_batch"])
def test_memory_format_of_the_images_changes_no_number(name: str, norm: str) -> None:
    shape = (3, 32, 32)
    logits, gradients = [], []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        net = net_of(name, norm, shape)
        assert net.spatial
        assert all(b.dense or b.linear.weight.is_contiguous(memory_format=torch.channels_last) for b in net.blocks)
        logits.append(net(images(name, 8, shape).contiguous(memory_format=memory_format)))
        F.cross_entropy(logits[-1], torch.arange(8)).backward()
        gradients.append(net.blocks[0].linear.weight.grad)
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", config.MODELS)
@pytest.mark.parametrize("norm", ["none", "batch", "noisy_batch"])
def test_taps_change_no_bit(name: str, norm: str) -> None:
    outcomes = []
    for watched in (False, True):
        net, x, count = net_of(name, norm), images(name), []
        with tapped(net, lambda layer, what, value, count=count: count.append(value.mean().item())):
            if not watched:
                for block in net.blocks:
                    block.tap = None
            logits = net(x)
        assert len(count) == (4 * len(net.blocks) if watched else 0)
        F.cross_entropy(logits, torch.arange(4)).backward()
        outcomes.append([logits, *(p.grad for p in net.parameters()), *net.buffers()])
    assert identical(*outcomes)


@pytest.mark.parametrize("position", config.POSITIONS)
@pytest.mark.parametrize("norm", ["none", "batch", "noise"])
def test_taps_show_what_their_names_say(position: str, norm: str) -> None:
    net, x = net_of("vgg_a", NormConfig(name=norm, position=position)), images("vgg_a")
    found, given = seen(net, x), x
    assert list(found) == [(i, n) for i in range(1, 9) for n in ("preact", "normed", "activation", "output")]
    for layer, block in enumerate(net.blocks, start=1):
        preact, normed, activation, output = (found[layer, n] for n in ("preact", "normed", "activation", "output"))
        torch.testing.assert_close(preact, block.linear(given))
        assert torch.equal(activation, normed.relu())
        assert torch.equal(normed, preact) is not (norm != "none" and position == "before")
        pooled = F.max_pool2d(activation, 2) if layer in (1, 2, 4, 6, 8) else activation
        assert pooled.shape == output.shape
        assert torch.equal(output, pooled) is not (norm != "none" and position == "after")
        if norm == "batch":
            standard = normed if position == "before" else block.norm(activation)
            assert standard.mean((0, 2, 3)).abs().max() < 1e-5
        given = output
    torch.testing.assert_close(
        net(x) if norm != "noise" else net.output(given.flatten(1)), net.output(given.flatten(1))
    )


def test_taps_are_put_back_after_an_error() -> None:
    net = net_of()
    net.blocks[0].tap = kept = lambda name, value: None
    with pytest.raises(KeyError), tapped(net, lambda layer, name, value: None):
        assert all(block.tap is not None and block.tap is not kept for block in net.blocks)
        raise KeyError
    assert [block.tap for block in net.blocks] == [kept, *[None] * 3]


@pytest.mark.parametrize(("name", "dropped"), [("mlp", 4), ("convnet", 4)])
def test_dropout_is_on_the_last_dense_layer_in_training_only(name: str, dropped: int) -> None:
    net, x = net_of(name, dropout=0.25), images(name, 64)
    found = seen(net, x)
    for layer in range(1, 5):
        activation, output = found[layer, "activation"], found[layer, "output"]
        if layer != dropped:
            assert torch.equal(activation, output)
            continue
        kept = output != 0
        torch.testing.assert_close(output[kept], activation[kept] / 0.75)
        share = 1 - kept.sum() / (activation > 0).sum()
        assert 0.15 < share < 0.35
    net.eval()
    assert torch.equal(net(x), net(x))


@pytest.mark.parametrize(("chosen", "dropped"), [("last", [4]), ("others", [1, 2, 3])])
def test_dropout_is_on_the_layers_that_are_chosen(chosen: str, dropped: list[int]) -> None:
    found = seen(net_of("mlp", dropout=0.5, dropout_layers=chosen), images("mlp", 64))
    assert [n for n in range(1, 5) if not torch.equal(found[n, "activation"], found[n, "output"])] == dropped


def test_no_layer_has_less_than_one_channel() -> None:
    net = net_of("vgg_d", width=0.001)
    assert {block.linear.out_channels for block in net.blocks} == {1}
    assert net(images("vgg_d")).shape == (4, 10)


@pytest.mark.parametrize(
    ("shape", "settings", "says"), [((1, 28, 28), {}, "data.size=32"), ((3, 32, 32), {"dropout": 0.5}, "model.dropout")]
)
def test_vgg_says_what_it_cannot_do(shape: tuple[int, int, int], settings: dict, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        net_of("vgg_d", shape=shape, **settings)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 240
