"""The id of a run, which follows from what it computes."""

from __future__ import annotations

import hashlib
import json

from bnlab.config.forms import flatten
from bnlab.config.run import RunConfig

# Where a run happens and who watches it does not change what it is.
NOT_IDENTITY = ("seed", "device", "threads", "tracker", "checkpoint")


def run_id(config: RunConfig) -> str:
    """`<hash>-s<seed>`: eight hex digits over every field that differs from its default.

    A field added later with a default that changes nothing leaves all earlier ids as they are.
    """
    differing = {k: v for k, v in _different_from_default(config).items() if k.split(".")[0] not in NOT_IDENTITY}
    text = json.dumps(differing, sort_keys=True)
    return f"{hashlib.sha256(text.encode()).hexdigest()[:8]}-s{config.seed}"


def _different_from_default(config: RunConfig) -> dict[str, object]:
    default = flatten(RunConfig())
    return {key: value for key, value in flatten(config).items() if value != default[key]}
