"""One fixed name, colour, dash and marker per arm, in figures and on pages. Loads no drawing library."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """`dash` is a matplotlib line style. Colours differ in lightness too, for grey print."""

    label: str
    colour: str
    dash: object
    marker: str


LOOKS = {
    "plain": Look("plain", "#c24e00", (0, (4.5, 1.5)), "s"),
    "bn": Look("BN", "#10457e", "-", "o"),
    "bn_noise": Look("BN + noise", "#3aa888", (0, (5, 1.2, 1.2, 1.2)), "^"),
    "plain_noise": Look("plain + noise", "#d9a520", (0, (1.2, 1.2)), "D"),
}
POSITION_LOOKS = {
    "before": Look("before the activation", "#10457e", "-", "o"),
    "after": Look("after the activation", "#c24e00", (0, (4.5, 1.5)), "s"),
}
OPTIMIZER_LOOKS = {
    "sgd": Look("SGD", "#10457e", "-", "o"),
    "momentum": Look("SGD with momentum", "#c24e00", (0, (4.5, 1.5)), "s"),
    "rmsprop": Look("RMSprop", "#3aa888", (0, (5, 1.2, 1.2, 1.2)), "^"),
    "adam": Look("Adam", "#d9a520", (0, (1.2, 1.2)), "D"),
}
RENORM_LOOKS = {
    "renorm": Look("renorm", "#c24e00", (0, (4.5, 1.5)), "s"),
    "bn_by_batch": Look("BN by batch", "#3aa888", (0, (5, 1.2, 1.2, 1.2)), "^"),
    "renorm_by_batch": Look("renorm by batch", "#d9a520", (0, (1.2, 1.2)), "D"),
}
LEARNT_LOOKS = {
    "both": Look("scale and offset", "#10457e", "-", "o"),
    "no_offset": Look("no offset", "#c24e00", (0, (4.5, 1.5)), "s"),
    "no_scale": Look("no scale", "#3aa888", (0, (5, 1.2, 1.2, 1.2)), "^"),
    "neither": Look("neither", "#d9a520", (0, (1.2, 1.2)), "D"),
}
LP_LOOKS = {
    "l1": Look("l1 norm", "#3aa888", (0, (5, 1.2, 1.2, 1.2)), "^"),
    "l2": Look("l2 norm", "#d9a520", (0, (1.2, 1.2)), "D"),
    "linf": Look("l-infinity norm", "#6a3580", (0, (3, 1, 1, 1, 1, 1)), "v"),
}
# One of these to a figure: they share their colours.
COMPARED = (LOOKS, POSITION_LOOKS, OPTIMIZER_LOOKS, RENORM_LOOKS, LEARNT_LOOKS, LP_LOOKS)
PUBLISHED = Look("published", "#000000", "-", "o")  # thin, markers hollow


def look(variant: str) -> Look:
    """The look of a variant, or of what else is compared; one without its own is drawn in grey under its own name."""
    return ChainMap(*COMPARED).get(variant, Look(variant, "#6b6b6b", "-", "v"))
