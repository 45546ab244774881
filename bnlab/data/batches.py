"""The endless stream of training batches: order and augmentation from their own generators, resumable anywhere."""

from __future__ import annotations

import torch
from torch import Tensor

from bnlab.data.class_order import ClassOrder
from bnlab.data.image_set import ImageSet
from bnlab.errors import BadInput


class Batches:
    """Batches by index. The incomplete last batch of an epoch is dropped.

    The order of an epoch is drawn from `order_generator`, anew for every epoch, or once: a permutation, or with
    `classes` an order in which each batch has so many classes. Crops and flips are drawn from `augment_generator` on
    that generator's device.
    """

    def __init__(
        self,
        image_set: ImageSet,
        batch_size: int,
        order_generator: torch.Generator,
        augment_generator: torch.Generator | None = None,
        shuffle: str = "every_epoch",
        crop: int = 0,
        flip: bool = False,
        channels_last: bool | None = None,
        classes: int = 0,
    ) -> None:
        """`shuffle` is `every_epoch` or `once`; raises BadInput when the set has not one full batch."""
        if batch_size > len(image_set):
            raise BadInput(f"batch_size={batch_size}: there are only {len(image_set)} images; make it smaller")
        if (crop or flip) and augment_generator is None:
            raise ValueError("crop and flip need an augment_generator")
        self._class_order = ClassOrder(image_set.labels, batch_size, classes) if classes else None
        self.steps_per_epoch = self._class_order.batches if classes else len(image_set) // batch_size
        self._set, self._size, self._shuffle = image_set, batch_size, shuffle
        self._order_generator, self._augment_generator = order_generator, augment_generator
        self._crop, self._flip, self._channels_last = crop, flip, channels_last
        self._position = 0
        self._draw_order()

    def next(self) -> tuple[Tensor, Tensor]:
        """float32 (batch, C, H, W) and int64 (batch,): the next batch."""
        if self._position == self.steps_per_epoch:
            self._position = 0
            if self._shuffle == "every_epoch":
                self._draw_order()
        start = self._position * self._size
        chosen = self._order[start : start + self._size]
        self._position += 1
        if not (self._crop or self._flip):
            return self._set.batch(chosen, self._channels_last)
        rows = self._set.rows.index_select(0, chosen)
        rows = augment(rows, self._set.shape, self._crop, self._flip, self._augment_generator)
        return self._set.to_float(rows, self._channels_last), self._set.labels.index_select(0, chosen)

    def state(self) -> dict:
        """What `load_state` needs: the position, and the generators' states (uint8 tensors)."""
        augment_state = self._augment_generator.get_state() if self._augment_generator is not None else None
        return {"position": self._position, "order": self._order_state, "augment": augment_state}

    def load_state(self, state: dict) -> None:
        """Go on exactly where `state` was taken; both generators are set as they were then."""
        self._order_generator.set_state(state["order"])
        self._draw_order()
        self._position = int(state["position"])
        if self._augment_generator is not None and state["augment"] is not None:
            self._augment_generator.set_state(state["augment"])

    def _draw_order(self) -> None:
        generator = self._order_generator
        self._order_state = generator.get_state()
        if self._class_order:
            order = self._class_order.draw(generator)
        else:
            order = torch.randperm(len(self._set), generator=generator, device=generator.device)
        self._order = order.to(self._set.rows.device)


def augment(rows: Tensor, shape: tuple[int, int, int], crop: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Flip each image left to right with probability 1/2, then cut it at a random place out of itself
    with a border of `crop` zero pixels. uint8 (N, H*W*C) in and out.

    Draws, in this order: flips (N), if asked for; shifts down (N) and right (N) in [0, 2 crop], if asked for.
    Nothing waits for the device: the images and their mirror images are laid out with their borders,
    and every row of pixels of the result is one contiguous piece of that.
    """
    channels, height, width = shape
    count, device = len(rows), rows.device
    first = torch.arange(count, device=device)
    images = rows.view(count, height, width, channels)
    if flip:
        first += count * _draw(2, (count,), generator, device)
        images = torch.cat([images, images.flip(2)])
    high, wide = height + 2 * crop, width + 2 * crop
    first *= high * wide
    if crop:
        down, right = _draw(2 * crop + 1, (2, count), generator, device)
        first += down * wide + right
        bordered = images.new_zeros((len(images), high, wide, channels))
        bordered[:, crop : crop + height, crop : crop + width] = images
        images = bordered
    pieces = images.as_strided((len(images) * high * wide - width + 1, width * channels), (channels, 1))
    starts = first[:, None] + torch.arange(0, height * wide, wide, device=device)
    return pieces.index_select(0, starts.view(-1)).view(count, -1)


def _draw(below: int, size: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    return torch.randint(below, size, generator=generator, device=generator.device).to(device)
