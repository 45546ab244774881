"""An order of images in which every batch holds a few classes only: batches that are no sample of the data."""

from __future__ import annotations

import heapq

import torch
from torch import Tensor

from bnlab.errors import BadInput


class ClassOrder:
    """Draws orders of one epoch whose batches hold exactly `classes` classes, with equally many images of each.

    No image comes twice in an epoch. Left out, each time others by chance, are fewer images of a class than its share
    of a batch, fewer shares than a batch takes, and what a class has more than a share for every batch. Within a batch
    the classes alternate, so that halves of it hold the same classes as the whole.
    """

    def __init__(self, labels: Tensor, batch_size: int, classes: int) -> None:
        """`labels` int64 (N,). Errors: BadInput where not so many classes have enough images for one batch."""
        self._labels, self._classes, self._share = labels.cpu(), classes, batch_size // classes
        self._shares = self._labels.bincount() // self._share  # how many batches each class could be in
        if (there := int((self._shares > 0).sum())) < classes:
            rule = f"only {there} classes have {self._share} images, which a batch needs of each"
            raise BadInput(f"data.batch_classes={classes}: {rule}; use fewer classes, or batches of fewer images")
        self.batches = int(self._shares.sum()) // classes
        while int(self._shares.clamp(max=self.batches).sum()) < classes * self.batches:
            self.batches -= 1

    def draw(self, generator: torch.Generator) -> Tensor:
        """int64 (batches * batch size,): indices of images, batch after batch."""
        in_batches = self._used(generator)
        shuffled = torch.randperm(len(self._labels), generator=generator)
        by_class = shuffled[self._labels[shuffled].argsort(stable=True)].split(self._labels.bincount().tolist())
        shares = [list(own[: n * self._share].split(self._share)) for own, n in zip(by_class, in_batches)]
        chosen = self._classes_of_batches(in_batches, generator)
        return torch.cat([torch.stack([shares[c].pop() for c in batch], 1).flatten() for batch in chosen])

    def _used(self, generator: torch.Generator) -> list[int]:
        """For every class, in how many batches each is, `classes * batches` in all and at most `batches` each."""
        possible = self._shares.clamp(max=self.batches)
        one_each = torch.arange(len(possible)).repeat_interleave(possible)
        kept = torch.randperm(len(one_each), generator=generator)[: self._classes * self.batches]
        return one_each[kept].bincount(minlength=len(possible)).tolist()

    def _classes_of_batches(self, left: list[int], generator: torch.Generator) -> list[list[int]]:
        """Different classes for every batch, drawn with weights that are how many shares of each are left.

        A class with as many shares as there are batches left is always taken: otherwise the last batches would lack
        classes. The smallest of exponential variables divided by weights are such a draw without replacement.
        """
        drawn = torch.empty(self.batches, len(left), dtype=torch.float64).exponential_(generator=generator)
        chosen = []
        for to_go, waiting in zip(range(self.batches, 0, -1), drawn.tolist(), strict=True):
            times = {c: -1.0 if n == to_go else waiting[c] / n for c, n in enumerate(left) if n}
            chosen.append(heapq.nsmallest(self._classes, times, key=times.get))
            left = [n - (c in chosen[-1]) for c, n in enumerate(left)]
        return chosen
