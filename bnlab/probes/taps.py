"""Seeing tensors inside a net while it computes, without a second pass and without changing the first."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from torch import Tensor

from bnlab import models
from bnlab.errors import BadInput
from bnlab.probes.probe import Tap

if TYPE_CHECKING:
    from bnlab.models import Net


@contextlib.contextmanager
def tapping(net: Net, wanted: Collection[Tap]) -> Iterator[dict[Tap, Tensor]]:
    """Collect the `wanted` tensors of the last forward pass made inside: `(1-based block, name)` -> tensor, detached.

    The names are those that `Block` shows: preact, normed, activation, output.
    """
    kept: dict[Tap, Tensor] = {}

    def keep(layer: int, name: str, tensor: Tensor) -> None:
        if (layer, name) in wanted:
            kept[layer, name] = tensor.detach()

    with models.tapped(net, keep) if wanted else contextlib.nullcontext():
        yield kept


def chosen_layers(layers: tuple[int, ...], blocks: int, key: str) -> tuple[int, ...]:
    """The 1-based blocks that a configuration chooses, all of them where it chooses none. Errors: BadInput."""
    beyond = max(layers, default=0)
    if beyond > blocks:
        raise BadInput(f"{key}={list(layers)}: there is no layer {beyond}; this net has {blocks} hidden layers")
    return tuple(sorted(set(layers))) or tuple(range(1, blocks + 1))
