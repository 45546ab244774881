"""Initial weights and biases: their distributions, and who has a bias at all."""

from __future__ import annotations

import math

import pytest
import torch

from bnlab import config
from bnlab.config import ModelConfig, NormConfig
from bnlab.models import Net, build
from bnlab.models.initialise import INITS


def net_of(name: str, norm: NormConfig, shape: tuple[int, int, int], **settings: object) -> Net:
    generators = torch.Generator().manual_seed(0), torch.Generator().manual_seed(99)
    return build(ModelConfig(name=name, **settings), norm, shape, 10, *generators)


def test_every_name_a_configuration_may_have_is_there() -> None:
    assert set(INITS) == set(config.INITS)


@pytest.mark.parametrize(
    ("init", "bound", "deviation"),
    [
        ("truncated_normal", 0.2, 0.1 * 0.87962566),  # of a standard normal cut at two deviations
        ("gaussian", math.inf, 0.1),
        ("glorot", math.sqrt(6 / (300 + 500)), math.sqrt(2 / (300 + 500))),
        ("he", math.inf, math.sqrt(2 / 300)),
    ],
)
def test_weights_have_the_spread_their_name_says(init: str, bound: float, deviation: float) -> None:
    weight = net_of("mlp", NormConfig(), (3, 10, 10), widths=(500,), init=init).blocks[0].linear.weight
    assert weight.shape == (500, 300)
    assert weight.abs().max() <= bound
    assert weight.abs().max() > min(0.99 * bound, 4 * deviation)
    assert weight.std().item() == pytest.approx(deviation, rel=0.01)
    assert abs(weight.mean().item()) < 4 * deviation / math.sqrt(weight.numel())


def test_convolutions_count_the_kernel_in_their_fan() -> None:
    weight = net_of("vgg_d", NormConfig(), (3, 32, 32), init="glorot").blocks[12].linear.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * (512 + 512))), rel=0.01)


def test_biases_start_where_they_are_told_and_give_way_to_normalisation() -> None:
    settings = {"bias_init": 0.1, "output_bias_init": 0.4}
    for norm, has_bias in (
        (NormConfig(name="none"), True),
        (NormConfig(name="noise"), True),
        (NormConfig(name="batch"), False),
        (NormConfig(name="noisy_batch", center=False), False),
        (NormConfig(name="batch", position="after"), True),
    ):
        net = net_of("mlp", norm, (1, 8, 8), **settings)
        for block in net.blocks:
            assert (block.linear.bias is not None) == has_bias
            assert not has_bias or torch.equal(block.linear.bias, torch.full_like(block.linear.bias, 0.1))
        assert torch.equal(net.output.bias, torch.full((10,), 0.4))
