"""A feed-forward net as an ordered list of blocks, each of which can be watched without being changed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

Tap = Callable[[str, torch.Tensor], None]


class Block(nn.Module):
    """A hidden layer: linear map, normalisation before or after the activation, then pooling or dropout.

    When `tap` is set, the forward pass hands it each of these, by name: "preact" (output of the linear map),
    "normed" (input of the activation, after normalisation and noise if they come before it), "activation" (output
    of the activation), "output" (what the next layer gets). They are the live tensors: a tap must not write to
    them, and detaches what it keeps.
    """

    def __init__(
        self, linear: nn.Module, norm: nn.Module | None, activation: nn.Module, position: str, finish: nn.Module | None
    ) -> None:
        super().__init__()
        self.linear, self.norm, self.activation, self.finish = linear, norm, activation, finish
        self.before = norm is not None and position == "before"
        self.after = norm is not None and position == "after"
        self.dense = isinstance(linear, nn.Linear)
        self.tap: Tap | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self._show("preact", self.linear(x.flatten(1) if self.dense else x))
        x = self._show("normed", self.norm(x) if self.before else x)
        x = self._show("activation", self.activation(x))
        x = self.norm(x) if self.after else x
        return self._show("output", x if self.finish is None else self.finish(x))

    def _show(self, name: str, x: torch.Tensor) -> torch.Tensor:
        if self.tap is not None:
            self.tap(name, x)
        return x


class Net(nn.Module):
    """(N, C, H, W) images -> (N, classes) logits, through hidden `blocks` and a linear `output` without a norm.

    Layer i of a metric's name is `blocks[i - 1]`. `spatial` says that the first layer is convolutional; such nets
    hold their weights in channels-last memory and run fastest on inputs in it.
    """

    def __init__(self, blocks: Sequence[Block], output: nn.Linear) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.output = output
        self.spatial = not blocks[0].dense
        if self.spatial:
            self.to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.output(x.flatten(1))


@contextlib.contextmanager
def tapped(net: Net, tap: Callable[[int, str, torch.Tensor], None]) -> Iterator[None]:
    """Within the context, every forward pass calls `tap(layer, name, tensor)`, layers counted from 1."""
    before = [block.tap for block in net.blocks]
    try:
        for layer, block in enumerate(net.blocks, start=1):
            block.tap = lambda name, x, layer=layer: tap(layer, name, x)
        yield
    finally:
        for block, old in zip(net.blocks, before, strict=True):
            block.tap = old
