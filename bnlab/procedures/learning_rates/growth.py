"""How the gradient grows from the output down to the first layer of a deep ReLU net, before any training.

Yang et al. 2019 (arXiv 1902.08129): with batch normalisation the squared norm grows by a factor per layer that falls
to pi/(pi - 1) = 1.467 as the batch grows, in wide nets; without it, and with He's weights, the factor is 1.
"""

from __future__ import annotations

import numpy as np
import torch

from bnlab.config import ModelConfig, NormConfig
from bnlab.models import build

DEPTH, WIDTH = 30, 400
BATCHES = (8, 32, 128, 512)
EDGE = 5  # layers at either end that the factor is not taken from: what comes in and goes out is not yet settled there


def squared_norms(norm: NormConfig, m: int, seed: int, depth: int = DEPTH, width: int = WIDTH) -> np.ndarray:
    """||dL/dW||^2 of every hidden layer (depth,), from the first, for m normal inputs and a random linear loss."""
    weights, inputs = (
        torch.Generator().manual_seed(s) for s in np.random.SeedSequence([seed, m]).generate_state(2).tolist()
    )
    net = build(ModelConfig(widths=(width,) * depth), norm, (1, 1, width), 10, weights, inputs)
    output = net(torch.randn(m, 1, 1, width, generator=inputs))
    (output * torch.randn(m, 10, generator=inputs)).sum().backward()
    return np.array([float(block.linear.weight.grad.double().square().sum()) for block in net.blocks])


def per_layer(norms: np.ndarray) -> float:
    """The factor by which a layer's squared norm exceeds that of the layer above it: a fit to the logarithms."""
    layers = np.arange(EDGE, len(norms) - EDGE)
    return float(np.exp(-np.polyfit(layers, np.log(norms[layers]), 1)[0]))


def compare(seed: int, norms: dict[str, NormConfig]) -> dict[int, dict[str, float]]:
    """Rows by layer, from 1: squared norms over that of the last layer; the factors stand at row 0."""
    rows: dict[int, dict[str, float]] = {layer: {} for layer in range(DEPTH + 1)}
    for arm, norm in norms.items():
        for m in BATCHES:
            found = squared_norms(norm, m, seed)
            rows[0][f"growth/{arm}/{m}"] = per_layer(found)
            for layer, size in enumerate(found / found[-1], start=1):
                rows[layer][f"gradient/{arm}/{m}"] = float(size)
    return rows
