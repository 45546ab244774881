"""Covariate shift of the data, change across the depth of a net, and internal covariate shift, told apart.

Every run has three parts: regressions on vehicles, a deep sigmoid net at initialisation, and a classifier of dogs.
"""

from __future__ import annotations

from bnlab.config import RunConfig
from bnlab.procedures import Rows
from bnlab.procedures.covariate_shift import depth, dogs, vehicles


def measure(config: RunConfig) -> Rows:
    """What `config.steps` cases of each part came to at step 0; points and curves also in rows of their own.

    All metrics begin with `shift/`.
    """
    rows: dict[int, dict[str, float]] = {}
    for part in (vehicles, depth, dogs):
        for step, values in part.compare(config.seed, config.steps).items():
            rows.setdefault(step, {}).update(values)
    for step, values in sorted(rows.items()):
        yield step, {f"shift/{name}": value for name, value in values.items()}
