"""A data set as bytes on the device, and its batches as floats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bnlab.data.cache import Prepared, remembered
from bnlab.data.pixels import Pixels, channel_moments, standardized
from bnlab.data.subset import split

if TYPE_CHECKING:
    from bnlab.config import DataConfig


@dataclass(frozen=True, eq=False)
class ImageSet:
    """`rows` holds the images as uint8 (N, H*W*C), channels innermost, so that one `index_select`
    gathers a batch and channels-last tensors cost nothing; `shape` is (C, H, W); `labels` int64 (N,). A set of vectors
    is one of float32 images of one row, whose labels are float32 (N, outputs)."""

    rows: Tensor
    labels: Tensor
    shape: tuple[int, int, int]
    pixels: Pixels

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def images(self) -> Tensor:
        """uint8 (N, C, H, W), a view."""
        channels, height, width = self.shape
        return self.rows.view(-1, height, width, channels).permute(0, 3, 1, 2)

    def batch(self, indices: Tensor, channels_last: bool | None = None) -> tuple[Tensor, Tensor]:
        """The images and labels at `indices` (int64, on the device of the set): see `to_float`."""
        return self.to_float(self.rows.index_select(0, indices), channels_last), self.labels.index_select(0, indices)

    def slice(self, start: int, stop: int, channels_last: bool | None = None) -> tuple[Tensor, Tensor]:
        """Images and labels from `start` to `stop` (excluded, cut at the end of the set), in their stored order."""
        return self.to_float(self.rows[start:stop], channels_last), self.labels[start:stop]

    def to_float(self, rows: Tensor, channels_last: bool | None = None) -> Tensor:
        """Bytes (N, H*W*C) to float32 (N, C, H, W) by the pixel convention of the set.

        In channels-last memory format where asked for, or, with None, where there is more than one channel.
        """
        channels, height, width = self.shape
        x = self.pixels.convert(rows)
        if channels == 1 and not channels_last:
            return x.view(-1, 1, height, width)
        x = x.view(-1, height, width, channels).permute(0, 3, 1, 2)
        return x.contiguous() if channels_last is False else x


@dataclass(frozen=True, eq=False)
class ImageSets:
    """`fingerprint` identifies the whole prepared training and test set, before any subset is taken.

    `classes`: how many, or how many entries a target vector has.
    """

    train: ImageSet
    test: ImageSet
    validation: ImageSet | None
    classes: int
    fingerprint: str


def assemble(prepared: Prepared, config: DataConfig, device: str) -> ImageSets:
    """Training, test and validation images of a prepared set, on the device."""
    arrays = prepared.arrays
    chosen, held_out = split(len(arrays.train_labels), config)
    images, labels = _take(arrays.train_images, chosen), _take(arrays.train_labels, chosen)
    pixels = _pixels(prepared, config, images, device)
    validation = None
    if held_out is not None:
        validation = _image_set(_take(arrays.train_images, held_out), arrays.train_labels[held_out], pixels, device)
    return ImageSets(
        train=_image_set(images, labels, pixels, device),
        test=_image_set(arrays.test_images, arrays.test_labels, pixels, device),
        validation=validation,
        classes=arrays.classes,
        fingerprint=prepared.fingerprint,
    )


def _take(array: np.ndarray, indices: np.ndarray | None) -> np.ndarray:
    return array if indices is None else array[indices]


def _pixels(prepared: Prepared, config: DataConfig, images: np.ndarray, device: str) -> Pixels:
    """The pixel convention; its constants, where it has any, are those of the training images in use."""
    if images.dtype == np.float32:
        return Pixels("none")
    if config.pixels != "standardized":
        return Pixels(config.pixels)
    name = f"moments-{config.train_subset}-{config.validation}"
    mean, std = remembered(prepared, name, lambda: list(channel_moments(images)))
    return standardized(mean, std, images.shape[1] * images.shape[2], device)


def _image_set(images: np.ndarray, labels: np.ndarray, pixels: Pixels, device: str) -> ImageSet:
    count, height, width, channels = images.shape
    rows = torch.from_numpy(images.reshape(count, -1)).to(device)
    return ImageSet(rows, torch.from_numpy(labels).to(device), (channels, height, width), pixels)
