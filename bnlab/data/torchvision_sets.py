"""MNIST, Fashion-MNIST and CIFAR-10: checked, read by torchvision's classes, kept as prepared arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bnlab.data import resize
from bnlab.data.cache import Arrays, Prepared, prepared
from bnlab.data.sources import SOURCES, Source, require_intact
from bnlab.errors import IntegrityError


def preparer(name: str) -> Callable[[Path, int], Prepared]:
    """The function that prepares the set `name` from a data folder at a size (0: its own).

    Larger MNIST images get a border of zeros; every other change of size is bilinear.
    """

    def prepare(root: Path, size: int) -> Prepared:
        source = SOURCES[name]
        size = size or source.shape[1]
        folder = root / source.folder
        files = [folder / raw.name for raw in source.files]
        return prepared(root, f"{name}-{size}", files, lambda: _build(source, root, size))

    return prepare


def _build(source: Source, root: Path, size: int) -> Arrays:
    require_intact(source, root / source.folder)
    train_images, train_labels = _read(source, root, train=True)
    test_images, test_labels = _read(source, root, train=False)
    return Arrays(_resized(train_images, size), train_labels, _resized(test_images, size), test_labels, source.classes)


def _read(source: Source, root: Path, *, train: bool) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W, C) uint8 and labels (N,) int64, as torchvision reads them."""
    from bnlab.data.torchvision_compat import import_torchvision

    reader = getattr(import_torchvision().datasets, source.torchvision_class)
    data = reader(str(root), train=train, download=False)
    channels, height, width = source.shape
    images = np.asarray(data.data, dtype=np.uint8).reshape(-1, height, width, channels)
    labels = np.asarray(data.targets, dtype=np.int64)
    wanted = source.train if train else source.test
    if len(images) != wanted or len(labels) != wanted or labels.min() < 0 or labels.max() >= source.classes:
        part = "training" if train else "test"
        raise IntegrityError(
            f"{source.name}: expected {wanted} {part} images with labels below {source.classes}, found {len(images)} "
            f"images and labels up to {labels.max()}; type `bnlab data fetch {source.name}`"
        )
    return images, labels


def _resized(images: np.ndarray, size: int) -> np.ndarray:
    _, height, _, channels = images.shape
    if size == height:
        return images
    return resize.zero_padded(images, size) if channels == 1 and size > height else resize.bilinear(images, size)
