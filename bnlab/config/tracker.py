"""Who mirrors the measurements of a run."""

from __future__ import annotations

from bnlab.ranges import one_of, refuse

TRACKERS = ("wandb", "tensorboard")


def tracker_names(joined: str) -> list[str]:
    """`wandb+tensorboard` as a list; `none` is an empty one."""
    return [] if joined == "none" else joined.split("+")


def check_tracker(joined: str) -> None:
    names = tracker_names(joined)
    for name in names:
        one_of("tracker", name, ("none", *TRACKERS))
    if "none" in names or len(set(names)) < len(names):
        refuse("tracker", joined, f"name each of {', '.join(TRACKERS)} once, joined by +, or none alone")
