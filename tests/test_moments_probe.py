"""Means and variances of the inputs of the activations, and their jumps between records."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from bnlab.config import MomentsConfig, NormConfig, ProbeConfig, RunConfig
from bnlab.norms import make_norm
from bnlab.probes.moments import MOMENTS
from bnlab.probes.probe import Moment

SHAPES = ((50, 6), (8, 5, 4, 3))


def record(tensors: list[Tensor], memory: dict[str, Tensor], layers: tuple[int, ...] = (), step: int = 0) -> dict:
    """What the probe yields where the activations of blocks 1, 2, … get these inputs."""
    moment = Moment(
        step=step,
        model=SimpleNamespace(blocks=[None] * len(tensors)),
        x=None,
        y=None,
        logits=None,
        loss=None,
        data=None,
        config=RunConfig(probe=ProbeConfig(moments=MomentsConfig(layers=layers))),
        steps_per_epoch=10,
        tapped={(layer, "normed"): t for layer, t in enumerate(tensors, start=1)},
        memory=memory,
    )
    measurement = MOMENTS.measure(moment)
    assert next(measurement) is None
    return next(measurement)


def drawn(seed: int, shape: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(shape, generator=generator) + torch.arange(shape[1]).view(1, -1, *[1] * (len(shape) - 2))


def slow(tensor: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population variance per unit, value by value."""
    array = tensor.double().numpy()
    values = [array[:, unit].ravel() for unit in range(array.shape[1])]
    means = np.array([sum(v) / len(v) for v in values])
    return means, np.array([sum((x - m) ** 2 for x in v) / len(v) for v, m in zip(values, means)])


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_against_a_slow_twin(memory_format: torch.memory_format) -> None:
    memory: dict[str, Tensor] = {}
    first = [drawn(seed, shape) for seed, shape in enumerate(SHAPES)]
    second = [drawn(seed + 10, shape) for seed, shape in enumerate(SHAPES)]
    first[1], second[1] = (t[1].to(memory_format=memory_format) for t in (first, second))
    record(first, memory)
    found = record(second, memory)
    for layer, (old, new) in enumerate(zip(first, second), start=1):
        (old_mean, old_var), (mean, var) = slow(old), slow(new)
        expected = {
            "mean": mean.mean(),
            "var": var.mean(),
            "unit_mean": mean[0],
            "unit_var": var[0],
            "mean_change": np.abs(mean - old_mean).mean(),
            "var_change": np.abs(var - old_var).mean(),
        }
        for quantity, value in expected.items():
            assert found[f"moments/{quantity}/{layer:02d}"] == pytest.approx(value, rel=1e-4, abs=1e-5), quantity


def test_the_first_record_has_no_change_and_a_still_net_changes_by_nothing() -> None:
    memory: dict[str, Tensor] = {}
    tensors = [drawn(0, SHAPES[0])]
    first, second = record(tensors, memory), record(tensors, memory)
    assert not [name for name in first if "change" in name]
    assert second["moments/mean_change/01"] == second["moments/var_change/01"] == 0


def test_only_the_chosen_layers() -> None:
    tensors = [drawn(seed, SHAPES[0]) for seed in range(3)]
    assert {name[-2:] for name in record(tensors, {}, layers=(3, 1))} == {"01", "03"}


def test_what_it_remembers_survives_a_checkpoint() -> None:
    first, second = [drawn(0, SHAPES[0])], [drawn(1, SHAPES[0])]
    memory: dict[str, Tensor] = {}
    record(first, memory)
    buffer = io.BytesIO()
    torch.save(memory, buffer)
    buffer.seek(0)
    resumed = torch.load(buffer, weights_only=True)
    assert record(second, resumed) == record(second, memory)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_diverged_layer_gives_nan_and_leaves_the_others(bad: float) -> None:
    tensors = [drawn(0, SHAPES[0]), drawn(1, SHAPES[1])]
    tensors[0][3, 2] = bad
    found = record(tensors, {})
    assert np.isnan([found["moments/mean/01"], found["moments/var/01"]]).all()
    assert np.isfinite([found["moments/unit_mean/01"], found["moments/mean/02"], found["moments/var/02"]]).all()


def test_the_published_jumps_of_noisy_batch_normalisation() -> None:
    """Santurkar et al. 2018, fig. 8: about 1/3, as of two draws from U(-0.5, 0.5), and 0.19 for the variances."""
    norm = make_norm(NormConfig(name="noisy_batch"), 3000, False, torch.Generator().manual_seed(0))
    memory: dict[str, Tensor] = {}
    generator = torch.Generator().manual_seed(1)
    for _ in range(2):
        found = record([norm(torch.randn(300, 3000, generator=generator)).detach()], memory)
    assert found["moments/mean_change/01"] == pytest.approx(1 / 3, abs=0.02)
    assert found["moments/var_change/01"] == pytest.approx(0.19, abs=0.02)
