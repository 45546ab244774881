"""The settings whose packs are kept in the repository."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

RESULTS = Path(__file__).resolve().parents[1] / "results"
PACKS = sorted(index.parents[1] for index in RESULTS.glob("*/*/pack/runs.json"))
HEADLINES = [RESULTS / "activation_histograms" / "mnist-laptop", RESULTS / "ics_vgg" / "cifar10-laptop"]


def unless_headline(settings: Sequence[Path]) -> list:
    """The settings as parameters: all but the headlines belong to the group `shipped`, for there are many."""
    others = pytest.mark.shipped
    return [pytest.param(s, id=f"{s.parent.name}-{s.name}", marks=() if s in HEADLINES else others) for s in settings]
