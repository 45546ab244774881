"""Vectors and their images under a Gaussian matrix, both drawn by the run's own seed (Santurkar et al. 2018, appendix
A.1: the target of their deep linear net)."""

from __future__ import annotations

import numpy as np

from bnlab.data.cache import Arrays, Prepared, in_memory

SIZE = 10
SAMPLES = 1000
STREAM = 1805  # keeps these draws apart from all others that the same seed starts


def draw(seed: int) -> Prepared:
    """1,000 training and 1,000 test pairs (x, A x), float32; entries of A and x are N(0, 1)."""
    random = np.random.RandomState(np.random.MT19937(np.random.SeedSequence((seed, STREAM))))
    matrix = random.normal(size=(SIZE, SIZE))
    train, test = (_pairs(random, matrix) for _ in range(2))
    return in_memory(Arrays(*train, *test, classes=SIZE))


def _pairs(random: np.random.RandomState, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (SAMPLES, 1, SIZE, 1), as images of one row, and targets (SAMPLES, SIZE)."""
    x = random.normal(size=(SAMPLES, SIZE))
    y = x @ matrix.T
    return x.astype(np.float32)[:, None, :, None], y.astype(np.float32)
