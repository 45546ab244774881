"""Four classes of noisy patterns, for tests only: 1x8x8, or 3x32x32 with `data.size=32`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bnlab.data.cache import Arrays, Prepared, in_memory
from bnlab.errors import BadInput

CLASSES = 4
TRAIN_IMAGES = 512
TEST_IMAGES = 128
NOISE = 40.0  # standard deviation, in steps of a byte
_SHAPES = {8: (8, 8, 1), 32: (32, 32, 3)}


def prepare(root: Path, size: int) -> Prepared:
    """512 training and 128 test images; made anew every time, `root` is not read."""
    shape = _SHAPES.get(size or 8)
    if shape is None:
        raise BadInput(f"data.size={size}: synthetic images are 8 or 32 pixels wide")
    random = np.random.RandomState(20)
    patterns = random.uniform(50, 205, (CLASSES, *shape))
    train = _draw(random, patterns, TRAIN_IMAGES)
    test = _draw(random, patterns, TEST_IMAGES)
    return in_memory(Arrays(*train, *test, classes=CLASSES))


def _draw(random: np.random.RandomState, patterns: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    labels = random.permutation(np.arange(count) % CLASSES).astype(np.int64)
    noisy = patterns[labels] + random.normal(0, NOISE, (count, *patterns.shape[1:]))
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8), labels
