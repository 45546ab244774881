"""Which learning rates a net bears with and without batch normalisation, and what scale and depth do to gradients.

Every random case gives a row with an error per exact fact. Rows of the same numbers stand for layers in what is said of
gradients at initialisation, and for places in the grid of learning rates in what is said of training.
"""

from __future__ import annotations

import dataclasses

import torch

from bnlab.config import RunConfig
from bnlab.procedures import Rows
from bnlab.procedures.learning_rates import exact, growth, training
from bnlab.procedures.learning_rates.case import draw_case

FACTS = {fact.__name__: fact for fact in exact.FACTS}
STEPS_PER_CASE = 2  # of training


def measure(config: RunConfig) -> Rows:
    """`config.steps` cases, and twice as many steps of training. All metrics begin with `rates/`."""
    norms = {"plain": dataclasses.replace(config.norm, name="none")}
    norms["bn"] = dataclasses.replace(config.norm, name="batch")
    draw = torch.Generator().manual_seed(config.seed)
    cases = (draw_case(draw) for _ in range(config.steps))
    rows = {step: {name: fact(case) for name, fact in FACTS.items()} for step, case in enumerate(cases)}
    trained = training.compare(config, norms, STEPS_PER_CASE * config.steps)
    for more in (growth.compare(config.seed, norms), trained):
        for row, values in more.items():
            rows.setdefault(row, {}).update(values)
    for row, values in sorted(rows.items()):
        yield row, {f"rates/{name}": value for name, value in values.items()}
