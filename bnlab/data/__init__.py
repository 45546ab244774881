"""Data sets as arrays on the device: where they lie, which there are, and how one is loaded.

Importing this package imports no torch, so that `bnlab data list` and the command line stay quick.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bnlab.data import digits, gaussian_map, synthetic, torchvision_sets
from bnlab.data.cache import Prepared

if TYPE_CHECKING:
    from bnlab.config import DataConfig
    from bnlab.data.image_set import ImageSets

DATASETS: dict[str, Callable[[Path, int], Prepared]] = {
    "digits": digits.prepare,
    "mnist": torchvision_sets.preparer("mnist"),
    "fashion_mnist": torchvision_sets.preparer("fashion_mnist"),
    "cifar10": torchvision_sets.preparer("cifar10"),
    "synthetic": synthetic.prepare,
}
# Sets that every seed draws anew.
DRAWN: dict[str, Callable[[int], Prepared]] = {"gaussian_map": gaussian_map.draw}


def root() -> Path:
    """The data folder: `BNLAB_DATA`, else `./data`."""
    return Path(os.environ.get("BNLAB_DATA") or "data")


def load(config: DataConfig, device: str = "cpu", seed: int = 0) -> ImageSets:
    """The sets a configuration names, on `device`; `seed` is that of the run, for sets which are drawn from it.

    Raises IntegrityError when the set is absent or damaged, BadInput when `train_subset` and
    `validation` together ask for more images than there are.
    """
    from bnlab.data.image_set import assemble

    if config.name in DRAWN:
        return assemble(DRAWN[config.name](seed), config, device)
    return assemble(DATASETS[config.name](root(), config.size), config, device)
