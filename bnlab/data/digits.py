"""scikit-learn's handwritten digits: 1,797 real 8x8 images inside the package, so a run needs no download."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bnlab.data.cache import Arrays, Prepared, prepared
from bnlab.data.resize import bilinear

TEST_IMAGES = 360
SPLIT_SEED = 1797
OWN_SIZE = 8


def prepare(root: Path, size: int) -> Prepared:
    """1,437 training and 360 test images of `size` x `size` (0: 8x8), pixels 0..16 scaled to 0..255."""
    size = size or OWN_SIZE
    return prepared(root, f"digits-{size}", [], lambda: _build(size))


def _build(size: int) -> Arrays:
    from sklearn.datasets import load_digits  # seconds to import; needed once

    bunch = load_digits()
    images = np.floor(bunch.images * (255 / 16) + 0.5).astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int64)
    if size != OWN_SIZE:
        images = bilinear(images, size)
    test = stratified(labels, TEST_IMAGES)
    train = np.setdiff1d(np.arange(len(labels)), test)
    return Arrays(images[train], labels[train], images[test], labels[test], classes=10)


def stratified(labels: np.ndarray, count: int) -> np.ndarray:
    """Ascending indices of `count` images, each class by its share (largest remainders first), the same always."""
    classes, sizes = np.unique(labels, return_counts=True)
    quota = sizes * count / len(labels)
    taken = np.floor(quota).astype(int)
    taken[np.argsort(taken - quota, kind="stable")[: count - taken.sum()]] += 1
    random = np.random.RandomState(SPLIT_SEED)  # its stream is frozen across versions of numpy
    chosen = [random.permutation(np.flatnonzero(labels == c))[:k] for c, k in zip(classes, taken, strict=True)]
    return np.sort(np.concatenate(chosen))
