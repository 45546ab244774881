"""The Keras code of articles S1 and S2, tried on the installed Keras with its torch backend.

What the printed text alone settles, a count or a yes or no, stands in the first row; what needs numbers is tried on a
random case in every row. Errors are relative to the size of what is compared.
"""

from __future__ import annotations

import torch

from bnlab.config import RunConfig
from bnlab.procedures import Rows
from bnlab.procedures.article_code import conv, dense, layer, signature, surface
from bnlab.procedures.article_code.case import draw_case
from bnlab.procedures.article_code.keras_on_torch import load_keras

SUBJECTS = (signature, layer, dense, conv, surface)
PRINTED = {fact.__name__: fact for subject in SUBJECTS for fact in subject.PRINTED}
FACTS = {fact.__name__: fact for subject in SUBJECTS for fact in subject.FACTS}


def measure(config: RunConfig) -> Rows:
    """`article/<fact>`: its error, or count, in each of `config.steps` cases, or once.

    Errors: EnvironmentFault where Keras is not installed.
    """
    load_keras()
    draw = torch.Generator().manual_seed(config.seed)
    once = {f"article/{name}": fact() for name, fact in PRINTED.items()}
    for step in range(config.steps):
        case = draw_case(draw)
        yield step, {f"article/{name}": fact(case) for name, fact in FACTS.items()} | (once if step == 0 else {})
