"""The deep linear net, the data it fits, and the ladder its loss climbs down, against closed forms in numpy."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from probed_runs import often

from bnlab import data
from bnlab.config import (
    CurvesConfig,
    DataConfig,
    ModelConfig,
    ModesConfig,
    NormConfig,
    ProbeConfig,
    RunConfig,
    from_dict,
    to_dict,
)
from bnlab.data import gaussian_map
from bnlab.errors import BadInput
from bnlab.losses import half_squares
from bnlab.probes import PROBES as EVERY
from bnlab.probes.modes import ladder, learned
from bnlab.training.loop import train
from bnlab.training.state import TrainingState

PROBES = ProbeConfig(("curves", "modes"), CurvesConfig("1it", "50it"), modes=ModesConfig("1it"))


def configured(depth: int = 25, **changes) -> RunConfig:
    config = RunConfig(
        data=DataConfig("gaussian_map", shuffle="once"),
        model=ModelConfig("deep_linear", widths=(10,) * (depth - 1), activation="linear", init="glorot"),
        loss="half_squares",
        lr=1e-6,
        batch_size=1000,
        probe=PROBES,
    )
    return dataclasses.replace(config, **changes)


def started(config: RunConfig) -> TrainingState:
    return TrainingState(config, data.load(config.data, "cpu", config.seed), "cpu")


def trained(config: RunConfig) -> tuple[TrainingState, dict[int, dict]]:
    run, rows = started(config), {}
    assert train(run, rows.__setitem__, lambda: False).state == "done"
    return run, rows


def pairs(run: TrainingState) -> tuple[np.ndarray, np.ndarray]:
    """(1000, 10) inputs and targets, in the order in which the set holds them."""
    x, y = run.data.train.slice(0, 1000)
    return x.flatten(1).double().numpy(), y.double().numpy()


def matrices(run: TrainingState) -> list[np.ndarray]:
    return [parameter.detach().double().numpy() for parameter in run.net.parameters()]


@pytest.mark.parametrize("norm", ["none", "batch", "lp"])
def test_the_net_is_25_square_maps_without_a_bias_normalised_but_for_the_last(norm):
    run, plain = started(configured(norm=NormConfig(norm))), started(configured())
    linear = [module for module in run.net.modules() if isinstance(module, torch.nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in linear] == [(10, 10)] * 25
    assert all(layer.bias is None for layer in linear)
    assert [block.norm is not None for block in run.net.blocks] == [norm != "none"] * 24
    for ours, theirs in zip(linear, [m for m in plain.net.modules() if isinstance(m, torch.nn.Linear)], strict=True):
        assert torch.equal(ours.weight, theirs.weight)


def test_the_plain_net_is_the_product_of_its_matrices_and_its_gradient_the_one_in_closed_form():
    run = started(configured(depth=4))
    x, y = pairs(run)
    weights = matrices(run)
    below = [x]
    for weight in weights:
        below.append(below[-1] @ weight.T)
    error = below[-1] - y
    inputs, targets = run.data.train.slice(0, 1000)
    loss = half_squares(run.net(inputs), targets)
    loss.backward()
    assert loss.item() == pytest.approx((error**2).sum() / 2, rel=1e-5)
    for place in reversed(range(4)):
        expected = error.T @ below[place]
        found = list(run.net.parameters())[place].grad.numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
        error = error @ weights[place]


def test_a_step_is_gradient_descent_on_the_whole_set():
    config = configured(depth=2, steps=1)
    x, y = pairs(started(config))
    first, second = matrices(started(config))
    error = x @ first.T @ second.T - y
    run, rows = trained(config)
    assert rows[0]["curves/train_loss"] == pytest.approx((error**2).sum() / 2, rel=1e-3)  # stored to four digits
    np.testing.assert_allclose(matrices(run)[0], first - 1e-6 * (error @ second).T @ x, atol=1e-6)
    np.testing.assert_allclose(matrices(run)[1], second - 1e-6 * error.T @ (x @ first.T), atol=1e-6)


def test_losses_of_the_batch_and_of_the_set_agree_and_nothing_is_called_accuracy():
    _, rows = trained(configured(depth=3, steps=2))
    assert rows[0]["curves/train_loss"] == rows[0]["curves/full_loss"]
    assert rows[2]["curves/test_loss"] > 0
    assert not [name for row in rows.values() for name in row if "accuracy" in name]


def test_every_seed_draws_another_map_and_the_same_seed_the_same():
    drawn = [gaussian_map.draw(seed) for seed in range(30)]
    assert len({each.fingerprint for each in drawn}) == 30
    assert gaussian_map.draw(3).fingerprint == drawn[3].fingerprint
    maps = [fitted(each.arrays.train_images, each.arrays.train_labels) for each in drawn]
    again = [fitted(each.arrays.test_images, each.arrays.test_labels) for each in drawn]
    np.testing.assert_allclose(maps, again, atol=1e-5)  # exactly linear, and one map for both parts
    entries = np.concatenate([np.ravel(each) for each in maps])
    assert abs(entries.mean()) < 4 / np.sqrt(len(entries))
    assert abs(entries.var() - 1) < 4 * np.sqrt(2 / len(entries))


def fitted(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.linalg.lstsq(x.reshape(len(x), -1).astype(float), y.astype(float), rcond=None)[0].T


def test_the_ladder_is_what_the_best_map_of_each_rank_leaves():
    run = started(configured(seed=4))
    x, y = pairs(run)
    rungs = ladder(torch.from_numpy(y)).numpy()
    assert len(rungs) == 11 and rungs[0] == pytest.approx((y**2).sum() / 2)
    left, values, right = np.linalg.svd(y, full_matrices=False)
    for rank in range(11):
        best = np.linalg.lstsq(x, (left[:, :rank] * values[:rank]) @ right[:rank], rcond=None)[0]  # a map of this rank
        assert np.linalg.matrix_rank(best, tol=1e-6) == rank
        assert ((x @ best - y) ** 2).sum() / 2 == pytest.approx(rungs[rank], rel=1e-6, abs=1e-6)


def test_no_map_of_a_rank_does_better_than_its_rung():
    random = np.random.default_rng(0)
    y = random.normal(size=(50, 4)) @ random.normal(size=(4, 4))
    rungs = ladder(torch.from_numpy(y)).numpy()
    for rank in range(1, 4):
        basis = random.normal(size=(200, 4, rank))
        shadows = [y @ np.linalg.qr(b)[0] @ np.linalg.qr(b)[0].T for b in basis]
        assert min(((y - shadow) ** 2).sum() / 2 for shadow in shadows) >= rungs[rank]


def test_a_mode_is_learned_when_more_than_half_of_it_is():
    rungs = torch.tensor([10.0, 4.0, 2.0, 0.0], dtype=torch.float64)
    for loss, count in [(12.0, 0), (7.0, 0), (6.9, 1), (3.0, 1), (2.9, 2), (1.0, 2), (0.9, 3), (0.0, 3)]:
        assert learned(torch.tensor(loss, dtype=torch.float64), rungs).item() == count
    assert learned(torch.tensor(float("nan")), rungs).isnan()


def test_a_net_climbs_down_the_ladder_and_the_rungs_are_recorded_once():
    _, rows = trained(configured(depth=3, lr=2e-5, steps=600))
    counts = [rows[step]["modes/learned"] for step in sorted(rows)]
    assert counts[0] <= 1 and counts[-1] >= 8 and counts == sorted(counts)
    rungs = [rows[0][f"modes/residual/{rank:02d}"] for rank in range(11)]
    for step in (0, 100, 300, 600):
        loss = rows[step]["curves/train_loss"]
        nearest = sum(loss < (rungs[r] + rungs[r + 1]) / 2 for r in range(10))
        assert rows[step]["modes/learned"] == nearest
    assert not [name for step, row in rows.items() if step for name in row if "residual" in name]


@pytest.mark.parametrize("norm", ["none", "batch", "noisy_batch", "lp"])
def test_no_probe_changes_the_training_of_a_linear_net(norm):
    config = configured(depth=4, norm=NormConfig(norm), steps=4, probe=ProbeConfig(names=()))
    unwatched, _ = trained(config)
    for name in EVERY:
        watched, rows = trained(dataclasses.replace(config, probe=often(ProbeConfig(names=(name,)))))
        assert watched.weights_sha256() == unwatched.weights_sha256(), name
        assert any(rows.values()) or (name, norm) == ("affine", "none")


@pytest.mark.parametrize(
    ("change", "start"),
    [
        ({"loss": "cross_entropy"}, "loss=cross_entropy"),
        ({"data": {"name": "digits"}}, "loss=half_squares"),
        ({"data": {"name": "gaussian_map", "flip": True}}, "data.flip=True"),
        ({"model": {"name": "vgg_a"}}, "model=vgg_a"),
        ({"model": {"name": "deep_linear"}}, "model.activation=relu"),
        ({"replicas": 2}, "replicas=2"),
        ({"procedure": "identities"}, "data=gaussian_map"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, start):
    with pytest.raises(BadInput) as error:
        from_dict(to_dict(configured()) | change)
    assert str(error.value).startswith(start)
