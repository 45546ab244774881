"""Images brought to another size: bilinear, or by a border of zeros. Exact on every machine, so that
the fingerprint of a resized set is."""

from __future__ import annotations

import numpy as np

CHUNK = 1024


def bilinear(images: np.ndarray, size: int) -> np.ndarray:
    """Resize uint8 (N, H, W, C) to (N, size, size, C), pixel centres at (i + 1/2), edges repeated.

    Shrinking widens the triangle to cover what it replaces (antialiasing), as Pillow and
    `torch.nn.functional.interpolate(..., antialias=True)` do. Halves round up.
    """
    _, height, width, _ = images.shape
    rows, columns = _weights(height, size), _weights(width, size)
    parts = [_resize(images[i : i + CHUNK], rows, columns) for i in range(0, len(images), CHUNK)]
    return np.concatenate(parts)


def _resize(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    exact = np.einsum("ih,nhwc->niwc", rows, images.astype(np.float64), optimize=False)
    exact = np.einsum("jw,niwc->nijc", columns, exact, optimize=False)
    # the inner rounding keeps sums that differ in their last bit from falling on two sides of a half
    return np.floor(np.round(exact, 6) + 0.5).astype(np.uint8)


def _weights(old: int, new: int) -> np.ndarray:
    """Matrix (new, old) of the triangle filter; every row sums to 1."""
    scale = old / new
    centres = (np.arange(new)[:, None] + 0.5) * scale
    distance = np.abs(np.arange(old)[None, :] + 0.5 - centres) / max(scale, 1.0)
    weights = np.maximum(0.0, 1.0 - distance)
    return weights / weights.sum(axis=1, keepdims=True)


def zero_padded(images: np.ndarray, size: int) -> np.ndarray:
    """Set uint8 (N, H, W, C) in the middle of (N, size, size, C) zeros; an odd border is wider below and right."""
    _, height, width, _ = images.shape
    top, left = (size - height) // 2, (size - width) // 2
    margins = ((0, 0), (top, size - height - top), (left, size - width - left), (0, 0))
    return np.pad(images, margins)
