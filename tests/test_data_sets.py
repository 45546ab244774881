"""What is loaded: pixel conventions and constants, sizes, the fixed split and subset, start-up."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bnlab import data
from bnlab.config import DATASETS, DataConfig
from bnlab.data import resize
from bnlab.data.digits import stratified
from bnlab.data.image_set import ImageSet
from bnlab.data.library import list_datasets
from bnlab.data.pixels import Pixels, channel_moments, standardized
from bnlab.data.subset import fixed_shuffle
from bnlab.errors import BadInput

REAL_ROOT = os.environ.get("BNLAB_DATA")


@pytest.fixture(autouse=True)
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BNLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "data"


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> None:
    """The downloaded sets, where this machine has them."""
    monkeypatch.setenv("BNLAB_DATA", REAL_ROOT or "data")
    states = {row["name"]: row["state"] for row in list_datasets()}
    if states["mnist"] != "ready" or states["cifar10"] != "ready":
        pytest.skip("MNIST and CIFAR-10 are not both in BNLAB_DATA")


def every_byte(name: str) -> ImageSet:
    """One 1x16x16 image that has every value of a byte."""
    return ImageSet(torch.arange(256, dtype=torch.uint8)[None], torch.zeros(1).long(), (1, 16, 16), Pixels(name))


def converted(name: str) -> np.ndarray:
    return every_byte(name).batch(torch.tensor([0]))[0].numpy().ravel()


def test_every_registered_set_has_a_name_in_the_configuration() -> None:
    assert {*data.DATASETS, *data.DRAWN} == set(DATASETS)


def test_goerner_pixels_are_exactly_a_256th() -> None:
    assert np.array_equal(converted("goerner"), (np.arange(256) / 256).astype(np.float32))


def test_unit_pixels_are_the_float_nearest_to_a_255th() -> None:
    assert np.array_equal(converted("unit"), (np.arange(256) / 255).astype(np.float32))


def test_binary_pixels_are_one_from_a_half_upwards() -> None:
    assert np.array_equal(converted("binary"), (np.arange(256) / 255 >= 0.5).astype(np.float32))


def test_standardized_pixels_equal_a_loop_over_channels_and_have_mean_0_and_std_1() -> None:
    images = np.random.RandomState(0).randint(0, 256, (300, 4, 5, 3)).astype(np.uint8)
    images[..., 1] //= 3
    mean, std = channel_moments(images)
    pixels = standardized(mean, std, 20, "cpu")
    image_set = ImageSet(torch.from_numpy(images.reshape(300, -1)), torch.zeros(300).long(), (3, 4, 5), pixels)
    x = image_set.slice(0, 300)[0].numpy()
    for channel in range(3):
        plain = images[..., channel] / 255
        assert mean[channel] == pytest.approx(plain.mean(), abs=1e-12)
        assert std[channel] == pytest.approx(plain.std(), abs=1e-12)
        np.testing.assert_allclose(x[:, channel], (plain - plain.mean()) / plain.std(), atol=1e-6)


def test_moments_of_a_set_too_large_for_64_bit_sums() -> None:
    images = np.broadcast_to(np.array([0, 255], dtype=np.uint8)[None, :, None, None], (60_000, 2, 512, 1))
    assert channel_moments(images) == ([0.5], [0.5])


def test_a_constant_channel_becomes_zero() -> None:
    images = np.full((4, 2, 2, 1), 9, dtype=np.uint8)
    assert channel_moments(images) == ([pytest.approx(9 / 255)], [1.0])


def test_standardized_constants_are_those_of_the_training_images_in_use_and_are_remembered() -> None:
    config = DataConfig("digits", pixels="standardized", train_subset=100)
    for _ in range(2):  # computed, then read back
        sets = data.load(config)
        x = sets.train.slice(0, 100)[0]
        assert x.mean().item() == pytest.approx(0, abs=1e-6)
        assert x.std(unbiased=False).item() == pytest.approx(1, abs=1e-5)
    assert abs(sets.test.slice(0, 360)[0].mean().item()) > 1e-4


def test_digits() -> None:
    sets = data.load(DataConfig("digits"))
    assert (len(sets.train), len(sets.test), sets.classes, sets.train.shape) == (1437, 360, 10, (1, 8, 8))
    assert sets.fingerprint.startswith("60bf3a5b08a2")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    ours = torch.cat([sets.train.images, sets.test.images])[:, 0].numpy()
    theirs = np.rint(bunch.images * 255 / 16 + 1e-9).astype(np.uint8)
    assert sorted(image.tobytes() for image in ours) == sorted(image.tobytes() for image in theirs)
    assert set(np.unique(ours)) == {int(v * 255 / 16 + 0.5) for v in range(17)}
    share = np.bincount(sets.test.labels) / np.bincount(bunch.target)
    assert np.all(np.abs(share - 360 / 1797) < 1 / 174)


def test_the_stratified_split_is_fixed() -> None:
    labels = np.repeat(np.arange(3), [10, 20, 31])
    chosen = stratified(labels, 13)
    assert np.array_equal(chosen, stratified(labels, 13))
    assert len(set(chosen.tolist())) == 13
    assert np.bincount(labels[chosen]).tolist() == [2, 4, 7]


@pytest.mark.parametrize("size", [5, 7, 8, 12, 32])
def test_bilinear_resizing_agrees_with_torch(size: int) -> None:
    images = np.random.RandomState(0).randint(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    exact = F.interpolate(
        torch.from_numpy(images).permute(0, 3, 1, 2).double(), (size, size), mode="bilinear", antialias=True
    )
    ours = resize.bilinear(images, size)
    assert ours.dtype == np.uint8 and ours.shape == (6, size, size, 3)
    assert np.abs(ours - exact.permute(0, 2, 3, 1).numpy()).max() <= 0.5 + 1e-6


def test_zero_padding() -> None:
    images = np.random.RandomState(0).randint(1, 256, (2, 3, 3, 1)).astype(np.uint8)
    padded = resize.zero_padded(images, 6)
    assert np.array_equal(padded[:, 1:4, 1:4], images)
    assert padded.sum() == images.sum()


def test_digits_resized_for_vgg() -> None:
    sets = data.load(DataConfig("digits", size=32))
    assert sets.train.shape == (1, 32, 32)
    small = data.load(DataConfig("digits"))
    exact = F.interpolate(small.train.images[:9].double(), (32, 32), mode="bilinear")
    assert (sets.train.images[:9] - exact).abs().max() <= 0.5


def test_synthetic_classes_are_separable_by_their_means() -> None:
    for size, shape in ((0, (1, 8, 8)), (32, (3, 32, 32))):
        sets = data.load(DataConfig("synthetic", size=size))
        assert sets.train.shape == shape and sets.classes == 4
        x, y = sets.train.slice(0, len(sets.train))
        means = torch.stack([x[y == c].mean(0) for c in range(4)]).flatten(1)
        test_x, test_y = sets.test.slice(0, len(sets.test))
        assert (torch.cdist(test_x.flatten(1), means).argmin(1) == test_y).float().mean() > 0.95
    with pytest.raises(BadInput, match="data.size=9"):
        data.load(DataConfig("synthetic", size=9))


def test_the_fixed_shuffle_never_changes() -> None:
    assert fixed_shuffle(50_000)[:5].tolist() == [20267, 17596, 38726, 2677, 26639]
    assert sorted(fixed_shuffle(100).tolist()) == list(range(100))


def test_subset_and_validation_are_disjoint_fixed_and_nested() -> None:
    whole = data.load(DataConfig("digits"))
    sets = data.load(DataConfig("digits", train_subset=1000, validation=437))
    order = fixed_shuffle(1437)
    assert torch.equal(sets.train.rows, whole.train.rows[order[:1000]])
    assert torch.equal(sets.train.labels, whole.train.labels[order[:1000]])
    assert torch.equal(sets.validation.rows, whole.train.rows[order[1000:]])
    assert torch.equal(sets.validation.labels, whole.train.labels[order[1000:]])
    smaller = data.load(DataConfig("digits", train_subset=10))
    assert torch.equal(smaller.train.rows, sets.train.rows[:10])
    assert whole.validation is None and smaller.validation is None
    assert whole.fingerprint == sets.fingerprint == smaller.fingerprint


def test_validation_alone_leaves_the_rest_to_train_on() -> None:
    sets = data.load(DataConfig("digits", validation=37))
    assert (len(sets.train), len(sets.validation)) == (1400, 37)


@pytest.mark.parametrize(("subset", "validation"), [(1438, 0), (1000, 438), (0, 1437)])
def test_asking_for_more_images_than_there_are(subset: int, validation: int) -> None:
    with pytest.raises(BadInput, match="digits has only 1437 training images") as caught:
        data.load(DataConfig("digits", train_subset=subset, validation=validation))
    assert len(str(caught.value)) <= 240


def test_the_library_of_data_sets_needs_no_torch(no_torch) -> None:
    done = no_torch("from bnlab.data import library, subset\nprint([row['name'] for row in library.list_datasets()])")
    assert done.returncode == 0, done.stderr
    assert "fashion_mnist" in done.stdout


def test_a_prepared_set_loads_without_sklearn_or_torchvision(isolated) -> None:
    data.load(DataConfig("digits"))
    code = "from bnlab import data; from bnlab.config import DataConfig; print(len(data.load(DataConfig()).train))"
    done = isolated(code, block=("sklearn", "torchvision"))
    assert done.stdout.strip() == "1437", done.stderr


@pytest.mark.real_data
def test_real_mnist(real: None) -> None:
    sets = data.load(DataConfig("mnist", pixels="goerner"))
    assert (len(sets.train), len(sets.test), sets.train.shape) == (60_000, 10_000, (1, 28, 28))
    assert np.bincount(sets.train.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert sets.fingerprint.startswith("215a9fd6dfa9")
    mean, std = channel_moments(sets.train.rows.numpy().reshape(60_000, 28, 28, 1))
    assert mean == [pytest.approx(0.1307, abs=5e-5)] and std == [pytest.approx(0.3081, abs=5e-5)]


@pytest.mark.real_data
def test_real_mnist_padded_to_32(real: None) -> None:
    padded, own = (data.load(DataConfig("mnist", size=size)) for size in (32, 0))
    assert torch.equal(padded.test.images[:, :, 2:30, 2:30], own.test.images)
    assert torch.equal(padded.test.images.sum((1, 2, 3)), own.test.images.sum((1, 2, 3)))


@pytest.mark.real_data
def test_real_cifar10_and_its_constants(real: None) -> None:
    """The deviations copied around the field (0.2023, 0.1994, 0.2010) are not those of the pixels."""
    sets = data.load(DataConfig("cifar10", pixels="standardized"))
    assert (len(sets.train), len(sets.test), sets.train.shape) == (50_000, 10_000, (3, 32, 32))
    assert np.bincount(sets.train.labels).tolist() == [5000] * 10
    assert sets.fingerprint.startswith("456da17669c9")
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    corners = sets.train.rows[:1000, :3].numpy() / 255
    np.testing.assert_allclose(sets.train.slice(0, 1000)[0][:, :, 0, 0], (corners - mean) / std, atol=2e-3)
    sums = torch.zeros(2, 3, dtype=torch.float64)
    for start in range(0, 50_000, 1000):
        x = sets.train.slice(start, start + 1000)[0].permute(0, 2, 3, 1).reshape(-1, 3)
        sums += torch.stack([x.sum(0, dtype=torch.float64), x.square_().sum(0, dtype=torch.float64)])
    np.testing.assert_allclose(sums[0] / (50_000 * 1024), 0, atol=1e-5)
    np.testing.assert_allclose(sums[1] / (50_000 * 1024), 1, atol=1e-5)
    first = sets.train.images[0, :, 0, 0].tolist()
    assert first == [59, 62, 63]  # the frog
