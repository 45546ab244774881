"""Batches against slow twins: every image once, resuming at every position, crops and flips image by image."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from bnlab.data.batches import Batches, augment
from bnlab.data.image_set import ImageSet
from bnlab.data.pixels import Pixels
from bnlab.errors import BadInput


def numbered(count: int, shape: tuple[int, int, int] = (1, 2, 2)) -> ImageSet:
    """Image i has label i, and its bytes follow from i."""
    size = shape[0] * shape[1] * shape[2]
    rows = (torch.arange(count)[:, None] * 7 + torch.arange(size)) % 256
    return ImageSet(rows.to(torch.uint8), torch.arange(count), shape, Pixels("unit"))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stream(images: ImageSet, size: int, **options: object) -> Batches:
    return Batches(images, size, generator(1), generator(2), **options)


def labels_of(batches: Batches, count: int) -> list[list[int]]:
    return [batches.next()[1].tolist() for _ in range(count)]


@pytest.mark.parametrize("shuffle", ["every_epoch", "once"])
def test_an_epoch_shows_each_image_at_most_once_and_all_but_the_incomplete_batch(shuffle: str) -> None:
    batches = stream(numbered(23), 5, shuffle=shuffle)
    assert batches.steps_per_epoch == 4
    epochs = [sum(labels_of(batches, 4), []) for _ in range(3)]
    for seen in epochs:
        assert len(seen) == len(set(seen)) == 20
        assert seen != sorted(seen)
    assert (epochs[0] == epochs[1] == epochs[2]) == (shuffle == "once")


def test_a_batch_pairs_each_image_with_its_label() -> None:
    images = numbered(40, (3, 4, 4))
    x, y = stream(images, 8).next()
    for image, label in zip(x, y, strict=True):
        assert torch.equal(image, images.images[label].float() / 255)


def test_the_order_depends_on_the_order_generator_alone() -> None:
    one, same = (Batches(numbered(60), 10, generator(5), generator(s)) for s in (1, 2))
    torch.manual_seed(0)
    first = labels_of(one, 12)
    torch.manual_seed(99)
    assert labels_of(same, 12) == first
    other = Batches(numbered(60), 10, generator(6), generator(1))
    assert labels_of(other, 12) != first
    augmented = Batches(numbered(60), 10, generator(5), generator(1), crop=1, flip=True)
    assert labels_of(augmented, 12) == first


@pytest.mark.parametrize("shuffle", ["every_epoch", "once"])
@pytest.mark.parametrize("options", [{}, {"crop": 1, "flip": True}, {"classes": 3}], ids=str)
def test_resuming_at_every_position_gives_the_same_batches(shuffle: str, options: dict) -> None:
    images = numbered(11, (3, 3, 3))
    options = {"shuffle": shuffle, **options}
    whole = stream(images, 3, **options)
    states, expected = [], []
    for _ in range(10):  # three epochs and a bit
        states.append(copy.deepcopy(whole.state()))
        expected.append(whole.next())
    for position, state in enumerate(states):
        resumed = Batches(images, 3, generator(77), generator(78), **options)
        resumed.next()
        resumed.load_state(state)
        for x, y in expected[position:]:
            again_x, again_y = resumed.next()
            assert torch.equal(again_x, x) and torch.equal(again_y, y)


def test_a_state_survives_a_checkpoint(tmp_path) -> None:
    batches = stream(numbered(11), 3, crop=1)
    labels_of(batches, 5)
    torch.save(batches.state(), tmp_path / "state.pt")
    expected = labels_of(batches, 5)
    resumed = stream(numbered(11), 3, crop=1)
    resumed.load_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert labels_of(resumed, 5) == expected


def labelled(counts: list[int]) -> ImageSet:
    """So many images of each class, all mixed; the first byte of an image is its number."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=generator(9))]
    rows = torch.arange(len(labels))[:, None].expand(-1, 4).to(torch.uint8)
    return ImageSet(rows, labels, (1, 2, 2), Pixels("unit"))


def epoch_of(batches: Batches) -> list[tuple[list[int], list[int]]]:
    """Images and labels of every batch of one epoch."""
    drawn = [batches.next() for _ in range(batches.steps_per_epoch)]
    return [((255 * x[:, 0, 0, 0]).round().int().tolist(), y.tolist()) for x, y in drawn]


