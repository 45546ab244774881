"""Exact facts about batch normalisation, each tried on random cases in float64: a row per case, an error per fact.

Every fact compares torch's (or bnlab's) layer with a form written out from its source. Errors are relative to the size
of what is compared. Sizes, values, gamma, beta and eps are drawn anew for every case.
"""

from __future__ import annotations

import torch

from bnlab.config import RunConfig
from bnlab.procedures import Rows
from bnlab.procedures.identities import axes, convolution, evaluation, formula, gradients, values, weights
from bnlab.procedures.identities.case import draw_case

SUBJECTS = (formula, gradients, weights, values, axes, convolution, evaluation)
FACTS = {fact.__name__: fact for subject in SUBJECTS for fact in subject.FACTS}


def measure(config: RunConfig) -> Rows:
    """`identity/<fact>`: its error in each of `config.steps` cases."""
    draw = torch.Generator().manual_seed(config.seed)
    for step in range(config.steps):
        case = draw_case(draw)
        yield step, {f"identity/{name}": fact(case) for name, fact in FACTS.items()}
