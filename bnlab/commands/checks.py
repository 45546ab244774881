"""What is checked before the first run starts, without torch: bad input costs nothing and creates nothing."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from bnlab.config import DataConfig, RunConfig
from bnlab.errors import BadInput, EnvironmentFault
from bnlab.store import make_folder, write_aside

BUILT_IN_TRAINING_IMAGES = {"digits": 1437, "synthetic": 512, "gaussian_map": 1000}

# Under /dev: NVIDIA's own driver, Windows' subsystem for Linux, Jetson boards, AMD (which torch calls cuda as well).
GPU_FILES = ("nvidia*", "dxg", "nvhost-gpu", "kfd")


def training_images(name: str) -> int:
    """How many training images a set has."""
    from bnlab.data.sources import SOURCES

    return BUILT_IN_TRAINING_IMAGES[name] if name in BUILT_IN_TRAINING_IMAGES else SOURCES[name].train


def check_sizes(configs: Iterable[RunConfig]) -> None:
    """Errors: BadInput where a run asks for more images than its set has, or a batch for more than the run has."""
    for data, batch_size in {(config.data, config.batch_size) for config in configs}:
        left = images_to_train_on(data)
        if batch_size > left:
            raise BadInput(f"batch_size={batch_size}: there are only {left} training images; make it smaller")


@functools.lru_cache(maxsize=64)
def images_to_train_on(data: DataConfig) -> int:
    """How many images a run has after a subset is taken and others are held out. Errors: BadInput."""
    from bnlab.data.subset import split

    total = training_images(data.name)
    chosen, _ = split(total, data)
    return total if chosen is None else len(chosen)


def works_for_agent() -> bool:
    """Whether a W&B sweep agent started this command."""
    return bool(os.environ.get("WANDB_SWEEP_ID"))


def check_agent(configs: Sequence[RunConfig]) -> None:
    """Errors: BadInput where a W&B sweep agent, which waits for one run, would get several or none."""
    if works_for_agent() and len(configs) != 1:
        raise BadInput(
            f"WANDB_SWEEP_ID is set: an agent's command makes one run, these words {len(configs)}; fix all keys"
        )


def check_data(names: Iterable[str]) -> None:
    """Errors: IntegrityError for a data set that is absent, or whose files are damaged."""
    from bnlab import data
    from bnlab.data import cache
    from bnlab.data.sources import SOURCES, missing_files, require_intact

    for name in sorted(set(names) & set(SOURCES)):
        source, root = SOURCES[name], data.root()
        only_prepared = missing_files(source, root / source.folder) and cache.stored_copies(root, name)
        if not only_prepared:
            require_intact(source, root / source.folder)


def check_devices(devices: Iterable[str]) -> None:
    """Errors: EnvironmentFault where a run insists on a GPU and the system shows none."""
    if "cuda" in devices and not any(found for name in GPU_FILES for found in Path("/dev").glob(name)):
        raise EnvironmentFault("device=cuda: this machine shows no GPU; write device=auto or device=cpu")


def check_writable(folder: Path) -> None:
    """Create the folder and write in it, as the runs will. Errors: EnvironmentFault."""
    make_folder(folder)
    probe = folder / f".writable-{os.getpid()}"
    write_aside(probe, b"")
    probe.unlink()
