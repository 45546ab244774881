"""Convolution with TensorFlow's SAME padding, which Goerner's conv net was written for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after `size` values so that ceil(size / stride) come out; the odd one goes after."""
    total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):
    """A convolution whose output has ceil(H / stride) rows and ceil(W / stride) columns."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        (top, bottom), (left, right) = (same_padding(size, kernel, stride) for size in x.shape[2:])
        if top == bottom and left == right:  # the kernel pads by itself, without a copy
            return F.conv2d(x, self.weight, self.bias, stride, (top, left))
        return F.conv2d(F.pad(x, (left, right, top, bottom)), self.weight, self.bias, stride)
