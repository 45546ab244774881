"""One seed, several independent random streams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Streams:
    """Generators spawned from one seed: drawing from one never moves another.

    Variants of one seed therefore share initial weights and batches, even where one of them draws noise. Weights and
    batch order are drawn on the CPU, noise and augmentation on the run's device. Dropout has torch's global stream.
    """

    init: torch.Generator
    order: torch.Generator
    augment: torch.Generator
    noise: torch.Generator

    def moving(self) -> tuple[torch.Generator, ...]:
        """The streams that are drawn from while a run trains."""
        return self.order, self.augment, self.noise


def streams(seed: int, device: str) -> Streams:
    """Spawn the streams of a run, and seed torch's global stream (dropout) from the same source."""
    init, order, augment, noise, dropout = (_integer(s) for s in np.random.SeedSequence(seed).spawn(5))
    torch.manual_seed(dropout)
    return Streams(
        init=torch.Generator().manual_seed(init),
        order=torch.Generator().manual_seed(order),
        augment=torch.Generator(device).manual_seed(augment),
        noise=torch.Generator(device).manual_seed(noise),
    )


def _integer(sequence: np.random.SeedSequence) -> int:
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)
