"""Data sets as arrays of bytes on the device: where they lie, which there are, and how one is loaded.

Importing this package imports no torch, so that `bnlab data list` and the command line stay quick.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bnlab.data import digits, synthetic, torchvision_sets
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


def root() -> Path:
    """The data folder: `BNLAB_DATA`, else `./data`."""
    return Path(os.environ.get("BNLAB_DATA") or "data")


def load(config: DataConfig, device: str = "cpu") -> ImageSets:
    """The sets a configuration names, as bytes on `device`.

    Raises IntegrityError when the set is absent or damaged, BadInput when `train_subset` and
    `validation` together ask for more images than there are.
    """
    from bnlab.data.image_set import assemble

    return assemble(DATASETS[config.name](root(), config.size), config, device)
