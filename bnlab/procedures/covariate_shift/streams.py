"""Independent generators of random numbers for the parts of one run."""

from __future__ import annotations

import numpy as np
import torch


def stream(seed: int, part: int) -> torch.Generator:
    return torch.Generator().manual_seed(int(np.random.SeedSequence([seed, part]).generate_state(1)[0]))
