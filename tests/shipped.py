"""The settings whose packs are kept in the repository."""

from __future__ import annotations

from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results"
PACKS = sorted(index.parents[1] for index in RESULTS.glob("*/*/pack/runs.json"))
HEADLINES = [RESULTS / "activation_histograms" / "mnist-laptop", RESULTS / "ics_vgg" / "cifar10-laptop"]
