"""What else than a training yields the rows of a run, and the keys that it looks at."""

from __future__ import annotations

# One module of bnlab/procedures each; `train` is no module.
PROCEDURES = ("identities", "article_code", "input_scaling", "covariate_shift", "learning_rates", "batch_noise")
# The keys that a procedure looks at, besides those that every run has; keys of the training loop are not for it.
HEARD_BY_ALL = ("seed", "steps", "threads", "tracker", "checkpoint", "procedure")
HEARD_BY = {"learning_rates": ("data", "model", "norm", "variant", "batch_size")}