@pytest.mark.parametrize(
    ("counts", "size", "classes", "steps"),
    [
        ([24] * 10, 8, 4, 30),  # everything fits
        ([24] * 10, 6, 1, 40),
        ([11, 12, 13, 9], 4, 4, 9),  # every class in every batch: as many as the rarest allows
        ([40, 38, 37, 41, 36], 6, 2, 31),  # 63 shares of three images: one is left over
        ([200, 9, 8], 4, 2, 8),  # one class has more than there are partners for
        ([12, 12, 1], 4, 2, 6),  # too few images for one share
    ],
)
def test_batches_of_a_few_classes(counts: list[int], size: int, classes: int, steps: int) -> None:
    images = labelled(counts)
    batches = stream(images, size, classes=classes)
    assert batches.steps_per_epoch == steps
    epochs = [epoch_of(batches) for _ in range(3)]
    for epoch in epochs:
        seen = [image for batch, _ in epoch for image in batch]
        assert len(seen) == len(set(seen)) == steps * size
        for batch, labels in epoch:
            assert images.labels[batch].tolist() == labels
            for half in (labels, labels[:classes], labels[-classes:]):  # classes alternate
                assert len(set(half)) == classes
                assert {half.count(label) for label in set(half)} == {len(half) // classes}
    assert epochs[0] != epochs[1] != epochs[2]


def test_over_epochs_no_image_is_left_out_for_good() -> None:
    images = labelled([41, 38, 37, 40, 36])
    batches = stream(images, 6, classes=2)
    seen = sum((torch.bincount(torch.tensor(sum((b for b, _ in epoch_of(batches)), [])), minlength=192)
                for _ in range(200)), torch.zeros(192))  # fmt: skip
    shown = torch.tensor([batches.steps_per_epoch * 6 / 192 * 200])
    assert seen.min() > 0.85 * shown and seen.max() == 200


def test_classes_meet_in_every_pair_and_in_no_fixed_order() -> None:
    batches = stream(labelled([24] * 6), 4, classes=2)
    pairs = [tuple(sorted(set(labels))) for _ in range(20) for _, labels in epoch_of(batches)]
    counts = {pair: pairs.count(pair) for pair in set(pairs)}
    assert len(counts) == 15
    expected = len(pairs) / 15
    assert sum((n - expected) ** 2 / expected for n in counts.values()) < 36.1  # chi-squared, 14 degrees: p = 0.001


def test_without_classes_the_order_is_one_permutation() -> None:
    """What it was before batches could be made of a few classes: stored runs depend on it."""
    batches, twin = stream(labelled([20] * 3), 7, classes=0), generator(1)
    for _ in range(2):
        order = torch.randperm(60, generator=twin).tolist()
        assert [image for batch, _ in epoch_of(batches) for image in batch] == order[:56]


def test_more_classes_than_have_enough_images_are_refused() -> None:
    with pytest.raises(BadInput, match=r"data.batch_classes=3: only 2 classes have 4 images"):
        stream(labelled([12, 12, 3]), 12, classes=3)


def slow_augment(images: np.ndarray, crop: int, flips: list[int], down: list[int], right: list[int]) -> np.ndarray:
    """uint8 (N, H, W, C), one image at a time."""
    height, width = images.shape[1:3]
    out = []
    for i, image in enumerate(images):
        mirrored = image[:, ::-1] if flips[i] else image
        bordered = np.pad(mirrored, ((crop, crop), (crop, crop), (0, 0)))
        out.append(bordered[down[i] : down[i] + height, right[i] : right[i] + width])
    return np.stack(out)


@pytest.mark.parametrize("shape", [(1, 5, 4), (3, 4, 6)])
@pytest.mark.parametrize(("crop", "flip"), [(0, True), (2, False), (3, True)])
def test_crops_and_flips_equal_a_loop_over_images(shape: tuple[int, int, int], crop: int, flip: bool) -> None:
    channels, height, width = shape
    count = 50
    images = np.random.RandomState(0).randint(1, 256, (count, height, width, channels)).astype(np.uint8)
    fast = augment(torch.from_numpy(images).view(count, -1), shape, crop, flip, generator(3))
    twin = generator(3)
    flips = torch.randint(2, (count,), generator=twin).tolist() if flip else [0] * count
    shifts = torch.randint(2 * crop + 1, (2, count), generator=twin).tolist() if crop else [[0] * count] * 2
    expected = slow_augment(images, crop, flips, *shifts)
    assert np.array_equal(fast.numpy().reshape(expected.shape), expected)
    if flip:
        assert 0 < sum(flips) < count
    if crop:
        assert set(shifts[0]) == set(shifts[1]) == set(range(2 * crop + 1))


def test_augmentation_leaves_the_set_as_it_was() -> None:
    images = numbered(12, (3, 4, 4))
    before = images.rows.clone()
    batches = stream(images, 4, crop=1, flip=True)
    for _ in range(6):
        batches.next()
    assert torch.equal(images.rows, before)


def test_a_batch_larger_than_the_set_is_refused() -> None:
    with pytest.raises(BadInput, match=r"batch_size=13: there are only 12 images"):
        stream(numbered(12), 13)
    assert stream(numbered(12), 12).steps_per_epoch == 1


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 4, 4)])
@pytest.mark.parametrize("channels_last", [None, True, False])
def test_memory_format(shape: tuple[int, int, int], channels_last: bool | None) -> None:
    images = numbered(6, shape)
    x, _ = images.batch(torch.tensor([4, 1]), channels_last=channels_last)
    assert torch.equal(x, images.images[[4, 1]].float() / 255)
    if channels_last or (channels_last is None and shape[0] > 1):
        assert x.is_contiguous(memory_format=torch.channels_last) and x.stride(1) == 1
    else:
        assert x.is_contiguous()
