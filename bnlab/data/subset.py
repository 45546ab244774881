"""Which training images a run sees, and which are held out: one fixed shuffle, whatever the seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bnlab.errors import BadInput

if TYPE_CHECKING:
    from bnlab.config import DataConfig

SHUFFLE_SEED = 5000


def fixed_shuffle(count: int) -> np.ndarray:
    """A permutation of `count` indices that never changes (numpy's legacy stream is frozen)."""
    return np.random.RandomState(SHUFFLE_SEED).permutation(count)


def split(count: int, config: DataConfig) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Indices of the training and of the validation images among `count`; None for all, and for none.

    Training takes the first `data.train_subset` of the fixed shuffle (0: all but the validation
    images), validation the last `data.validation`. Raises BadInput when they would overlap.
    """
    subset, held_out = config.train_subset, config.validation
    if subset + held_out > count or held_out == count:
        raise BadInput(
            f"data.train_subset={subset} and data.validation={held_out}: {config.name} has only {count} training "
            f"images and at least one must be left to train on; ask for fewer"
        )
    if not subset and not held_out:
        return None, None
    order = fixed_shuffle(count)
    return order[: subset or count - held_out], order[count - held_out :] if held_out else None
